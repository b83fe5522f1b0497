"""Expected rewards: means by item and position, each row's mean fitted on users of other folds.

::

    q of item and position = (sum of rewards + PRIOR x mean at the position) / (rows + PRIOR)

A model fitted on a row's own reward would explain it, and DR would underestimate its noise. Users are
therefore split into folds, and a row's means come from the other folds. A target may supply a better model in
a column ``q``, trained on rows other than these.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from tasks.arrays import Floats, Indices
from tasks.evaluation.binary import divide
from tasks.ope.log_rows import LogRows
from tasks.ope.target_rows import TargetRows

FOLDS: Final = 5
PRIOR: Final = 10.0
"""Rows at the position's mean added to each item: an item with few rows is shrunk towards the average."""
MEANS: Final = "means by item and position, cross-fitted"
BROUGHT: Final = "the target's column q"


@dataclass(frozen=True)
class ExpectedRewards:
    """Expected reward of each logged row, and its source.

    Attributes
    ----------
    predicted, expected : [n] for the logged item, and for an item drawn by the target for its place.
    model : source of the rewards, in words.
    fitted : dependence of the means on the rows; None if the target supplied a model.
    """

    predicted: Floats
    expected: Floats
    model: str
    fitted: "FittedMeans | None" = None

    def fit_noise(self, reward: Floats, weight: Floats) -> Floats:
        """Return each row's contribution to a DR estimate through the means, [n]; about 0 in sum.

        Parameters
        ----------
        reward, weight : [n] rewards, and weights of their residuals in the estimate.
        """
        if self.fitted is None:
            return np.zeros(len(reward))
        return self.fitted.leverage(weight) * (reward - self.predicted)


@dataclass(frozen=True)
class FittedMeans:
    """For each logged row: its item and position, how often the target shows the pair, and its rows, [n]."""

    pairs: Indices
    shown: Floats
    rows: Floats

    def leverage(self, weight: Floats) -> Floats:
        """Return the derivative of the sum of DR's terms by a row's residual through its pair's mean, [n].

        It is about 0 for weights without limits, which count a pair as often as the target shows it.
        """
        return (self.shown - np.bincount(self.pairs, weight)[self.pairs]) / (self.rows + PRIOR)


def expect_rewards(log: LogRows, target: TargetRows) -> ExpectedRewards:
    """Use the target's own model, or fit means by item and position."""
    if target.predicted is not None:
        predicted = target.of_logged(target.predicted)
        return ExpectedRewards(predicted, target.expect(target.predicted), BROUGHT)
    folds = log.clusters.codes % FOLDS
    means = fold_means(log, target, folds)
    predicted = means[folds, target.logged_pairs]
    each = np.array([target.expect(of_fold[target.pairs]) for of_fold in means])
    return ExpectedRewards(predicted, each[folds, np.arange(len(folds))], MEANS, _fitted(target))


def _fitted(target: TargetRows) -> FittedMeans:
    pairs, count = target.logged_pairs, target.pair_count
    at_place = np.bincount(target.logged_places, minlength=int(target.places.max()) + 1)
    shown = np.bincount(target.pairs, target.probability * at_place[target.places], count)
    return FittedMeans(
        pairs, shown[pairs].astype(np.float64), np.bincount(pairs, minlength=count)[pairs].astype(np.float64)
    )


def fold_means(log: LogRows, target: TargetRows, folds: Indices) -> Floats:
    """Return the means [folds, pairs] over rows of other folds, shrunk towards the position's mean."""
    count = target.pair_count
    positions = np.unique(log.positions, return_inverse=True)[1]
    at = _position_of_pairs(target, positions, count)
    rewards, rows = (_of_other_folds(target.logged_pairs, x, folds, count) for x in _sums(log))
    sums, sizes = (_of_other_folds(positions, x, folds, int(positions.max()) + 1) for x in _sums(log))
    average = np.nan_to_num(divide(sums, sizes))[:, at]
    return (rewards + PRIOR * average) / (rows + PRIOR)


def _sums(log: LogRows) -> tuple[Floats, Floats]:
    return log.reward, np.ones(len(log.reward))


def _of_other_folds(codes: Indices, values: Floats, folds: Indices, count: int) -> Floats:
    own = np.bincount(folds * np.intp(count) + codes, values, FOLDS * count).reshape(FOLDS, count)
    return own.sum(axis=0) - own


def _position_of_pairs(target: TargetRows, positions: Indices, count: int) -> Indices:
    """Return the log's code of each pair's position, [pairs].

    A pair that was never logged has the position of its place, where another item was logged.
    """
    of_place = np.zeros(int(max(target.places.max(), target.logged_places.max())) + 1, dtype=np.intp)
    of_place[target.logged_places] = positions
    at = np.zeros(count, dtype=np.intp)
    at[target.pairs] = of_place[target.places]
    at[target.logged_pairs] = positions
    return at
