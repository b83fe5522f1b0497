"""Trains the trees of one task as its contract declares: loss, bounds, and start model.

::

    warm_start    the champion's model of the task, the newest from before the as-of  |
    start_from    a denser task, trained on this task's own train days                |->  new trees follow
    neither       nothing                                                             |

A dense start is trained on the train days of the sparse task, so it has not seen the days on which the sparse
task is calibrated or tested. Its trees are refitted to the sparse labels::

    predictions   log odds = intercept + slope x the dense task's log odds
    leaves        each leaf's value, tree by tree

The result is a booster of the same features, and training continues from it. Held-out rows are not used.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any, Final, Literal

import lightgbm as lgb
import numpy as np

from tasks.arrays import Floats
from tasks.contracts.training import Objective
from tasks.errors import ContractError, DataError
from tasks.ranking.features import FeatureEncoder
from tasks.stores.aliases import CHAMPION
from tasks.stores.manifest import BOOSTER, ENCODER, HEAD, Part, Role
from tasks.stores.workspace import parse_instant
from tasks.training import debiasing
from tasks.training.draw_examples import TrainingRows, draw_training_rows
from tasks.training.encoding import encode_pieces
from tasks.training.examples import Examples, StoredFeatures
from tasks.training.fit import (
    Callback,
    Fitted,
    Learning,
    Loss,
    fit_head,
    refuse_constant,
    scale_scores,
    shift_scores,
)
from tasks.training.log_odds import fit_log_odds
from tasks.training.rows import NEWEST, TaskRows
from tasks.training.search import SearchResult
from tasks.training.slices import DaySlice

STARTS_FROM: Final = "starts_from"
"""Tag of a warm-started model: the version that it continues."""
By = Literal["predictions", "leaves"]


@dataclass(frozen=True)
class Start:
    """A trained model that a task starts from, and the kind of start.

    ``grown``: the ``rounds`` of a dense start, which a refit needs; empty for a champion.
    """

    model: lgb.Booster
    encoder: FeatureEncoder
    by: Literal["champion", "predictions", "leaves"]
    grown: Mapping[str, int] = field(default_factory=dict)

    def booster(self, examples: Examples, *, threads: int | None) -> lgb.Booster:
        """Return the booster that new trees are added to."""
        if self.by == "champion":
            return self.model
        return start_from_dense(self.model, examples, by=self.by, threads=threads)


def grow_trees(
    rows: TaskRows,
    examples: Examples,
    *,
    start: lgb.Booster | None = None,
    parameters: Mapping[str, float | int] | None = None,
    callbacks: Sequence[Callback] = (),
) -> Fitted:
    """Train one head according to its contract.

    Parameters
    ----------
    start : booster that new trees are added to.
    parameters : parameters that replace the contract's.
    callbacks : called by LightGBM after each tree.
    """
    own = rows.workspace.contracts.surface.lightgbm_for(rows.task)
    return fit_head(
        examples,
        Learning(
            loss=task_loss(rows),
            parameters=own if parameters is None else parameters,
            monotone=_monotone_bounds(rows),
            loss_weight=rows.spec.loss_weight,
        ),
        start=start,
        threads=task_threads(rows),
        callbacks=callbacks,
    )


def _monotone_bounds(rows: TaskRows) -> Mapping[str, int]:
    """Return the task's bounds; a quantile head ignores the bounds of ``default``."""
    return {} if rows.kind == "quantile" else rows.training.monotone or {}


def task_loss(rows: TaskRows) -> Loss:
    """Return the loss of the task's trees."""
    training = rows.training
    usual: Objective = "binary" if rows.spec.kind == "binary" else "l2"
    return Loss(
        objective=training.objective or usual,
        quantile=training.predicted_quantile,
        power=training.tweedie_power or Loss.power,
    )


def task_threads(rows: TaskRows) -> int | None:
    """Return the number of training threads, which depends on the machine and is in no digest."""
    return rows.workspace.contracts.surface.engine.threads


