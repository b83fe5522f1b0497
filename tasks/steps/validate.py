"""Validating a label snapshot: a critical failure keeps it from training, all else is evidence."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from tasks import columns as c
from tasks.contracts import Contracts, digest
from tasks.steps.context import Context, format_instant, write_report
from tasks.steps.log_tables import read_events
from tasks.stores.label_store import LabelStore, Snapshot
from tasks.stores.runs import finished_run, read_evidence, step_run
from tasks.validation.report import validation_report
from tasks.validation.suites import SuiteResult, load_suite, run_suite, worst_severity

REPORT = "validation.html"
_SUITES = ("impressions", "events", "labels")


@dataclass(frozen=True)
class ValidateResult:
    """Whether the snapshot may be trained on, the worst severity that failed, and where the report lies."""

    success: bool
    severity: str | None
    expectations: list[dict[str, Any]]
    report: str
    run_id: str


def run(context: Context, *, as_of: datetime, snapshot: str, parent_run: str | None = None) -> ValidateResult:
    """Validate a snapshot with the three suites, and publish it unless a failure is critical.

    Parameters
    ----------
    parent_run : the MLflow run that this one belongs under.

    Returns
    -------
    The findings; what was validated before is not validated again.
    """
    store = LabelStore(context.home, context.surface)
    found = store.snapshot(snapshot)
    suites = {name: load_suite(_suites_folder() / f"{name}.json") for name in _SUITES}
    inputs = digest(
        {"step": "validate", "snapshot": snapshot, "suites": suites, **_facts(context.contracts, found)}
    )
    run_id = finished_run(context.home, context.surface, step="validate", inputs=inputs)
    if run_id is None:
        run_id = _validate(context, store, found, suites, inputs, parent_run)
    evidence = read_evidence(context.home, run_id)
    if evidence["success"]:
        store.publish(snapshot, report=evidence["report"], severity=evidence["severity"] or "none")
    kept = ("success", "severity", "expectations", "report")
    return ValidateResult(run_id=run_id, **{name: evidence[name] for name in kept})


def _validate(
    context: Context,
    store: LabelStore,
    snapshot: Snapshot,
    suites: Mapping[str, Any],
    inputs: str,
    parent_run: str | None,
) -> str:
    tags = {"as_of": format_instant(snapshot.as_of), "snapshot": snapshot.id}
    with step_run(
        context.home, context.surface, step="validate", inputs=inputs, parent_run=parent_run, tags=tags
    ) as run:
        facts = _facts(context.contracts, snapshot)
        results = [
            run_suite(suites[name], frame, facts=facts) for name, frame in _tables(context, store, snapshot)
        ]
        findings = tuple(finding for result in results for finding in result.findings)
        severity = worst_severity(findings)
        report, html = _write_report(context, snapshot, results)
        run.text(REPORT, html)
        run.metrics({"failed_expectations": sum(not f.success for f in findings)})
        run.evidence(
            {
                "snapshot": snapshot.id,
                "success": severity != "critical",
                "severity": severity,
                "expectations": [asdict(finding) for finding in findings],
                "report": str(report),
            }
        )
        return run.run_id


def _tables(context: Context, store: LabelStore, snapshot: Snapshot) -> Any:
    """Yield each suite's name and its table, one at a time."""
    labels = _labels(context.contracts, store, snapshot)
    yield "impressions", labels
    yield "labels", labels
    del labels
    yield "events", read_events(context, as_of=snapshot.as_of)


def _labels(contracts: Contracts, store: LabelStore, snapshot: Snapshot) -> pd.DataFrame:
    tasks = contracts.tasks.tasks
    columns = [c.REQUEST_ID, c.ITEM_ID, c.USER_ID, c.SHOWN_AT, *tasks, *(c.status(task) for task in tasks)]
    table = store.read(snapshot, columns)
    for task in tasks:
        index = table.schema.get_field_index(c.status(task))
        table = table.set_column(index, c.status(task), table.column(index).dictionary_encode())
    return table.to_pandas()


def _facts(contracts: Contracts, snapshot: Snapshot) -> dict[str, Any]:
    """Return the value of every suite parameter, as plain JSON."""
    tasks = contracts.tasks
    parents = {name: parent for name in tasks.tasks if (parent := tasks.parent(name))}
    return {
        "tasks": list(tasks.tasks),
        "maturities": {name: tasks.maturity(name) / timedelta(seconds=1) for name in tasks.tasks},
        "parents": parents,
        "bounds": {name: list(bounds) for name, bounds in contracts.surface.base_rates.items()},
        "events": sorted(tasks.events),
        "as_of": format_instant(snapshot.as_of),
    }


def _write_report(context: Context, snapshot: Snapshot, results: list[SuiteResult]) -> tuple[Path, str]:
    facts = [
        f"surface {context.surface}, label snapshot {snapshot.id}, as of {format_instant(snapshot.as_of)}",
        f"{snapshot.rows:,} impressions from {snapshot.first_day} to {snapshot.last_day}",
    ]
    html = validation_report(f"Validation of {context.surface}", facts, results)
    return write_report(context, f"validation-{snapshot.id}.html", html), html


def _suites_folder() -> Path:
    return Path(__file__).resolve().parents[2] / "expectations"
