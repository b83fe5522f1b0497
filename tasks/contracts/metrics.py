"""Names of the metrics that guardrails and reports may use. Each name has one meaning.

::

    <task>_rate  <task>_given_<parent>_rate  <task>_predicted  <task>_calibration  ndcg_<task>  recall_<task>
    observed_utility  expected_utility  component_share:<task>
    new_item_exposure  long_tail_exposure  coverage  slate_rule_activity  latency_p99_ms
    <column>_share:<value>  <column>_entropy  <column>_gini  <column>_exposure_ratio:<value>
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tasks import columns as c
from tasks.contracts.slate import SlateSpec
from tasks.contracts.surface import SurfaceSpec
from tasks.contracts.utility import UtilitySpec


class MetricKind(StrEnum):
    """Kinds of metrics."""

    RATE = "rate"
    GIVEN = "given"
    PREDICTED = "predicted"
    CALIBRATION = "calibration"
    NDCG = "ndcg"
    NAIVE_NDCG = "naive_ndcg"
    RECALL = "recall"
    COMPONENT_SHARE = "component_share"
    OBSERVED_UTILITY = "observed_utility"
    EXPECTED_UTILITY = "expected_utility"
    NEW_ITEM_EXPOSURE = "new_item_exposure"
    LONG_TAIL_EXPOSURE = "long_tail_exposure"
    COVERAGE = "coverage"
    SLATE_RULE_ACTIVITY = "slate_rule_activity"
    LATENCY = "latency_p99_ms"
    EXPOSURE_RATIO = "exposure_ratio"
    SHARE = "share"
    ENTROPY = "entropy"
    GINI = "gini"


NAMES: Final = {
    MetricKind.OBSERVED_UTILITY: "observed_utility",
    MetricKind.EXPECTED_UTILITY: "expected_utility",
    MetricKind.NEW_ITEM_EXPOSURE: "new_item_exposure",
    MetricKind.LONG_TAIL_EXPOSURE: "long_tail_exposure",
    MetricKind.COVERAGE: "coverage",
    MetricKind.SLATE_RULE_ACTIVITY: "slate_rule_activity",
    MetricKind.LATENCY: "latency_p99_ms",
    MetricKind.COMPONENT_SHARE: "component_share:{}",
    MetricKind.NAIVE_NDCG: "ndcg_{} (naive)",
    MetricKind.NDCG: "ndcg_{}",
    MetricKind.GIVEN: "{}_given_{}_rate",
    MetricKind.RATE: "{}_rate",
    MetricKind.PREDICTED: "{}_predicted",
    MetricKind.CALIBRATION: "{}_calibration",
    MetricKind.RECALL: "recall_{}",
    MetricKind.ENTROPY: "{}_entropy",
    MetricKind.GINI: "{}_gini",
    MetricKind.EXPOSURE_RATIO: "{}_exposure_ratio:{}",
    MetricKind.SHARE: "{}_share:{}",
}
"""Name pattern of each kind, by subject and value; for an ambiguous name the first kind applies."""

OF_VALUES: Final = frozenset({MetricKind.SHARE, MetricKind.EXPOSURE_RATIO})
"""Metrics of one value of a column or segment."""
OF_COLUMNS: Final = OF_VALUES | {MetricKind.ENTROPY, MetricKind.GINI}
"""Metrics whose subject is a column or segment."""
OF_EXPOSURE: Final = OF_COLUMNS | {
    MetricKind.NEW_ITEM_EXPOSURE,
    MetricKind.LONG_TAIL_EXPOSURE,
    MetricKind.COVERAGE,
}
"""Metrics of the items in the slots; they need every candidate."""
OF_RATES: Final = frozenset({MetricKind.RATE, MetricKind.GIVEN, MetricKind.RECALL})
"""Metrics of outcomes that a ranking can change."""
_OF_TASKS: Final = frozenset(
    {
        MetricKind.COMPONENT_SHARE,
        MetricKind.NDCG,
        MetricKind.RECALL,
        MetricKind.RATE,
        MetricKind.PREDICTED,
        MetricKind.CALIBRATION,
    }
)
NEW_ITEMS: Final = "item_age"
"""The segment whose lowest bin contains the new items."""


@dataclass(frozen=True)
class Metric:
    """A metric; ``subject`` is the task or column, ``value`` the column's value or the parent task.

    Examples
    --------
    >>> Metric(MetricKind.RATE, "click").name, Metric(MetricKind.SHARE, "source", "ads").name
    ('click_rate', 'source_share:ads')
    """

    kind: MetricKind
    subject: str | None = None
    value: str | None = None

    @property
    def name(self) -> str:
        """The metric's name in guardrails and reports."""
        return NAMES[self.kind].format(self.subject, self.value)


