"""Our own Great Expectations: each is one rule of this room, by the name that suites call it by.

They judge measurements (``measurements.py``), so a batch is a small frame however large the table was. What a
suite gives an expectation is handed to its rule by name.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any, ClassVar

import pandas as pd
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from tasks.validation import day_rules, row_rules, spread_rules
from tasks.validation import label_measurements as of_labels
from tasks.validation import measurements as m
from tasks.validation.judged import Judged

_METRIC = "equipoise.measurements"


class _Measurements(TableMetricProvider):
    """The whole batch."""

    metric_name = _METRIC

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]  # the library's
    def _pandas(
        cls,  # noqa: N805 - the decorator makes it a classmethod
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> pd.DataFrame:
        frame, _, _ = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        return frame


class _Rule(BatchExpectation):
    """Succeeds when its rule finds nothing; what the rule asks for are the fields of the expectation."""

    metric_dependencies: ClassVar[tuple[str, ...]] = (_METRIC,)
    rule: ClassVar[Callable[..., Judged]]

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        _, *asked = signature(self.rule).parameters
        judged = self.rule(metrics[_METRIC], **{name: getattr(self, name) for name in asked})
        return {"success": not judged.broken, "result": {"observed_value": judged.said, "details": judged}}


class _Counted(_Rule):
    """Succeeds when at most a share of the rows break a rule."""

    max_share: Any = 0
    statistic: ClassVar[str]
    unless: ClassVar[str] = ""
    rule = staticmethod(row_rules.counted)


class _DayByDay(_Rule):
    """Holds days against the days before them."""

    as_of: Any
    trailing: Any
    doubt: Any
    newest: Any = None


class _SharesAsUsual(_DayByDay):
    """Holds a share of a day's rows against that of the days before it."""

    statistic: ClassVar[str]
    least: Any = 0
    least_change: Any = 0
    rule = staticmethod(day_rules.shares_as_usual)


class ExpectNoLabelObservedBeforeMaturity(_Counted):
    """An early negative is a lie (R7, F7)."""

    statistic = of_labels.EARLY


class ExpectLabelValueOnlyWhenObserved(_Counted):
    """Missing is masked, never zero (R9)."""

    statistic = of_labels.UNMASKED


class ExpectConditionalLabelOnlyWhereParentPositive(_Counted):
    """A return is only known after a purchase (R9)."""

    statistic = of_labels.PARENTLESS
    unless = "no task has a parent"


class ExpectLabelStatusToHaveMeaning(_Counted):
    """Every label says why it has, or has not, a value."""

    statistic = of_labels.MEANINGLESS


class ExpectOneRowPerImpression(_Counted):
    """(request_id, item_id) is the key of every row."""

    statistic = m.KEYS


class ExpectNothingFromTheFuture(_Counted):
    """No row lies at or after the as-of."""

    statistic = m.FUTURE


class ExpectFewRowsInQuarantine(_Counted):
    """Rows that take no part are few."""

    statistic = m.QUARANTINED
    unless = "none"


class ExpectEventsAfterTheirImpression(_Counted):
    """What happened before it could be seen was timed by another clock."""

    statistic = m.SKEWED
    unless = "no event names its impression by request_id and item_id"


class ExpectEventsOfShownItems(_Counted):
    """Where next to no event is of an item that was shown, the two tables do not name items alike."""

    statistic = m.NEVER_SHOWN
    unless = "the events have no item_id"


class ExpectArrivalAfterHappening(_Counted):
    """Nothing arrives before it happens."""

    statistic = m.ARRIVED_EARLY
    unless = "the events have no ingested_at"


class ExpectSomeRows(_Rule):
    """An empty table passes every other rule."""

    rule = staticmethod(row_rules.some_rows)


class ExpectColumnsAsContracted(_Rule):
    """Every column that the contracts speak of is there, in a type that they allow."""

    columns: Any
    rule = staticmethod(row_rules.columns_as_contracted)


class ExpectFreshRows(_Rule):
    """The newest row lies shortly before the as-of."""

    as_of: Any
    within: Any
    rule = staticmethod(row_rules.fresh)


class ExpectNoNulls(_Rule):
    """Some columns hold no null."""

    columns: Any
    rule = staticmethod(row_rules.nulls)


class ExpectBaseRatesWithinBounds(_Rule):
    """The mean of a task's observed labels lies where the surface says it must."""

    bounds: Any
    rule = staticmethod(row_rules.rates_within)


class ExpectNoUserToHaveTooMuch(_Rule):
    """No table is one user's."""

    max_share: Any
    rows_at_least: Any
    rule = staticmethod(row_rules.one_user_not_too_much)


class ExpectNoStrangeEvent(_Rule):
    """No name is new, or close to one of the contract, that no task of the contract has."""

    events: Any
    as_of: Any
    newest: Any
    rule = staticmethod(row_rules.no_strange_event)


class ExpectEveryContractedEvent(_Rule):
    """Every name of the contract has an event."""

    events: Any
    rule = staticmethod(row_rules.every_contracted_event)


class ExpectNoDayLeftOut(_Rule):
    """No day between others is without rows."""

    as_of: Any
    rule = staticmethod(day_rules.no_day_left_out)


class ExpectNoSilentDay(_Rule):
    """No event is silent for days and comes back."""

    as_of: Any
    trailing: Any
    expected: Any
    rule = staticmethod(day_rules.no_silent_day)


class ExpectEventStreamsToGoOn(_Rule):
    """No event falls silent for good."""

    as_of: Any
    trailing: Any
    expected: Any
    grace_days: Any
    rule = staticmethod(day_rules.streams_go_on)


class ExpectDailyVolumeAsUsual(_DayByDay):
    """A day has about as many rows as the days before it."""

    factor: Any
    grace_days: Any = 0
    rule = staticmethod(day_rules.volume_as_usual)


class ExpectBaseRatesAsUsual(_SharesAsUsual):
    """As large a part of a day's observed labels is positive as on the mature days before it."""

    statistic = m.POSITIVES


class ExpectStatusSharesAsUsual(_SharesAsUsual):
    """As large a part of a mature day's labels has each status as on the days before it."""

    statistic = m.STATUS


class ExpectNullSharesAsUsual(_SharesAsUsual):
    """As large a part of a day's rows lacks a value as on the days before it."""

    statistic = m.NULLS


class ExpectSegmentValuesToStay(_Rule):
    """No segment loses or wins a value."""

    columns: Any
    as_of: Any
    trailing: Any
    newest: Any
    share: Any
    rule = staticmethod(spread_rules.values_stay)


class ExpectDistributionsToStay(_DayByDay):
    """Features and segments are spread as on the days before."""

    least: Any
    rule = staticmethod(spread_rules.distributions_stay)
