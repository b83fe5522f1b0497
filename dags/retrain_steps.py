"""The steps of both retrains; `dags.retraining` names their edges.

Each runs the step of the same name in `tasks.pipeline` and returns its result as JSON. The DAGs add the wait
for the log, notes, limits, and the check for unfinished steps.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import task_group

from dags.assets import describe_update
from dags.moment import find_as_of, instant, kind, written
from dags.note import in_one_line, tell
from dags.notify import Message, notify
from dags.place import open_workspace
from dags.step import RELEASES, link, release_address, report, step, trigger, wait
from tasks.errors import AuditMismatch, DataError, GateRefused

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace

Results = Mapping[str, Any]
FAST, SLOW = "retrain", "retrain_slow"
THIS_TASK = "{{ task.op_kwargs['task_name'] }}"
THIS_TRUNK = "{{ task.op_kwargs['trunk_name'] }}"


@step(execution_timeout=timedelta(minutes=10))
def arrival(surface: str, workflow: str, dag_run: Any = None, params: Any = None, ti: Any = None) -> None:
    """Fix the as-of and wait, without a slot, until the log has arrived up to it."""
    workspace = open_workspace(surface)
    as_of = find_as_of(dag_run, params, ends_at=workspace.contracts.surface.ends_at)
    tell(f"as of {written(as_of)}")
    if workflow == SLOW and ti.get_dr_count(dag_id=f"{surface}__{FAST}", states=["running"]):
        wait(workspace.contracts.surface.arrival.every, f"Another retrain of {surface} runs")
    await_log(workspace, as_of=as_of, due=dag_run.run_after)
    ti.xcom_push("as_of", written(as_of))


@step(execution_timeout=timedelta(minutes=10))
def plan(surface: str, as_of: str, workflow: str, params: Any = None) -> list[str]:
    """Plan the tasks to train; refuse before any label is built if none can be trained."""
    cadence = "slow" if workflow == SLOW else "fast"
    asked: dict[str, Any] = {"cadence": cadence, "tasks": params["tasks"] or []}
    result, kept = run_step("plan", surface, as_of, {}, **asked)
    if result.mismatch:
        tell(f"**Warning**: {in_one_line(AuditMismatch(result.mismatch))}")
    return list(kept)


@step
def labels(surface: str, as_of: str, results: Results) -> dict[str, Any]:
    """Build the missing labels."""
    return dict(run_step("labels", surface, as_of, results)[1])


@step(execution_timeout=timedelta(hours=1))
def validate(surface: str, as_of: str, results: Results) -> dict[str, Any]:
    """Check the mature labels and publish the snapshot."""
    from tasks.validation.step import REPORT

    result, kept = run_step("validate", surface, as_of, results, page=REPORT)
    result.require_success()
    tell(f"snapshot {results['labels']['snapshot']}", link())
    describe_update(surface, "validate", {"snapshot": results["labels"]["snapshot"], "as_of": as_of})
    return dict(kept)


@step(map_index_template=THIS_TRUNK)
def train_trunk(surface: str, trunk_name: str, as_of: str, results: Results) -> dict[str, Any]:
    """Train one shared trunk; if it fails, its tasks reuse the champion's trunk or use their trees alone."""
    from tasks import pipeline

    retrain = pipeline.Retrain(open_workspace(surface), instant(as_of))
    one = pipeline.ModelRetrain(retrain, trunk_name, results["labels"]["snapshot"])
    result = pipeline.STEPS["train_trunk"].function(one, results)
    report(result)
    if result.why:
        tell(f"trunk {trunk_name} is not trained: {in_one_line(DataError(result.why))}")
    return dict(pipeline.STEPS["train_trunk"].keep(result))


@step(map_index_template=THIS_TASK)
def train(surface: str, task_name: str, as_of: str, results: Results) -> dict[str, Any]:
    """Train one task's model, or reuse the champion's if the data do not suffice."""
    return run_for_task("train", surface, as_of, task_name, results)


@step(map_index_template=THIS_TASK)
def calibrate(surface: str, task_name: str, as_of: str, results: Results) -> dict[str, Any]:
    """Calibrate one task's model, or reuse the champion's if the data do not suffice."""
    return run_for_task("calibrate", surface, as_of, task_name, results)


@task_group(tooltip="Train and calibrate each task")
def models(surface: str, task_name: str, as_of: str, results: Results, trunks: Any = None) -> Any:
    """Train and calibrate one task; mapped over the plan's tasks. Its calibration waits for the trunks."""
    trained = train(surface=surface, task_name=task_name, as_of=as_of, results=results)
    made = {"labels": results["labels"], "train": trained, "train_trunk": trunks}
    return calibrate(surface=surface, task_name=task_name, as_of=as_of, results=made)


@step(queue=RELEASES)
def release(surface: str, as_of: str, results: Results, dag_run: Any = None) -> dict[str, Any]:
    """Pin the parts as one release with alias challenger."""
    parts = {**results, "calibrate": collect(results["calibrate"])}
    result, kept = run_step("release", surface, as_of, parts, backfill=kind(dag_run) == "backfill")
    mark = " (backfilled)" if result.backfilled else ""
    tell(f"release {result.version}{mark}", release_address(result.release, result.version))
    if not result.reused:
        by = dag_run.triggering_user_name or f"Airflow ({kind(dag_run)})"
        open_workspace(surface).store.runs.set_requester(result.run_id, by)
    describe_update(surface, "release", {"release": result.version, "backfilled": result.backfilled})
    return {"as_of": as_of, **kept}


