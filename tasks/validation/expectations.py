"""Our own Great Expectations: what must hold of labels that somebody will train on.

Each is one rule over all tasks. It takes the contract's facts as suite parameters and answers with the
number of rows that break it by task, and up to three examples. They are written for pandas batches.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import pandas as pd
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from tasks import columns as c
from tasks.columns import Status

Broken = Mapping[str, "pd.Series[bool]"]
"""Which rows break a rule, by task or column."""


def observed_before_maturity(frame: pd.DataFrame, *, maturities: Mapping[str, float], as_of: str) -> Broken:
    """Find labels observed although shown_at + maturity (in seconds) lies after the as-of."""
    age = (pd.Timestamp(as_of) - frame[c.SHOWN_AT]).dt.total_seconds()
    return {task: _observed(frame, task) & (age < seconds) for task, seconds in maturities.items()}


def value_without_observation(frame: pd.DataFrame, *, tasks: Sequence[str]) -> Broken:
    """Find labels with a value that are not observed, and observed ones without a value."""
    return {task: _observed(frame, task) != frame[task].notna() for task in tasks}


def observed_without_parent(frame: pd.DataFrame, *, parents: Mapping[str, str]) -> Broken:
    """Find conditional labels observed where the parent is not positive."""
    return {
        task: _observed(frame, task) & ~(frame[parent] == 1).fillna(value=False)
        for task, parent in parents.items()
    }


def status_without_meaning(frame: pd.DataFrame, *, tasks: Sequence[str]) -> Broken:
    """Find rows whose status is none of the four."""
    return {task: ~frame[c.status(task)].isin([s.value for s in Status]) for task in tasks}


def repeated_or_null_key(frame: pd.DataFrame, *, key: Sequence[str]) -> Broken:
    """Find rows that share their key with another row or have a null in it."""
    columns = list(key)
    return {"/".join(columns): frame.duplicated(columns, keep=False) | frame[columns].isna().any(axis=1)}


def rate_out_of_bounds(frame: pd.DataFrame, *, bounds: Mapping[str, Sequence[float]]) -> Mapping[str, float]:
    """Return the mean of the observed labels of each task that lies outside its bounds or has none."""
    rates = {task: float(frame[task].mean()) for task in bounds}
    return {t: rate for t, rate in rates.items() if not bounds[t][0] <= rate <= bounds[t][1]}


def _observed(frame: pd.DataFrame, task: str) -> "pd.Series[bool]":
    return (frame[c.status(task)] == Status.OBSERVED.value).fillna(value=False)


class _Rule(TableMetricProvider):
    """Applies a rule to a whole pandas batch."""

    rule: ClassVar[Callable[..., Broken | Mapping[str, float]]]

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]  # the library's
    def _pandas(
        cls,  # noqa: N805 - the decorator makes it a classmethod
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> dict[str, Any]:
        frame, _, _ = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        return _reported(frame, cls.rule(frame, **metric_value_kwargs))


def _reported(frame: pd.DataFrame, broken: Broken | Mapping[str, float]) -> dict[str, Any]:
    figures: dict[str, float] = {}
    examples: list[str] = []
    for name, found in broken.items():
        if not isinstance(found, pd.Series):
            figures[name] = found
        elif found.any():
            keys = frame.loc[found, [key for key in c.IMPRESSION_KEY if key in frame]]
            examples += [f"{name} at {'/'.join(map(str, k))}" for k in keys.head(3).itertuples(index=False)]
            figures[name] = len(keys)
    return {"broken": figures, "examples": examples[:3]}


class _ObservedBeforeMaturity(_Rule):
    metric_name = "equipoise.observed_before_maturity"
    value_keys = ("maturities", "as_of")

    rule = staticmethod(observed_before_maturity)


class _ValueWithoutObservation(_Rule):
    metric_name = "equipoise.value_without_observation"
    value_keys = ("tasks",)

    rule = staticmethod(value_without_observation)


class _ObservedWithoutParent(_Rule):
    metric_name = "equipoise.observed_without_parent"
    value_keys = ("parents",)

    rule = staticmethod(observed_without_parent)


class _StatusWithoutMeaning(_Rule):
    metric_name = "equipoise.status_without_meaning"
    value_keys = ("tasks",)

    rule = staticmethod(status_without_meaning)


class _RepeatedKey(_Rule):
    metric_name = "equipoise.repeated_or_null_key"
    value_keys = ("key",)

    rule = staticmethod(repeated_or_null_key)


class _RateOutOfBounds(_Rule):
    metric_name = "equipoise.rate_out_of_bounds"
    value_keys = ("bounds",)

    rule = staticmethod(rate_out_of_bounds)


class _NoneBroken(BatchExpectation):
    """Succeeds when no row breaks its one metric's rule."""

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        found = metrics[self.metric_dependencies[0]]
        return {"success": not found["broken"], "result": {"observed_value": found}}


class ExpectNoLabelObservedBeforeMaturity(_NoneBroken):
    """An early negative is a lie (R7, F7)."""

    maturities: Any
    as_of: Any
    metric_dependencies: ClassVar[tuple[str, ...]] = ("equipoise.observed_before_maturity",)
    success_keys: ClassVar[tuple[str, ...]] = ("maturities", "as_of")


class ExpectLabelValueOnlyWhenObserved(_NoneBroken):
    """Missing is masked, never zero (R9)."""

    tasks: Any
    metric_dependencies: ClassVar[tuple[str, ...]] = ("equipoise.value_without_observation",)
    success_keys: ClassVar[tuple[str, ...]] = ("tasks",)


class ExpectConditionalLabelOnlyWhereParentPositive(_NoneBroken):
    """A return is only known after a purchase (R9)."""

    parents: Any
    metric_dependencies: ClassVar[tuple[str, ...]] = ("equipoise.observed_without_parent",)
    success_keys: ClassVar[tuple[str, ...]] = ("parents",)


class ExpectLabelStatusToHaveMeaning(_NoneBroken):
    """Every label says why it has, or has not, a value."""

    tasks: Any
    metric_dependencies: ClassVar[tuple[str, ...]] = ("equipoise.status_without_meaning",)
    success_keys: ClassVar[tuple[str, ...]] = ("tasks",)


class ExpectOneRowPerImpression(_NoneBroken):
    """(request_id, item_id) is the key of every row."""

    key: Any
    metric_dependencies: ClassVar[tuple[str, ...]] = ("equipoise.repeated_or_null_key",)
    success_keys: ClassVar[tuple[str, ...]] = ("key",)


class ExpectBaseRatesWithinBounds(_NoneBroken):
    """The mean of a task's observed labels lies where the surface says it must."""

    bounds: Any
    metric_dependencies: ClassVar[tuple[str, ...]] = ("equipoise.rate_out_of_bounds",)
    success_keys: ClassVar[tuple[str, ...]] = ("bounds",)
