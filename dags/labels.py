"""Daily: build a surface's labels, check them and publish the snapshot.

::

    labels -> validate
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from dags.assets import describe_update, outlets
from dags.moment import find_as_of, find_days, instant, written
from dags.note import tell
from dags.place import open_workspace
from dags.step import link, report, step
from dags.surfaces import as_of_param, describe, for_every_surface, optional
from tasks.contracts import Contracts

RUNBOOK = """
## Triage

A red run changed nothing that training reads: a snapshot is published in the last step. Open the red step;
its log ends with the reason.

- **`ContractError` in `labels`**: a contract is invalid. The author of the YAML fixes it;
  `equipoise check SURFACE` shows every problem at once.
- **`DataError` in `labels`**: a log table lacks a file, a column or a zone. The message names it; the team
  that delivers the logs fixes it.
- **`validate` is red**: a critical expectation failed. The button "MLflow run" (tab Details) opens the
  report, which lists rows and days; the team that delivers the logs fixes it.
- **`StoreError`, any step**: a store did not answer, and it was tried three times. Clear the step when it
  is back.

After the cause is fixed, clear the red step: it reads the data as of the same instant and ends as it would
have ended.

### What it does

Builds every label of the surface as of the end of the interval, rewrites the days that changed, checks
the mature labels and publishes what passes as a snapshot.

### By hand

Start it with `as_of` to read the data as of that instant (empty: now), with `first_day` and `last_day` to
limit the days. A backfill builds only the days of its intervals.
"""


@step
def labels(surface: str, dag_run: Any = None, params: Any = None) -> dict[str, Any]:
    """Build the labels as of the run's instant."""
    from tasks.labels import build as labels

    workspace = open_workspace(surface)
    as_of = find_as_of(dag_run, params, ends_at=workspace.contracts.surface.ends_at)
    tell(f"as of {written(as_of)}")
    first, last = find_days(dag_run, params)
    result = labels.run(workspace, as_of=as_of, first_day=first, last_day=last)
    tell(f"{result.partitions_written} days written, as of {result.as_of}")
    return report(result, "snapshot", "digest", "as_of", "partitions_written", "rows", "quarantined")


@step(execution_timeout=timedelta(hours=1))
def validate(surface: str, built: dict[str, Any]) -> dict[str, Any]:
    """Check the mature labels and publish the snapshot."""
    from tasks.validation import step as validate

    result = validate.run(open_workspace(surface), as_of=instant(built["as_of"]), snapshot=built["snapshot"])
    kept = report(result, "success", "severity", "report", "run_id", page=validate.REPORT)
    result.require_success()
    tell(f"snapshot {built['snapshot']} published", link())
    describe_update(surface, "validate", {"snapshot": built["snapshot"], "as_of": built["as_of"]})
    return {**kept, "snapshot": built["snapshot"]}


def daily_labels(contracts: Contracts) -> DAG:
    """Name the edges."""
    params = {
        "as_of": as_of_param(contracts),
        "first_day": optional("First day", "Of impressions. Empty: as needed.", format="date"),
        "last_day": optional("Last day", "Of impressions. Empty: as needed.", format="date"),
    }
    identity = describe(contracts, "labels", cron=contracts.surface.schedule.labels, runbook=RUNBOOK)
    with DAG(**identity, params=params) as dag:
        checked = validate.override(outlets=outlets(contracts.name, "validate"))
        checked(surface=contracts.name, built=labels(surface=contracts.name))
    return dag


globals().update(for_every_surface("labels", daily_labels))
