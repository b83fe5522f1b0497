"""Metrics of an order: AUC and average precision from one sort, and NDCG inside requests.

**AUC and average precision** of many reweighted samples need one sort. Only the ranks of positives matter, so
each run of negatives between two of them becomes one bin::

    score, falling   .9  .8 .8 .7  .6  .5 .5 .4 ...
    outcome           0   1  0  0   0   1  0  0
    bin               0   1  1  2   2   3  3  4        at most 2 x positives + 1 bins

    negatives [bins, users] @ draws [users, replicates]  ->  cumulative sums  ->  both metrics

If positives are so common that this saves nothing, replicates use coarser bins with equally many positives
and are shifted to the exact value: their spread is the same to a part in thousands.

**NDCG** is naive or examination-weighted::

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
from scipy import sparse

from tasks.arrays import Flags, Floats, Indices
from tasks.errors import DataError
from tasks.evaluation.binary import check_rows, divide
from tasks.evaluation.observations import Grouping
from tasks.evaluation.resampling import Clusters, Resampler, count_users, percentile_interval
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate

MOST_BINS = 8192
"""Maximum number of resampled bins; with 512 of them the bounds differ by less than 3e-4
(tests/evaluation/test_ranking_metrics.py)."""


@dataclass(frozen=True)
class RankSums:
    """One sorted scoring: exact values, and inputs of resampling; bins by group, then by decreasing score.

    ``groups`` [m]: groups with rows, ``starts`` [m]: their first bins, ``aucs`` and ``precisions`` [m]: their
    values; ``positives`` and ``negatives`` [bins, users]: row weights.
    """

    groups: Indices
    starts: Indices
    aucs: Floats
    precisions: Floats
    positives: sparse.csr_array
    negatives: sparse.csr_array

    def replicated(self, resampler: Resampler) -> tuple[Floats, Floats]:
        """Return AUC and average precision [m, replicates] of resampled users."""
        blocks = resampler.blocks(int(self.positives.shape[0]))
        drawn = [_measure(self.positives @ block, self.negatives @ block, self.starts) for block in blocks]
        ones = np.ones((resampler.drawn, 1))
        base = _measure(self.positives @ ones, self.negatives @ ones, self.starts)
        exact = (self.aucs[:, None], self.precisions[:, None])
        aucs, precisions = (
            np.concatenate([pair[i] for pair in drawn], axis=1) + (exact[i] - base[i]) for i in range(2)
        )
        return aucs, precisions


@dataclass(frozen=True)
class FallingRows:
    """Outcomes, predictions and weights [n], and their rows by decreasing prediction, sorted once."""

    outcomes: Floats
    predictions: Floats
    weights: Floats
    order: Indices

    @classmethod
    def of(cls, y: Floats, p: Floats, w: Floats) -> "FallingRows":
        """Sort outcomes, predictions and weights [n], from `check_binary`."""
        return cls(y, p, w, np.argsort(-p, kind="stable"))

    def order_within(self, groups: Indices) -> Indices:
        """Return the rows by group, each by decreasing prediction, shape [n]."""
        small = groups.astype(np.min_scalar_type(int(groups.max())))  # two-byte codes use radix sort
        return self.order[np.argsort(small[self.order], kind="stable")]


def sum_ranks(rows: FallingRows, users: Indices, count: int, *, groups: Indices | None = None) -> RankSums:
    """Sort once and sum the rows into bins.

    Parameters
    ----------
    rows : at least one row.
    users : [n] the resampler's units, 0 to count - 1.
    groups : [n] codes; None for one group.

    Examples
    --------
    >>> y, p = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.8, 0.7, 0.1])
    >>> sums = sum_ranks(FallingRows.of(y, p, np.ones(4)), np.arange(4), 4)
    >>> sums.aucs, sums.precisions.round(6)
    (array([0.75]), array([0.833333]))
    """
    of = np.zeros(rows.order.size, dtype=np.intp) if groups is None else groups
    order = rows.order if groups is None else rows.order_within(groups)
    p, y = rows.predictions[order], rows.outcomes[order] == 1
    g, w = of[order], rows.weights[order]
    new_group = np.r_[True, np.diff(g) != 0]
    ties = np.flatnonzero(new_group | np.r_[True, np.diff(p) != 0])
    positives = np.add.reduceat(y, ties, dtype=np.intp)
    opens = (positives > 0) | np.r_[True, positives[:-1] > 0] | new_group[ties]
    bins = _rows_to_bins(opens, ties, y.size)
    firsts = np.flatnonzero(new_group)
    positive, negative = (np.bincount(bins, w * side).astype(np.float64)[:, None] for side in (y, ~y))
    aucs, precisions = _measure(positive, negative, bins[firsts])
    if positive.size > MOST_BINS:
        # a bin opens after every 1 / `MOST_BINS` of the positives
        passed = np.cumsum(positives) * MOST_BINS // max(1, int(positives.sum()))
        bins = _rows_to_bins(np.r_[True, np.diff(passed) > 0] | new_group[ties], ties, y.size)
    sides = [
        _build_matrix(bins[side], users[order][side], w[side], (int(bins[-1]) + 1, count)) for side in (y, ~y)
    ]
    return RankSums(g[firsts], bins[firsts], aucs[:, 0], precisions[:, 0], *sides)


def ranked_intervals(
    rows: FallingRows, who: Clusters, replicates: int, group: Grouping | None = None
) -> tuple[list[Estimate], list[Estimate]]:
    """Intervals of pooled AUC and of average precision, one of each per group, from one sort.

    Parameters
    ----------
    who, replicates : users of the n rows, and the number of resamples.
    group : group of each row; None for one group of all rows.

    Examples
    --------
    >>> y, p = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.8, 0.7, 0.1])
    >>> rows, who = FallingRows.of(y, p, np.ones(4)), Clusters(np.arange(4), 4, "users")
    >>> aucs, precisions = ranked_intervals(rows, who, 5)
    >>> aucs[0].value, round(precisions[0].value, 6)
    (0.75, 0.833333)
    """
    codes, count = (None, 1) if group is None else (group.codes, group.count)
    aucs, precisions = [UNKNOWN_ESTIMATE] * count, [UNKNOWN_ESTIMATE] * count
    if not rows.order.size:
        return aucs, precisions
    resampler = Resampler(who.count, replicates)
    ranked = sum_ranks(rows, resampler.units(who.codes), resampler.drawn, groups=codes)
    auc_samples, precision_samples = ranked.replicated(resampler)
    sizes = count_users(who.codes, np.zeros_like(who.codes) if codes is None else codes, count)
    for i, code in enumerate(ranked.groups):
        aucs[code] = percentile_interval(ranked.aucs[i], auc_samples[i], sizes[code])
        precisions[code] = percentile_interval(ranked.precisions[i], precision_samples[i], sizes[code])
    return aucs, precisions


def _rows_to_bins(opens: Flags, ties: Indices, rows: int) -> Indices:
    return np.repeat(np.cumsum(opens) - 1, np.diff(np.r_[ties, rows]))


def _build_matrix(bins: Indices, users: Indices, weights: Floats, shape: tuple[int, int]) -> sparse.csr_array:
    """Build a sparse [bins, users] matrix of rows sorted by bin."""
    pointers = np.searchsorted(bins, np.arange(shape[0] + 1))
    return sparse.csr_array((weights, users, pointers), shape=shape)


def _measure(positive: Floats, negative: Floats, starts: Indices) -> tuple[Floats, Floats]:
    """Return AUC and average precision [groups, replicates] of bins [bins, replicates]."""
    sizes = np.diff(np.r_[starts, positive.shape[0]])
    hits, positives = _cumulate_within_groups(positive, starts, sizes)
    misses, negatives = _cumulate_within_groups(negative, starts, sizes)
    won = np.add.reduceat(positive * (misses - negative / 2), starts)
    precision = np.divide(
        hits,
        hits + misses,
        out=np.zeros_like(hits),
        where=positive > 0,
    )
    gained = np.add.reduceat(positive * precision, starts)
    return 1 - divide(won, positives * negatives), divide(gained, positives)


def _cumulate_within_groups(bins: Floats, starts: Indices, sizes: Indices) -> tuple[Floats, Floats]:
    """Cumulate within groups; also return the totals [groups, replicates]."""
    upto = np.cumsum(bins, axis=0)
    ends = upto[starts + sizes - 1]
    before = np.vstack([np.zeros_like(ends[:1]), ends[:-1]])
    if starts.size > 1:
        upto -= np.repeat(before, sizes, axis=0)
    return upto, ends - before


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
    # sums of the first 0, 1, ... discounts, which are 0 beyond k
    ranks = np.arange(1, int(np.bincount(g).max()) + 1)
    upto = np.r_[0.0, np.cumsum(np.where(ranks <= k, 1 / np.log2(1 + ranks), 0.0))]
    shared = (upto[ends - request_start] - upto[ties - request_start]) / (ends - ties)
    discounted = np.add.reduceat(gains[order], ties) * shared
    return np.bincount(g[ties], discounted, minlength=count).astype(np.float64)
