"""Runs a suite of ``expectations/<table>.json`` on the measurements of a table.

Great Expectations silently drops unknown expectations and then passes. Rules are therefore registered before
a suite is loaded, and its expectations are counted. An unknown type, a suite parameter without a value and an
expectation that raised an error are failures. Bounds and severities are in the JSON.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import great_expectations as gx
import pandas as pd
from great_expectations.core import ExpectationValidationResult
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.data_context.types import base
from great_expectations.exceptions import SuiteParameterError
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from tasks.errors import ContractError, unknown
from tasks.evaluation.evidence import Finding
from tasks.text_files import read_json
from tasks.validation import measurements
from tasks.validation.findings import Rule, RuleResult, SuiteResult
from tasks.validation.rules import RULES

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
    """Succeeds if nothing breaks its rule; the rule's arguments are its fields."""

    metric_dependencies: ClassVar[tuple[str, ...]] = (_METRIC,)
    rule: ClassVar[Rule]

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        arguments = {name: getattr(self, name) for name in self.rule.arguments}
        known = {name: value for name, value in arguments.items() if value is not None}
        checked = self.rule.check(metrics[_METRIC], **known)
        result = {"observed_value": checked.observed, "details": checked}
        return {"success": not checked.broken, "result": result}


def register_expectations(rules: Iterable[Rule]) -> None:
    """Create an expectation class for each rule, registered under the rule's name."""
    for rule in rules:
        body = {"__doc__": rule.meaning, "__annotations__": dict.fromkeys(rule.arguments, Any), "rule": rule}
        type(rule.name.title().replace("_", ""), (_Expectation,), body | dict.fromkeys(rule.arguments))


register_expectations(RULES)


def load_suite(path: Path) -> dict[str, Any]:
    """Read a suite as JSON data."""
    try:
        suite: dict[str, Any] = read_json(path)
        types = [expectation["type"] for expectation in suite["expectations"]]
    except (ContractError, KeyError, TypeError) as error:
        raise ContractError(f"{path} is not an expectation suite: {error}") from error
    known = sorted(rule.name for rule in RULES)
    for kind in types:
        if kind not in known:
            raise ContractError(unknown("expectation", kind, known, where=path.name))
    return suite


def run_suite(suite: Mapping[str, Any], frame: pd.DataFrame, *, facts: Mapping[str, Any]) -> SuiteResult:
    """Evaluate a suite on the measurements of a table.

    Parameters
    ----------
    suite : result of ``load_suite``.
    frame : measurements, from ``measurements.frame_of``.
    facts : a value for every suite parameter, plain JSON.
    """
    context = gx.get_context(project_config=_in_memory())
    built = context.suites.add(gx.ExpectationSuite(**suite))
    if len(built.expectations) != len(suite["expectations"]):
        raise ContractError(f"The suite '{suite['name']}' lost expectations while loading: it repeats one")
    asset = context.data_sources.add_pandas("frame").add_dataframe_asset(suite["name"])
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    try:
        results = batch.validate(built, expectation_parameters=dict(facts)).results
    except SuiteParameterError as error:
        raise ContractError(
            f"The suite '{suite['name']}' has a parameter without a value: {error}"
        ) from error
    if len(results) != len(suite["expectations"]):
        raise ContractError(f"The suite '{suite['name']}' ran {len(results)} of {len(suite['expectations'])}")
    return SuiteResult(
        suite["name"],
        int(frame.loc[frame["statistic"] == measurements.ROWS, "rows"].sum()),
        tuple(_finding(suite["name"], result) for result in results),
        {
            result.expectation_config.type: checked.lines
            for result in results
            if (checked := _evaluate(result))
        },
    )


def _in_memory() -> Any:
    """Return a configuration that writes nothing, not even a temporary folder for a site."""
    return base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=base.ProgressBarsConfig(globally=False),
    )


def _finding(suite: str, result: ExpectationValidationResult) -> Finding:
    config, raised = result.expectation_config, _exception(result.exception_info)
    checked = _evaluate(result)
    return Finding(
        suite=suite,
        expectation=config.type,
        subject=checked.subject if checked else "table",
        severity="critical" if raised or checked is None else config.severity.value,
        success=bool(result.success) and checked is not None,
        observed=checked.observed if checked else raised,
        why=str((config.meta or {}).get("why", "")),
    )


def _evaluate(result: ExpectationValidationResult) -> RuleResult | None:
    """Return the result of a rule; None if it raised an error."""
    details = (result.result or {}).get("details")
    return details if isinstance(details, RuleResult) else None


def _exception(info: Mapping[str, Any]) -> str:
    """Return the message of an exception; the library nests it by metric in some cases."""
    if "raised_exception" in info:
        return str(info["exception_message"] or "raised") if info["raised_exception"] else ""
    return "; ".join(str(one["exception_message"]) for one in info.values() if one["raised_exception"])
