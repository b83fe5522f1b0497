"""Verdicts as sentences for people who are no statisticians, made from their values alone.

::

    decision warn: passed_over_rate +11.1% [+2.4%, +22.0%], allowed rise of 10.0%
      -> Of what it puts into the slots, people took another product 11.1% more often than under the
         order of popularity; a rise of 10% is allowed, and these data cannot rule out 22%.

A segment stands in front: "Where tenure is new, ...". What no rule speaks of here is said by its name.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from tasks.evaluation.segments import ALL
from tasks.evaluation.subjects import NO_THRESHOLD, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.pages.model_words import is_share, say_figure
from tasks.reports.metric_words import say_change, say_level, say_metric, write_level
from tasks.reports.numbers import (
    format_change,
    format_counted,
    format_estimate,
    format_number,
    format_share,
    isolate,
    spoken,
)
from tasks.reports.words import Vocabulary

Write = Callable[[float], str]


def say_verdict(verdict: Verdict, words: Vocabulary) -> str:
    """Say a verdict in one sentence.

    Examples
    --------
    >>> from tasks.evaluation.subjects import Subject
    >>> from tasks.reports.words import TaskWords
    >>> words = Vocabulary({"hide": TaskWords("hid it")}, baseline="champion 3")
    >>> seen = Estimate(0.111, 0.024, 0.22, 900)
    >>> rise, hide = Threshold(high=0.1), Subject("rate", task="hide")
    >>> rail = Verdict("decision", hide, "tenure=new", Outcome.INCONCLUSIVE, rise, seen, relative=True)
    >>> print(say_verdict(rail, words))  # doctest: +NORMALIZE_WHITESPACE
    Where tenure is new, of what it puts into the slots, people hid it 11.1% more often than under champion 3;
    a rise of 10% is allowed, and these data cannot rule out 22%.
    """
    clause = _BY_GATE.get(verdict.gate, _by_name)(verdict, words)
    column, _, value = verdict.segment.partition("=")
    where = "" if verdict.segment == ALL else f"where {column} is {isolate(value) or 'empty'}, "
    sentence = f"{where}{clause}"
    return f"{sentence[:1].upper()}{sentence[1:].removesuffix('.')}."


def _decision(verdict: Verdict, words: Vocabulary) -> str:
    subject, seen, metric = verdict.subject, verdict.observed, verdict.subject.decided
    if (verdict.gate, subject.metric) in _NAMES:
        return _by_name(verdict, words)
    if verdict.against:
        words = replace(words, baseline=verdict.against)
    if seen is None or math.isnan(seen.value):
        named = say_metric(metric, subject.name, words)
        if verdict.outcome in {Outcome.BLOCK, Outcome.WARN}:
            clause = f"{named} rose from nothing under {words.baseline}"
            return _against_bound(clause, verdict, lambda value: format_share(abs(value)))
        beside = f", beside what served {subject.baseline}," if subject.baseline else ""
        return _unmeasured(f"{named.rstrip(',')}{beside}", verdict)
    if verdict.relative:
        clause = say_change(metric, subject.name, seen.value, words)
        return _against_bound(clause, verdict, lambda value: format_share(abs(value)))
    clause = say_level(metric, subject.name, seen.value, words)
    return _against_bound(clause, verdict, lambda value: write_level(metric, value, words))


def _against_bound(clause: str, verdict: Verdict, write: Write) -> str:
    allowed = _allowed(verdict, write)
    told = _told(verdict, write)
    return f"{clause}{f'; {allowed}' if allowed else ''}{f', {told}' if told else ''}"


def _allowed(verdict: Verdict, write: Write) -> str:
    bounds = verdict.threshold
    if not bounds.bounded:
        return say_threshold(bounds)
    if not verdict.relative:
        return (
            f"at most {write(bounds.high)} is allowed"
            if math.isfinite(bounds.high)
            else f"at least {write(bounds.low)} is asked for"
        )
    if math.isfinite(bounds.high):
        return f"a rise of {write(bounds.high)} is allowed" if bounds.high else "no rise is allowed"
    if bounds.low > 0:
        return f"a rise of at least {write(bounds.low)} is asked for"
    return f"a fall of {write(bounds.low)} is allowed" if bounds.low else "no fall is allowed"


def _told(verdict: Verdict, write: Write) -> str:
    """Say what the interval leaves open, or rules out; or why it is no evidence at all."""
    seen, bounds = verdict.observed, verdict.threshold
    if seen is None or not bounds.bounded:
        return ""
    if verdict.doubt:
        return f"and whether that holds cannot be told: {verdict.doubt}"
    upper = math.isfinite(bounds.high)
    worst, mildest = (seen.high, seen.low) if upper else (seen.low, seen.high)
    if verdict.outcome is Outcome.INCONCLUSIVE:
        if not seen.known or bounds.low <= worst <= bounds.high:
            return "and these data are too few to tell"
        return f"and these data cannot rule out {_signed(worst, verdict, write, upper=upper)}"
    if verdict.outcome in {Outcome.BLOCK, Outcome.WARN} and seen.known:
        beyond = (mildest > 0) == upper if verdict.relative else upper
        end = "at least " if beyond else "at most "
        return f"and these data show {_signed(mildest, verdict, write, upper=upper, end=end)}"
    return ""


def _signed(value: float, verdict: Verdict, write: Write, *, upper: bool, end: str = "") -> str:
    """Write the end of an interval; of a change with its direction, where the bound does not say it."""
    bound = verdict.threshold.high if upper else verdict.threshold.low
    if not verdict.relative or value == 0 or (math.isfinite(bound) and bound and upper == (value > 0)):
        return f"{end}{write(value)}"
    return f"a {'rise' if value > 0 else 'fall'} of {end}{write(value)}"


def say_threshold(threshold: Threshold, *, share: bool = False) -> str:
    """Say a gate's threshold in words; empty where nothing is asked for.

    Parameters
    ----------
    share : the figure that it bounds is written as a share.

    Examples
    --------
    >>> say_threshold(Threshold(low=0.3), share=True), say_threshold(Threshold(high=60, unit="days"))
    ('at least 30% is asked for', 'at most 60 days is allowed')
    >>> say_threshold(Threshold(low=5000)), say_threshold(Threshold(0.9, 1.1))
    ('at least 5,000 is asked for', 'allowed is 0.9 to 1.1')
    """
    if not threshold.sign:
        return f"allowed is {threshold}" if threshold != NO_THRESHOLD else ""
    written = format_share(threshold.end) if share else format_number(threshold.end)
    return _SIGNS[threshold.sign].format(_with_unit(written, threshold.unit))


def _with_unit(written: str, unit: str) -> str:
    """Write a unit, which contracts have in the plural, after its number; there may be none."""
    return f"{written} {unit.removesuffix('s') if written == '1' else unit}".rstrip()


def _calibration(verdict: Verdict, words: Vocabulary) -> str:
    task, seen = verdict.subject.task, verdict.observed
    often, alike = ("", "as much as") if words.is_value(task) else (" often", "as often as")
    if seen is None or math.isnan(seen.value):
        return _unmeasured(f"whether people {words.did(task)} {alike} it predicts", verdict)
    off = seen.value - 1
    amount = f"{format_share(abs(off))} {'more' if off > 0 else 'less'}{often} than"
    clause = f"people {words.did(task)} {alike if abs(off) < 5e-4 else amount} it predicts"
    less, more = 1 - verdict.threshold.low, verdict.threshold.high - 1
    allowed = f"{format_share(less)} less to {format_share(more)} more is allowed"
    doubt = ", and these data are too few to tell" if verdict.outcome is Outcome.INCONCLUSIVE else ""
    return f"{clause}; {allowed}{doubt}"


def _data(verdict: Verdict, words: Vocabulary) -> str:
    task, counted = verdict.subject.task, verdict.subject.metric
    if task in words.tasks and verdict.observed is None:
        return f"where it says {_asked(task, words)}: {verdict.reason}"
    if not task or verdict.observed is None:
        why = f": {verdict.reason}" if verdict.reason else ""
        passes = "pass" if verdict.outcome is Outcome.PASS else "do not pass"
        return f"the labels {passes} {spoken(verdict.subject.name)}{why}"
    count = round(verdict.observed.value)
    rows = format_counted(count, _SINGULAR[counted])
    clause = f"on its test days {rows} {'says' if count == 1 else 'say'} {_asked(task, words)}"
    return f"{clause}; {say_threshold(verdict.threshold)}"


def _asked(task: str, words: Vocabulary) -> str:
    """Say what a task asks, as in "whether people opened it"."""
    return f"{'how much' if words.is_value(task) else 'whether'} people {words.did(task)}"


def _freshness(verdict: Verdict, words: Vocabulary) -> str:
    task = verdict.subject.task
    if verdict.observed is None:
        return _by_name(verdict, words)
    days = _with_unit(format_number(verdict.observed.value), "days")
    clause = f"the newest row from which it learned {_asked(task, words)} is {days} old"
    return f"{clause}; {say_threshold(verdict.threshold)}"


def _shadow(verdict: Verdict, words: Vocabulary) -> str:
    seen = verdict.observed
    metric = verdict.subject.metric
    if seen is None or math.isnan(seen.value) or metric not in _SHADOW:
        return _by_name(verdict, words)
    allowed = say_threshold(verdict.threshold, share=metric in _SHARES)
    return f"on the newest traffic {_SHADOW[metric](seen)}; {allowed}"


def _model(verdict: Verdict, words: Vocabulary) -> str:
    subject, seen = verdict.subject, verdict.observed
    if subject.metric == _RECIPES:
        return f"how it was learned: {verdict.reason}"
    if subject.task not in words.tasks:
        return _by_name(verdict, words)
    without_figure = subject.metric in _WITHOUT_FIGURE or verdict.outcome is Outcome.NO_RULE
    if seen is None and without_figure and verdict.reason:
        return f"where it says {_asked(subject.task, words)}: {verdict.reason}"
    known = seen is not None and not math.isnan(seen.value)
    clause = say_figure(subject, words.did(subject.task), seen.value) if known and seen else ""
    if not clause:
        return _by_name(verdict, words)
    doubt = ", and these data are too few to tell" if verdict.outcome is Outcome.INCONCLUSIVE else ""
    allowed = say_threshold(verdict.threshold, share=is_share(subject))
    return f"{clause}; {allowed}{doubt}{_too_good(verdict)}"


def _too_good(verdict: Verdict) -> str:
    """Say why the order of what a figure is of may be too good: people take a high one for a merit."""
    untrusted = verdict.outcome is not Outcome.PASS and verdict.subject.metric in _ORDERS
    bounded_above = math.isfinite(verdict.threshold.high)
    return f" ({verdict.reason})" if untrusted and bounded_above and verdict.reason else ""


def _proxies(verdict: Verdict, words: Vocabulary) -> str:
    fast, slow = verdict.subject.feature, verdict.subject.task
    seen, family = verdict.observed, words.family(slow)
    if fast not in words.tasks or family is None or seen is None or math.isnan(seen.value):
        return _by_name(verdict, words)
    more = (seen.value > 0) is not family.costs
    how = f"{'more' if more else 'less'}{'' if words.is_value(slow) else ' often'}"
    reason = f" ({verdict.reason})" if verdict.reason else ""
    tenth = f"in the tenth where it expects most that people {words.did(fast)}"
    by = f"by {format_number(abs(seen.value))} a look"
    return f"{tenth}, people {words.did(slow)} {how} than in the others, {by}; no worse is allowed{reason}"


_RECIPES: Final = "same_day_champion"
"""The row that says which recipes changed."""
_WITHOUT_FIGURE: Final = frozenset({"refit", "segments"})
"""Rows of the model gate on a task that say something and measure nothing."""
_SINGULAR: Final[Mapping[str, str]] = {"rows": "row", "positives": "positive"}
_ORDERS: Final = frozenset({"auc", "auc_by_request"})
_SIGNS: Final[Mapping[str, str]] = {
    ">=": "at least {} is asked for",
    ">": "more than {} is asked for",
    "<=": "at most {} is allowed",
    "<": "less than {} is allowed",
}
_SHARES: Final = frozenset({"overlap_at_k", "error_rate"})
"""Figures that sentences write as shares."""
_SHADOW: Final[Mapping[str, Callable[[Estimate], str]]] = {
    "overlap_at_k": lambda seen: f"{format_share(seen.value)} of its slots hold what the champion would show",
    "filled_slots": lambda seen: f"it fills {format_change(seen.value)} slots against the champion",
    "score_shift": lambda seen: (
        f"its utilities lie {format_number(seen.value)} standard deviations from the champion's"
    ),
    "error_rate": lambda seen: f"{format_share(seen.value)} of requests get no answer",
    "scoring_time": lambda seen: (
        f"scoring a request takes {format_number(seen.value)} times as long as with the champion"
    ),
}
_NAMES: Final[Mapping[tuple[str, str], str]] = {
    ("lineage", "pins"): "its files and pinned parts",
    ("lineage", "labels"): "the labels that it learned from",
    ("lineage", "training_days"): "days from its training to its test",
    ("policy", "in_force"): "the contracts that it was made under",
    ("policy", "utility_version"): "the version of its utility policy",
    ("policy", "slate_version"): "the version of its slate policy",
    ("policy", "approvals"): "who may approve it",
    ("decision", "filled_slots"): "the slots that it fills, against its baseline",
    ("decision", "empty_slates"): "requests that get an empty slate",
    ("decision", "front"): "where its weights stand on the front of tuned ones",
    ("parity", "served"): "what was served beside what it gives",
    ("parity", "packed"): "what MLflow serves beside what it gives",
}
"""What gates call, for people who do not know the names, by gate and metric."""


def _by_name(verdict: Verdict, words: Vocabulary) -> str:
    """Say a verdict by the name of what it judged."""
    subject = verdict.subject
    seen = format_estimate(verdict.observed, relative=verdict.relative)
    allowed = f"; {said}" if (said := say_threshold(verdict.threshold)) else ""
    reason = f" ({verdict.reason})" if verdict.reason else ""
    if name := _NAMES.get((verdict.gate, subject.metric)):
        return f"{name}: {seen}{allowed}{reason}" if seen else f"{name}: {verdict.reason or 'not known'}"
    named = spoken(str(subject))
    if subject.task in words.tasks:
        named = f"{spoken(str(replace(subject, task='')))} of {subject.task}"
    return f"{verdict.gate}: {named}{f' is {seen}' if seen else ''}{allowed}{reason}"


def _unmeasured(what: str, verdict: Verdict) -> str:
    why = f": {verdict.reason}" if verdict.reason else ""
    return (
        f"it cannot be told {what}{why}"
        if what.startswith(("how", "whether"))
        else f"{what} cannot be told{why}"
    )


def _constraints(verdict: Verdict, words: Vocabulary) -> str:
    beside, constraint = verdict.subject.baseline, verdict.subject.constraint
    kept_out = words.constraints.get(constraint) or f"what {spoken(constraint)} keeps out"
    if beside:
        return f"the slots of {beside}, which it is compared with, hold {kept_out}: {verdict.reason}"
    return f"its slots hold {kept_out}: {verdict.reason}; nobody may override that"


_BY_GATE: Final[Mapping[str, Callable[[Verdict, Vocabulary], str]]] = {
    "constraints": _constraints,
    "decision": _decision,
    "calibration": _calibration,
    "data": _data,
    "freshness": _freshness,
    "shadow": _shadow,
    "model": _model,
    "latency": _shadow,
    "proxies": _proxies,
}
