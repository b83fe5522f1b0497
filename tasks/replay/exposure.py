"""Concentration of exposure over the values of a column; each slot counts by its examination.

================ ==========================================================================
entropy          of the values' shares, in nats: 0 for one value, log(m) for m equal ones
gini             of the shares: 0 for equal ones, towards 1 for one that has all
================ ==========================================================================
"""

import numpy as np

from tasks.arrays import Floats, Indices
from tasks.evaluation.binary import divide
from tasks.replay.grouped import GroupedRows, GroupedStatistic


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


def entropy_by_group(looks: Floats, codes: Indices, count: int, rows: GroupedRows) -> GroupedStatistic:
    """Entropy of the looks on each value, in every group, with each row's influence.

    Parameters
    ----------
    looks : [n] of 0 or more.
    codes : [n] value of each row, from 0 to ``count`` - 1.

    Examples
    --------
    >>> from tasks.evaluation.clustered import RowClusters
    >>> rows = GroupedRows.of(np.zeros(4, dtype=int), 1, RowClusters(*[np.arange(4)] * 3))
    >>> made = entropy_by_group(np.ones(4), np.array([0, 0, 1, 1]), 2, rows)
    >>> made.value.round(6).tolist(), (made.influence + 0.0).tolist()
    ([0.693147], [0.0, 0.0, 0.0, 0.0])
    """
    exposures = _exposures(looks, codes, count, rows)
    total, value = exposures.sum(axis=1), entropy(exposures)
    shares = divide(exposures, total[:, None])
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    deviation = logs[rows.codes, codes] + value[rows.codes]
    return GroupedStatistic(value, np.nan_to_num(-looks * deviation / _positive(total)[rows.codes]), looks)


def gini_by_group(looks: Floats, codes: Indices, count: int, rows: GroupedRows) -> GroupedStatistic:
    """Gini index of the looks on each value, in every group, with each row's influence; parameters as above.

    Examples
    --------
    >>> from tasks.evaluation.clustered import RowClusters
    >>> rows = GroupedRows.of(np.zeros(2, dtype=int), 1, RowClusters(*[np.arange(2)] * 3))
    >>> made = gini_by_group(np.array([3.0, 1.0]), np.array([0, 1]), 2, rows)
    >>> made.value.tolist(), made.influence.tolist()
    ([0.25], [0.1875, -0.1875])
    """
    exposures = _exposures(looks, codes, count, rows)
    total, value = exposures.sum(axis=1), gini(exposures)
    order = np.argsort(exposures, axis=1, kind="stable")
    places = np.empty(exposures.shape)
    np.put_along_axis(places, order, ((2 * np.arange(1, count + 1) - count - 1) / count)[None, :], axis=1)
    deviation = places[rows.codes, codes] - value[rows.codes]
    return GroupedStatistic(value, np.nan_to_num(looks * deviation / _positive(total)[rows.codes]), looks)


def _exposures(looks: Floats, codes: Indices, count: int, rows: GroupedRows) -> Floats:
    """Sum the looks on each value [groups, count]."""
    cells = rows.codes.astype(np.int64) * count + codes
    summed = np.bincount(cells, looks, rows.count * count).astype(np.float64, copy=False)
    return summed.reshape(rows.count, count)


def _positive(total: Floats) -> Floats:
    return np.where(total > 0, total, np.nan)
