"""A changed recipe beside the champion's, both trained on the same snapshot: newer data alone is no merit.

::

    the recipe of the task's model = that of the champion's    nothing is trained: data alone differs
    another, of the same outcome      champion's recipe -> a second model of the same days, never registered
                                      test rows, scored by both -> what the new recipe loses (paired.py)
    anything else                     the evidence says why they are not compared

Both scores become probabilities by the same simple map, each fitted on its own calibrate days, so that
neither has a calibrator's care over the other; the means of a value head are brought to what those days hold
by one factor, quantiles and orders are taken as they are. What was compared is found again by the model and
the recipe.
"""

import logging
from dataclasses import dataclass
from typing import Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from tasks.columns import REQUEST_ID, USER_ID
from tasks.contracts.chains import head_plan
from tasks.errors import ContractError, DataError, StoreError
from tasks.evaluation.compared_rows import ComparedRows, compare_amounts, compare_order, compare_rows
from tasks.evaluation.evidence import Days, PinnedModel, TrainingEvidence
from tasks.evaluation.paired import PairedRows
from tasks.evaluation.replay_evidence import ChampionComparison
from tasks.evaluation.same_day_evidence import SameDayEvidence
from tasks.ranking.features import FeatureEncoder
from tasks.stores.parts import Part
from tasks.stores.runs import StepRun
from tasks.stores.steps import Step
from tasks.stores.workspace import Workspace, format_instant
from tasks.training import debiasing
from tasks.training.inputs import TRAINING_RECIPE
from tasks.training.kept_recipe import Kept, find_recipe, restore_recipe
from tasks.training.learning import Loss
from tasks.training.rows import TaskRows, log_labels, read_labels
from tasks.training.score_line import fit_score_line
from tasks.training.train_model import predict_rows, score_rows, score_test_rows, train_model
from tasks.training.trees import find_champion_model, find_tested_model, read_model

_LOG = logging.getLogger("equipoise")
Floats = npt.NDArray[np.float64]

_SAME_HEAD: Final = ("kind", "level", "parent")
"""What two heads must have in common for their predictions to be of one thing."""


@dataclass(frozen=True)
class _Other:
    """A task's model, and the champion's model of another recipe."""

    rows: TaskRows
    model: Part
    champion: Part
    recipe: str

    @property
    def workspace(self) -> Workspace:
        """The surface and its home."""
        return self.rows.workspace


@dataclass(frozen=True)
class _Scored:
    """What a model says of the test rows: scores, and what they mean where its calibrate days allow that."""

    scores: Floats
    mapped: Floats | None


@dataclass(frozen=True)
class _Measured:
    """What the evidence holds of a comparison; see `SameDayEvidence`."""

    slices: dict[str, Days] | None = None
    rounds: int | None = None
    rows: int = 0
    comparison: ChampionComparison | None = None
    reason: str = ""


def run(rows: TaskRows, model: Part, *, parent_run: str | None = None) -> str | None:
    """Compare a task's model with the champion's recipe of the same day.

    Parameters
    ----------
    rows : what the model was trained on.
    parent_run : the MLflow run that this one belongs under.

    Returns
    -------
    The run that holds the evidence; None where there is no champion, or its recipe is the same or unknown.
    """
    other = _find_other(rows, model)
    if other is None:
        return None
    return SAME_DAY.run(other, parent_run=parent_run).run_id


def _find_other(rows: TaskRows, model: Part) -> _Other | None:
    champion = find_tested_model(rows)
    if champion is None or champion == model:
        return None
    registry = rows.workspace.store.registry
    ours, theirs = (registry.tags(part).get(TRAINING_RECIPE) for part in (model, champion))
    if ours is None or theirs is None or ours == theirs:
        return None
    return _Other(rows, model, champion, theirs)


def _inputs(other: _Other) -> dict[str, object]:
    model = other.model
    return {"model": [model.name, model.version, model.sha256], "recipe": other.recipe}


def _tags(other: _Other) -> dict[str, object]:
    snapshot = other.rows.snapshot
    return {
        "as_of": format_instant(snapshot.as_of),
        "snapshot": snapshot.id,
        "model": other.model.version,
        "recipe": other.recipe,
    }


def _compare(other: _Other, opened: StepRun) -> SameDayEvidence:
    rows, model = other.rows, other.model
    _LOG.info("train: %s has another recipe than the champion's: both are trained as of this day", rows.task)
    log_labels(opened, rows.snapshot, context="same day")
    try:
        measured = _measure(rows, other)
    except (DataError, ContractError) as error:
        _LOG.warning("train: %s is not compared with the champion's recipe: %s", rows.task, error)
        measured = _Measured(reason=str(error))
    return SameDayEvidence(
        surface=rows.workspace.surface,
        task=rows.task,
        as_of=format_instant(rows.snapshot.as_of),
        snapshot=rows.snapshot.id,
        model=PinnedModel(name=model.name, version=model.version, sha256=model.sha256),
        recipe=other.recipe,
        **vars(measured),
    )


