"""Great Expectations classes made from the table of rules.

They judge measurements (``measurements.py``), so a batch is a small frame however large the table was.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

import pandas as pd
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from tasks.validation.findings import Rule

_METRIC = "equipoise.measurements"


class _Measurements(TableMetricProvider):
    """The whole batch."""

    metric_name = _METRIC

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]  # the library's
    def _pandas(
        cls,  # noqa: N805 - the decorator makes it a classmethod
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        **_: Any,
    ) -> pd.DataFrame:
        frame, _, _ = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        return frame


class _Expectation(BatchExpectation):
    """Succeeds when nothing breaks its rule; the rule's arguments are its fields."""

    metric_dependencies: ClassVar[tuple[str, ...]] = (_METRIC,)
    rule: ClassVar[Rule]

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        arguments = {name: getattr(self, name) for name in self.rule.arguments}
        known = {name: value for name, value in arguments.items() if value is not None}
        judgement = self.rule.judge(metrics[_METRIC], **known)
        result = {"observed_value": judgement.observed, "details": judgement}
        return {"success": not judgement.broken, "result": result}


def register_expectations(rules: Iterable[Rule]) -> None:
    """Make an expectation class of each rule, which the library then knows by the rule's name."""
    for rule in rules:
        body = {"__doc__": rule.meaning, "__annotations__": dict.fromkeys(rule.arguments, Any), "rule": rule}
        type(rule.name.title().replace("_", ""), (_Expectation,), body | dict.fromkeys(rule.arguments))
