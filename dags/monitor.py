"""Daily: compute the series of the days that matured, and raise alarms.

::

    monitor -> alarms
"""

from typing import Any

from airflow.sdk import DAG

from dags.moment import find_as_of, written
from dags.note import tell
from dags.notify import Message, notify, run_page
from dags.place import open_workspace
from dags.step import report, step
from dags.surfaces import as_of_param, describe, for_every_surface
from tasks.contracts import Contracts
from tasks.errors import GateRefused

RUNBOOK = """
## Triage

A red run changed nothing that serves. Open the red step; its log ends with the reason.

- **`alarms` is red**: a critical alarm of the last seven days (`monitor.critical` in surface.yaml). The
  message names each with what it means and what to do; `equipoise monitor SURFACE --as-of T` prints them
  again. It stays red until no critical alarm is younger than a week.
- **`DataError` in `monitor`**: there are no labels, or they were built under another tasks.yaml. Run the
  DAG of the labels, then clear the step.
- **`ContractError`**: a contract cannot be read; `equipoise check SURFACE` shows every problem.
- **`StoreError`**: a store did not answer, and it was tried three times. Clear the step when it is back.

### What it does

Reads the days of each task that matured since the last run, appends their figures to the table of series, and
compares each series with its reference. The next run continues an interrupted one.

### By hand

Start it with `as_of` to compute what was mature then (empty: now).
"""


@step
def monitor(surface: str, dag_run: Any = None, params: Any = None) -> dict[str, Any]:
    """Compute the series of the days that matured."""
    from tasks.monitoring import monitor

    workspace = open_workspace(surface)
    as_of = find_as_of(dag_run, params, ends_at=workspace.contracts.surface.ends_at)
    result = monitor.run(workspace, as_of=as_of)
    tell(f"{result.days} new days, as of {written(as_of)}")
    return {**report(result, "days", "figures", "history"), "alarms": result.describe_alarms()}


@step
def alarms(surface: str, monitored: dict[str, Any], dag_run: Any = None) -> dict[str, Any]:
    """Send new alarms, and fail where a critical one is current."""
    from tasks.monitoring.monitor import mark_sent
    from tasks.reports.numbers import format_counted

    found = monitored["alarms"]
    new = [one["text"] for one in found if one["new"]]
    critical = [one["text"] for one in found if one["critical"]]
    if new:
        page = run_page(dag_run.dag_id, dag_run.run_id)
        subject = f"{surface}: {format_counted(len(new), 'new alarm')}"
        workspace = open_workspace(surface)
        connections = workspace.contracts.surface.notify.drift_alarms
        notify(connections, Message(subject, "\n".join([*new, page])))
        mark_sent(workspace, found)
    if critical:
        raise GateRefused("\n".join(critical))
    named = ", ".join(one["name"] for one in found)
    tell(f"**{format_counted(len(found), 'alarm')}**: {named}" if found else "no alarm")
    return {"alarms": len(found), "new": len(new)}


def daily_monitor(contracts: Contracts) -> DAG:
    """Name the edges."""
    identity = describe(contracts, "monitor", cron=contracts.surface.schedule.monitor, runbook=RUNBOOK)
    with DAG(**identity, params={"as_of": as_of_param(contracts)}) as dag:
        alarms(surface=contracts.name, monitored=monitor(surface=contracts.name))
    return dag


globals().update(for_every_surface("monitor", daily_monitor))
