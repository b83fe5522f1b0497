"""The training step: trains one registered LightGBM model on a task's observed rows.

::

    train days, observed rows -> Examples (draw_examples.py) -> parameters chosen -> trees, stopped by
                                 held-out users
    test days, observed rows  -> figures of the raw model, overall and by segment
      -> run (parameters, figures, importances, evidence) -> <surface>.task.<task>

The inputs of the model are digested first; a version with the same inputs is reused.
"""

import importlib.metadata
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import mlflow.lightgbm
import mlflow.models
import pandas as pd
from lightgbm import Booster
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, Schema

from tasks.arrays import Floats
from tasks.contracts import canonical_json, digest
from tasks.evaluation.figures import TaskFigures
from tasks.stores.files import sha256
from tasks.stores.manifest import ENCODER, HEAD, Part, files_sha256
from tasks.stores.runs import INPUTS, StepRun
from tasks.stores.steps import Model, ModelStep
from tasks.stores.workspace import Workspace
from tasks.training import debiasing, same_day
from tasks.training.draw_examples import describe_sampling
from tasks.training.evidence import Importance, TrainingEvidence
from tasks.training.fit import Callback, Fitted
from tasks.training.inputs import TRAINING_RECIPE, model_inputs, training_recipe
from tasks.training.picture import importance_figure
from tasks.training.rows import TREES, Recipe, TaskRows
from tasks.training.search import Parameters, run_search
from tasks.training.trees import (
    STARTS_FROM,
    Chosen,
    TrainedModel,
    find_champion_model,
    score_rows,
    task_loss,
    train_model,
)


@dataclass(frozen=True)
class TrainResult:
    """The model's exact version and the figures of its raw predictions on the test days."""

    task: str
    model: str
    version: int
    sha256: str
    run_id: str
    reused: bool
    metrics: dict[str, float | int | None]


@dataclass(frozen=True)
class _Training:
    """A task's rows, and the champion's model for a warm start, if there is one."""

    rows: TaskRows
    champion: Part | None

    @property
    def workspace(self) -> Workspace:
        """The surface and its home."""
        return self.rows.workspace


def model_name(surface: str, task: str) -> str:
    """Return the name of a task's registered model."""
    return f"{surface}.task.{task}"


def run(
    workspace: Workspace,
    *,
    task: str,
    as_of: datetime,
    snapshot: str,
    parent_run: str | None = None,
) -> TrainResult:
    """Train one task.

    Parameters
    ----------
    as_of : the instant up to which data are used, as in the snapshot.
    snapshot : id of a published label snapshot.
    parent_run : the parent MLflow run.

    Raises
    ------
    GateRefused
        The snapshot was not published.
    ImmatureLabels
        There are too few mature days or positives.
    DataError
        All labels are equal, or a feature does not match the contract.
    """
    rows = TaskRows.open(workspace, task=task, as_of=as_of, snapshot=snapshot)
    return train_and_compare(rows, parent_run=parent_run)


def train_and_compare(rows: TaskRows, *, parent_run: str | None = None) -> TrainResult:
    """Train on a task's rows; compare a recipe that differs from the champion's on the same days.

    Raises the errors of `run`.
    """
    trained = train(rows, parent_run=parent_run)
    same_day.run(rows, Part(trained.model, trained.version, trained.sha256), parent_run=parent_run)
    return trained


def train(rows: TaskRows, *, parent_run: str | None = None) -> TrainResult:
    """Train on a task's rows; raises the errors of `run`."""
    done = TRAIN.run(_Training(rows, find_champion_model(rows)), parent_run=parent_run)
    test, part = done.evidence.test, done.part
    metrics = {} if test is None else dict(test.headline)
    return TrainResult(rows.task, part.name, part.version, part.sha256, done.run_id, done.reused, metrics)


def for_refit(rows: TaskRows, tested: int) -> TaskRows:
    """Return the rows for a refit of a tested version's recipe on the newest mature days.

    The refit is not measured, because it learns from the test days.
    """
    registry = rows.workspace.store.registry
    model = registry.part(model_name(rows.workspace.surface, rows.task), tested)
    return rows.for_refit(Recipe.of(registry, model))


def _inputs(work: _Training) -> dict[str, Any]:
    rows, champion = work.rows, work.champion
    return {
        **rows.inputs,
        STARTS_FROM: None if champion is None else [champion.version, champion.sha256],
        "contracts": model_inputs(rows.workspace.contracts, rows.task),
    }


def _tags(work: _Training) -> dict[str, str]:
    continued = {STARTS_FROM: str(work.champion.version)} if work.champion else {}
    return {
        **work.rows.version_tags(),
        **continued,
        TRAINING_RECIPE: digest(_recipe(work.rows)),
    }


def _recipe(rows: TaskRows) -> dict[str, Any]:
    return training_recipe(rows.workspace.contracts, rows.task, lightgbm=lgb.__version__)


