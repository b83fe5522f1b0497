"""The names of metrics that a guardrail or a report may use; each name has one meaning.

::

    <task>_rate  <task>_predicted  <task>_calibration  ndcg_<task>  component_share:<task>
    expected_utility  new_item_exposure  coverage  latency_p99_ms
    <column>_share:<value>  <column>_entropy  <column>_gini
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class MetricKind(StrEnum):
    """What a metric measures."""

    RATE = "rate"
    PREDICTED = "predicted"
    CALIBRATION = "calibration"
    NDCG = "ndcg"
    COMPONENT_SHARE = "component_share"
    EXPECTED_UTILITY = "expected_utility"
    NEW_ITEM_EXPOSURE = "new_item_exposure"
    COVERAGE = "coverage"
    LATENCY = "latency_p99_ms"
    SHARE = "share"
    ENTROPY = "entropy"
    GINI = "gini"


@dataclass(frozen=True)
class Metric:
    """A parsed metric name; ``subject`` is the task or column, ``value`` the column's value."""

    name: str
    kind: MetricKind
    subject: str | None = None
    value: str | None = None


_ALONE = {
    kind.value: kind
    for kind in (
        MetricKind.EXPECTED_UTILITY,
        MetricKind.NEW_ITEM_EXPOSURE,
        MetricKind.COVERAGE,
        MetricKind.LATENCY,
    )
}
_OF_TASK = {f"_{k.value}": k for k in (MetricKind.RATE, MetricKind.PREDICTED, MetricKind.CALIBRATION)}
_OF_COLUMN = {f"_{k.value}": k for k in (MetricKind.ENTROPY, MetricKind.GINI)}


def parse_metric(name: str, *, tasks: Collection[str], columns: Collection[str]) -> Metric | None:
    """Parse a metric name; None where it means nothing on this surface.

    Examples
    --------
    >>> parse_metric("hide_7d_rate", tasks=["hide_7d"], columns=[]).subject
    'hide_7d'
    >>> parse_metric("source_share:ads", tasks=[], columns=["source"]).value
    'ads'
    >>> parse_metric("hide_rate", tasks=["hide_7d"], columns=[]) is None
    True
    """
    if name in _ALONE:
        return Metric(name, _ALONE[name])
    head, colon, value = name.partition(":")
    if colon:
        if head == MetricKind.COMPONENT_SHARE and value in tasks:
            return Metric(name, MetricKind.COMPONENT_SHARE, value)
        column = head.removesuffix("_share")
        return Metric(name, MetricKind.SHARE, column, value) if column != head and column in columns else None
    if (task := name.removeprefix("ndcg_")) != name and task in tasks:
        return Metric(name, MetricKind.NDCG, task)
    for suffixes, known in ((_OF_TASK, tasks), (_OF_COLUMN, columns)):
        for suffix, kind in suffixes.items():
            if (subject := name.removesuffix(suffix)) != name and subject in known:
                return Metric(name, kind, subject)
    return None


def metric_names(tasks: Collection[str], columns: Collection[str]) -> list[str]:
    """List the metric names that a surface knows, for error messages."""
    of_tasks = [f"{t}{s}" for t in tasks for s in _OF_TASK] + [f"ndcg_{t}" for t in tasks]
    of_columns = [f"{c}{s}" for c in columns for s in _OF_COLUMN] + [f"{c}_share:VALUE" for c in columns]
    return [*of_tasks, *(f"component_share:{t}" for t in tasks), *_ALONE, *of_columns]
