"""Daily: read every experiment of a surface that runs.

::

    running -> read, one step for each experiment
"""

from typing import Any

from airflow.sdk import DAG

from dags.moment import find_as_of, written
from dags.note import tell
from dags.place import open_workspace
from dags.step import link, report, step
from dags.surfaces import as_of_param, describe, for_every_surface
from tasks.contracts import Contracts
from tasks.errors import GateRefused

RUNBOOK = """
## Triage

A red run changed nothing that serves. Open the red step; its log ends with the reason.

- **`GateRefused` in `read`**: the decision is stop, or its arms are not as declared (sample ratio, users
  in both arms, an arm that stopped logging). The button "MLflow run" opens the page. Stop the treatment's
  share, or fix the assignment.
- **`ContractError` in `read`**: the file has problems, has no accepted plan, or changed after its start.
  `equipoise experiment read SURFACE NAME --as-of T` prints the message.
- **`DataError` in `read`**: the log has no columns `experiment` and `arm`, or names another arm.
- **`StoreError`**: a store did not answer, and it was tried three times. Clear the step when it is back.

### What it does

Reads each planned experiment from its start until its read-out is final, as of the end of the interval:
sample ratio, effects on matured outcomes, and ship, hold or stop.

### By hand

Start it with `as_of` to read what was known then (empty: now). Nothing runs: the run ends without a read-out.
"""


@step
def running(surface: str, dag_run: Any = None, params: Any = None) -> list[str]:
    """Name the experiments that run."""
    from tasks.experiments.results import running_experiments

    workspace = open_workspace(surface)
    as_of = find_as_of(dag_run, params, ends_at=workspace.contracts.surface.ends_at)
    names = list(running_experiments(workspace, as_of=as_of))
    tell(f"as of {written(as_of)}: {', '.join(names) or 'no experiment runs'}")
    return names


@step(map_index_template="{{ task.op_kwargs['experiment'] }}")
def read(surface: str, experiment: str, dag_run: Any = None, params: Any = None) -> dict[str, Any]:
    """Read one experiment; a stop, or arms that are not as declared, fail the step."""
    from tasks.experiments import read

    workspace = open_workspace(surface)
    as_of = find_as_of(dag_run, params, ends_at=workspace.contracts.surface.ends_at)
    done = read.run(workspace, experiment, as_of=as_of)
    kept, seen = report(done, "run_id", page=read.REPORT), done.evidence
    tell(f"**{experiment}: {seen.decision}** ({seen.state})", link())
    if seen.decision == "stop" or (seen.state.withholds and seen.sample_ratio is not None):
        raise GateRefused(
            f"Experiment '{experiment}': {seen.decision}, {seen.state}. {'; '.join(seen.reasons)}"
        )
    return {**kept, "experiment": experiment, "decision": seen.decision, "state": seen.state.value}


def daily_read(contracts: Contracts) -> DAG:
    """Name the edges."""
    identity = describe(contracts, "experiment", cron=contracts.surface.schedule.monitor, runbook=RUNBOOK)
    with DAG(**identity, params={"as_of": as_of_param(contracts)}) as dag:
        read.partial(surface=contracts.name).expand(experiment=running(surface=contracts.name))
    return dag


globals().update(for_every_surface("experiment", daily_read))
