"""Concentration of exposure over the values of a column; each slot counts by its examination.

================ ==========================================================================
entropy          of the values' shares, in nats: 0 for one value, log(m) for m equal ones
gini             of the shares: 0 for equal ones, towards 1 for one that has all
================ ==========================================================================
"""

import numpy as np

from tasks.evaluation.binary import Codes, Floats, divide
from tasks.evaluation.clustered import Statistic


def entropy(exposures: Floats) -> Floats:
    """Entropy in nats of exposures [..., values], which need not add up to 1; NaN where they are all 0.

    Examples
    --------
    >>> round(float(entropy(np.array([3.0, 3.0]))), 6)
    0.693147
    """
    shares = divide(exposures, exposures.sum(axis=-1, keepdims=True))
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(axis=-1) + 0.0)


def gini(exposures: Floats) -> Floats:
    """Gini index of exposures [..., values]: mean difference over twice the mean; NaN where all are 0.

    Examples
    --------
    >>> gini(np.array([[1.0, 1.0], [2.0, 0.0]]))
    array([0. , 0.5])
    """
    m = exposures.shape[-1]
    places = 2 * np.arange(1, m + 1) - m - 1
    return divide((places * np.sort(exposures, axis=-1)).sum(axis=-1), m * exposures.sum(axis=-1))


def entropy_statistic(looks: Floats, codes: Codes, count: int) -> Statistic:
    """Entropy of the looks on each value, with each row's influence.

    Parameters
    ----------
    looks : [n] of 0 or more.
    codes : [n] value of each row, from 0 to ``count`` - 1.

    Examples
    --------
    >>> made = entropy_statistic(np.ones(4), np.array([0, 0, 1, 1]), 2)
    >>> round(made.value, 6), (made.influence + 0.0).tolist()
    (0.693147, [0.0, 0.0, 0.0, 0.0])
    """
    exposures = np.bincount(codes, looks, count).astype(np.float64)
    total, value = exposures.sum(), float(entropy(exposures))
    if not total:
        return Statistic(value, np.zeros(len(looks)), looks)
    logs = np.log(exposures / total, out=np.zeros(count), where=exposures > 0)
    return Statistic(value, -looks * (logs[codes] + value) / total, looks)


def gini_statistic(looks: Floats, codes: Codes, count: int) -> Statistic:
    """Gini index of the looks on each value, with each row's influence; parameters as above.

    Examples
    --------
    >>> made = gini_statistic(np.array([3.0, 1.0]), np.array([0, 1]), 2)
    >>> made.value, made.influence.tolist()
    (0.25, [0.1875, -0.1875])
    """
    exposures = np.bincount(codes, looks, count).astype(np.float64)
    total, value = exposures.sum(), float(gini(exposures))
    if not total:
        return Statistic(value, np.zeros(len(looks)), looks)
    places = np.empty(count)
    places[np.argsort(exposures, kind="stable")] = (2 * np.arange(1, count + 1) - count - 1) / count
    return Statistic(value, looks * (places[codes] - value) / total, looks)
