"""The steps of both retrains; `dags.retraining` names their edges.

Each opens the surface, calls its step, as `tasks.pipeline` does, and hands ids and counts on. What a DAG adds
stands below them: waiting for the log, what a task without a model keeps, what did not end.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import task_group

from dags.moment import find_as_of, instant, kind, written
from dags.note import in_one_line, tell
from dags.place import open_workspace
from dags.step import link, release_address, report, step, trigger, wait
from tasks.errors import AuditMismatch, DataError, GateRefused

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace

FAST, SLOW = "retrain", "retrain_slow"
THIS_TASK = "{{ task.op_kwargs['task_name'] }}"


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
    """Name the tasks to train; what cannot be trained is said before a label is built."""
    from tasks.training import plan

    cadence: Literal["fast", "slow"] = "slow" if workflow == SLOW else "fast"
    workspace = open_workspace(surface)
    result = plan.run(workspace, as_of=instant(as_of), cadence=cadence, tasks=params["tasks"])
    plan.require(workspace, result, as_of=instant(as_of))
    if result.mismatch:
        tell(f"**Warning**: {in_one_line(AuditMismatch(result.mismatch))}")
    return list(report(result, "tasks")["tasks"])


@step
def labels(surface: str, as_of: str) -> dict[str, Any]:
    """Build the labels that are lacking."""
    from tasks.labels import build as labels

    result = labels.run(open_workspace(surface), as_of=instant(as_of))
    return report(result, "snapshot", "digest", "partitions_written", "rows", "quarantined")


@step(execution_timeout=timedelta(hours=1))
def validate(surface: str, as_of: str, built: dict[str, Any]) -> dict[str, Any]:
    """Check the mature labels and publish the snapshot."""
    from tasks.validation import step as validate

    result = validate.run(open_workspace(surface), as_of=instant(as_of), snapshot=built["snapshot"])
    kept = report(result, "success", "severity", "report", "run_id", page=validate.REPORT)
    result.require_success()
    tell(f"snapshot {built['snapshot']}", link())
    return {**kept, "snapshot": built["snapshot"]}


@step(map_index_template=THIS_TASK)
def train(surface: str, task_name: str, as_of: str, snapshot: dict[str, Any]) -> dict[str, Any]:
    """Train one task's model; one that cannot be trained keeps the champion's."""
    from tasks import pipeline

    asked = pipeline.Retrain(open_workspace(surface), instant(as_of))
    result = pipeline.train(pipeline.TaskRetrain(asked, task_name, snapshot["snapshot"]))
    return report_kept(result) or report(result, "task", "model", "version", "sha256", "run_id", "reused")


@step(map_index_template=THIS_TASK)
def calibrate(
    surface: str, task_name: str, as_of: str, snapshot: dict[str, Any], trained: dict[str, Any]
) -> dict[str, Any]:
    """Calibrate one task's model; one that cannot be calibrated keeps the champion's."""
    from tasks import pipeline
    from tasks.release.trained import Trained, read_kept

    if read_kept(trained) is not None:
        return trained
    asked, version = pipeline.Retrain(open_workspace(surface), instant(as_of)), trained["version"]
    one = pipeline.TaskRetrain(asked, task_name, snapshot["snapshot"])
    result = pipeline.calibrate(one, model_version=version)
    if kept := report_kept(result):
        return kept
    made = report(result, "task", "calibrator", "version", "sha256", "run_id", "reused")
    return {**made, **Trained(task_name, version, made["version"]).to_json()}


@task_group(tooltip="Train and calibrate each task")
def models(surface: str, task_name: str, as_of: str, snapshot: dict[str, Any]) -> Any:
    """Train and calibrate one task; mapped over the plan's tasks."""
    trained = train(surface=surface, task_name=task_name, as_of=as_of, snapshot=snapshot)
    return calibrate(surface=surface, task_name=task_name, as_of=as_of, snapshot=snapshot, trained=trained)


