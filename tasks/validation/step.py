"""The step that validates a label snapshot: a critical failure prevents training on it.

It runs the suites of ``expectations/<table>.json`` on the measurements of each table. Great Expectations
silently drops unknown expectations and then passes. Rules are therefore registered before a suite is loaded,
and its expectations are counted. An unknown type, a suite parameter without a value and an expectation that
raised an error are failures. Bounds and severities are in the JSON.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

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

from tasks.contracts import Contracts, load
from tasks.errors import ContractError, GateRefused, unknown
from tasks.evaluation.evidence import Finding, ValidationEvidence
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.logs.checks import needed_columns
from tasks.logs.rows import CANDIDATES, EVENTS, IMPRESSIONS
from tasks.stores.runs import StepRun
from tasks.stores.steps import Step
from tasks.stores.workspace import Workspace, format_instant, write_report
from tasks.text_files import read_json
from tasks.validation import measurements
from tasks.validation.findings import Rule, RuleResult, SuiteResult, worst_severity
from tasks.validation.measure import measure
from tasks.validation.report import label_calendar, validation_report
from tasks.validation.row_measurements import first_day_in_reach
from tasks.validation.rules import RULES

REPORT = "validation.html"
_MOST_NAMED = 3
_SUITES = ("impressions", "candidates", "events", "labels")


@dataclass(frozen=True)
class ValidateResult:
    """Whether training may use the snapshot, the worst severity that failed, and the report's location."""

    success: bool
    severity: str | None
    expectations: list[dict[str, Any]]
    report: str
    run_id: str

    def require_success(self) -> None:
        """Refuse labels with a critical failure.

        Raises
        ------
        GateRefused
            The validation failed critically.
        """
        if not self.success:
            worst = [
                one for one in self.expectations if not one["success"] and one["severity"] == self.severity
            ]
            what = "; ".join(f"{one['suite']}: {one['observed']}" for one in worst[:_MOST_NAMED])
            more = f"; and {len(worst) - _MOST_NAMED} more" if len(worst) > _MOST_NAMED else ""
            raise GateRefused(
                f"The labels failed their suite ({self.severity}): {what}{more}. Report: {self.report}"
            )


@dataclass(frozen=True)
class _Validation:
    """A snapshot, the suites by table, and the values of their parameters."""

    workspace: Workspace
    snapshot: Snapshot
    suites: Mapping[str, Any]
    facts: Mapping[str, Any]


def run(
    workspace: Workspace, *, as_of: datetime, snapshot: str, parent_run: str | None = None
) -> ValidateResult:
    """Validate a snapshot with the three suites, and publish it unless a failure is critical.

    Parameters
    ----------
    parent_run : the parent MLflow run.

    Returns
    -------
    The findings; an already validated snapshot is not validated again.
    """
    store = LabelStore(workspace.store, workspace.surface)
    labels = store.snapshot(snapshot)
    suites, facts = suites_and_facts(workspace.contracts, labels)
    done = VALIDATE.run(_Validation(workspace, labels, suites, facts), parent_run=parent_run)
    evidence = done.evidence
    if evidence.success:
        store.publish(snapshot, report=evidence.report, severity=evidence.severity or "none")
    shown = evidence.to_json()
    names = ("success", "severity", "expectations", "report")
    return ValidateResult(run_id=done.run_id, **{name: shown[name] for name in names})


def _inputs(work: _Validation) -> dict[str, Any]:
    decides = {"suites": dict(work.suites), "facts": dict(work.facts)}
    return {**decides, "snapshot": work.snapshot.id, "contracts": work.workspace.contracts.measured_digests}


def _validate(work: _Validation, run: StepRun) -> ValidationEvidence:
    workspace, snapshot, suites = work.workspace, work.snapshot, work.suites
    facts = {**work.facts, "elsewhere": load.events_elsewhere(workspace.surfaces, workspace.surface)}
    measured = measure(workspace, snapshot)
    results = [run_suite(suite, measured[name], facts=facts) for name, suite in suites.items()]
    findings = tuple(finding for result in results for finding in result.findings)
    severity = worst_severity(findings)
    report, html = _write_report(workspace, snapshot, results, measured)
    run.text(REPORT, html)
    run.metrics({"failed_expectations": sum(not f.success for f in findings)})
    return ValidationEvidence(
        snapshot=snapshot.id,
        success=severity != "critical",
        severity=severity,
        expectations=findings,
        report=str(report),
        calendar=label_calendar(measured["labels"], results),
    )


VALIDATE: Final = Step(
    name="validate",
    room="validation",
    document=ValidationEvidence,
    inputs=_inputs,
    tags=lambda work: {"as_of": format_instant(work.snapshot.as_of), "snapshot": work.snapshot.id},
    function=_validate,
)


def suites_and_facts(contracts: Contracts, snapshot: Snapshot) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the suites by table, and the value of every suite parameter as plain JSON."""
    surface, as_of = contracts.surface, snapshot.as_of
    columns = {
        table: {name: sorted(kinds) for name, kinds in needed_columns(table, contracts).items()}
        for table in (IMPRESSIONS, EVENTS, CANDIDATES)
    }
    facts = {
        "bounds": {name: list(bounds) for name, bounds in surface.base_rates.items()},
        "events": sorted(contracts.tasks.events),
        "elsewhere": {},
        "impression_columns": columns[IMPRESSIONS],
        "event_columns": columns[EVENTS],
        "candidate_columns": columns[CANDIDATES],
        "counted_events": _counted_events(contracts),
        "segments": [segment.name for segment in surface.segments],
        "as_of": format_instant(as_of),
        "since": str(first_day_in_reach(contracts, as_of)),
        "costs": [name for name, task in contracts.tasks.tasks.items() if task.family.costs],
        "until": format_instant(min(as_of, surface.ends_at or as_of)),
        "within": surface.arrival.within / timedelta(seconds=1),
    }
    names = [name for name in _SUITES if name != CANDIDATES or surface.sources.candidates]
    return {name: load_suite(_suites_folder() / f"{name}.json") for name in names}, facts


def _counted_events(contracts: Contracts) -> list[str]:
    """Return the events of which two are counted separately."""
    counted: set[str] = set()
    for task in contracts.tasks.tasks.values():
        if task.value is not None and task.value.aggregate in {"sum", "count"}:
            counted |= set(task.value.event)
        if task.positive is not None and task.positive.at_least > 1:
            counted |= set(task.positive.event)
    return sorted(counted)


def _write_report(
    workspace: Workspace,
    snapshot: Snapshot,
    results: Sequence[SuiteResult],
    measured: Mapping[str, pd.DataFrame],
) -> tuple[Path, str]:
    facts = [
        f"surface {workspace.surface}, label snapshot {snapshot.id}, as of {format_instant(snapshot.as_of)}",
        f"{snapshot.rows:,} impressions from {snapshot.first_day} to {snapshot.last_day}",
    ]
    html = validation_report(f"Validation of {workspace.surface}", facts, results, measured)
    return write_report(workspace, f"validation-{snapshot.id}.html", html), html


def _suites_folder() -> Path:
    """Return the suites' folder: in the installed package, else in the repository."""
    installed = Path(__file__).resolve().parent / "suite_files"
    return installed if installed.is_dir() else Path(__file__).resolve().parents[2] / "expectations"


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
