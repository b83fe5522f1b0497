"""Metrics of predicted probabilities: ranking, calibration, and both combined.

::

    ranking              request_pairs, ties count half; over all rows: ranking_metrics.py
    calibration          calibration_ratio = sum observed / sum predicted      1.8: far too low
    both                 log_loss, normalized_entropy = log loss / entropy of the base rate

Rows are observed labels only (0 or 1); a metric that is not defined for the rows is NaN.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.arrays import Floats, Indices
from tasks.errors import DataError


def check_binary(
    outcomes: npt.ArrayLike, predictions: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return outcomes, predictions and weights as float arrays of equal length.

    Examples
    --------
    >>> check_binary([0, 1], [0.2, 0.6])
    (array([0., 1.]), array([0.2, 0.6]), array([1., 1.]))
    """
    y, p, w = check_rows(outcomes, predictions, weights)
    if (odd := int(np.count_nonzero((y != 0) & (y != 1)))) > 0:
        raise DataError(f"{odd} of {y.size} outcomes are neither 0 nor 1; pass observed labels only.")
    return y, p, w


def check_rows(
    outcomes: npt.ArrayLike, predictions: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return all three as finite float arrays of equal length; see `check_binary`.

    Examples
    --------
    >>> check_rows([3, 1], [2.5, 1.5], [1, 2])
    (array([3., 1.]), array([2.5, 1.5]), array([1., 2.]))
    """
    y = np.asarray(outcomes, dtype=np.float64)
    p = np.asarray(predictions, dtype=np.float64)
    w = np.ones_like(y) if weights is None else np.asarray(weights, dtype=np.float64)
    if not (y.ndim == 1 and y.shape == p.shape == w.shape):
        raise DataError(
            f"Outcomes {y.shape}, predictions {p.shape} and weights {w.shape} must be of one length."
        )
    for name, array in (("outcomes", y), ("predictions", p), ("weights", w)):
        if (unknown := int(np.count_nonzero(~np.isfinite(array)))) > 0:
            raise DataError(
                f"{unknown} of {array.size} {name} are not finite; an unknown label has no place here."
            )
    if (w < 0).any():
        raise DataError(f"{int((w < 0).sum())} of {w.size} weights are negative.")
    return y, p, w


def divide(above: npt.ArrayLike, below: npt.ArrayLike) -> Floats:
    """Divide, with NaN where the divisor is zero.

    Examples
    --------
    >>> divide([1.0, 1.0], [2.0, 0.0])
    array([0.5, nan])
    """
    a, b = np.broadcast_arrays(np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64))
    return np.divide(a, b, out=np.full(a.shape, np.nan), where=b != 0)


def pairs_by_group(
    outcomes: Floats, predictions: Floats, weights: Floats, groups: Indices, count: int
) -> tuple[Floats, Floats]:
    """Count the pairs of a positive and a negative inside each group, won pairs and all pairs, each [count].

    A pair is won if the positive has the higher prediction, and half won if both predictions are equal.

    Parameters
    ----------
    outcomes, predictions, weights : [n], from `check_binary`; a pair has the product of both weights.
    groups : [n] group of each row, 0 to count - 1.

    Examples
    --------
    >>> y, p = np.array([1.0, 0.0, 1.0, 0.0, 1.0]), np.array([0.9, 0.1, 0.2, 0.2, 0.5])
    >>> pairs_by_group(y, p, np.ones(5), np.array([0, 0, 1, 1, 2]), 3)
    (array([1. , 0.5, 0. ]), array([1., 1., 0.]))
    """
    if not outcomes.size:
        nothing = np.zeros(count)
        return nothing, nothing
    order = np.lexsort((predictions, groups))
    y, p, w, g = outcomes[order], predictions[order], weights[order], groups[order]
    positive = np.bincount(g, w * y, minlength=count)
    negative = np.bincount(g, w * (1 - y), minlength=count)
    starts = np.flatnonzero(np.r_[True, (np.diff(p) != 0) | (np.diff(g) != 0)])
    tied_positive = np.add.reduceat(w * y, starts)
    tied_negative = np.add.reduceat(w * (1 - y), starts)
    before_group = np.r_[0.0, np.cumsum(negative)[:-1]][g[starts]]
    below = np.cumsum(tied_negative) - tied_negative - before_group
    won = np.bincount(g[starts], tied_positive * (below + tied_negative / 2), minlength=count)
    return won.astype(np.float64), (positive * negative).astype(np.float64)


@dataclass(frozen=True)
class RequestPairs:
    """Pairs of each request that has both classes, in order of first appearance.

    ``won`` and ``pairs`` [m], see `pairs_by_group`; ``first_rows`` [m]: a row of each request, to look up its
    user or segment.
    """

    won: Floats
    pairs: Floats
    first_rows: Indices

    @property
    def auc(self) -> float:
        """AUC by request: the share of won pairs; NaN without a pair."""
        return float(divide(self.won.sum(), self.pairs.sum()))


def request_pairs(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    requests: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> RequestPairs:
    """Compare positives with the negatives of their own request.

    The AUC by request is the share of these pairs that is won, which is what an order of a request's
    candidates can affect. The mean of the requests' own AUCs would give a request with one pair the same
    weight as one with a hundred, and include its noise.

    Examples
    --------
    >>> both = request_pairs([1, 0, 0, 1, 0], [0.9, 0.1, 0.2, 0.1, 0.5], ["a", "a", "a", "b", "b"])
    >>> both.won, both.pairs, round(both.auc, 6)
    (array([2., 0.]), array([2., 1.]), 0.666667)
    """
    y, p, w = check_binary(outcomes, predictions, weights)
    codes, known = pd.factorize(np.asarray(requests), use_na_sentinel=False)
    rows = np.bincount(codes, minlength=len(known))
    positives = np.bincount(codes, y, minlength=len(known))
    kept = np.flatnonzero(((positives > 0) & (positives < rows))[codes])
    groups, known = pd.factorize(codes[kept])
    first = np.full(len(known), kept.size, dtype=np.intp)
    np.minimum.at(first, groups, np.arange(kept.size))
    won, pairs = pairs_by_group(y[kept], p[kept], w[kept], groups, first.size)
    weighed = pairs > 0
    return RequestPairs(won[weighed], pairs[weighed], kept[first][weighed])


def row_losses(outcomes: Floats, predictions: Floats) -> Floats:
    """Log loss of each row in nats; predictions of exactly 0 and 1 are clipped by one float step.

    Examples
    --------
    >>> row_losses(np.array([1.0, 0.0]), np.array([0.5, 0.75])).round(6)
    array([0.693147, 1.386294])
    """
    step = np.finfo(np.float64).eps
    p = np.clip(predictions, step, 1 - step)
    return -np.where(outcomes == 1, np.log(p), np.log1p(-p))


def log_loss(
    outcomes: npt.ArrayLike, predictions: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Mean negative log likelihood in nats.

    Examples
    --------
    >>> round(log_loss([1, 0], [0.5, 0.5]), 6)
    0.693147
    """
    y, p, w = check_binary(outcomes, predictions, weights)
    return float(divide((w * row_losses(y, p)).sum(), w.sum()))


def entropy(rate: npt.ArrayLike) -> Floats:
    """Entropy in nats of a Bernoulli variable with this rate; 0 at 0 and 1.

    Examples
    --------
    >>> round(float(entropy(0.5)), 6)
    0.693147
    """
    p = np.asarray(rate, dtype=np.float64)
    inside = (p > 0) & (p < 1)
    q = np.where(inside, p, 0.5)
    return np.where(np.isnan(p), np.nan, np.where(inside, -q * np.log(q) - (1 - q) * np.log1p(-q), 0.0))


def normalized_entropy(
    outcomes: npt.ArrayLike, predictions: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Log loss over the entropy of the base rate (He et al. 2014, section 3); 1 for the base rate itself.

    Examples
    --------
    >>> round(normalized_entropy([1, 0], [0.5, 0.5]), 6), round(normalized_entropy([1, 0], [0.75, 0.25]), 6)
    (1.0, 0.415037)
    """
    y, p, w = check_binary(outcomes, predictions, weights)
    rate = divide((w * y).sum(), w.sum())
    return float(divide(log_loss(y, p, weights=w), entropy(rate)))


def normalize_entropy(losses: Floats, positives: Floats, total: Floats) -> Floats:
    """Normalized entropy from sums of row losses, positives and rows.

    Examples
    --------
    >>> one = np.array([1.0])
    >>> normalize_entropy(2 * np.log(2) * one, one, 2 * one)
    array([1.])
    """
    return divide(divide(losses, total), entropy(divide(positives, total)))


def calibration_ratio(
    outcomes: npt.ArrayLike, predictions: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Sum of observed over sum of predicted: above 1 the predictions are too low.

    Examples
    --------
    >>> calibration_ratio([0, 1, 1, 0], [0.25, 0.25, 0.25, 0.25])
    2.0
    """
    y, p, w = check_binary(outcomes, predictions, weights)
    return float(divide((w * y).sum(), (w * p).sum()))
