"""``repurchase_28d`` of the weekly circular in both spaces: real purchases, from the log to the joint."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import yaml

from tasks.adapters.complete_journey import import_complete_journey
from tasks.contracts.yaml_file import read_yaml
from tasks.release.figures import TaskFigures
from tasks.steps import calibrate, labels, train
from tasks.steps.context import Context
from tasks.steps.release_parts import TrainedPart, pin_trained, release_files
from tasks.steps.release_rehearsal import Rehearsal
from tasks.stores.label_store import LabelStore
from tasks.stores.registry import Registry
from tasks.training.slices import plan_slices

SURFACES = Path(__file__).parents[2] / "surfaces"
NAME, PARENT, TASK = "weekly_circular", "purchase_7d", "repurchase_28d"


def repurchases() -> dict[str, TaskFigures]:
    """Learn the repurchase in each space and measure its joint probability on its test days."""
    with _labelled() as (home, snapshot):
        contexts = {space: _context(home, space) for space in ("conditional", "entire")}
        return {space: _measured(context, snapshot) for space, context in contexts.items()}


@contextmanager
def _labelled() -> Iterator[tuple[Path, str]]:
    """Import the data into a home that is thrown away, and label them as of their end."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        import_complete_journey(out=home / "logs" / NAME)
        context = _context(home, "conditional")
        snapshot = labels.run(context, as_of=_end(context)).snapshot
        LabelStore(home, NAME).publish(snapshot, report="report.html", severity="none")
        yield home, snapshot


def _context(home: Path, space: str) -> Context:
    """Open the surface with the repurchase learned in a space."""
    surfaces = home / "surfaces" / space
    (surfaces / NAME).mkdir(parents=True, exist_ok=True)
    for file in sorted((SURFACES / NAME).glob("*.yaml")):
        plain = read_yaml(file)
        if file.stem == "surface":
            plain["training"] = {TASK: {"space": space}}
        if file.stem == "tasks" and space == "entire":
            plain["tasks"][TASK]["sampling"] = {"negatives": 0.1}  # as all that learn from every row there
        (surfaces / NAME / file.name).write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    return Context.open(NAME, surfaces=surfaces, home=home)


def _end(context: Context) -> datetime:
    ended = context.contracts.surface.ends_at
    assert ended is not None  # noqa: S101 - these logs have ended
    return ended


def _measured(context: Context, snapshot: str) -> TaskFigures:
    common = {"as_of": _end(context), "snapshot": snapshot}
    registry, pins = Registry(context.home), {}
    for task in (PARENT, TASK):
        model = train.run(context, task=task, **common)
        fitted = calibrate.run(context, task=task, **common, model_version=model.version)
        pins[task] = pin_trained(NAME, registry, TrainedPart(task, model.version, fitted.version))
    labelled = LabelStore(context.home, NAME).snapshot(snapshot)
    days = labelled.days().column("ds").to_pylist()
    slices = plan_slices(context.contracts, labelled.as_of, days, tasks=[PARENT, TASK]).tasks
    rehearsal, files = Rehearsal(context, labelled, slices), release_files(context, registry, pins)
    files |= rehearsal.joints(files)
    (found,) = (one for one in rehearsal.figures(files, pins) if one.task == TASK)
    return found
