"""Commands that make a release: plan, validate, train, calibrate, and the whole retrain."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from rich.console import RenderableType, group
from rich.padding import Padding
from rich.text import Text
from typer import Argument, Option

from tasks.cli import text
from tasks.cli.command import AsOf, CommandGroup, ParentRun, Task
from tasks.cli.text import Plain

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace

_SLICES: Final = ("train", "calibrate", "test")


@group()
def write_outlook(plain: Plain) -> Iterator[RenderableType]:
    """Write the days of each task, the task that limits the shared test days, and what is missing."""
    yield Text(_log(plain))
    decider = plain["test_decided_by"]
    days = _days(plain["test"]) if plain["test"] else "none yet"
    yield Text(f"shared test days: {days}, decided by {decider}, the fast task that is known last")
    table = text.table("task", *_SLICES, figures=("positives", "days needed"))
    for name, task in plain["tasks"].items():
        slices, positives = task["slices"] or {}, task["positives"] or {}
        cells = (_days(slices.get(part)) for part in _SLICES)
        counts = " / ".join(f"{positives[part]:,}" for part in _SLICES if part in positives)
        table.add_row(name, *cells, counts or "-", f"{task['days_needed']:,}")
    yield table
    if plain["measured"]:
        yield Text(f"measured, never trained: {', '.join(plain['measured'])}")
    for task in plain["tasks"].values():
        if task["missing"]:
            earliest = "" if task["slices"] else f", at the earliest as of {task['possible_from']}"
            yield Text.assemble(("missing", "red"), f"{earliest}:")
            yield Padding(Text(task["missing"]), (0, 0, 0, 4))
    if plain["complete"]:
        yield Text("every task has the days and the positives that training needs", style="green")


def _log(plain: Plain) -> str:
    begins = f"{plain['surface']} as of {plain['as_of']}, every day and time is UTC: the log"
    if plain["first_day"] is None:
        return f"{begins} has no impression before it"
    size = f"{plain['rows']:,} impressions on {plain['days']:,} days"
    known = f"{begins} has {size}, {plain['first_day']} to {plain['last_day']}"
    if plain["arrived"] == plain["as_of"]:
        return known
    return f"{known}. It arrived up to {plain['arrived']}: labels known later stay immature"


def _days(days: list[str] | None) -> str:
    """Format a range of days; the year is not repeated.

    Examples
    --------
    >>> _days(["2026-01-08", "2026-01-14"]), _days(["2025-12-29", "2026-01-04"]), _days(None)
    ('2026-01-08 to 01-14', '2025-12-29 to 2026-01-04', '-')
    """
    if not days:
        return "-"
    first, last = days
    return f"{first} to {last[5:] if last[:4] == first[:4] else last}"


_labels = CommandGroup("Labels")
_models = CommandGroup("Train")
GROUPS = (_labels, _models)

_Snapshot = Annotated[str | None, Option(metavar="V", help="Validated labels (default: build them).")]


@_models.command(
    "home_feed --as-of 2026-05-13T00:00:00Z",
    written=write_outlook,
    passed=lambda result: not result.missing,
)
def plan(workspace: "Workspace", as_of: AsOf) -> Any:
    """Show each task's training and test days and what is missing, without training."""
    from tasks.training import outlook

    return outlook.foresee(workspace, as_of=as_of)


@_labels.command(
    "home_feed --as-of 2026-05-13T00:00:00Z",
    written=text.write_validation,
    passed=lambda result: result.success,
)
def validate(workspace: "Workspace", as_of: AsOf) -> Any:
    """Build and validate the labels as of an instant."""
    _, result = _validate_labels(workspace, as_of)
    return result


def _validate_labels(workspace: "Workspace", as_of: datetime, parent_run: str | None = None) -> Any:
    """Build and validate labels; return their snapshot and the findings."""
    from tasks.labels import build
    from tasks.validation import step

    snapshot = build.run(workspace, as_of=as_of).snapshot
    return snapshot, step.run(workspace, as_of=as_of, snapshot=snapshot, parent_run=parent_run)


def _publish_labels(workspace: "Workspace", as_of: datetime, parent_run: str | None) -> str:
    """Build labels and require that they pass validation; return their snapshot."""
    snapshot, result = _validate_labels(workspace, as_of, parent_run)
    result.require_success()
    return snapshot


@_models.command("home_feed click_30m --as-of 2026-05-13T00:00:00Z")
def train(
    workspace: "Workspace",
    task: Annotated[str, Argument(metavar="TASK", help="A task of tasks.yaml, or a trunk of surface.yaml.")],
    as_of: AsOf,
    snapshot: _Snapshot = None,
    parent_run: ParentRun = None,
) -> Any:
    """Train one task's model, or one shared trunk."""
    from tasks.training import step, trunk_step

    labels = snapshot or _publish_labels(workspace, as_of, parent_run)
    if task in workspace.contracts.surface.trunks:
        return trunk_step.run(workspace, trunk=task, as_of=as_of, snapshot=labels, parent_run=parent_run)
    return step.run(workspace, task=task, as_of=as_of, snapshot=labels, parent_run=parent_run)


@_models.command("home_feed click_30m --as-of 2026-05-13T00:00:00Z")
def calibrate(
    workspace: "Workspace",
    task: Task,
    as_of: AsOf,
    snapshot: _Snapshot = None,
    model_version: Annotated[int | None, Option(metavar="N", help="(default: train a model)")] = None,
    parent_run: ParentRun = None,
) -> Any:
    """Fit one task's calibrator; for a task of a trunk, choose its model first."""
    from tasks.calibration import step
    from tasks.training.rows import TaskRows

    labels = snapshot or _publish_labels(workspace, as_of, parent_run)
    trunk = workspace.contracts.surface.trunk_of(task)
    return step.calibrate(
        TaskRows.open(workspace, task=task, as_of=as_of, snapshot=labels),
        model_version=model_version or train(workspace, task, as_of, labels, parent_run).version,
        trunk_version=train(workspace, trunk, as_of, labels, parent_run).version if trunk else None,
        parent_run=parent_run,
    )


@_models.command(
    "home_feed --as-of 2026-05-13T00:00:00Z",
    written=text.write_verdict,
    passed=lambda result: result.verdict == "promote",
)
def retrain(
    workspace: "Workspace",
    as_of: AsOf,
    tasks: Annotated[
        str | None, Option(metavar="A,B", help="Tasks to train; the others reuse the champion's models.")
    ] = None,
    cadence: Annotated[Literal["fast", "slow"], Option(help="Train the tasks of this cadence.")] = "fast",
    parent_run: ParentRun = None,
) -> Any:
    """Build labels, train and make a release, as Airflow does, and evaluate its gates."""
    from tasks import pipeline

    named = [task for task in (tasks or "").split(",") if task]
    return pipeline.retrain(workspace, as_of=as_of, tasks=named, cadence=cadence, parent_run=parent_run)