def find_champion_model(rows: TaskRows) -> Part | None:
    """Return the model that a warm start continues; None if not requested or not yet available.

    If the champion has refits, it is the tested model, because a refit may have seen this model's test days.

    A champion of this as-of or a later one may itself continue an older model, which is then returned, so
    that a repeated run of an as-of gives the same model after its release was promoted. The same holds if the
    champion learned from later days than these rows, for example if they train a factor model of a slow task.
    """
    registry = rows.workspace.store.registry
    part = find_tested_model(rows) if rows.training.warm_start else None
    while part is not None and not _is_earlier(registry.tags(part), rows):
        before = registry.tags(part).get(STARTS_FROM)
        part = None if before is None else registry.part(part.name, int(before))
    return part


def find_tested_model(rows: TaskRows) -> Part | None:
    """Return the champion's tested model of the task; None if there is none."""
    champion = rows.workspace.releases.find(CHAMPION)
    if champion is None:
        return None
    parts = rows.workspace.releases.tested(champion).parts
    held = next((part for part in parts if part.role is Role.TASK and part.task == rows.task), None)
    return None if held is None else rows.workspace.store.registry.part(held.name, held.version)


def _is_earlier(tags: Mapping[str, str], rows: TaskRows) -> bool:
    """Whether a model has an earlier as-of, and learned from no later day than these rows."""
    newest = date.fromisoformat(tags[NEWEST])
    return parse_instant(tags["as_of"]) < rows.snapshot.as_of and newest <= rows.slices.train.last


def find_start(rows: TaskRows, champion: Part | None) -> Start | None:
    """Return the start of the task's training, if any."""
    if champion is not None:
        return _continue_champion(rows, champion)
    start_from = rows.training.start_from
    if start_from is None or start_from.task == rows.task or rows.kind != "binary":
        return None
    dense = replace(rows, task=start_from.task)
    try:
        learned = draw_training_rows(dense)
    except DataError as error:
        raise type(error)(f"Task '{rows.task}' starts from '{start_from.task}'. {error}") from error
    grown = _grow_dense_start(dense, learned.examples)
    return Start(grown.booster, learned.encoder, start_from.by, {"rounds": grown.rounds})


def _grow_dense_start(rows: TaskRows, examples: Examples) -> Fitted:
    """Train a dense start with early stopping; a refit trains the tested number of trees on all users."""
    if rows.repeats is None:
        return grow_trees(rows, examples)
    own = rows.workspace.contracts.surface.lightgbm_for(rows.task)
    return grow_trees(rows, examples.without_fold(), parameters={**own, **rows.repeats.start})


def _continue_champion(rows: TaskRows, champion: Part) -> Start:
    files = rows.workspace.store.registry.files(champion)
    booster, encoder = read_model(files)
    settings, params = task_loss(rows).settings, booster.params
    learned = {name: params[name] for name in settings}
    bounds = dict(zip(encoder.names, params.get("monotone_constraints", []), strict=False))
    was = _describe_model(encoder.names, learned, bounds, json.loads(files[HEAD]))
    now = _describe_model(
        rows.features, settings, _monotone_bounds(rows), rows.workspace.contracts.head_plan(rows.task)
    )
    changed = [f"{name} was {was.get(name)}, is {now[name]}" for name in now if was.get(name) != now[name]]
    if changed:
        raise ContractError(
            f"Task '{rows.task}' cannot be warm-started from {champion}: {'; '.join(changed)}. Train it in "
            "full once (warm_start: false), and continue from that champion."
        )
    return Start(booster, encoder, "champion")


def read_model(files: Mapping[str, bytes]) -> tuple[lgb.Booster, FeatureEncoder]:
    """Read a model and its encoder from the files of a registered version."""
    encoder = FeatureEncoder.from_json(json.loads(files[ENCODER]))
    return lgb.Booster(model_str=files[BOOSTER].decode()), encoder


