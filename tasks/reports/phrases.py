"""The phrases of figures and verdicts, and the words of a surface for tasks and baselines.

Pages, the command line and documents use them::

    name, change or level, baseline (interval; limit): outcome, reason

    hide rate +11.1 % vs champion 3 (95 % CI +2.4 to +22.0 %; limit +10 %): inconclusive, 57 events
    AUC of return 0.58 (95 % CI 0.49 to 0.66; at least 0.5): pass

A metric is one row of `METRICS`: its name, its unit and its meaning.

A `Vocabulary` names tasks, metrics and baselines for readers who do not know their identifiers::

    passed_over_7d -> "took another product"          the task's description, which completes "people ..."
    logged order   -> "logged order"                  the baseline
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from tasks.contracts import Contracts, Family
from tasks.contracts.metrics import Metric, MetricKind, metric_columns, parse_metric
from tasks.evaluation.subjects import ALL, Subject
from tasks.evaluation.verdicts import WORST_FIRST, Estimate, Outcome, Verdict
from tasks.reports.numbers import (
    format_counted,
    format_number,
    format_outcomes,
    format_percent,
    isolate,
    spoken,
)

UNKNOWN_BASELINE: Final = "baseline"


@dataclass(frozen=True)
class TaskWords:
    """A task's description, which completes "people ...", its family, and whether it is a value."""

    did: str = ""
    family: Family = Family.ENGAGEMENT
    value: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """The vocabulary of a surface.

    Attributes
    ----------
    tasks : by name, in the order of tasks.yaml.
    columns : columns that metrics may refer to.
    guards : description of each guardrail, by metric.
    constraints : description of each hard constraint, by name.
    primary : the primary metrics.
    baseline : name of the replay's baseline.
    inconclusive : effect of an inconclusive verdict on this surface.
    """

    tasks: Mapping[str, TaskWords] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    guards: Mapping[str, str] = field(default_factory=dict)
    constraints: Mapping[str, str] = field(default_factory=dict)
    primary: tuple[str, ...] = ()
    baseline: str = UNKNOWN_BASELINE
    inconclusive: Literal["hold", "warn"] = "hold"

    def metric(self, name: str) -> Metric | None:
        """Parse a metric's name; None if this surface has no such metric."""
        return parse_metric(name, tasks=self.tasks, columns=self.columns)

    def family(self, task: str | None) -> Family | None:
        """Return a task's family; None for an unknown task."""
        known = self.tasks.get(task or "")
        return known.family if known else None


NO_WORDS: Final = Vocabulary()
"""A vocabulary without contracts: identifiers are used as names."""


def say_outcomes(verdicts: Sequence[Verdict]) -> str:
    """Count verdicts by outcome, the worst first.

    Examples
    --------
    >>> from tasks.evaluation.verdicts import Outcome
    >>> outcomes = Outcome.PASS, Outcome.INCONCLUSIVE
    >>> from tasks.evaluation.subjects import ALL, NO_THRESHOLD, Subject
    >>> hide = Subject("rate", task="hide")
    >>> judged = [Verdict("decision", hide, ALL, outcome, NO_THRESHOLD, None) for outcome in outcomes]
    >>> say_outcomes(judged), say_outcomes([])
    ('2 verdicts: 1 inconclusive, 1 pass', 'Nothing was evaluated')
    """
    counts = {
        str(outcome): sum(verdict.outcome is outcome for verdict in verdicts) for outcome in WORST_FIRST
    }
    named = format_outcomes(counts)
    return f"{format_counted(len(verdicts), 'verdict')}: {named}" if named else "Nothing was evaluated"


