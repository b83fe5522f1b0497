"""The training step: one task's observed rows become one registered LightGBM model.

::

    train days, observed rows -> Examples (draw_examples.py) -> parameters chosen -> trees, stopped by
                                 held-out users
    test days, observed rows  -> figures of the raw model, for the whole and per segment
      -> run (parameters, figures, importances, evidence) -> <surface>.task.<task>

What decides the model is digested first; a version made from the same inputs is used again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.contracts import canonical_json, digest
from tasks.contracts.head_plan import FILE as HEAD
from tasks.contracts.head_plan import head_plan
from tasks.evaluation.evidence import Importance, TrainingEvidence
from tasks.evaluation.figures import TaskFigures
from tasks.stores.parts import ENCODER, Part
from tasks.stores.registry import Registry
from tasks.stores.reusable_part import ReusablePart
from tasks.stores.runs import INPUTS, StepRun
from tasks.stores.workspace import Workspace
from tasks.training import debiasing, examination, same_day
from tasks.training.draw_examples import describe_sampling
from tasks.training.fit import Callback, Fitted
from tasks.training.inputs import RECIPE_TAG, describe_recipe, model_inputs
from tasks.training.picture import importance_figure
from tasks.training.rows import TREES, Recipe, TaskRows, log_labels, version_tags
from tasks.training.search import Parameters
from tasks.training.train_model import Chosen, TrainedModel, score_rows, train_model
from tasks.training.trees import STARTS_FROM, find_champion_model, task_loss
from tasks.training.trials import run_search

Floats = npt.NDArray[np.float64]

STEP: Final = "train"
RECIPE: Final = 3
"""Raised whenever the same rows would train another model."""


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


def model_name(surface: str, task: str) -> str:
    """Name the registered model of a task."""
    return f"{surface}.task.{task}"


def run(
    workspace: Workspace,
    *,
    task: str,
    as_of: datetime,
    snapshot: str,
    repeats: int | None = None,
    parent_run: str | None = None,
) -> TrainResult:
    """Train one task.

    Parameters
    ----------
    as_of : the instant at which the world is looked at; the snapshot's own.
    snapshot : id of a published label snapshot.
    repeats : version of a tested model: its recipe is repeated on the newest days that are mature. Nothing is
        measured then, since the days of the test are learned from.
    parent_run : the MLflow run that this one belongs under.

    Raises
    ------
    GateRefused
        The snapshot was not published.
    ImmatureLabels
        There are too few mature days or positives.
    DataError
        Every label is the same, or a feature is not what the contract says.
    """
    rows = TaskRows.open(workspace, task=task, as_of=as_of, snapshot=snapshot)
    if repeats is not None:
        return train(for_refit(rows, repeats), parent_run=parent_run)
    return train_and_compare(rows, parent_run=parent_run)


def train_and_compare(rows: TaskRows, *, parent_run: str | None = None) -> TrainResult:
    """Train on a task's rows; a recipe other than the champion's is compared with that one on the same days.

    Raises as `run`.
    """
    trained = train(rows, parent_run=parent_run)
    same_day.run(rows, _part(trained), parent_run=parent_run)
    return trained


def train(rows: TaskRows, *, parent_run: str | None = None) -> TrainResult:
    """Train on a task's rows; raises as `run`."""
    champion = find_champion_model(rows)
    wanted = _wanted_part(rows, champion)
    found = wanted.find()
    part = found or wanted.make(partial(_make, wanted.registry, rows, champion), parent_run=parent_run)
    return _result(wanted.registry, rows.task, part, reused=found is not None)


def for_refit(rows: TaskRows, tested: int) -> TaskRows:
    """Return the rows on which the recipe of a tested version is repeated."""
    registry = rows.workspace.store.registry
    model = registry.part(model_name(rows.workspace.surface, rows.task), tested)
    return rows.for_refit(Recipe.of(registry, model))


def _wanted_part(rows: TaskRows, champion: Part | None) -> ReusablePart:
    contracts = model_inputs(rows.workspace.contracts, rows.task)
    code = {
        STARTS_FROM: None if champion is None else [champion.version, champion.sha256],
        "step": STEP,
        "recipe": RECIPE,
        "examination": examination.RECIPE,
        "lightgbm": lgb.__version__,
    }
    return ReusablePart(
        workspace=rows.workspace,
        step=STEP,
        task=rows.task,
        name=model_name(rows.workspace.surface, rows.task),
        inputs=digest({**rows.inputs, **code, "contracts": contracts}),
        tags={
            **version_tags(rows.made_from()),
            **({STARTS_FROM: str(champion.version)} if champion else {}),
            RECIPE_TAG: digest(_recipe(rows)),
        },
    )