def _describe_model(
    features: Sequence[str], loss: Mapping[str, Any], monotone: Mapping[str, int], plan: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe the properties of a model that must match for adding trees.

    LightGBM writes the parameters of a loss with six digits.
    """
    learned = {
        name: value if isinstance(value, str) else round(value, 6)
        for name, value in loss.items()
        if name != "metric"
    }
    bounds = {name: monotone[name] for name in sorted(monotone) if monotone[name]}
    return {"features": list(features), **learned, "monotone": bounds, **plan}


def start_from_dense(
    dense: lgb.Booster, examples: Examples, *, by: By, threads: int | None = None
) -> lgb.Booster:
    """Return the start of a sparse task's training.

    Examples
    --------
    >>> price, fold = np.arange(100.0)[:, None], np.zeros(100, dtype=bool)
    >>> labels = (price[:, 0] > 49).astype(float)
    >>> dense = lgb.train({"objective": "binary", "verbosity": -1}, lgb.Dataset(price, labels), 2)
    >>> sparse = Examples(price, labels * (price[:, 0] > 74), fold, ("price",))
    >>> round(float(start_from_dense(dense, sparse, by="predictions").predict(price).sum()), 3)
    25.0
    """
    learned_from = examples.where(~examples.held_out)
    start = _rescale_predictions if by == "predictions" else _refit_leaves
    return start(lgb.Booster(model_str=dense.model_to_string()), learned_from, threads=threads)


def _rescale_predictions(dense: lgb.Booster, examples: Examples, *, threads: int | None) -> lgb.Booster:
    """Fold an intercept and a slope of the dense log odds into the dense trees' leaves, in place."""
    raw = examples.raw_scores(dense, threads=threads)
    design = np.column_stack([np.ones(len(raw)), raw])
    intercept, slope = fit_log_odds(
        design, examples.labels, weights=examples.weights, offsets=examples.offsets
    )
    return shift_scores(scale_scores(dense, float(slope)), float(intercept))


def _refit_leaves(dense: lgb.Booster, examples: Examples, *, threads: int | None) -> lgb.Booster:
    """Refit the leaves' values, starting from the sparse task's mean log odds.

    This is LightGBM's ``Booster.refit`` with a decay rate of 0. The features and each row's leaf in each tree
    are in memory at once.
    """
    ones, offsets = np.ones((len(examples), 1)), examples.offsets
    (mean,) = fit_log_odds(ones, examples.labels, weights=examples.weights, offsets=offsets)
    features = examples.features
    fitted = dense.refit(
        features[:] if isinstance(features, StoredFeatures) else features,
        examples.labels,
        decay_rate=0.0,
        weight=examples.weights,
        init_score=np.full(len(examples), mean) + (0.0 if offsets is None else offsets),
        num_threads=threads or 0,
    )
    return shift_scores(fitted, float(mean))


Chosen = tuple[Mapping[str, float | int], SearchResult | None]
"""Parameters of the trees, and the search for them, if any."""


@dataclass(frozen=True)
class TrainedModel:
    """A fitted model with its start, training rows and parameters, and the search for them."""

    fitted: Fitted
    start: Start | None
    rows: TrainingRows
    parameters: Mapping[str, float | int]
    search: SearchResult | None


def train_model(
    rows: TaskRows, champion: Part | None, choose: Callable[[Callable[..., Fitted]], Chosen]
) -> TrainedModel:
    """Train a task's model."""
    start = find_start(rows, champion)
    learned = draw_training_rows(rows, encoder=None if start is None else start.encoder)
    if rows.repeats is not None:
        counts = {**learned.counts, "held_out": 0}
        learned = replace(learned, examples=learned.examples.without_fold(), counts=counts)
    below = None if start is None else start.booster(learned.examples, threads=task_threads(rows))
    train = partial(grow_trees, rows, learned.examples, start=below)
    parameters, found = choose(train)
    fitted = train(parameters=parameters)
    refuse_constant(rows.task, fitted.booster, split=any(fitted.splits.values()))
    return TrainedModel(fitted, start, learned, parameters, found)


def score_rows(rows: TaskRows, days: DaySlice, booster: lgb.Booster, encoder: FeatureEncoder) -> Floats:
    """Return the scores of a task's trees on the rows of `TaskRows.report`, shape [rows].

    Scores are at the reference position with ``position: weight``, at the shown one if it is a feature.
    """
    pieces = encode_pieces(encoder, rows.stream_report(days, encoder.names))
    scores = (booster.predict(piece, num_threads=task_threads(rows) or 0) for piece in pieces)
    return np.concatenate([np.empty(0), *scores])


def predict_rows(rows: TaskRows, days: DaySlice, booster: lgb.Booster, encoder: FeatureEncoder) -> Floats:
    """Return a model's predictions on the rows of `TaskRows.report` at the shown positions, shape [rows]."""
    scores = score_rows(rows, days, booster, encoder)
    return debiasing.predict_where_shown(rows, rows.report(days), scores)
