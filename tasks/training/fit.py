"""One LightGBM per task, the same bytes from the same rows.

A head of kind binary learns log loss, one of kind value squared error. A share of the users is held out of
the trees and stops their growth. Where negatives were sampled at rate r the trees learn odds that are 1/r
too high; log r is added to the leaves of the first tree, so the model that is written down speaks of all
rows and nothing downstream has to remember the rate.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from tasks.errors import DataError, ImmatureLabels

Kind = Literal["binary", "value"]
Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

ROUNDS: Final = 400
PATIENCE: Final = 50
FOLD_POSITIVES: Final = 20
"""Held-out rows of the rarer outcome from which early stopping is used; below it all rounds are trained."""

_OBJECTIVE: Final = {
    "binary": {"objective": "binary", "metric": "binary_logloss"},
    "value": {"objective": "regression", "metric": "l2"},
}
_REPEATABLE: Final = {"deterministic": True, "force_row_wise": True, "num_threads": 2, "verbosity": -1}


@dataclass(frozen=True)
class Fitted:
    """A trained head: ``booster.predict`` gives probabilities (or values) on the scale of all rows.

    ``gains`` and ``splits`` say how much each feature lowered the loss and how often it was used;
    ``fold_loss`` is the loss on the held-out users after ``rounds`` trees, None where none were held out.
    """

    booster: lgb.Booster
    rounds: int
    fold_loss: float | None
    gains: Mapping[str, float]
    splits: Mapping[str, int]

    @property
    def text(self) -> str:
        """The model as LightGBM text."""
        return str(self.booster.model_to_string())


def require_trainable(task: str, labels: Floats, *, kind: Kind, minimum: int) -> None:
    """Refuse a train slice from which nothing can be learned.

    Parameters
    ----------
    labels : float [n], of the observed rows.
    minimum : positives (of a value task: rows with a value other than 0) that are needed at least.

    Raises
    ------
    ImmatureLabels
        Too few observed rows or positives; more days bring more.
    DataError
        Every label is the same, so there is nothing to tell apart.
    """
    found, noun = int(np.count_nonzero(labels)), "positives" if kind == "binary" else "values other than 0"
    if found < minimum:
        raise ImmatureLabels(
            f"Task '{task}' cannot be trained: its train slice has {found} {noun} in {len(labels)} observed "
            f"rows, {minimum} are needed (minimum.positives). Wait for more days, lengthen split.train or "
            "lower the minimum in surface.yaml."
        )
    if np.ptp(labels) == 0:
        raise DataError(
            f"Task '{task}' cannot be trained: all {len(labels)} observed labels of its train slice are "
            f"{labels[0]:g}. It needs both outcomes; check the task's event, window and observed_when."
        )


def fit(
    features: Floats,
    labels: Floats,
    fold: Bools,
    *,
    kind: Kind,
    names: Sequence[str],
    categorical: Sequence[str] = (),
    parameters: Mapping[str, float | int] | None = None,
    loss_weight: float = 1.0,
    negatives: float = 1.0,
    seed: int = 0,
) -> Fitted:
    """Train one head.

    Parameters
    ----------
    features : float [n, f]; categorical columns hold codes, NaN is missing.
    labels : float [n]; 0 or 1 for a binary head. No NaN: only observed rows are trained on.
    fold : bool [n]; the rows that stop the training and are not learned from.
    names, categorical : names of all f columns, and of those that hold codes.
    parameters : the contract's, with ``rounds`` and ``early_stopping_rounds``.
    loss_weight : weight of every example; on separate trees it only rescales their regularisation.
    negatives : the rate at which the rows' negatives were sampled.

    Raises
    ------
    DataError
        A label is not finite, or lengths differ.
    """
    _check(features, labels, fold, names)
    own = dict(parameters or {})
    rounds, patience = int(own.pop("rounds", ROUNDS)), int(own.pop("early_stopping_rounds", PATIENCE))
    settings = {**own, **_OBJECTIVE[kind], **_REPEATABLE, "seed": seed}
    data = lgb.Dataset(
        features,
        label=labels,
        weight=None if loss_weight == 1 else np.full(len(labels), loss_weight, dtype=np.float32),
        feature_name=list(names),
        categorical_feature=[list(names).index(name) for name in categorical],
        params=settings,
    ).construct()
    if not _tells_apart(labels, fold, kind):
        trained = lgb.train(settings, data, num_boost_round=rounds)
        return _finished(trained, trained.current_iteration(), None, names, negatives)
    train, held_out = (data.subset(np.flatnonzero(rows)) for rows in (~fold, fold))
    stop = [lgb.early_stopping(patience, verbose=False)]
    trained = lgb.train(settings, train, rounds, valid_sets=[held_out], valid_names=["fold"], callbacks=stop)
    (loss,) = trained.best_score["fold"].values()
    return _finished(trained, trained.best_iteration, float(loss), names, negatives)


def _check(features: Floats, labels: Floats, fold: Bools, names: Sequence[str]) -> None:
    if not len(features) == len(labels) == len(fold) or features.shape[1] != len(names):
        raise DataError(
            f"{features.shape} features for {len(names)} names, {len(labels)} labels, {len(fold)} fold marks."
        )
    if not np.isfinite(labels).all():
        unknown = np.count_nonzero(~np.isfinite(labels))
        raise DataError(f"{unknown} labels have no value; train on observed rows only.")


def _tells_apart(labels: Floats, fold: Bools, kind: Kind) -> bool:
    """Whether the held-out rows can stop the training: the loss on a handful of positives is a coin toss."""
    held_out = labels[fold]
    if len(held_out) == 0 or fold.all():
        return False
    return kind == "value" or bool(np.ptp(held_out) > 0)


def _finished(
    trained: lgb.Booster, rounds: int, loss: float | None, names: Sequence[str], negatives: float
) -> Fitted:
    booster = lgb.Booster(model_str=trained.model_to_string(num_iteration=rounds))
    if negatives < 1:
        _shift(booster, math.log(negatives))
    gains, splits = (booster.feature_importance(kind) for kind in ("gain", "split"))
    return Fitted(
        booster=booster,
        rounds=rounds,
        fold_loss=loss,
        gains=dict(zip(names, map(float, gains), strict=True)),
        splits=dict(zip(names, map(int, splits), strict=True)),
    )


def _shift(booster: lgb.Booster, offset: float) -> None:
    """Add an offset to every raw score, through the leaves of the first tree."""
    for leaf in range(booster.dump_model(num_iteration=1)["tree_info"][0]["num_leaves"]):
        booster.set_leaf_output(0, leaf, booster.get_leaf_output(0, leaf) + offset)
