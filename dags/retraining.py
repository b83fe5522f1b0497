"""Runbook and edges that `retrain` and `retrain_slow` share.

::

    arrival -> plan -> labels -> validate -> models[task]: train ----> calibrate
                                          -> train_trunk[trunk] ---/
            -> release -> simulate, shadow -> gate -> propose
"""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import DAG

from dags import retrain_steps
from dags.assets import outlets
from dags.retrain_steps import arrival, models, plan, propose
from dags.surfaces import as_of_param, describe, optional
from tasks.contracts import Contracts
from tasks.pipeline import RETRAIN, PipelineStep

RUNBOOK = """
## Triage

A red run promoted nothing: only a person moves `champion`. The run's note names the step and its error.
Open the leftmost red step; its log ends with the reason, the button "MLflow run" (tab Details) opens what
it had logged by then.

- **`DataError` in `arrival`**: the log did not arrive up to the as-of before the deadline. The message names
  the table, its newest row and the required time; the team that delivers the logs fixes it. Then clear
  the run.
  `arrival` in surface.yaml defines when a log has arrived, and how long a run waits for it.
- **`ContractError`, any step**: a contract is invalid. The author of the YAML fixes it;
  `equipoise check SURFACE` shows every problem at once.
- **`DataError` in `labels`, or `validate` is red**: the logs are at fault. The message names table,
  column and rows, the button of `validate` opens its report; the team that delivers the logs fixes it.
- **`ImmatureLabels` or `DataError` in `models`**: a task cannot be trained, and there is no champion whose
  model could be reused. The message states what the task needs. Wait, or lower `minimum` in surface.yaml.
  With a champion the run reuses its model of that task; the run's note and the dossier name it.
- **`StoreError`, any step**: a store did not answer, and it was tried three times. Clear the step when it
  is back.
- **`GateRefused` in `simulate`**: the champion, or an earlier release that a guardrail names, puts into its
  slots what a hard constraint keeps out; the message names them and their number. Roll back first.
- **`GateRefused` in `gate`**: steps did not end; the message names them. See their logs.

`Hold` is not a red run: the release exists, and the dossier behind the gate's button names the gate that held
it. After the cause is fixed, clear the red step and those after it: finished work is found by its inputs and
reused.
"""


def retraining(contracts: Contracts, workflow: str, *, cron: str, runbook: str) -> DAG:
    """Name the edges."""
    surface, tasks = contracts.name, list(contracts.tasks.trained)
    params = {
        "as_of": as_of_param(contracts),
        "tasks": optional(
            "Tasks",
            "Train only these; the others come from the champion. Empty: all that are due.",
            of="array",
            items={"type": "string", "enum": tasks},
            examples=tasks,
        ),
    }
    waits = contracts.surface.arrival.deadline
    identity = describe(contracts, workflow, cron=cron, runbook=RUNBOOK + runbook, waits=waits)
    with DAG(**identity, params=params) as dag:
        as_of = arrival(surface=surface, workflow=workflow)["as_of"]
        planned = plan(surface=surface, as_of=as_of, workflow=workflow)
        trunks = list(contracts.surface.trunks)
        gate_result = connect(surface, RETRAIN[1:], {"plan": planned}, as_of=as_of, trunks=trunks)
        propose(surface=surface, gate_result=gate_result)
    return dag


def connect(
    surface: str,
    steps: Sequence[PipelineStep],
    results: Mapping[str, Any],
    *,
    as_of: Any,
    trunks: Sequence[str] = (),
) -> Any:
    """Name the edges of steps of the pipeline, and return the result of the last.

    Parameters
    ----------
    results : what was kept by the steps before them.
    trunks : the surface's shared trunks, each trained by a step of its own.
    """
    known = dict(results)
    for one in steps:
        taken = {name: known[name] for name in one.after if name in known}
        if one.by == "trunk":
            if trunks:
                each = retrain_steps.train_trunk.partial(surface=surface, as_of=as_of, results=taken)
                known[one.name] = each.expand(trunk_name=[*trunks])
        elif one.name == "train":  # a task group trains and calibrates each task of the plan
            planned, shared = taken.pop("plan"), known.get("train_trunk")
            mapped = models.partial(surface=surface, as_of=as_of, results=taken, trunks=shared)
            known["calibrate"] = mapped.expand(task_name=planned)
        elif one.name not in known:
            own = {} if "release" in one.after else {"as_of": as_of}
            made = getattr(retrain_steps, one.name).override(outlets=outlets(surface, one.name))
            known[one.name] = made(surface=surface, results=taken, **own)
    return known[steps[-1].name]
