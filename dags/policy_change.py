"""By hand: a changed utility or slate policy becomes a release of the champion's models; nothing is trained.

::

    champion -> validate -> release -> simulate, shadow -> gate -> propose
"""

from dataclasses import asdict
from typing import Any

from airflow.sdk import DAG

from dags.moment import written
from dags.note import tell
from dags.place import open_workspace
from dags.retrain_steps import propose
from dags.retraining import connect
from dags.step import step
from dags.surfaces import describe, for_every_surface
from tasks.contracts import Contracts
from tasks.pipeline import POLICY_CHANGE

RUNBOOK = """
## Triage

A red run promoted nothing: only a person moves `champion`. The run's note names the step and its error.

- **`ContractError` in `champion`**: there is no champion whose models could be used, `tasks.yaml` is not the
  champion's (a retrain is needed), or neither policy differs from the champion's. The message names the case.
- **`ContractError` in `release`**: a policy's content changed and its `version` did not. Raise it.
- **`DataError` in `validate` or later**: the log of the champion's days cannot be read any more.
- **`StoreError`, any step**: a store did not answer, and it was tried three times. Clear the step when it
  is back.
- **`GateRefused` in `simulate`**: the champion, or an earlier release that a guardrail names, puts into its
  slots what a hard constraint keeps out; the message names them and their number. Roll back first.
- **`GateRefused` in `gate`**: steps did not end; the message names them. See their logs.

`Hold` is not a red run: the release exists, and the dossier behind the gate's button names the gate that
held it.

### What it does

Pins the champion's models, calibrators and labels with the policies in force, replays the decision on the
champion's test days, compares it with the champion, and evaluates the gates, as a retrain does.

### By hand

Merge the new version of `utility.yaml` or `slate.yaml`, then start it; it has no parameters. The same
policies end in the same release, however often it is started.
"""


@step
def champion(surface: str, ti: Any = None) -> dict[str, Any]:
    """Find the champion's models and labels; refuse if no policy differs from the champion's."""
    from tasks.release.parts import champion_parts

    reused, parts = champion_parts(open_workspace(surface))
    tell(f"models of the champion, as of {written(reused.as_of)}")
    ti.xcom_push("as_of", written(reused.as_of))
    ti.xcom_push("tasks", [part.task for part in parts])
    ti.xcom_push("parts", [asdict(part) for part in parts])
    return {"snapshot": reused.snapshot.id}


def policy_change(contracts: Contracts) -> DAG:
    """Name the edges."""
    surface = contracts.name
    with DAG(**describe(contracts, "policy_change", cron=None, runbook=RUNBOOK)) as dag:
        reused = champion(surface=surface)
        kept_results = {"plan": reused["tasks"], "labels": reused, "calibrate": reused["parts"]}
        gate_result = connect(surface, POLICY_CHANGE, kept_results, as_of=reused["as_of"])
        propose(surface=surface, gate_result=gate_result)
    return dag


globals().update(for_every_surface("policy_change", policy_change, by_hand=True))