SAME_DAY: Final = Step(
    name="same_day",
    room="training",
    without=("reports",),
    document=SameDayEvidence,
    inputs=_inputs,
    tags=_tags,
    task=lambda other: other.rows.task,
    function=_compare,
)


def _measure(rows: TaskRows, other: _Other) -> _Measured:
    """Train by the champion's recipe and compare both models on the test rows.

    Raises
    ------
    DataError, ContractError
        They cannot be compared, and why.
    """
    ours, theirs = (_read_training(rows, part) for part in (other.model, other.champion))
    reference = _under_recipe(rows, find_recipe(ours, theirs, tagged=other.recipe))
    trained = train_model(reference, find_champion_model(reference), lambda _: (theirs.trees, None))
    files = rows.workspace.store.registry.files(other.model)
    model, grown = read_model(files), (trained.fitted.booster, trained.rows.encoder)
    new = _score(rows, score_test_rows(rows, other.model.sha256, *model), *model)
    old = _score(reference, score_rows(reference, reference.test, *grown), *grown)
    days = {
        "train": reference.slices.train,
        "calibrate": reference.slices.calibrate,
        "test": rows.slices.test,
    }
    return _Measured(
        slices={name: (of.first, of.last) for name, of in days.items()},
        rounds=trained.fitted.rounds,
        rows=len(rows.test),
        comparison=_hold_against(rows, new, old),
    )


def _read_training(rows: TaskRows, part: Part) -> TrainingEvidence:
    registry = rows.workspace.store.registry
    try:
        return registry.runs.read_evidence(registry.run_id(part), TrainingEvidence)
    except StoreError as error:
        raise DataError(f"the evidence of {part} cannot be read: {error}") from error


def _under_recipe(rows: TaskRows, recipe: Kept) -> TaskRows:
    """Return the rows that the champion's recipe learns from, of the same snapshot and test days.

    Raises
    ------
    DataError
        The snapshot, or what is predicted, is another than the recipe's; or too few days are left.
    """
    workspace, task = rows.workspace, rows.task
    restored = restore_recipe(workspace.contracts, task, recipe)
    asked, as_of = workspace.under(restored), rows.snapshot.as_of
    reference = TaskRows.open(asked, task=task, as_of=as_of, snapshot=rows.snapshot.id)
    mine, other = (head_plan(of, task) for of in (workspace.contracts, restored))
    if any(mine[name] != other[name] for name in _SAME_HEAD):
        raise DataError("the champion's model predicts another event, or on other rows")
    if rows.kind == "quantile" and _quantile(rows) != _quantile(reference):
        raise DataError(f"the champion's model predicts the quantile {_quantile(reference):g}")
    logged = rows.snapshot.schema().names
    if gone := [name for name in reference.features if name not in logged]:
        raise DataError(f"the log no longer has the champion's {', '.join(gone)}")
    return reference


def _score(rows: TaskRows, given: Floats, booster: lgb.Booster, encoder: FeatureEncoder) -> _Scored:
    """Move scores of the test rows to where these stood, and map them by the calibrate days."""
    scores = debiasing.predict_where_shown(rows, rows.test, given)
    if rows.kind in {"quantile", "ranking"}:
        return _Scored(scores, scores)
    days = rows.read(rows.slices.calibrate)
    before, labels = predict_rows(rows, days, booster, encoder), read_labels(days, rows.task)
    if rows.kind == "value":
        predicted, happened = float(before.sum()), float(labels.sum())
        return _Scored(scores, scores * happened / predicted if min(predicted, happened) > 0 else scores)
    line = fit_score_line(before, labels)
    return _Scored(scores, None if line is None else line.apply(scores))


def _hold_against(rows: TaskRows, new: _Scored, old: _Scored) -> ChampionComparison:
    """Say what the new model loses against the old recipe's on the shared test rows, by segment too."""
    table, segments = rows.test, rows.test_segments
    frame = table.select([USER_ID, REQUEST_ID]).to_pandas()

    def compared(before: Floats, after: Floats) -> ComparedRows:
        labels = read_labels(table, rows.task)
        return ComparedRows.of(PairedRows(labels, before, after, frame[USER_ID], frame[REQUEST_ID]), segments)

    scores = compared(old.scores, new.scores)
    told = None if old.mapped is None or new.mapped is None else compared(old.mapped, new.mapped)
    if rows.kind == "ranking":
        return compare_order(rows.task, scores)
    if rows.kind in {"value", "quantile"}:
        quantile = _quantile(rows) if rows.kind == "quantile" else None
        base = _constant(rows, quantile)
        return compare_amounts(rows.task, told or scores, base=base, quantile=quantile)
    ranked = None if rows.spec.level == "request" else scores
    return compare_rows(rows.task, scores.rows, ranked=ranked, told=told)


def _quantile(rows: TaskRows) -> float:
    return rows.training.quantile or Loss.quantile


def _constant(rows: TaskRows, quantile: float | None) -> float:
    """Return what a head without a feature would predict: mean, or quantile, of the calibrate days."""
    labels = read_labels(rows.read(rows.slices.calibrate), rows.task)
    return float(labels.mean() if quantile is None else np.quantile(labels, quantile))