@step
def simulate(surface: str, results: Results) -> dict[str, Any]:
    """Replay the decision on logged candidates."""
    return dict(run_step("simulate", surface, results["release"]["as_of"], results)[1])


@step
def shadow(surface: str, results: Results) -> dict[str, Any]:
    """Score the newest traffic by challenger and champion."""
    return dict(run_step("shadow", surface, results["release"]["as_of"], results)[1])


@step(queue=RELEASES, trigger_rule="all_done", execution_timeout=timedelta(hours=1))
def gate(surface: str, results: Results) -> dict[str, Any]:
    """Evaluate the gates; refuse if a planned step did not end."""
    if missing := find_unfinished(results):
        raise GateRefused(f"These steps did not end, so the gates cannot be evaluated: {', '.join(missing)}")
    result, kept = run_step("gate", surface, results["release"]["as_of"], results)
    evidence = result.evidence
    tell(f"**{evidence.verdict.title()}**", link())
    if evidence.verdict == "hold":
        connections = open_workspace(surface).contracts.surface.notify.release_held
        subject = f"{surface}: the gates hold release {evidence.release}"
        notify(connections, Message(subject, f"{len(evidence.reasons)} reasons, in the dossier: {link()}"))
    return {**kept, "unchanged": results["release"]["unchanged"]}


@step(execution_timeout=timedelta(minutes=10))
def propose(surface: str, gate_result: dict[str, Any]) -> dict[str, Any]:
    """Propose a release with the verdict Promote to its reviewers, if the surface asks for it."""
    from tasks.promotion.moves import request

    result = request.propose(
        open_workspace(surface), release=gate_result["release"], unchanged=gate_result["unchanged"]
    )
    if result.proposed:
        tell("proposed for promotion")
        conf = {"release": str(result.release), "why": result.why}
        trigger(f"{surface}__promote", f"proposed__release_{result.release}", conf)
    return report(result, "release", "proposed", "why")


def await_log(workspace: "Workspace", *, as_of: datetime, due: datetime) -> None:
    """Return when the log has arrived up to an as-of; else reschedule the step, until the deadline.

    Raises
    ------
    DataError
        The deadline, counted from the scheduled time, has passed.
    """
    from tasks.logs import arrival

    found, rules = arrival.run(workspace, as_of=as_of), workspace.contracts.surface.arrival
    if found.arrived:
        return
    lacking, deadline = f"The log has not arrived up to {found.as_of}: {found.missing}", due + rules.deadline
    if datetime.now(UTC) >= deadline:
        raise DataError(f"{lacking}. The deadline was {written(deadline)} (arrival.deadline)")
    wait(rules.every, lacking)


def run_step(
    name: str, surface: str, as_of: str, results: Results, *, page: str = "", **asked: Any
) -> tuple[Any, Any]:
    """Run a step of the pipeline on the results of upstream steps; return its result and its JSON.

    Parameters
    ----------
    page : the page of its MLflow run that the step's button opens.
    asked : further fields of `tasks.pipeline.Retrain`.
    """
    from tasks import pipeline

    one, retrain = pipeline.STEPS[name], pipeline.Retrain(open_workspace(surface), instant(as_of), **asked)
    result = one.function(retrain, results)
    report(result, page=page)
    return result, one.keep(result)


def run_for_task(name: str, surface: str, as_of: str, task: str, results: Results) -> dict[str, Any]:
    """Run a step for one task; the run's note names a task that reuses the champion's model."""
    from tasks import pipeline
    from tasks.release.parts import read_reused

    retrain = pipeline.Retrain(open_workspace(surface), instant(as_of))
    one = pipeline.ModelRetrain(retrain, task, results["labels"]["snapshot"])
    trunks = collect(results.get("train_trunk"))
    result = pipeline.STEPS[name].function(one, {**results, "train_trunk": trunks})
    report(result)
    kept = pipeline.STEPS[name].keep(result)
    if read_reused(kept) and read_reused(results.get("train") or {"task": task}) is None:
        tell(f"{task} reuses the champion's model")
    return dict(kept)


def collect(fitted: Any) -> list[dict[str, Any]]:
    """Return the results of the mapped models; Airflow gives None for none and the bare result for one.

    Examples
    --------
    >>> collect(None), collect({"task": "click"}), collect([{"task": "click"}, {"task": "buy"}])
    ([], [{'task': 'click'}], [{'task': 'click'}, {'task': 'buy'}])
    """
    if fitted is None:
        return []
    return [dict(fitted)] if isinstance(fitted, Mapping) else list(fitted)


def find_unfinished(results: Results) -> list[str]:
    """Return the planned steps without a result; with `all_done` the gate runs even after a failure.

    Examples
    --------
    >>> done = {"calibrate": [{"task": "buy"}], "validate": {"success": True}}
    >>> find_unfinished({"plan": ["click", "buy"], **done, "release": None})
    ['models (click)', 'release']
    """
    done = {part["task"] for part in collect(results["calibrate"])}
    models = [f"models ({task})" for task in results["plan"] or () if task not in done]
    others = [
        name for name, result in results.items() if name not in {"plan", "calibrate"} and result is None
    ]
    return (["plan"] if results["plan"] is None else []) + models + others
