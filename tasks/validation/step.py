"""The step that validates a label snapshot: a critical failure prevents training on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pandas as pd

from tasks.contracts import Contracts
from tasks.contracts.event_names import events_elsewhere
from tasks.errors import GateRefused
from tasks.evaluation.evidence import ValidationEvidence
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.logs.checks import needed_columns
from tasks.logs.rows import CANDIDATES, EVENTS, IMPRESSIONS
from tasks.stores.runs import StepRun
from tasks.stores.steps import Step
from tasks.stores.workspace import Workspace, format_instant, write_report
from tasks.validation.findings import SuiteResult, worst_severity
from tasks.validation.measure import measure
from tasks.validation.report import label_calendar, validation_report
from tasks.validation.row_measurements import first_day_in_reach
from tasks.validation.suites import load_suite, run_suite

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
    facts = {**work.facts, "elsewhere": events_elsewhere(workspace.surfaces, workspace.surface)}
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
