"""Metrics of the decision in plain words: what is counted, and how it stands beside the baseline."""

from typing import Final

from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.subjects import Subject
from tasks.evaluation.verdicts import Estimate
from tasks.reports.numbers import format_number, format_share, isolate
from tasks.reports.words import Vocabulary

_SLOTS: Final = "of what it puts into the slots, people"
_BELIEVES: Final = "by prediction alone, of what it puts into the slots people"
_HAPPENED: Final = frozenset({MetricKind.RATE, MetricKind.GIVEN, MetricKind.PREDICTED})
_SHARES: Final = _HAPPENED | {
    MetricKind.SHARE,
    MetricKind.COVERAGE,
    MetricKind.NEW_ITEM_EXPOSURE,
    MetricKind.LONG_TAIL_EXPOSURE,
    MetricKind.RECALL,
    MetricKind.COMPONENT_SHARE,
    MetricKind.SLATE_RULE_ACTIVITY,
}
_ALIKE: Final = 5e-4
"""A relative change that three digits of a share do not show."""


def say_change(metric: Metric | None, name: str, change: float, words: Vocabulary) -> str:
    """Say how a metric stands beside the baseline.

    Examples
    --------
    >>> from tasks.reports.words import TaskWords
    >>> words = Vocabulary({"hide": TaskWords("hid it")}, baseline="champion 3")
    >>> say_change(words.metric("hide_rate"), "hide_rate", 0.111, words)
    'of what it puts into the slots, people hid it 11.1% more often than under champion 3'
    """
    if metric is None or metric.kind not in _HAPPENED:
        compared = _compared(change, ("higher", "lower", "equal to that"), words)
        return f"{say_metric(metric, name, words)} is {compared}"
    is_value = words.is_value(metric.subject)
    how = ("more", "less", "as much as") if is_value else ("more often", "less often", "as often as")
    return f"{_people(metric, words)} {_compared(change, how, words)}"


def say_level(metric: Metric | None, name: str, level: float, words: Vocabulary) -> str:
    """Say a metric by itself, as in "people hid it in 2% of looks"."""
    written = write_level(metric, level, words)
    if metric is None or metric.kind not in _HAPPENED:
        return f"{say_metric(metric, name, words)} is {written}"
    if words.is_value(metric.subject):
        return f"{_people(metric, words)}: {written} a look"
    return f"{_people(metric, words)} in {written} of looks"


def write_level(metric: Metric | None, level: float, words: Vocabulary) -> str:
    """Write a level as a share where it is one."""
    if metric is None or metric.kind not in _SHARES or words.is_value(metric.subject):
        return format_number(level) + (
            " ms" if metric is not None and metric.kind is MetricKind.LATENCY else ""
        )
    return format_share(level)


def write_interval(metric: Metric | None, seen: Estimate, words: Vocabulary) -> str:
    """Write a level with its interval, as shares where it is one; one of no width is left out.

    Examples
    --------
    >>> write_interval(None, Estimate(0.5, 0.4, 0.6, 90), Vocabulary())
    '0.5 [0.4, 0.6]'
    """
    value, low, high = (write_level(metric, figure, words) for figure in (seen.value, seen.low, seen.high))
    if not seen.known:
        return f"{value}, no interval"
    return value if seen.low == seen.value == seen.high else f"{value} [{low}, {high}]"


def say_metric(metric: Metric | None, name: str, words: Vocabulary) -> str:
    """Name a metric in words; by its own name where it is none of the surface's."""
    if metric is None:
        return name
    did, subject = words.did(metric.subject), metric.subject
    often = "how much" if words.is_value(subject) else "how often"
    spoken = {
        MetricKind.RATE: f"{often} people {did}",
        MetricKind.GIVEN: f"{often} people who {words.did(metric.value)} {did}",
        MetricKind.PREDICTED: f"{often} people {did}, by prediction alone,",
        MetricKind.CALIBRATION: f"what happened over what was predicted, where people {did},",
        MetricKind.NDCG: f"how high it puts candidates where people {did}",
        MetricKind.NAIVE_NDCG: f"how high it puts shown candidates where people {did}",
        MetricKind.RECALL: f"the share that its slots hold of candidates where people {did}",
        MetricKind.COMPONENT_SHARE: f"the share of the utility that {subject} makes",
        MetricKind.OBSERVED_UTILITY: "what its slots are worth, by the outcomes that were seen,",
        MetricKind.EXPECTED_UTILITY: "what its slots are worth by its own prediction",
        MetricKind.NEW_ITEM_EXPOSURE: "the share of looks that new items get",
        MetricKind.LONG_TAIL_EXPOSURE: "the share of looks that seldom shown items get",
        MetricKind.COVERAGE: "the share of items that it shows at all",
        MetricKind.SLATE_RULE_ACTIVITY: "the share of slots that slate rules decide",
        MetricKind.LATENCY: "the time that its slowest requests take",
        MetricKind.SHARE: f"the share of looks that {subject} {metric.value} gets",
        MetricKind.ENTROPY: f"how evenly looks are spread over {subject}",
        MetricKind.GINI: f"how unevenly looks are spread over {subject}",
    }
    return spoken[metric.kind]


def say_meaning(subject: Subject, words: Vocabulary) -> str:
    """Say what stands behind a name on a page; empty where no contract says more than the name.

    Parameters
    ----------
    subject : a metric of the decision, or a hard constraint.

    Examples
    --------
    >>> from tasks.reports.words import TaskWords
    >>> words = Vocabulary({"hide": TaskWords("hid it")}, guards={"coverage": "small shops are seen"})
    >>> say_meaning(Subject("rate", task="hide"), words), say_meaning(Subject("coverage"), words)
    ('how often people hid it', 'small shops are seen')
    """
    metric = subject.decided
    described = words.guards.get(subject.name) or words.constraints.get(subject.constraint)
    known = (
        not (subject.task or subject.column) or subject.task in words.tasks or subject.column in words.columns
    )
    if described or metric is None or not known:
        return described or ""
    return isolate(say_metric(metric, subject.name, words).rstrip(","))


def _people(metric: Metric, words: Vocabulary) -> str:
    did = words.did(metric.subject)
    if metric.kind is MetricKind.GIVEN:
        return f"{_SLOTS} who {words.did(metric.value)} {did}"
    return f"{_BELIEVES if metric.kind is MetricKind.PREDICTED else _SLOTS} {did}"


def _compared(change: float, how: tuple[str, str, str], words: Vocabulary) -> str:
    more, less, alike = how
    if abs(change) < _ALIKE:
        return f"{alike} under {words.baseline}"
    return f"{format_share(abs(change))} {more if change > 0 else less} than under {words.baseline}"
