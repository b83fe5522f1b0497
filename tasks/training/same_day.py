"""Compares a changed recipe with the champion's, both trained on one snapshot, so that data are equal.

::

    the task's recipe = the champion's recipe     no training: only the data differ
    another recipe with the same outcome          a second model of the same days by the champion's recipe,
                                                  never registered -> both score the test rows
                                                  -> loss of the new recipe (paired.py)
    anything else                                 the evidence has the reason why there is no comparison

The champion's recipe is restored into the contracts from the evidence of its model: features, trees,
examples, train and calibrate days. The test days and all other settings stay as in the current contracts.

Both scores become probabilities by the same simple map: a line in the logit, fitted by minimum log loss on
each model's own calibrate days. The means of a value head are multiplied by one factor to match those days.
Quantiles and rankings are unchanged. A comparison is reused for the same model and recipe.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import lightgbm as lgb
import numpy as np
from pydantic import JsonValue, ValidationError

from tasks.arrays import Floats
from tasks.contracts import Contracts, TaskSpec, digest
from tasks.contracts.surface import Features, LightGBMParameters, Split
from tasks.contracts.tasks import Sampling
from tasks.contracts.training import TaskTraining
from tasks.errors import ContractError, DataError, StoreError
from tasks.evaluation.compared_rows import compare_amounts, compare_rows
from tasks.evaluation.documents import Document, Section, first_problem
from tasks.evaluation.evidence import ChampionComparison, Days, PinnedModel
from tasks.evaluation.paired import PairedRows
from tasks.evaluation.resampling import cluster_rows
from tasks.ranking import maps
from tasks.ranking.features import FeatureEncoder
from tasks.stores.manifest import Part
from tasks.stores.runs import StepRun
from tasks.stores.steps import Step
from tasks.stores.workspace import Workspace, format_instant
from tasks.training import debiasing
from tasks.training.evidence import TrainingEvidence
from tasks.training.inputs import TRAINING_RECIPE, curve_inputs, outcome_inputs
from tasks.training.log_odds import fit_log_odds
from tasks.training.rows import TaskRows, read_labels
from tasks.training.trees import (
    find_champion_model,
    find_tested_model,
    predict_rows,
    read_model,
    score_rows,
    train_model,
)

_LOG = logging.getLogger("equipoise")

_SAME_HEAD: Final = ("kind", "level", "parent")
"""Properties that two heads must share to predict the same quantity."""

Kept = Mapping[str, JsonValue]
"""Content of a recipe, as in the evidence."""

_Scored = tuple[Floats, Floats | None]
"""A model's scores of the test rows, and their mapped values if the calibrate days allow a map."""

_LIGHTGBM: Final = "lightgbm"

LEAST_SLOPE: Final = 0.05
"""Slope for scores that rank outcomes in reverse, which keeps their order."""


class SameDayEvidence(Document):
    """Comparison of a task's model with a model by the champion's recipe, trained on the same snapshot.

    ``recipe`` is the digest of the champion's recipe; ``slices`` and ``rounds`` describe the model that was
    trained with it, None if there is none. ``rows`` counts the test rows of the comparison. ``comparison`` is
    positive if the new recipe is worse; ``reason`` explains why there is no comparison.
    """

    document: Literal["same_day"] = "same_day"
    version: Literal[1] = 1
    surface: str
    task: str
    as_of: str
    snapshot: str
    model: PinnedModel
    recipe: str
    slices: dict[str, Days] | None = None
    rounds: int | None = None
    rows: int = 0
    comparison: ChampionComparison | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Other:
    """A task's model, and the champion's model with another recipe."""

    rows: TaskRows
    model: Part
    champion: Part
    recipe: str

    @property
    def workspace(self) -> Workspace:
        """The surface and its home."""
        return self.rows.workspace


