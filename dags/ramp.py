"""Daily: advance a release in a ramp, wait, ask a person, or roll it back."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG

from dags.moment import find_as_of
from dags.note import tell
from dags.notify import Message, notify
from dags.place import open_workspace
from dags.step import step
from dags.surfaces import as_of_param, describe, for_every_surface, optional
from tasks.contracts import Contracts

if TYPE_CHECKING:
    from tasks.promotion.moves.ramp import RampResult
    from tasks.stores.workspace import Workspace

RUNBOOK = """
## Triage

A green run whose note begins with **roll back** ended the canary: the champion serves all users. The note and
the audit hold the figures. A red run moved nothing; the run's note names the error.

- **The note begins with ask**: the arms cannot be compared, or the stage has lasted for `ramp.wait.most`.
  Read the reasons. Fix the assignment of traffic, roll back with `<surface>__rollback`, or start this DAG
  with `advance`, the reason why the release may go on, and `release` where several ramp; a reviewer of the
  surface has to start it.
- **`ContractError`**: the user who started it with `advance` is not a reviewer of the surface.
- **`DataError`**: the impressions do not hold which release served them, or name one that is not registered.
- **`AuditMismatch`**: the release was deleted, or somebody moved an alias by hand. Roll back.
- **`StoreError`**: a store did not answer. Clear the step when it is back.

### What it does

Compares the guardrails of `ramp` between the users of each release that ramps and of the champion, by the
events that have arrived. After the last stage a release may be promoted: start `<surface>__promote` with
the stage `champion`. Where surface.yaml declares no `ramp`, it does nothing.

### By hand

Start it with `as_of` to read the log as of that instant (empty: now), with `advance` to answer a ramp that
asks.
"""


@step
def ramp(surface: str, dag_run: Any = None, params: Any = None) -> dict[str, Any]:
    """Decide on each release in a ramp, and update the aliases."""
    from tasks.promotion.moves import ramp
    from tasks.promotion.moves.ramp import Advance

    workspace, why, release = open_workspace(surface), params["advance"], params["release"]
    if workspace.contracts.surface.ramp is None:
        tell("surface.yaml declares no ramp")
        return {"ramps": []}
    answer = Advance(dag_run.triggering_user_name or dag_run.run_id, why) if why else None
    as_of = find_as_of(dag_run, params, ends_at=workspace.contracts.surface.ends_at)
    asked = int(release) if release else None
    one_by_one: list[int | None] = [*ramp.ramping(workspace, run=dag_run.run_id)]
    results = [
        ramp.run(workspace, as_of=as_of, release=one, run=dag_run.run_id, advance=answer)
        for one in ([asked] if asked or answer else one_by_one or [None])
    ]
    tell("\n\n".join(map(in_words, results)))
    for result in results:
        notify_of(workspace, result)
    return {
        "ramps": [{"state": one.state.value, "release": one.release, "share": one.share} for one in results]
    }


def in_words(result: "RampResult") -> str:
    """Say what was decided on a release, and why."""
    return f"{_heading(result, mark='**')}: {'; '.join(result.reasons)}"


def _heading(result: "RampResult", *, mark: str = "") -> str:
    """Return the state of a ramp, between marks, and its release."""
    of = "" if result.release is None else f" release {result.release}"
    return f"{mark}{result.state.value.replace('_', ' ')}{mark}{of}"


def notify_of(workspace: "Workspace", result: "RampResult") -> None:
    """Notify people of an alias update and of a question."""
    from tasks.experiments.ramp import RampState

    connections = workspace.contracts.surface.notify
    details = "; ".join([*result.reasons, *map(str, result.guardrails), *result.notes])
    message = Message(f"{result.surface}: ramp, {_heading(result)}", details)
    if result.moved is not None:
        notify(connections.alias_moves, message)
    elif result.state is RampState.ASK:
        notify(connections.approval_waits, message)


def ramping(contracts: Contracts) -> DAG:
    """Name the one step."""
    params = {
        "as_of": as_of_param(contracts),
        "release": optional("Release", "The release, if several ramp. Empty: each of them."),
        "advance": optional("Advance", "Why a ramp that asks a person may go on. Empty: the rule decides."),
    }
    identity = describe(contracts, "ramp", cron=contracts.surface.schedule.ramp, runbook=RUNBOOK)
    with DAG(**identity, params=params) as dag:
        ramp(surface=contracts.name)
    return dag


globals().update(for_every_surface("ramp", ramping))
