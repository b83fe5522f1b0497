"""Exposure of the values of a column: concentration and ratio to merit; slots are weighted by examination.

================ ==========================================================================
entropy          of the values' shares, in nats: 0 for one value, log(m) for m equal shares
gini             of the shares: 0 for equal shares, near 1 if one value has all exposure
exposure ratio   share of exposure over share of merit: 1 where they are equal
================ ==========================================================================
"""

import numpy as np

from tasks.arrays import Floats, Indices, Integers
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


def due_exposure(examined: Floats, merit: Floats, requests: Integers) -> tuple[Floats, Floats]:
    """Return the exposure of each candidate, and the exposure due by its share of its request's merit.

    Summed over a group of candidates and any number of requests, they are amortised exposure and merit, with
    each request weighted by its exposure. Their quotient is the group's share of exposure over its share of
    merit: the disparate treatment of Singh and Joachims (2018), amortised as by Biega et al. (2018).

    Parameters
    ----------
    examined : [n] of 0 or more.
    merit : [n]; negative or unknown values count as 0. Requests without merit are left out of both.
    requests : [n] codes from 0.

    References
    ----------
    A. Singh and T. Joachims. Fairness of Exposure in Rankings. KDD 2018, section 3.2.
    A. J. Biega, K. P. Gummadi and G. Weikum. Equity of Attention. SIGIR 2018, section 3.

    Examples
    --------
    >>> examined, merit = np.array([1.0, 0.5, 0.0]), np.array([2.0, 1.0, 1.0])
    >>> due_exposure(examined, merit, np.zeros(3, dtype=int))[1].tolist()
    [0.75, 0.375, 0.375]
    """
    known: Floats = np.maximum(np.nan_to_num(merit), 0.0)
    total, examination = (np.bincount(requests, each)[requests] for each in (known, examined))
    share = np.divide(known, total, out=np.zeros(len(known)), where=total > 0)
    return np.where(total > 0, examined, 0.0), np.asarray(examination * share, dtype=np.float64)


def entropy_by_group(examined: Floats, codes: Indices, count: int, rows: GroupedRows) -> GroupedStatistic:
    """Entropy of the exposure by value, in every group, with each row's influence.

    Parameters
    ----------
    examined : [n] of 0 or more.
    codes : [n] value of each row, from 0 to ``count`` - 1.

    Examples
    --------
    >>> from tasks.evaluation.clustered import RowClusters
    >>> rows = GroupedRows.of(np.zeros(4, dtype=int), 1, RowClusters(*[np.arange(4)] * 3))
    >>> made = entropy_by_group(np.ones(4), np.array([0, 0, 1, 1]), 2, rows)
    >>> made.value.round(6).tolist(), (made.influence + 0.0).tolist()
    ([0.693147], [0.0, 0.0, 0.0, 0.0])
    """
    exposures = _exposures(examined, codes, count, rows)
    total, value = exposures.sum(axis=1), entropy(exposures)
    shares = divide(exposures, total[:, None])
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    deviation = logs[rows.codes, codes] + value[rows.codes]
    return GroupedStatistic(
        value, np.nan_to_num(-examined * deviation / _positive(total)[rows.codes]), examined
    )


def gini_by_group(examined: Floats, codes: Indices, count: int, rows: GroupedRows) -> GroupedStatistic:
    """Gini index of the exposure by value, in every group, with each row's influence; parameters as above.

    Examples
    --------
    >>> from tasks.evaluation.clustered import RowClusters
    >>> rows = GroupedRows.of(np.zeros(2, dtype=int), 1, RowClusters(*[np.arange(2)] * 3))
    >>> made = gini_by_group(np.array([3.0, 1.0]), np.array([0, 1]), 2, rows)
    >>> made.value.tolist(), made.influence.tolist()
    ([0.25], [0.1875, -0.1875])
    """
    exposures = _exposures(examined, codes, count, rows)
    total, value = exposures.sum(axis=1), gini(exposures)
    order = np.argsort(exposures, axis=1, kind="stable")
    places = np.empty(exposures.shape)
    np.put_along_axis(places, order, ((2 * np.arange(1, count + 1) - count - 1) / count)[None, :], axis=1)
    deviation = places[rows.codes, codes] - value[rows.codes]
    return GroupedStatistic(
        value, np.nan_to_num(examined * deviation / _positive(total)[rows.codes]), examined
    )


def _exposures(examined: Floats, codes: Indices, count: int, rows: GroupedRows) -> Floats:
    """Sum the exposure of each value [groups, count]."""
    cells = rows.codes.astype(np.int64) * count + codes
    summed = np.bincount(cells, examined, rows.count * count).astype(np.float64, copy=False)
    return summed.reshape(rows.count, count)


def _positive(total: Floats) -> Floats:
    return np.where(total > 0, total, np.nan)