def run(rows: TaskRows, model: Part, *, parent_run: str | None = None) -> str | None:
    """Compare a task's model with the champion's recipe on the same days.

    Parameters
    ----------
    rows : the rows that the model was trained on.
    parent_run : the parent MLflow run.

    Returns
    -------
    The run with the evidence; None if there is no champion, or if its recipe is the same or unknown.
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
    candidate, of_champion = (registry.tags(part).get(TRAINING_RECIPE) for part in (model, champion))
    if candidate is None or of_champion is None or candidate == of_champion:
        return None
    return _Other(rows, model, champion, of_champion)


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
    rows.snapshot.log_to(opened, context="same day")
    evidence = SameDayEvidence(
        surface=rows.workspace.surface,
        task=rows.task,
        as_of=format_instant(rows.snapshot.as_of),
        snapshot=rows.snapshot.id,
        model=PinnedModel(name=model.name, version=model.version, sha256=model.sha256),
        recipe=other.recipe,
    )
    try:
        return _measure(rows, other, evidence)
    except (DataError, ContractError) as error:
        _LOG.warning("train: %s is not compared with the champion's recipe: %s", rows.task, error)
        return evidence.model_copy(update={"reason": str(error)})


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


def _measure(rows: TaskRows, other: _Other, evidence: SameDayEvidence) -> SameDayEvidence:
    """Train with the champion's recipe, and add the comparison on the test rows to the evidence."""
    candidate, of_champion = (_read_training(rows, part) for part in (other.model, other.champion))
    reference = _under_recipe(rows, find_recipe(candidate, of_champion, tagged=other.recipe))
    trained = train_model(reference, find_champion_model(reference), lambda _: (of_champion.trees, None))
    files = rows.workspace.store.registry.files(other.model)
    model, grown = read_model(files), (trained.fitted.booster, trained.rows.encoder)
    test = rows.slices.test
    scores = rows.score_once(other.model.sha256, test, lambda: score_rows(rows, test, *model))
    new = _score(rows, scores, *model)
    old = _score(reference, score_rows(reference, test, *grown), *grown)
    days = {"train": reference.slices.train, "calibrate": reference.slices.calibrate, "test": test}
    return evidence.model_copy(
        update={
            "slices": {name: (of.first, of.last) for name, of in days.items()},
            "rounds": trained.fitted.rounds,
            "rows": len(rows.test),
            "comparison": _hold_against(rows, new, old),
        }
    )


def _read_training(rows: TaskRows, part: Part) -> TrainingEvidence:
    registry = rows.workspace.store.registry
    try:
        return registry.runs.read_evidence(registry.run_id(part), TrainingEvidence)
    except StoreError as error:
        raise DataError(f"the evidence of {part} cannot be read: {error}") from error


def _under_recipe(rows: TaskRows, recipe: Kept) -> TaskRows:
    """Return the rows for training with the champion's recipe, of the same snapshot and test days."""
    workspace, task = rows.workspace, rows.task
    restored = restore_recipe(workspace.contracts, task, recipe)
    asked, as_of = workspace.under(restored), rows.snapshot.as_of
    reference = TaskRows.open(asked, task=task, as_of=as_of, snapshot=rows.snapshot.id)
    mine, other = (of.head_plan(task) for of in (workspace.contracts, restored))
    if any(mine[name] != other[name] for name in _SAME_HEAD):
        raise DataError("the champion's model predicts another event, or on other rows")
    candidate, of_champion = (of.training.predicted_quantile for of in (rows, reference))
    if rows.kind == "quantile" and candidate != of_champion:
        raise DataError(f"the champion's model predicts the quantile {of_champion:g}")
    logged = rows.snapshot.schema().names
    if gone := [name for name in reference.features if name not in logged]:
        raise DataError(f"the log no longer has the champion's {', '.join(gone)}")
    return reference