def vocabulary(contracts: Contracts, *, champion: int | None) -> Vocabulary:
    """Collect the vocabulary of a surface's contracts."""
    surface, utility = contracts.surface, contracts.utility
    return Vocabulary(
        tasks={
            name: TaskWords(isolate(task.description or ""), task.family, task.kind == "value")
            for name, task in contracts.tasks.tasks.items()
        },
        columns=metric_columns(surface, contracts.slate),
        guards={one.metric: isolate(one.description) for one in utility.guardrails if one.description},
        constraints={one.name: isolate(one.description) for one in utility.filters if one.description},
        primary=tuple(one.metric for one in utility.primary),
        baseline=_say_baseline(contracts, champion),
        inconclusive=surface.gates.inconclusive,
    )


def _say_baseline(contracts: Contracts, champion: int | None) -> str:
    if champion is not None:
        return f"champion {champion}"
    first = contracts.surface.gates.decision.first
    return "logged order" if isinstance(first, str) else f"order of {first.column}"


class Unit(StrEnum):
    """The unit of a level; a change relative to a baseline is always a percentage."""

    NUMBER = ""
    SHARE = "%"
    DAYS = "days"
    MILLISECONDS = "ms"
    DEVIATIONS = "standard deviations"


@dataclass(frozen=True)
class Phrase:
    """The phrase of a metric.

    Attributes
    ----------
    name : a template with the fields of a `Subject`, such as ``{task}``.
    unit : unit of its level.
    meaning : what it measures, if the name is not enough.
    """

    name: str
    unit: Unit = Unit.NUMBER
    meaning: str = ""


