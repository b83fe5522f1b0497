"""The first screen of a dossier: verdict, primary metric, what holds the release, next step, changes.

Verdicts that hold or warn are in this order::

    block, missing   before   inconclusive that holds   before   a warning
    constraint, primary   before   costs   before   safety   before   other guardrails   before   other gates
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tasks.contracts import Family
from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.decision import find_holding, holds_release
from tasks.promotion.pages.changes import POLICY_ROWS, Change
from tasks.promotion.pages.next_steps import say_next
from tasks.replay.leaks import GATE as CONSTRAINTS
from tasks.reports.charts import Rail, draw_rails
from tasks.reports.numbers import format_outcomes
from tasks.reports.phrases import find_primary, phrase_verdict
from tasks.reports.words import Vocabulary, say_outcomes

_MOST_ROWS = 8
_UNTOLD = frozenset({Outcome.INCONCLUSIVE, Outcome.METRIC_MISSING})
_UNHARMED = "No segment is harmed beyond its limit."


_SEVERITY = {Outcome.BLOCK: 0, Outcome.METRIC_MISSING: 1, Outcome.INCONCLUSIVE: 2, Outcome.WARN: 3}
_FAMILIES = {Family.NEGATIVE: 1, Family.SAFETY: 2}
_NEVER_SHOWN, _OTHER_GUARDRAIL, _OTHER_GATE = -1, 3, 4


@dataclass(frozen=True)
class ReleaseHeader:
    """The release, the champion that it is compared with, and the decision of the gates."""

    surface: str
    release: int
    champion: int | None
    verdict: Literal["promote", "hold"]


@dataclass(frozen=True)
class Provenance:
    """When the release was registered, by whom it was asked for, and the team that owns the surface.

    ``page`` is the address of its version in MLflow, empty where only the store is known.
    """

    made_at: datetime
    by: str
    owner: str
    page: str = ""

    def facts(self) -> list[str]:
        """Return what the line below the heading says of it."""
        by = f" by {self.by}" if self.by else ""
        return [f"made {self.made_at:%Y-%m-%d %H:%M} UTC{by}", f"owner {self.owner}"]


@dataclass(frozen=True)
class FirstScreen:
    """What is read in two minutes.

    Attributes
    ----------
    sentence : how many verdicts hold the release, of how many.
    primary : the phrase of each primary metric that was evaluated.
    holding, more_holding : phrases of the verdicts on the whole that hold the release, and how many follow.
    harmed, more_harmed : the same of harmed segments; ``unharmed`` is printed where there is none.
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
    subject: ReleaseHeader, verdicts: Sequence[Verdict], changes: Sequence[Change], words: Vocabulary
) -> FirstScreen:
    """Gather the first screen of a release."""
    ordered = order_worst_first(verdicts, words)
    worst = next(iter(ordered), None)
    held = subject.verdict == "hold"
    harmed = [verdict for verdict in ordered if verdict.harms_segment]
    primary = find_primary(verdicts, words)
    holding = [
        verdict
        for verdict in ordered
        if holds_release(verdict, words.inconclusive) and verdict not in primary and not verdict.harms_segment
    ]
    return FirstScreen(
        verdict=subject.verdict,
        sentence=_summarize(verdicts, words, held=held),
        primary=tuple(phrase_verdict(verdict, words) for verdict in primary),
        holding=tuple(phrase_verdict(verdict, words) for verdict in holding[:_MOST_ROWS]),
        more_holding=max(len(holding) - _MOST_ROWS, 0),
        next_step=say_next(
            worst,
            surface=subject.surface,
            release=subject.release,
            held=held,
            asks_support=any(change.differs and change.of in POLICY_ROWS for change in changes),
            first=subject.champion is None,
        ),
        changes=tuple(changes),
        rails=tuple(draw_rails(verdicts, words)),
        harmed=tuple(phrase_verdict(verdict, words) for verdict in harmed[:_MOST_ROWS]),
        more_harmed=max(len(harmed) - _MOST_ROWS, 0),
        unharmed=_say_unharmed(verdicts),
    )


def _summarize(verdicts: Sequence[Verdict], words: Vocabulary, *, held: bool) -> str:
    """Count the verdicts that hold a release, and all of them."""
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
    """Return that no segment is harmed, and in how many that is inconclusive."""
    judged = {verdict.segment for verdict in verdicts} - {ALL}
    untold = {verdict.segment for verdict in verdicts if verdict.outcome in _UNTOLD} - {ALL}
    if not judged:
        return "No segment was evaluated."
    if not untold:
        return _UNHARMED
    return f"{_UNHARMED} {len(untold)} of {len(judged)} evaluated segments have inconclusive verdicts."


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