def _score(rows: TaskRows, given: Floats, booster: lgb.Booster, encoder: FeatureEncoder) -> _Scored:
    """Convert scores of the test rows to the shown positions, and map them with the calibrate days."""
    scores = debiasing.predict_where_shown(rows, rows.test, given)
    if rows.kind in {"quantile", "ranking"}:
        return scores, scores
    days = rows.slices.calibrate
    before, labels = predict_rows(rows, days, booster, encoder), read_labels(rows.report(days), rows.task)
    if rows.kind == "value":
        predicted, happened = float(before.sum()), float(labels.sum())
        return scores, scores * happened / predicted if min(predicted, happened) > 0 else scores
    line = fit_score_line(before, labels)
    return scores, None if line is None else line.apply(scores)


def _hold_against(rows: TaskRows, new: _Scored, old: _Scored) -> ChampionComparison:
    """Compare the losses of the new and the old recipe on the test rows, overall and by segment."""
    seen = rows.observed
    users = cluster_rows(seen.users, seen.requests).codes

    def compared(before: Floats, after: Floats) -> PairedRows:
        return PairedRows(seen.outcomes, before, after, users, np.asarray(seen.requests), seen.segments)

    (old_scores, old_mapped), (new_scores, new_mapped) = old, new
    scores = compared(old_scores, new_scores)
    calibrated = None if old_mapped is None or new_mapped is None else compared(old_mapped, new_mapped)
    if rows.kind == "ranking":
        return compare_rows(rows.task, None, ranked=scores, calibrated=None)
    if rows.kind in {"value", "quantile"}:
        quantile = rows.training.predicted_quantile if rows.kind == "quantile" else None
        # a head without features predicts the mean, or the quantile, of the calibrate days
        labels = read_labels(rows.report(rows.slices.calibrate), rows.task)
        base = float(labels.mean() if quantile is None else np.quantile(labels, quantile))
        return compare_amounts(rows.task, calibrated or scores, base=base, quantile=quantile)
    ranked = None if rows.spec.level == "request" else scores
    return compare_rows(rows.task, scores, ranked=ranked, calibrated=calibrated)


class _Learned(Section):
    """Training settings of one task; ``reference`` or ``examination`` if it is corrected for position."""

    lightgbm: dict[str, float | int]
    training: dict[str, JsonValue]
    loss_weight: float | int
    sampling: dict[str, JsonValue] | None
    reference: int | None = None
    examination: JsonValue = None


class _TaskContracts(Section):
    """Model inputs of a task; see `tasks.training.inputs.model_inputs`."""

    outcomes: dict[str, JsonValue]
    learned: dict[str, _Learned]
    features: dict[str, JsonValue]
    early_stop: float
    positives: int


class _Recipe(Section):
    """The whole recipe."""

    contracts: _TaskContracts
    split: dict[str, JsonValue]
    lightgbm: str


def find_recipe(candidate: TrainingEvidence, champion: TrainingEvidence, *, tagged: str) -> Kept:
    """Return the champion's recipe if its contracts differ from the current ones."""
    recipe = champion.recipe
    if digest(recipe) != tagged:
        raise DataError("the champion's recipe is not the one that its version's tag is the digest of")
    if _declared(candidate.recipe) == _declared(recipe):
        raise DataError("the contracts are the champion's, and only the version of LightGBM differs")
    return recipe


def _declared(recipe: Kept) -> dict[str, JsonValue]:
    return {name: content for name, content in recipe.items() if name != _LIGHTGBM}


def restore_recipe(contracts: Contracts, task: str, recipe: Kept) -> Contracts:
    """Return the current contracts with a task's training settings from an earlier recipe."""
    try:
        kept = _Recipe.model_validate(dict(recipe))
        _require_outcomes(contracts, kept.contracts)
        restored = _restore(contracts, kept)
    except ValidationError as error:
        raise DataError(f"this program cannot read the champion's recipe ({first_problem(error)})") from None
    _require_curve(restored, task, kept.contracts)
    return restored


