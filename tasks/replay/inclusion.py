"""How shown items stand for all candidates: weights from the logged propensities, and whether they hold.

The log's policy fills positions one after the other; ``p_l`` is the probability of an item at position l
given those above it. An item shown at position j gets the weight ::

    w = a_j / p_j + sum over l > j of a_l       a_l = examination of l / examination of all positions

Over the log's draws the weights of an item add up to 1 on average: at each position l it is either drawn
there (1 / p_l), or stood above it (1), or was passed over. Unlike 1 / p_j they stay small: an item that was
left over for a late position had every chance before. With ``propensity_kind: inclusion`` the propensity is
that of being on the page at all, and w = 1 / propensity.

Items that are certain to stand above the first position that is drawn stand for themselves (w = 1), and their
positions count in no ``a``: the last slots of a slate, drawn at random, tell of all that were left.

Weighted so, the shown items of a request count as many as its candidates: propensities of which this is not
true within three standard errors are not what they say.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.evaluation.binary import Codes, Floats
from tasks.evaluation.resampling import LEAST_CLUSTERS

LEAST_INCLUSION: Final = 0.02
"""Probability of being shown below which an item's outcome stands for too many that were not."""
MOST_UNSUPPORTED: Final = 0.05
"""Share of the looks that may fall on such items."""
_STANDARD_ERRORS: Final = 3.0


def sequential_weights(requests: Codes, positions: Floats, propensity: Floats, looks: Floats) -> Floats:
    """Return the weight of each shown item, 0 where none was shown, shape [n].

    Parameters
    ----------
    requests : [n] codes.
    positions : [n] from 1; NaN where the item was not shown.
    propensity : [n] of the item at its position given those above it; NaN where it was not shown.
    looks : [n] examination of each row's position; any number where the item was not shown.

    Examples
    --------
    >>> places, chance = np.array([1.0, 2.0, np.nan]), np.array([0.5, 0.5, np.nan])
    >>> sequential_weights(np.zeros(3, dtype=int), places, chance, np.array([3.0, 1.0, 0.0])).tolist()
    [1.75, 0.5, 0.0]
    """
    shown = np.isfinite(positions)
    order = np.lexsort((np.where(shown, positions, np.inf), requests))
    random = shown & ~(propensity >= 1)
    certain = shown & (_sum_upto(requests, order, random.astype(np.float64)) == 0)
    examined = np.where(shown & ~certain, looks, 0.0)
    total = np.bincount(requests, examined)[requests]
    upto = _sum_upto(requests, order, examined)
    share = np.divide(examined, total, out=np.zeros(len(requests)), where=total > 0)
    later = np.divide(total - upto, total, out=np.zeros(len(requests)), where=total > 0)
    drawn = np.divide(share, propensity, out=np.zeros(len(requests)), where=shown & (propensity > 0))
    return np.where(certain, 1.0, np.where(shown, drawn + later, 0.0))


def _sum_upto(requests: Codes, order: npt.NDArray[np.intp], values: Floats) -> Floats:
    """Sum the values of each row and of those before it in its request, shape [n]."""
    running = np.cumsum(values[order])
    before = np.r_[0.0, running[:-1]]
    starts = np.r_[True, np.diff(requests[order]) != 0]
    upto = np.empty(len(requests))
    upto[order] = running - np.maximum.accumulate(np.where(starts, before, 0.0))
    return upto


def inclusion_weights(propensity: Floats, shown: npt.NDArray[np.bool_]) -> Floats:
    """Return one over the probability of being on the page, 0 where an item was not shown, shape [n].

    Examples
    --------
    >>> inclusion_weights(np.array([0.5, np.nan]), np.array([True, False])).tolist()
    [2.0, 0.0]
    """
    return np.divide(1.0, propensity, out=np.zeros(len(propensity)), where=shown & (propensity > 0))


def contradiction(requests: Codes, weights: Floats) -> str:
    """Say where the weights do not add up to the number of candidates; nothing where they do.

    Parameters
    ----------
    requests, weights : [n] of all candidates.

    Examples
    --------
    >>> contradiction(np.repeat(np.arange(30), 2), np.ones(60))
    ''
    """
    excess = np.bincount(requests, weights - 1.0)
    if len(excess) < LEAST_CLUSTERS:
        return ""
    error = float(excess.std(ddof=1)) / np.sqrt(len(excess))
    size = len(requests) / len(excess)
    if abs(excess.mean()) <= _STANDARD_ERRORS * error + 1e-9 * size:
        return ""
    never = "; or they hold, and the others could never be drawn" if excess.mean() < 0 else ""
    return (
        f"the logged propensities do not hold: by them a request has {size + excess.mean():.3g} candidates, "
        f"and {size:.3g} are logged{never}"
    )


def unsupported_share(looks: Floats, weights: Floats) -> tuple[float, float]:
    """Return the share of looks on items that the log seldom or never shows, and its standard error.

    Parameters
    ----------
    looks : [n] of a policy's slots, 0 elsewhere.
    weights : [n] of the shown items, 0 elsewhere.

    Examples
    --------
    >>> share, _ = unsupported_share(np.array([1.0, 1.0]), np.array([1.0, 100.0]))
    >>> share
    0.5
    """
    total = looks.sum()
    if not total:
        return 0.0, 0.0
    supported = looks * np.where(weights <= 1 / LEAST_INCLUSION, weights, 0.0) / total
    share = 1.0 - supported.sum()
    return float(share), float(np.sqrt((np.square(supported - looks / total * (1 - share))).sum()))