_OF_BASE: Final = "log loss relative to the base rate's"
METRICS: Final[Mapping[str, Phrase]] = {
    MetricKind.RATE: Phrase("{task} rate", Unit.SHARE, "events per examined impression"),
    MetricKind.GIVEN: Phrase("{task} per {parent}", Unit.SHARE, "events per event of the parent task"),
    MetricKind.PREDICTED: Phrase("predicted {task} rate", Unit.SHARE, "by predictions, not by outcomes"),
    MetricKind.CALIBRATION: Phrase("calibration of {task}", meaning="observed / predicted"),
    MetricKind.NDCG: Phrase("NDCG of {task}"),
    MetricKind.NAIVE_NDCG: Phrase("NDCG of {task} among shown items"),
    MetricKind.RECALL: Phrase("recall of {task}", Unit.SHARE),
    MetricKind.COMPONENT_SHARE: Phrase(
        "share of {task} in the utility",
        Unit.SHARE,
        "of the variance within a request; shares add up to 100 %: one exceeds it where others are below 0",
    ),
    MetricKind.OBSERVED_UTILITY: Phrase("observed utility", meaning="utility per examined impression"),
    MetricKind.EXPECTED_UTILITY: Phrase("expected utility", meaning="by the release's own predictions"),
    MetricKind.NEW_ITEM_EXPOSURE: Phrase("new-item exposure", Unit.SHARE, "share of examined impressions"),
    MetricKind.LONG_TAIL_EXPOSURE: Phrase("long-tail exposure", Unit.SHARE, "share of examined impressions"),
    MetricKind.COVERAGE: Phrase("coverage", Unit.SHARE, "share of items that are shown"),
    MetricKind.SLATE_RULE_ACTIVITY: Phrase("slots decided by slate rules", Unit.SHARE),
    MetricKind.LATENCY: Phrase("scoring time, p99", Unit.MILLISECONDS),
    MetricKind.SHARE: Phrase("share of {value} in {column}", Unit.SHARE, "share of examined impressions"),
    MetricKind.EXPOSURE_RATIO: Phrase(
        "exposure ratio of {value} in {column}",
        meaning="share of examined impressions / share of predicted merit",
    ),
    MetricKind.ENTROPY: Phrase("diversity of {column}", meaning="entropy of examined impressions"),
    MetricKind.GINI: Phrase("Gini of {column}", meaning="inequality of examined impressions"),
    "calibration_ratio": Phrase("calibration of {task}", meaning="observed / predicted"),
    "rows": Phrase("test rows of {task}"),
    "positives": Phrase("positives of {task}"),
    "newest_training_row": Phrase("age of training data, {task}", Unit.DAYS),
    "auc": Phrase("AUC of {task}", meaning="share of pairs in the right order; 0.5 = chance"),
    "auc_by_request": Phrase("AUC within requests, {task}", meaning="AUC of the pairs inside one request"),
    "auc_drop": Phrase("fall of AUC, {task}"),
    "auc_by_request_drop": Phrase("fall of AUC within requests, {task}"),
    "auc_over_best_feature": Phrase("AUC of {task} above its best single feature"),
    "auc_of_one_feature": Phrase("AUC of {task} by one feature"),
    "gain_of_one_feature": Phrase("share of the gain of {task} from one feature", Unit.SHARE),
    "normalized_entropy": Phrase("normalized entropy, {task}", meaning=f"{_OF_BASE}; 1 = a constant"),
    "normalized_entropy_rise": Phrase(f"rise of normalized entropy ({_OF_BASE}), {{task}}"),
    "normalized_entropy_fall": Phrase(f"fall of normalized entropy ({_OF_BASE}), {{task}}"),
    "relative_squared_error": Phrase("relative squared error, {task}", meaning="1 = a constant"),
    "relative_squared_error_rise": Phrase("rise of relative squared error, {task}"),
    "relative_squared_error_fall": Phrase("fall of relative squared error, {task}"),
    "relative_pinball_loss_rise": Phrase("rise of relative pinball loss, {task}"),
    "relative_pinball_loss_fall": Phrase("fall of relative pinball loss, {task}"),
    "refit_shift": Phrase("shift of the refit, {task}", Unit.SHARE, "served against tested predictions"),
    "refit": Phrase("refit of {task}"),
    "segments": Phrase("segments of {task}"),
    "same_day_champion": Phrase("training recipe"),
    "trained": Phrase("training of {task}"),
    "joint": Phrase("joint calibration of {task}"),
    "proxy": Phrase("{feature} as a proxy of {task}"),
    "filled_slots": Phrase("filled slots", Unit.SHARE),
    "empty_slates": Phrase("requests with an empty slate", Unit.SHARE),
    "front": Phrase("weights compared with the Pareto front"),
    "leak": Phrase("{constraint} in the slots"),
    "lost": Phrase("filter {constraint}"),
    "overlap_at_k": Phrase("overlap with the champion's slots", Unit.SHARE),
    "score_shift": Phrase("shift of utilities", Unit.DEVIATIONS),
    "error_rate": Phrase("requests without an answer", Unit.SHARE),
    "scoring_time": Phrase("scoring time, multiple of the champion's"),
    "served": Phrase("difference from served predictions"),
    "packed": Phrase("difference from MLflow's predictions"),
    "pins": Phrase("files and pinned components"),
    "labels": Phrase("training labels"),
    "training_days": Phrase("days from training to test", Unit.DAYS),
    "in_force": Phrase("contracts in force"),
    "utility_version": Phrase("version of the utility policy"),
    "slate_version": Phrase("version of the slate policy"),
    "approvals": Phrase("reviewers"),
}
"""The phrase of every metric by ``Subject.metric``."""
_ORDERS: Final = frozenset({"auc", "auc_by_request"})
"""Metrics that are also measured for a single feature."""
_EVENTS: Final = frozenset({MetricKind.RATE, MetricKind.GIVEN, MetricKind.PREDICTED})
"""Metrics that count the events of a task."""
_VALUE_RATE: Final = Phrase("{task} per examined impression")
_BY_PREDICTION: Final = Phrase("predicted {task} per examined impression")
_OF_VALUE: Final = {MetricKind.RATE: _VALUE_RATE, MetricKind.PREDICTED: _BY_PREDICTION}


def find_phrase(subject: Subject, words: Vocabulary) -> Phrase:
    """Return the phrase of a subject; a metric that is not in the table is named by its identifier."""
    task = words.tasks.get(subject.task or "")
    if task is not None and task.value and subject.metric in _OF_VALUE:
        return _OF_VALUE[MetricKind(subject.metric)]
    known = METRICS.get(subject.metric)
    if known is not None:
        return known
    named = spoken(subject.metric)
    if subject.task:
        return Phrase(f"{named}, {{task}}")
    return Phrase(f"{{feature}} in {named}" if subject.feature else named)