def _require_outcomes(contracts: Contracts, kept: _TaskContracts) -> None:
    """Refuse a recipe with other labels, because the snapshot's columns have another meaning."""
    known = {name: outcome_inputs(contracts, name) for name in contracts.tasks.tasks}
    names = dict.fromkeys((*kept.outcomes, *kept.learned))
    if other := [name for name in names if name not in known or known[name] != kept.outcomes.get(name)]:
        raise DataError(f"the champion's {', '.join(other)} has another outcome definition")


def _require_curve(contracts: Contracts, task: str, kept: _TaskContracts) -> None:
    """Refuse examples that were weighted by another examination curve than the snapshot's."""
    for name, learned in kept.learned.items():
        weighed = contracts.position_correction(name) == "weight"
        if weighed and digest(learned.examination) != digest(curve_inputs(contracts)):
            raise DataError(f"the champion's {task} was corrected by another examination curve")


def _restore(contracts: Contracts, kept: _Recipe) -> Contracts:
    surface, declared = contracts.surface, kept.contracts
    references = [one.reference for one in declared.learned.values() if one.reference is not None]
    changes: dict[str, Any] = {
        "features": Features.model_validate(declared.features),
        "split": Split.model_validate(kept.split).model_copy(update={"test": surface.split.test}),
        "minimum": surface.minimum.model_copy(update={"positives": declared.positives}),
        "lightgbm": {
            name: LightGBMParameters.model_validate(one.lightgbm) for name, one in declared.learned.items()
        },
        "training": {name: _training(contracts, name, one) for name, one in declared.learned.items()},
        **({"reference_position": references[0]} if references else {}),
    }
    tasks = {name: _task(contracts.tasks.tasks[name], one) for name, one in declared.learned.items()}
    return replace(
        contracts,
        surface=surface.model_copy(update=changes),
        tasks=contracts.tasks.model_copy(update={"tasks": {**contracts.tasks.tasks, **tasks}}),
    )


def _training(contracts: Contracts, task: str, learned: _Learned) -> TaskTraining:
    """Return earlier training settings; warm start, engine and scheduler come from the current contracts."""
    training, now = TaskTraining.model_validate(learned.training), contracts.surface.training_for(task)
    engine = now.engine if training.start_from is None else None
    force = {"warm_start": now.warm_start, "engine": engine, "scheduler": now.scheduler}
    return training.model_copy(update={**force, "search": None})


def _task(spec: TaskSpec, learned: _Learned) -> TaskSpec:
    sampling = None if learned.sampling is None else Sampling.model_validate(learned.sampling)
    return spec.model_copy(update={"loss_weight": learned.loss_weight, "sampling": sampling})


def fit_score_line(scores: Floats, outcomes: Floats) -> maps.LogisticMap | None:
    """Fit a line to the logits of scores; None if there is only one outcome.

    Parameters
    ----------
    scores : float [rows] in [0, 1].
    outcomes : float [rows], 0 or 1.

    Examples
    --------
    >>> scores, outcomes = np.repeat([0.2, 0.8], 10), np.tile([1.0, 0.0], 10)
    >>> fit_score_line(scores, outcomes).apply([0.2, 0.8]).round(2)
    array([0.48, 0.52])
    >>> fit_score_line(scores, np.zeros(20)) is None
    True
    """
    if not len(outcomes) or np.ptp(outcomes) == 0:
        return None
    design = np.column_stack([np.ones(len(scores)), maps.compress_logits(maps.logit(scores))])
    intercept, slope = fit_log_odds(design, outcomes)
    if slope >= LEAST_SLOPE:
        return maps.LogisticMap(slope=float(slope), intercept=float(intercept))
    moved = LEAST_SLOPE * design[:, 1]
    (level,) = fit_log_odds(design[:, :1], outcomes, offsets=moved)
    return maps.LogisticMap(slope=LEAST_SLOPE, intercept=float(level))
