"""Jensen-Shannon divergence of counted values, and its level by chance."""

import numpy as np
from scipy.stats import chi2

from tasks.arrays import Floats


def divergence(left: Floats, right: Floats) -> Floats:
    """Return the Jensen-Shannon divergence in bits: 0 for equal counts, 1 for disjoint ones.

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
    """Return the divergence that chance alone exceeds with the given false alarm rate.

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
