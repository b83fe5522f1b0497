"""The first screen of a dossier: verdict, primary metric, reasons to hold, next step, changes.

Verdicts that hold or warn are sorted like this::

    block, missing   before   inconclusive that holds   before   a warning
    constraint, primary   before   costs   before   safety   before   other guardrails   before   other gates
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tasks.contracts import Family
from tasks.evaluation.release_evidence import GateEvidence
from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.decision import find_holding, holds_release
from tasks.promotion.pages.changes import POLICY_ROWS, Change
from tasks.replay.compared import BIASED
from tasks.replay.metrics import REORDERING
from tasks.replay.slate_checks import GATE as CONSTRAINTS
from tasks.reports.charts import Rail, draw_rails
from tasks.reports.numbers import format_outcomes
from tasks.reports.phrases import Vocabulary, find_primary, phrase_verdict, say_outcomes

_MOST_ROWS = 8
_INCONCLUSIVE = frozenset({Outcome.INCONCLUSIVE, Outcome.METRIC_MISSING})
_UNHARMED = "No segment is harmed beyond its limit."


_SEVERITY = {Outcome.BLOCK: 0, Outcome.METRIC_MISSING: 1, Outcome.INCONCLUSIVE: 2, Outcome.WARN: 3}
_FAMILIES = {Family.NEGATIVE: 1, Family.SAFETY: 2}
_NEVER_SHOWN, _OTHER_GUARDRAIL, _OTHER_GATE = -1, 3, 4


@dataclass(frozen=True)
class FirstScreen:
    """The first screen, to be read in two minutes.

    Attributes
    ----------
    sentence : counts of the verdicts that hold the release, and of all verdicts.
    primary : phrase of each evaluated primary metric.
    holding, more_holding : phrases of verdicts over all segments that hold the release, and how many follow.
    harmed, more_harmed : the same for harmed segments; ``unharmed`` is printed if there are none.
    """

    verdict: Literal["promote", "hold"]
    sentence: str
    primary: tuple[str, ...]
    holding: tuple[str, ...]
    more_holding: int
    next_step: str
    changes: tuple[Change, ...]
    rails: tuple[Rail, ...]
    harmed: tuple[str, ...]
    more_harmed: int
    unharmed: str = _UNHARMED


def first_screen(
    evidence: GateEvidence, champion: int | None, changes: Sequence[Change], words: Vocabulary
) -> FirstScreen:
    """Compose the first screen of a release; ``champion`` is the release that it is compared with."""
    verdicts = evidence.verdicts
    ordered = order_worst_first(verdicts, words)
    worst = next(iter(ordered), None)
    held = evidence.verdict == "hold"
    harmed = [verdict for verdict in ordered if verdict.harms_segment]
    primary = find_primary(verdicts, words)
    holding = [
        verdict
        for verdict in ordered
        if holds_release(verdict, words.inconclusive) and verdict not in primary and not verdict.harms_segment
    ]
    return FirstScreen(
        verdict=evidence.verdict,
        sentence=_summarize(verdicts, words, held=held),
        primary=tuple(phrase_verdict(verdict, words) for verdict in primary),
        holding=tuple(phrase_verdict(verdict, words) for verdict in holding[:_MOST_ROWS]),
        more_holding=max(len(holding) - _MOST_ROWS, 0),
        next_step=say_next(
            worst,
            surface=evidence.surface,
            release=evidence.release,
            held=held,
            asks_support=any(change.differs and change.of in POLICY_ROWS for change in changes),
            first=champion is None,
        ),
        changes=tuple(changes),
        rails=tuple(draw_rails(verdicts, words)),
        harmed=tuple(phrase_verdict(verdict, words) for verdict in harmed[:_MOST_ROWS]),
        more_harmed=max(len(harmed) - _MOST_ROWS, 0),
        unharmed=_say_unharmed(verdicts),
    )


def _summarize(verdicts: Sequence[Verdict], words: Vocabulary, *, held: bool) -> str:
    """Count the verdicts that hold a release, and all verdicts."""
    if not verdicts:
        return "No gate was evaluated."
    counted = f"{say_outcomes(verdicts)}."
    if not held:
        return f"No verdict holds it. {counted}"
    holding = find_holding(verdicts, inconclusive=words.inconclusive)
    if not holding:
        return f"Held: no verdict is a pass. {counted}"
    counts = Counter(verdict.outcome for verdict in holding)
    return f"Held by {format_outcomes(dict(counts.most_common()))}. {counted}"


def _say_unharmed(verdicts: Sequence[Verdict]) -> str:
    """Report that no segment is harmed, and how many have inconclusive verdicts."""
    evaluated = {verdict.segment for verdict in verdicts} - {ALL}
    undecided = {verdict.segment for verdict in verdicts if verdict.outcome in _INCONCLUSIVE} - {ALL}
    if not evaluated:
        return "No segment was evaluated."
    if not undecided:
        return _UNHARMED
    return f"{_UNHARMED} {len(undecided)} of {len(evaluated)} evaluated segments have inconclusive verdicts."


def order_worst_first(verdicts: Sequence[Verdict], words: Vocabulary) -> list[Verdict]:
    """Return the verdicts that hold or warn, the worst first."""
    shown = [verdict for verdict in verdicts if verdict.outcome in _SEVERITY]
    return sorted(shown, key=lambda verdict: _rank(verdict, words))


def _rank(verdict: Verdict, words: Vocabulary) -> tuple[bool, int, int, bool]:
    holds = holds_release(verdict, words.inconclusive)
    return not holds, _SEVERITY[verdict.outcome], _kind(verdict, words), verdict.segment != ALL


def _kind(verdict: Verdict, words: Vocabulary) -> int:
    if verdict.gate == CONSTRAINTS:
        return _NEVER_SHOWN
    if verdict.gate != "decision":
        return _OTHER_GATE
    if verdict.subject.name in words.primary:
        return 0
    family = words.family(verdict.subject.task)
    return _OTHER_GUARDRAIL if family is None else _FAMILIES.get(family, _OTHER_GUARDRAIL)


_BLOCKED: Final = {
    "data": "Fix the log, build the labels again and retrain: models trained on them cannot be trusted.",
    "model": "Check the task's training data for changes, then retrain.",
    "inputs": "Fix the log of the feature, or retrain once the training data include such days.",
    "calibration": "Check the task's reliability, calibrate by the miscalibrated segment, and retrain.",
    "constraints": "Do not promote; no override lifts it. Fix the code that lets it through, then retrain.",
    "decision": "Do not promote. Search for other weights (equipoise tune), or keep {champion}.",
    "shadow": "Compare the requests side by side. If the change is intended, raise gates.shadow.",
    "freshness": "Retrain: its training data are too old.",
}
_SUPPORT: Final = (
    "It changes tasks or policies, and no gate can show whether that is better for people: name the online "
    "experiment that supports it, or give a reason why there is none."
)
_LOG_CANDIDATES: Final = (
    "For a verdict offline, log every scored candidate (sources.candidates), or declare shown_is_all: true "
    "where every candidate was shown."
)
_LOG_PROPENSITIES: Final = (
    "For a verdict offline, log with each shown item the probability of its place (`propensity`), which a "
    "release that explores returns (`exploration` in slate.yaml)."
)
_LONGEST_TEST: Final = 365
"""Longest test slice, in days, that a next step may recommend."""
_TOO_FEW: Final = {
    "data": "Wait until more labels are mature, then retrain.",
    "model": "Wait until more labels are mature, then retrain.",
    "calibration": "Wait until more labels are mature, then retrain.",
    "shadow": "Wait for another day of traffic, then evaluate it again.",
}


def say_next(
    worst: Verdict | None,
    *,
    surface: str,
    release: int,
    held: bool,
    asks_support: bool = False,
    first: bool = False,
) -> str:
    """Return the next step as a sentence.

    Parameters
    ----------
    worst : first listed verdict; None if no verdict holds or warns.
    asks_support : the release changes tasks or policies, which no gate can evaluate.
    first : there is no champion yet.

    Examples
    --------
    >>> say_next(None, surface="feed", release=3, held=False)
    'Request its promotion: trigger feed__promote, or type equipoise promote feed 3 --why ...'
    """
    if not held:
        support = "--experiment ... " if asks_support else ""
        typed = f"equipoise promote {surface} {release} {support}--why ..."
        ask = f"Request its promotion: trigger {surface}__promote, or type {typed}"
        return f"{_SUPPORT} {ask}" if asks_support else ask
    champion = "what serves now" if first else "the champion"
    if worst is None:
        return f"Keep {champion}, and retrain when there is something to evaluate."
    if worst.outcome is Outcome.METRIC_MISSING:
        return f"Fix the log or the contract so that it can be measured; keep {champion} meanwhile."
    if worst.outcome is not Outcome.INCONCLUSIVE:
        otherwise = "See what holds it, and keep {champion} meanwhile."
        return _BLOCKED.get(worst.gate, otherwise).format(champion=champion)
    if worst.gate in _TOO_FEW:
        return _TOO_FEW[worst.gate]
    otherwise = f"Keep {champion} meanwhile, or show it to a small share of people in an experiment."
    ramps = worst.caveat == REORDERING or worst.holds == "champion"
    then = _say_canary(worst, surface, release, first=first) if ramps else otherwise
    return f"{_LOG_CANDIDATES if worst.caveat == REORDERING else _wait(worst)} {then}"


def _say_canary(worst: Verdict, surface: str, release: int, *, first: bool) -> str:
    """Describe how a release may be exposed if offline evidence is inconclusive."""
    if worst.holds != "champion" or first:
        return "Keep what serves now meanwhile."
    typed = f"equipoise promote {surface} {release} --stage canary --why ..."
    return f"Until then it may enter a ramp as the canary: type {typed}"


def say_after_override(surface: str) -> str:
    """Return the next step after a held release was promoted by an override.

    Examples
    --------
    >>> say_after_override("feed")
    'It was promoted by an override. Watch what held it; to go back, type equipoise rollback feed --why ...'
    """
    back = f"equipoise rollback {surface} --why ..."
    return f"It was promoted by an override. Watch what held it; to go back, type {back}"


def _wait(worst: Verdict) -> str:
    if worst.caveat == BIASED:
        return _LOG_PROPENSITIES
    if worst.caveat:
        return "More days of this log cannot decide it: its reason names what is missing."
    power = worst.power
    if power is not None and power.never:
        return (
            "No number of test days decides it at this traffic, since returning users add too little new "
            "information: widen its bound, or run an experiment."
        )
    if power is not None and power.days_needed is not None and power.days_needed > power.days:
        if power.days_needed > _LONGEST_TEST:
            return (
                "At this traffic more than a year of test days would be needed: widen its bound, or run an "
                "experiment."
            )
        return (
            f"Lengthen `split.test` from {power.days} to about {power.days_needed} days, which decide this "
            "bound in 80 % of cases."
        )
    return "These data cannot decide it, and more days of the same log may not either."