def name_subject(subject: Subject, words: Vocabulary) -> str:
    """Return the name of a subject.

    Examples
    --------
    >>> name_subject(Subject("given", task="return", parent="buy"), Vocabulary())
    'return per buy'
    """
    fields = {name: isolate(value) for name, value in vars(subject).items()}
    named = find_phrase(subject, words).name.format(**fields)
    if subject.feature and subject.metric in _ORDERS:
        return f"{named} by {fields['feature']} alone"
    return f"{named} of {fields['baseline']}" if subject.constraint and subject.baseline else named


def describe_subject(subject: Subject, words: Vocabulary) -> str:
    """Return the description of a metric or constraint: the contract's, else the table's.

    Examples
    --------
    >>> words = Vocabulary(guards={"coverage": "small shops are seen"})
    >>> describe_subject(Subject("coverage"), words), describe_subject(Subject("gini", column="shop"), words)
    ('small shops are seen', 'inequality of examined impressions')
    """
    described = words.guards.get(subject.name) or words.constraints.get(subject.constraint)
    if described:
        return described
    task, meaning = words.tasks.get(subject.task), find_phrase(subject, words).meaning
    return f"{meaning}: people {task.did}" if subject.metric in _EVENTS and task and task.did else meaning


def write_level(subject: Subject, value: float, words: Vocabulary) -> str:
    """Write a level with its unit.

    Examples
    --------
    >>> write_level(Subject("rate", task="hide"), 0.0123, Vocabulary())
    '1.23 %'
    """
    return _with_unit(_write_number(subject, value, words), find_phrase(subject, words).unit)


def write_interval(subject: Subject, seen: Estimate, words: Vocabulary) -> str:
    """Write a level with its interval for a cell of a table.

    Examples
    --------
    >>> write_interval(Subject("coverage"), Estimate(0.5, 0.4, 0.6, 90), Vocabulary())
    '50 % (40 to 60 %)'
    """
    value = write_level(subject, seen.value, words)
    if not seen.known:
        return f"{value}, no interval"
    if seen.low == seen.value == seen.high:
        return value
    return f"{value} ({_write_number(subject, seen.low, words)} to {write_level(subject, seen.high, words)})"


def write_change(seen: Estimate) -> str:
    """Write a relative change with its interval for a cell of a table.

    Examples
    --------
    >>> write_change(Estimate(0.111, 0.024, 0.22, 900)), write_change(Estimate(0.1, math.nan, math.nan, 9))
    ('+11.1 % (+2.4 to +22.0 %)', '+10.0 %, no interval')
    """
    value, low, high = (format_percent(x, signed=True) for x in (seen.value, seen.low, seen.high))
    return f"{value} % ({low} to {high} %)" if seen.known else f"{value} %, no interval"


def write_limit(verdict: Verdict, words: Vocabulary) -> str:
    """Write the limit of a verdict in the unit of its figure; empty without a limit.

    Examples
    --------
    >>> from tasks.evaluation.subjects import Threshold
    >>> hide, seen = Subject("rate", task="hide"), Estimate(0.1, 0.0, 0.2, 900)
    >>> rise = Verdict("decision", hide, ALL, Outcome.PASS, Threshold(high=0.5), seen, relative=True)
    >>> write_limit(rise, Vocabulary())
    'limit +50 %'
    """
    limit = verdict.threshold
    if not limit.bounded:
        return limit.words
    if verdict.relative:
        return f"limit {'+' if limit.end > 0 else ''}{format_percent(limit.end)} %"
    if not limit.sign:
        low, high = (_write_number(verdict.subject, end, words) for end in (limit.low, limit.high))
        return _with_unit(f"{low} to {high}", find_phrase(verdict.subject, words).unit)
    unit = "" if find_phrase(verdict.subject, words).unit else f" {limit.unit}".rstrip()
    return f"{_SIDES[limit.sign]} {write_level(verdict.subject, limit.end, words)}{unit}"


