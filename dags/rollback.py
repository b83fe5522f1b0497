"""By hand: champion becomes again what it was. One step, and nobody is asked: whoever is on call is quick."""

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

A red run moved nothing. The run's note names the error.

- **`ContractError`**: there is no reason, no previous release, or the release that `to` names was never
  champion: `<surface>__promote` is the way for that one.
- **`AuditMismatch`**: somebody moved an alias by hand; say with `to` which release is meant to be champion.
- **`StoreError`**: a store did not answer, or bytes of the release are not what was registered.
- **`DataError`**: the labels that the release pins cannot be read.

### What it does

Where canaries serve, ends them: the champion has all of the traffic again. Else lets the release that was
champion before be champion again. Each row in the audit says who, when, from, to, why. No gate stands in the
way, and the same run a second time changes nothing.

### By hand

Start it with `why`; with `to` to go back to another release that was champion before, with `canary` to end
only one of several canaries.
"""


@step
def rollback(surface: str, dag_run: Any = None, params: Any = None) -> dict[str, Any]:
    """Let the previous champion be the champion again."""
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
        "canary": optional("Canary", "Of several canaries, the only one to end. Empty: all of them."),
    }
    identity = describe(contracts, "rollback", cron=None, runbook=RUNBOOK)
    with DAG(**identity, params=params) as dag:
        rollback.override(**of_champion(contracts.name))(surface=contracts.name)
    return dag


globals().update(for_every_surface("rollback", rolling_back, by_hand=True))
