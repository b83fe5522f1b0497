"""Started by hand: the previous champion becomes champion again, in one step and without approvals."""

from typing import Any

from airflow.sdk import DAG, Param

from dags.assets import of_champion
from dags.champion import tell_move
from dags.place import open_workspace
from dags.step import step
from dags.surfaces import describe, for_every_surface, optional
from tasks.contracts import Contracts

RUNBOOK = """
## Triage

A red run updated no alias. The run's note names the error.

- **`ContractError`**: there is no reason, no previous release, or the release that `to` names was never
  champion: use `<surface>__promote`.
- **`AuditMismatch`**: an alias was moved by hand; name the intended champion in `to`.
- **`StoreError`**: a store did not answer, or bytes of the release are not what was registered.
- **`DataError`**: the labels that the release pins cannot be read.

### What it does

If canaries serve, ends them: the champion serves all traffic again. Otherwise the previous champion becomes
champion again. Each row of the audit records who, when, from, to and why. No gate is evaluated, and running
it a second time changes nothing.

### By hand

Start it with `why`; with `to` to go back to another release that was champion before, with `canary` to end
only one of several canaries.
"""


@step
def rollback(surface: str, dag_run: Any = None, params: Any = None) -> dict[str, Any]:
    """Restore the previous champion, or end the canaries."""
    from tasks.promotion.moves import rollback

    to = params["to"]
    workspace = open_workspace(surface)
    result = rollback.run(
        workspace,
        why=params["why"],
        by=dag_run.triggering_user_name or dag_run.run_id,
        to=to or None,
        canary=int(params["canary"]) if params["canary"] else None,
        asked_by=dag_run.run_id,
    )
    return tell_move(workspace, result)


def rolling_back(contracts: Contracts) -> DAG:
    """Name the one step."""
    params = {
        "why": Param(type="string", pattern=r"\S", title="Why", description="The reason, kept in the audit."),
        "to": optional(
            "To", "A release that was champion before. Empty: end the canaries, else the previous one."
        ),
        "canary": optional("Canary", "End only this canary. Empty: all of them."),
    }
    identity = describe(contracts, "rollback", cron=None, runbook=RUNBOOK)
    with DAG(**identity, params=params) as dag:
        rollback.override(**of_champion(contracts.name))(surface=contracts.name)
    return dag


globals().update(for_every_surface("rollback", rolling_back, by_hand=True))
