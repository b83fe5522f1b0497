"""Jensen-Shannon divergence of counted values, and what chance alone and past weeks give of it."""

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.stats import chi2

from tasks.arrays import Floats

LEAST_WEEKS: Final = 8
"""Past weeks that a floor needs."""


def divergence(left: Floats, right: Floats) -> Floats:
    """Return the Jensen-Shannon divergence in bits: 0 between equals, 1 where nothing is shared.

    Parameters
    ----------
    left, right : counts, shape (days, values).

    Examples
    --------
    >>> divergence(np.array([[1.0, 1], [1, 0]]), np.array([[5.0, 5], [0, 1]])).tolist()
    [0.0, 1.0]
    """
    p, q = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) for counts in (left, right))
    middle = (p + q) / 2
    return (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return (p * np.log2(ratio)).sum(axis=1)


def chance_divergence(left: Floats, right: Floats, *, false_alarm_rate: float) -> Floats:
    """Return the divergence that chance alone exceeds with a probability, the false alarm rate.

    For samples of n and m rows of one distribution over k values, 8 ln 2 x divergence / (1/n + 1/m) is about
    chi-squared with k - 1 degrees of freedom.

    Examples
    --------
    >>> few, many = np.array([[40.0, 60]]), np.array([[4000.0, 6000]])
    >>> [chance_divergence(n, n, false_alarm_rate=0.01).round(5).item() for n in (few, many)]
    [0.02393, 0.00024]
    """
    rows = 1 / np.maximum(left.sum(axis=1), 1) + 1 / np.maximum(right.sum(axis=1), 1)
    kinds = np.maximum(((left + right) > 0).sum(axis=1) - 1, 1)
    return np.asarray(chi2.isf(false_alarm_rate, kinds) * rows / (8 * np.log(2)))


def distance_floor(weeks: Floats, *, distance: Callable[[Floats, Floats], Floats] = divergence) -> float:
    """Return the largest distance between two past weeks; NaN for fewer than eight weeks with a count.

    A distance from the past at or below the floor is no drift. Chance of rows, as `chance_divergence` or a
    resampling gives it, is no floor for weeks: their shares move by more than their rows explain, so with
    enough rows every week lies beyond it.

    Parameters
    ----------
    weeks : counts, shape (weeks, values), one row for each past week.
    distance : of two tables of counts, row by row, as `divergence`.

    Examples
    --------
    >>> weeks = np.array([[50.0, 50], [52, 48], [49, 51], [50, 50], [51, 49], [48, 52], [50, 50], [49, 51]])
    >>> round(distance_floor(weeks), 5), distance_floor(weeks[:7])
    (0.00115, nan)
    """
    counted = weeks[weeks.sum(axis=1) > 0]
    if len(counted) < LEAST_WEEKS:
        return float("nan")
    one, other = np.triu_indices(len(counted), 1)
    return float(distance(counted[one], counted[other]).max())