@step
def release(
    surface: str, as_of: str, snapshot: dict[str, Any], fitted: Any, dag_run: Any = None
) -> dict[str, Any]:
    """Pin the parts as one release with alias challenger."""
    from tasks.release import step as release
    from tasks.release.trained import read_result

    result = release.run(
        open_workspace(surface),
        as_of=instant(as_of),
        snapshot=snapshot["snapshot"],
        parts=[read_result(part) for part in collect(fitted)],
        backfill=kind(dag_run) == "backfill",
    )
    kept = report(result, "release", "version", "sha256", "run_id", "reused", "backfilled", "stands")
    mark = " (backfilled)" if result.backfilled else ""
    tell(f"release {result.version}{mark}", release_address(result.release, result.version))
    return {"as_of": as_of, **kept}


@step
def simulate(surface: str, released: dict[str, Any]) -> dict[str, Any]:
    """Rehearse the decision on logged candidates."""
    from tasks.replay import simulate

    result = simulate.run(open_workspace(surface), release=released["version"])
    return report(result, "release", "baseline", "report", "run_id")


@step
def shadow(surface: str, released: dict[str, Any]) -> dict[str, Any]:
    """Score the newest traffic beside the champion."""
    from tasks.replay import shadow

    as_of = instant(released["as_of"])
    result = shadow.run(open_workspace(surface), as_of=as_of, challenger=released["version"])
    return report(result, "challenger", "champion", "day", "candidates", "run_id")


@step(trigger_rule="all_done", execution_timeout=timedelta(hours=1))
def gate(surface: str, planned: list[str] | None, fitted: Any, evidence: dict[str, Any]) -> dict[str, Any]:
    """Judge the release; refuse to judge where anything that was planned did not end."""
    if missing := find_unfinished(planned, collect(fitted), evidence):
        raise GateRefused(f"These steps did not end, so there is nothing to judge: {', '.join(missing)}")
    from tasks.promotion import gate

    result = gate.run(
        open_workspace(surface),
        release=evidence["release"]["version"],
        steps=gate.StepRuns(*(evidence[name]["run_id"] for name in ("validate", "simulate", "shadow"))),
        stands=evidence["release"]["stands"],
    )
    kept = report(result, "release", "verdict", "dossier", "run_id")
    kept["stands"] = evidence["release"]["stands"]
    tell(f"**{result.verdict.title()}**", link())
    return kept


@step(execution_timeout=timedelta(minutes=10))
def propose(surface: str, judged: dict[str, Any]) -> dict[str, Any]:
    """Put a release that its gates let through before its reviewers, where the surface asks for it."""
    from tasks.promotion.moves import propose

    result = propose.run(open_workspace(surface), release=judged["release"], stands=judged["stands"])
    if result.proposed:
        tell("proposed for promotion")
        conf = {"release": str(result.release), "why": result.why}
        trigger(f"{surface}__promote", f"proposed__release_{result.release}", conf)
    return report(result, "release", "proposed", "why")


def await_log(workspace: "Workspace", *, as_of: datetime, due: datetime) -> None:
    """Return when the log has arrived up to an as-of; else end the step for now, until the deadline.

    Raises
    ------
    DataError
        The deadline, counted from when the run was due, has passed.
    """
    from tasks.logs import arrival

    found, rules = arrival.run(workspace, as_of=as_of), workspace.contracts.surface.arrival
    if found.arrived:
        return
    lacking, deadline = f"The log has not arrived up to {found.as_of}: {found.missing}", due + rules.deadline
    if datetime.now(UTC) >= deadline:
        raise DataError(f"{lacking}. The deadline was {written(deadline)} (arrival.deadline)")
    wait(rules.every, lacking)


def report_kept(result: Any) -> dict[str, Any] | None:
    """Say that a task keeps the champion's model, and why; None where it has one of its own."""
    from tasks.release.trained import KeptChampion

    if not isinstance(result, KeptChampion):
        return None
    tell(f"{result.task} keeps the champion's model")
    return dict(result.to_json())


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


def find_unfinished(
    planned: Sequence[str] | None, parts: Sequence[Mapping[str, Any]], evidence: Mapping[str, Any]
) -> list[str]:
    """Name what was planned and has no result: with `all_done` the gate runs whatever happened before it.

    Examples
    --------
    >>> find_unfinished(["click", "buy"], [{"task": "buy"}], {"validate": {"success": True}, "release": None})
    ['models (click)', 'release']
    """
    done = {part["task"] for part in parts}
    models = [f"models ({task})" for task in planned or () if task not in done]
    steps = [name for name, result in evidence.items() if result is None]
    return (["plan"] if planned is None else []) + models + steps
