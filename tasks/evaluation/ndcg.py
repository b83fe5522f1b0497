"""NDCG inside requests, naive and examination-weighted.

::

    gained = sum of gain / log2(1 + rank)   over the first k of a request; ties share their mean discount
    ideal  = the same with the gains sorted

    naive NDCG                  mean over requests of gained / ideal,           gain = outcome
    examination-weighted NDCG   sum of gained / sum of ideal over all requests, gain = outcome / examination

The outcomes of a log favour the logging policy, because top positions were examined. Dividing each outcome by
the examination of its logged position makes ``gained`` unbiased (Joachims, Swaminathan and Schnabel 2017),
but a quotient per request reverts that: with one positive its weight cancels. So the sums are divided, not
averaged. Rows have a known label; other candidates are removed first, and the ranks close up.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.arrays import Floats, Indices
from tasks.errors import DataError
from tasks.evaluation.binary import check_rows, divide


@dataclass(frozen=True)
class RequestGains:
    """Gained and ideal discounted gain of each request [m], in order of first appearance.

    ``first_rows`` [m] is a row of each request, to look up its user or segment.
    """

    gained: Floats
    ideal: Floats
    first_rows: Indices

    @property
    def by_request(self) -> Floats:
        """NDCG of each request; NaN if no gain was possible."""
        return divide(self.gained, self.ideal)


def request_gains(
    outcomes: npt.ArrayLike,
    scores: npt.ArrayLike,
    requests: npt.ArrayLike,
    *,
    k: int,
    examination: npt.ArrayLike | None = None,
) -> RequestGains:
    """Return the discounted gains of an order.

    Parameters
    ----------
    outcomes : [n] known outcomes, 0 or more.
    scores : [n] the order's scores, higher first (pass -rank for ranks).
    requests : [n] ids.
    k : number of slots that count.
    examination : [n] probability that the row's logged position is examined, above 0;
        None uses outcomes unweighted.

    Examples
    --------
    >>> gains = request_gains([0, 1, 1, 0], [0.9, 0.1, 0.8, 0.2], ["a", "a", "b", "b"], k=2)
    >>> gains.by_request.round(6).tolist()
    [0.63093, 1.0]
    """
    gains, order, seen = check_rows(outcomes, scores, examination)
    if gains.size and (gains.min() < 0 or seen.min() <= 0):
        raise DataError("NDCG needs outcomes of 0 or more and examination above 0 at every logged position.")
    gains = gains / seen
    codes, known = _factorize_runs(np.asarray(requests))
    first = np.full(known, codes.size, dtype=np.intp)
    np.minimum.at(first, codes, np.arange(codes.size))
    table = _tabulate(codes, known)
    if table is None:
        ideal = _discount_gains(gains, gains, codes, known, k)
        return RequestGains(_discount_gains(gains, order, codes, known, k), ideal, first)
    inside = np.where(table < 0, 0.0, gains[table])
    gained = _discount_untied(inside, np.where(table < 0, np.inf, -order[table]), k)
    if gained is None:
        gained = _discount_gains(gains, order, codes, known, k)
    return RequestGains(gained, -np.sort(-inside, axis=1)[:, :k] @ _discounts(inside.shape[1], k), first)


def _factorize_runs(requests: npt.NDArray[Any]) -> tuple[Indices, int]:
    """Return a code for each request and their number; only the first of consecutive equal rows is hashed."""
    if not requests.size:
        return np.zeros(0, dtype=np.intp), 0
    try:
        starts = np.flatnonzero(np.r_[True, np.asarray(requests[1:] != requests[:-1], dtype=bool)])
    except TypeError:  # pandas' NA is neither equal nor unequal
        starts = np.arange(requests.size)
    codes, known = pd.factorize(requests[starts], use_na_sentinel=False)
    return np.repeat(codes, np.diff(starts, append=requests.size)), len(known)


def _tabulate(codes: Indices, count: int) -> Indices | None:
    """Return each request's rows [count, longest], -1 beyond its last; None if most cells would be empty."""
    sizes = np.bincount(codes, minlength=count)
    longest = int(sizes.max(initial=0))
    if not longest or longest * count > 2 * len(codes):
        return None
    filled = np.arange(longest) < sizes[:, None]
    table = np.full(filled.shape, -1, dtype=np.intp)
    table[filled] = np.argsort(codes, kind="stable")
    return table


def _discount_untied(gains: Floats, keys: Floats, k: int) -> Floats | None:
    """Sum of gain times discount in the order of the keys [count]; None if finite keys are tied."""
    order = np.argsort(keys, axis=1)
    order += (np.arange(len(keys)) * keys.shape[1])[:, None]
    sorted_keys = keys.ravel()[order]
    if ((sorted_keys[:, 1:] == sorted_keys[:, :-1]) & np.isfinite(sorted_keys[:, 1:])).any():
        return None
    best = gains.ravel()[order[:, :k]]
    return np.asarray(best @ _discounts(gains.shape[1], k))


def _discounts(longest: int, k: int) -> Floats:
    """Return the discounts of the first k positions, at most ``longest``."""
    return 1.0 / np.log2(np.arange(2, min(k, longest) + 2))


def _discount_gains(gains: Floats, scores: Floats, codes: Indices, count: int, k: int) -> Floats:
    """Sum of gain times mean discount of the tied positions, per request [count]."""
    if not gains.size:
        return np.zeros(count)
    order = np.lexsort((-scores, codes))
    g, s = codes[order], scores[order]
    new_request = np.r_[True, np.diff(g) != 0]
    ties = np.flatnonzero(new_request | np.r_[True, np.diff(s) != 0])
    ends = np.r_[ties[1:], g.size]
    request_start = np.flatnonzero(new_request)[np.cumsum(new_request)[ties] - 1]
    upto = _cumulative_discounts(int(np.bincount(g).max()), k)
    shared = (upto[ends - request_start] - upto[ties - request_start]) / (ends - ties)
    discounted = np.add.reduceat(gains[order], ties) * shared
    return np.bincount(g[ties], discounted, minlength=count).astype(np.float64)


def _cumulative_discounts(longest: int, k: int) -> Floats:
    """Cumulative sums of the first 0, 1, ..., longest discounts, which are 0 beyond k."""
    ranks = np.arange(1, longest + 1)
    return np.r_[0.0, np.cumsum(np.where(ranks <= k, 1 / np.log2(1 + ranks), 0.0))]