def parse_metric(name: str, *, tasks: Iterable[str], columns: Collection[str]) -> Metric | None:
    """Parse a metric name; None if the surface has no such metric.

    Contracts cannot name the naive NDCG because it favours the log's own order.

    Examples
    --------
    >>> parse_metric("hide_7d_rate", tasks=["hide_7d"], columns=[]).subject
    'hide_7d'
    >>> parse_metric("source_share:ads", tasks=[], columns=["source"]).value
    'ads'
    >>> parse_metric("hide_rate", tasks=["hide_7d"], columns=[]) is None
    True
    """
    of_tasks = frozenset(tasks)
    for kind, pattern in NAMES.items():
        if kind is MetricKind.NAIVE_NDCG:
            continue
        subjects = columns if kind in OF_COLUMNS else of_tasks
        for subject, value in _readings(name, pattern):
            same = subject == value or value not in of_tasks
            if (subject is None or subject in subjects) and not (kind is MetricKind.GIVEN and same):
                return Metric(kind, subject, value)
    return None


def _readings(name: str, pattern: str) -> Iterator[tuple[str | None, str | None]]:
    """Yield every pair of subject and value for which a pattern yields the name."""
    before, *rest = pattern.split("{}")
    after = rest[-1] if rest else ""
    inner = name[len(before) : len(name) - len(after)]
    if not rest:
        if name == pattern:
            yield None, None
    elif name != f"{before}{inner}{after}":
        return
    elif len(rest) == 1:
        yield inner, None
    else:
        parts = inner.split(rest[0])
        yield from ((rest[0].join(parts[:n]), rest[0].join(parts[n:])) for n in range(1, len(parts)))


def known_metrics(tasks: Iterable[str], columns: Iterable[str]) -> list[Metric]:
    """List the metrics that a surface's contracts may name, in parsing order, for error messages."""
    tasks, columns = list(tasks), list(columns)
    known: list[Metric] = []
    for kind in NAMES:
        if kind is MetricKind.GIVEN:
            known += (Metric(kind, task, given) for task in tasks for given in tasks if task != given)
        elif kind in _OF_TASKS:
            known += (Metric(kind, task) for task in tasks)
        elif kind in OF_COLUMNS - OF_VALUES:
            known += (Metric(kind, column) for column in columns)
        elif kind not in OF_VALUES | {MetricKind.NAIVE_NDCG}:
            known.append(Metric(kind))
    return known + [Metric(kind, column, "VALUE") for kind in sorted(OF_VALUES) for column in columns]


def mix_columns(surface: SurfaceSpec, slate: SlateSpec) -> tuple[str, ...]:
    """Return the columns whose mix every report shows: those of slate rules, and segments without bins."""
    by_rule = [rule.by for rule in (slate.diversity, slate.decay, slate.exposure) if rule]
    plain = [segment.name for segment in surface.segments if segment.bins is None]
    return tuple(dict.fromkeys((c.SOURCE, *slate.max_per, *by_rule, *plain)))


def metric_columns(surface: SurfaceSpec, slate: SlateSpec) -> tuple[str, ...]:
    """Return the columns and segments that metrics may use: those of `mix_columns`, and all declared."""
    declared = [name for segment in surface.segments for name in (segment.name, segment.column)]
    return tuple(dict.fromkeys((*mix_columns(surface, slate), *declared, *surface.features.categorical)))


def primary_field(utility: UtilitySpec, index: int) -> str:
    """Return the YAML field of a primary metric; a single one is written without a list."""
    return "primary.metric" if len(utility.primary) == 1 else f"primary.{index}.metric"


def named_metrics(utility: UtilitySpec) -> Iterator[tuple[str, str]]:
    """Yield each field that names a metric, with the metric."""
    yield from ((primary_field(utility, i), one.metric) for i, one in enumerate(utility.primary))
    for i, rail in enumerate(utility.guardrails):
        yield f"guardrails.{i}.metric", rail.metric
    if utility.constrained is not None:
        yield "constrained.maximise", utility.constrained.maximise
        for i, one in enumerate(utility.constrained.subject_to):
            yield f"constrained.subject_to.{i}.metric", one.metric


def read_metric(name: str) -> Metric:
    """Parse a metric's name without a surface.

    Examples
    --------
    >>> read_metric("hide_7d_calibration")
    Metric(kind=<MetricKind.CALIBRATION: 'calibration'>, subject='hide_7d', value=None)
    """
    for kind, pattern in NAMES.items():
        shape = re.escape(pattern).replace(r"\{\}", "(.+)")
        if found := re.fullmatch(shape, name):
            subject, value = (*found.groups(), None, None)[:2]
            return Metric(kind, subject, value)
    raise ValueError(f"'{name}' is not the name of a metric")