def _train(work: _Training, opened: StepRun) -> Model[TrainingEvidence]:
    """Train and measure the model."""
    rows = work.rows
    rows.snapshot.log_to(opened, context="training")
    opened.params({f"slice.{name}": " to ".join(days) for name, days in rows.slices.to_json().items()})
    trained = train_model(rows, work.champion, partial(_choose_parameters, rows, opened))
    model = trained.fitted.booster, trained.rows.encoder
    scores = score_rows(rows, rows.slices.test, *model) if rows.measures else None
    figures = None if scores is None else _figures(rows, scores)
    _log(opened, rows, trained, figures)
    files = {
        **booster_files(trained.fitted.booster, rows.snapshot.as_of),
        ENCODER: json.dumps(trained.rows.encoder.to_json(), ensure_ascii=False).encode(),
        HEAD: canonical_json(rows.workspace.contracts.head_plan(rows.task)).encode(),
    }
    if scores is not None:
        rows.scored[files_sha256(files), rows.slices.test] = scores
    headline = {} if figures is None else figures.headline
    return Model(
        _evidence(rows, trained, figures),
        files,
        kind="lightgbm",
        params={"rounds": trained.fitted.rounds, **_parameters(rows, trained.parameters)},
        metrics={f"test.{name}": float(value) for name, value in headline.items() if value is not None},
    )


TRAIN: Final = ModelStep(
    name="train",
    room="training",
    without=("reports",),
    document=TrainingEvidence,
    inputs=_inputs,
    tags=_tags,
    task=lambda work: work.rows.task,
    function=_train,
    model=lambda work: model_name(work.workspace.surface, work.rows.task),
)


def _choose_parameters(rows: TaskRows, opened: StepRun, train: Callable[..., Fitted]) -> Chosen:
    """Return the trees' parameters from a tested recipe, the contract or a search."""
    if rows.repeats is not None:
        return rows.repeats.parameters, None
    own, budget = rows.workspace.contracts.surface.lightgbm_for(rows.task), rows.training.search
    if budget is None:
        return own, None

    def trial(parameters: Parameters, watch: Callback) -> object:
        return train(parameters=parameters, callbacks=[watch])

    found = run_search(
        opened, task=rows.task, inputs=opened.known[INPUTS], train=trial, own=own, budget=budget
    )
    return found.parameters, found


def _figures(rows: TaskRows, scores: Floats) -> TaskFigures:
    predictions = debiasing.predict_where_shown(rows, rows.test, scores)
    return rows.measured(predictions, examination=debiasing.ranking_examination(rows, rows.test))


def _parameters(rows: TaskRows, chosen: Mapping[str, float | int]) -> dict[str, Any]:
    loss = task_loss(rows)
    return {
        **{f"{TREES}{name}": value for name, value in chosen.items()},
        **{name: value for name, value in loss.settings.items() if name != "metric"},
        "loss_weight": rows.spec.loss_weight,
        **({"engine": "dask"} if rows.training.cluster else {}),
        **describe_sampling(rows),
    }


def _log(opened: StepRun, rows: TaskRows, trained: TrainedModel, figures: TaskFigures | None) -> None:
    """Log figures and charts."""
    fitted = trained.fitted
    opened.params({"rounds": fitted.rounds, **_parameters(rows, trained.parameters)})
    fold_loss = {} if fitted.fold_loss is None else {"fold_loss": fitted.fold_loss}
    opened.metrics({**trained.rows.counts, **fold_loss})
    picture = importance_figure(fitted.gains, title=f"{rows.task}: what its trees used")
    opened.text("importances.svg", picture.to_svg())
    importances = _importances(fitted)
    opened.json("importances.json", {name: one.to_json() for name, one in importances.items()})
    if figures is not None:
        opened.table("figures.json", pd.DataFrame(figures.table()))


def _importances(fitted: Fitted) -> dict[str, Importance]:
    return {name: Importance(gain=gain, splits=fitted.splits[name]) for name, gain in fitted.gains.items()}


def _evidence(rows: TaskRows, trained: TrainedModel, figures: TaskFigures | None) -> TrainingEvidence:
    fitted = trained.fitted
    return TrainingEvidence(
        **rows.made_from(),
        kind=rows.kind,
        rows=trained.rows.counts,
        weights=trained.rows.factors,
        rounds=fitted.rounds,
        start={} if trained.start is None else dict(trained.start.grown),
        fold_loss=fitted.fold_loss,
        trees=dict(trained.parameters),
        parameters=_parameters(rows, trained.parameters),
        search=None if trained.search is None else trained.search.summary(),
        importances=_importances(fitted),
        test=figures,
        recipe=json.loads(canonical_json(_recipe(rows))),
    )


def booster_files(booster: Booster, as_of: datetime) -> dict[str, bytes]:
    """Save a booster as text in MLflow's lightgbm flavour.

    MLflow adds the time, a random id and a set in arbitrary order. They are replaced by the as-of, the
    model's digest and a sorted list, so every byte is deterministic.
    """
    columns = [ColSpec("double", name) for name in booster.feature_name()]
    identity = mlflow.models.Model(
        utc_time_created=as_of, model_uuid=sha256(booster.model_to_string().encode())[:32]
    )
    with tempfile.TemporaryDirectory(prefix="equipoise-part-") as parent:
        folder = Path(parent) / "model"
        mlflow.lightgbm.save_model(
            booster,
            str(folder),
            mlflow_model=identity,
            signature=mlflow.models.ModelSignature(Schema(columns), Schema([ColSpec("double")])),
            pip_requirements=[f"lightgbm=={importlib.metadata.version('lightgbm')}"],
        )
        identity.flavors[mlflow.lightgbm.FLAVOR_NAME]["skops_trusted_types"].sort()
        identity.save(str(folder / MLMODEL_FILE_NAME))
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
