"""``repurchase_28d`` of the weekly circular in both spaces: real purchases, from the log to the joint."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import yaml

from tasks.calibration import step as calibrate
from tasks.contracts.load import read_yaml
from tasks.datasets.complete_journey import import_complete_journey
from tasks.evaluation.figures import TaskFigures
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.release.factor_models import FactorModelBuilder
from tasks.release.parts import Trained, pin_trained, release_files
from tasks.release.release_days import ReleaseDays
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.training.slices import plan_slices

SURFACES = Path(__file__).parents[2] / "surfaces"
NAME, PARENT, TASK = "weekly_circular", "purchase_7d", "repurchase_28d"


def repurchases() -> dict[str, TaskFigures]:
    """Learn the repurchase in each space and measure its joint probability on its test days."""
    with _labelled() as (home, snapshot):
        contexts = {space: _workspace(home, space) for space in ("conditional", "entire")}
        return {space: _measured(workspace, snapshot) for space, workspace in contexts.items()}


@contextmanager
def _labelled() -> Iterator[tuple[Path, str]]:
    """Import the data into a home that is thrown away, and label them as of their end."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        import_complete_journey(out=home / "logs" / NAME)
        workspace = _workspace(home, "conditional")
        snapshot = labels.run(workspace, as_of=_end(workspace)).snapshot
        LabelStore(Store.open(home), NAME).publish(snapshot, report="report.html", severity="none")
        yield home, snapshot


def _workspace(home: Path, space: str) -> Workspace:
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
    return Workspace.open(NAME, surfaces=surfaces, home=home)


def _end(workspace: Workspace) -> datetime:
    ended = workspace.contracts.surface.ends_at
    assert ended is not None  # noqa: S101 - these logs have ended
    return ended


def _measured(workspace: Workspace, snapshot: str) -> TaskFigures:
    registry, pins, as_of = workspace.store.registry, {}, _end(workspace)
    for task in (PARENT, TASK):
        model = train.run(workspace, task=task, as_of=as_of, snapshot=snapshot)
        fitted = calibrate.run(
            workspace, task=task, as_of=as_of, snapshot=snapshot, model_version=model.version
        )
        pins[task] = pin_trained(NAME, registry, Trained(task, model.version, fitted.version))
    labelled = LabelStore(workspace.store, NAME).snapshot(snapshot)
    days = labelled.days().column("ds").to_pylist()
    slices = plan_slices(workspace.contracts, labelled.as_of, days, tasks=[PARENT, TASK])
    factor_models = FactorModelBuilder(workspace, labelled, slices, None).of(pins)
    factor_files = {
        task: release_files(workspace, registry, factor_model.chain)
        for task, factor_model in factor_models.items()
    }
    release_days = ReleaseDays(workspace, labelled, slices.tasks, factor_files=factor_files)
    files = release_files(workspace, registry, pins)
    files |= release_days.joints(files)
    (found,) = (one for one in release_days.figures(release_days.scores(files), pins) if one.task == TASK)
    return found