def phrase_figure(verdict: Verdict, words: Vocabulary) -> str:
    """Phrase a measurement: name, segment, change or level, baseline, interval and limit."""
    subject, seen = verdict.subject, verdict.observed
    named = name_subject(subject, words)
    if verdict.segment != ALL:
        named = f"{named}, {verdict.segment.column} = {isolate(verdict.segment.value) or 'empty'}:"
    # the name of a constraint contains its baseline
    own = "" if verdict.subject.constraint else verdict.subject.baseline
    baseline = verdict.against or own or (words.baseline if verdict.relative else "")
    measured = seen is not None and not math.isnan(seen.value)
    within = "; ".join(part for part in (_interval(verdict, words), write_limit(verdict, words)) if part)
    level, compared = "", f"vs {baseline}" if baseline else ""
    if measured and seen is not None:
        level = (
            f"{format_percent(seen.value, signed=True)} %"
            if verdict.relative
            else write_level(subject, seen.value, words)
        )
    elif verdict.relative and verdict.outcome in {Outcome.BLOCK, Outcome.WARN}:
        level, compared = f"above 0, the level of {baseline}", ""
    return " ".join(part for part in (named, level, compared, f"({within})" if within else "") if part)


def find_primary(verdicts: Sequence[Verdict], words: Vocabulary) -> list[Verdict]:
    """Return the verdict of each primary metric over all segments, compared with the baseline."""
    whole = [verdict for verdict in verdicts if verdict.segment == ALL]
    found = (next((one for one in whole if one.subject.name == name), None) for name in words.primary)
    return [verdict for verdict in found if verdict is not None]


def phrase_verdict(verdict: Verdict, words: Vocabulary) -> str:
    """Phrase a verdict: its figure, its outcome and the reason.

    Examples
    --------
    >>> from tasks.evaluation.subjects import Segment, Threshold
    >>> hide, seen = Subject("rate", task="hide"), Estimate(0.111, 0.024, 0.22, 900)
    >>> rise, where = Threshold(high=0.1), Segment("tenure", "new")
    >>> told = Verdict("decision", hide, where, Outcome.INCONCLUSIVE, rise, seen, relative=True)
    >>> print(phrase_verdict(told, Vocabulary(baseline="champion 3")))
    hide rate, tenure = new: +11.1 % vs champion 3 (95 % CI +2.4 to +22.0 %; limit +10 %): inconclusive
    """
    why = "; ".join(dict.fromkeys(part for part in (verdict.caveat, verdict.reason) if part))
    outcome = spoken(verdict.outcome)
    return f"{phrase_figure(verdict, words)}: {outcome}{f', {why}' if why else ''}"


def _interval(verdict: Verdict, words: Vocabulary) -> str:
    seen = verdict.observed
    if seen is None or math.isnan(seen.value):
        return ""
    if not seen.known:
        return "no interval"
    if seen.low == seen.value == seen.high:
        return ""
    if verdict.relative:
        low, high = (format_percent(end, signed=True) for end in (seen.low, seen.high))
        return f"95 % CI {low} to {high} %"
    low = _write_number(verdict.subject, seen.low, words)
    return f"95 % CI {low} to {write_level(verdict.subject, seen.high, words)}"


def _write_number(subject: Subject, value: float, words: Vocabulary) -> str:
    share = find_phrase(subject, words).unit is Unit.SHARE
    return format_percent(value) if share else format_number(value)


def _with_unit(written: str, unit: Unit) -> str:
    if unit is Unit.DAYS and written == "1":
        return "1 day"
    return f"{written} {unit}".rstrip()


_SIDES: Final[Mapping[str, str]] = {">=": "at least", ">": "above", "<=": "at most", "<": "below"}