def _recipe(rows: TaskRows) -> dict[str, Any]:
    program = [STEP, RECIPE, examination.RECIPE, lgb.__version__]
    return describe_recipe(rows.workspace.contracts, rows.task, program=program)


def _make(
    registry: Registry, rows: TaskRows, champion: Part | None, opened: StepRun, tags: Mapping[str, str]
) -> Part:
    """Train, measure, write down and register: in this order, so no version is without its evidence."""
    _log_sources(opened, rows)
    trained = train_model(rows, champion, partial(_choose_parameters, rows, opened, tags[INPUTS]))
    scores = (
        None if rows.repeats else score_rows(rows, rows.test, trained.fitted.booster, trained.rows.encoder)
    )
    figures = None if scores is None else _figures(rows, scores)
    _log(opened, rows, trained, figures)
    part = registry.register_booster(
        model_name(rows.workspace.surface, rows.task),
        trained.fitted.booster,
        {
            ENCODER: json.dumps(trained.rows.encoder.to_json(), ensure_ascii=False).encode(),
            HEAD: canonical_json(head_plan(rows.workspace.contracts, rows.task)).encode(),
        },
        as_of=rows.snapshot.as_of,
        run_id=opened.run_id,
        tags=tags,
        params={"rounds": trained.fitted.rounds, **_parameters(rows, trained.parameters)},
    )
    registry.log_metrics(part, opened.run_id, _flatten_metrics(figures))
    if scores is not None:
        rows.scored[part.sha256] = scores
    return part


def _choose_parameters(rows: TaskRows, opened: StepRun, inputs: str, train: Callable[..., Fitted]) -> Chosen:
    """Return the trees' parameters: a tested recipe's, the contract's, or what a search from there found."""
    if rows.repeats is not None:
        return rows.repeats.parameters, None
    own, budget = rows.workspace.contracts.surface.lightgbm_for(rows.task), rows.training.search
    if budget is None:
        return own, None

    def trial(parameters: Parameters, watch: Callback) -> object:
        return train(parameters=parameters, callbacks=[watch])

    found = run_search(opened, task=rows.task, inputs=inputs, train=trial, own=own, budget=budget)
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
        **describe_sampling(rows),
    }


def _log_sources(opened: StepRun, rows: TaskRows) -> None:
    log_labels(opened, rows.snapshot, context="training")
    slices = {f"slice.{name}": " to ".join(days) for name, days in rows.slices.to_json().items()}
    opened.params(slices)


def _log(opened: StepRun, rows: TaskRows, trained: TrainedModel, figures: TaskFigures | None) -> None:
    """Write figures, pictures and evidence."""
    fitted = trained.fitted
    importances = {
        name: Importance(gain=gain, splits=fitted.splits[name]) for name, gain in fitted.gains.items()
    }
    parameters = _parameters(rows, trained.parameters)
    opened.params({"rounds": fitted.rounds, **parameters})
    fold_loss = {} if fitted.fold_loss is None else {"fold_loss": fitted.fold_loss}
    opened.metrics({**trained.rows.counts, **fold_loss})
    picture = importance_figure(fitted.gains, title=f"{rows.task}: what its trees used")
    opened.text("importances.svg", picture.to_svg())
    opened.json("importances.json", {name: one.to_json() for name, one in importances.items()})
    if figures is not None:
        opened.table("figures.json", pd.DataFrame(figures.to_json()["figures"]))
    opened.evidence(
        TrainingEvidence(
            **rows.made_from(),
            kind=rows.kind,
            rows=trained.rows.counts,
            weights=trained.rows.factors,
            rounds=fitted.rounds,
            start={} if trained.start is None else dict(trained.start.grown),
            fold_loss=fitted.fold_loss,
            trees=dict(trained.parameters),
            parameters=parameters,
            search=None if trained.search is None else trained.search.summary(),
            importances=importances,
            test=figures,
            recipe=json.loads(canonical_json(_recipe(rows))),
        )
    )


def _flatten_metrics(figures: TaskFigures | None) -> dict[str, float]:
    headline = {} if figures is None else figures.headline
    return {f"test.{name}": float(value) for name, value in headline.items() if value is not None}


def _result(registry: Registry, task: str, part: Part, *, reused: bool) -> TrainResult:
    run_id = registry.run_id(part)
    test = registry.runs.read_evidence(run_id, TrainingEvidence).test
    metrics = {} if test is None else dict(test.headline)
    return TrainResult(task, part.name, part.version, part.sha256, run_id, reused, metrics)


def _part(trained: TrainResult) -> Part:
    return Part(trained.model, trained.version, trained.sha256)
