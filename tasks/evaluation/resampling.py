"""The bootstrap of users: clusters, draws, and intervals of statistics of sums.

Rows of one user are correlated, so users are drawn instead of rows::

    rows --sum by user--> sums [users]     draws [users, replicates]: how often each user was drawn
    statistic(sums @ draws)  ->  one value per replicate  ->  percentiles 2.5 and 97.5

If users return, nominal 95 % intervals by request cover 62 %.

An interval needs support:

================== ================================================= =====================================
effective clusters (sum of weights by user)^2 / sum of their squares at least 20, for any figure
positives          rows whose outcome is not 0                       at least 10, for a figure of outcomes
negatives          the other rows                                    at least 10, for an order of rows (AUC)
================== ================================================= =====================================

Below the minimum a figure keeps its value and loses its bounds, so no limit on it can be evaluated.
Resampling shows only the few observed users, so such intervals are too narrow.

Intervals of single metrics (`mean_interval` and others) are also unknown if the positives belong to
so few users that a resample often has none; without a positive the value itself is NaN.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import nan
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from tasks.arrays import Flags, Floats, Indices
from tasks.columns import REQUEST_ID, USER_ID
from tasks.errors import DataError
from tasks.evaluation.binary import check_binary, divide
from tasks.evaluation.observations import Grouping
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate

BLOCK_CELLS = 4_000_000
"""Cells of the largest matrix of floats in memory (32 MB)."""
KEPT_CELLS: Final = 500_000
"""Cells up to which draws are cached (4 MB): a report reuses those of the same few users many times."""
_KEPT_DRAWS: Final = 16

MOST_DRAWN = 10_000
"""Users beyond this number are split at random into this many equal groups, and groups are drawn. Groups are
as independent as users, so the interval is the same, and its cost no longer grows with the number of users.
"""

LEAST_CLUSTERS: Final = 20
"""Effective clusters below which there is no interval: 95 % intervals of a
calibration ratio cover 71 % with 3 users and 90 % with 10 (tests/evaluation/test_resampling.py; Cameron,
Gelbach and Miller 2008 find cluster intervals too narrow below 20 to 50 clusters)."""

LEAST_POSITIVES: Final = 10
"""Positives (for an order of rows also negatives) below which there is no interval: at a rate of .01
95 % intervals of AUC cover 73 % with 5 users (tests/evaluation/test_resampling.py; 10 is the usual minimum
for the normal approximation of a binomial, Brown, Cai and DasGupta 2001)."""

MOST_UNDEFINED = 0.05
"""Share of replicates without a value above which there is no interval: the share outside a 95 %
interval."""


def effective_number(total: npt.ArrayLike, squares: npt.ArrayLike) -> Floats:
    """Return Kish's effective number of clusters: (sum of weights)^2 / sum of squares; 0 without any.

    References
    ----------
    Kish (1965), Survey Sampling, section 8.2.

    Examples
    --------
    >>> effective_number([2.0, 10.0, 0.0], [2.0, 82.0, 0.0]).round(4)
    array([2.    , 1.2195, 0.    ])
    """
    sums, spread = np.asarray(total, dtype=np.float64), np.asarray(squares, dtype=np.float64)
    return np.divide(sums**2, spread, out=np.zeros(sums.shape), where=spread > 0)


Statistic = Callable[..., Floats]


@dataclass(frozen=True)
class Clusters:
    """Rows drawn together: ``codes`` [n] from 0 to ``count - 1``, and in words ``resampled``."""

    codes: Indices
    count: int
    resampled: str


def cluster_rows(users: npt.ArrayLike, requests: npt.ArrayLike | None = None) -> Clusters:
    """Cluster rows by user, or by request for rows without a user, as ``resampled`` then states.

    Examples
    --------
    >>> cluster_rows(["u", "v", "u"])
    Clusters(codes=array([0, 1, 0]), count=2, resampled='users')
    """
    codes, known = pd.factorize(np.asarray(users))
    missing = codes < 0
    lacking, count = int(missing.sum()), len(known)
    if not lacking:
        return Clusters(codes, count, "users")
    if requests is None:
        raise DataError(
            f"user_id is missing in {lacking} of {codes.size} rows; pass requests to resample those by."
        )
    substitute, others = pd.factorize(np.asarray(requests)[missing], use_na_sentinel=False)
    codes[missing] = substitute + count
    where = "" if lacking == codes.size else f" in the {lacking} rows without a user, else users"
    return Clusters(codes, count + len(others), f"requests{where}")


def users_of(frame: pd.DataFrame) -> "pd.Series[Any]":
    """Return the unit of resampling of each row, [n]: the user, or a prefixed request id for a missing user.

    Examples
    --------
    >>> users_of(pd.DataFrame({"request_id": [5, 6], "user_id": [None, 5]}, dtype=object)).tolist()
    ['request 5', 5]
    """
    users = frame[USER_ID]
    unknown = users.isna()
    if not unknown.any():
        return users
    return users.astype(object).where(~unknown, "request " + frame[REQUEST_ID].astype(str))


_SEED: Final = 0
"""The draws depend on the number of users and of replicates alone: they are the same for every metric."""


@dataclass(frozen=True)
class Resampler:
    """Draws ``count`` users with replacement, ``replicates`` times; the same draws for every metric."""

    count: int
    replicates: int

    @property
    def drawn(self) -> int:
        """Number of drawn units: users, or groups of users."""
        return min(self.count, MOST_DRAWN)

    def units(self, users: Indices) -> Indices:
        """Map user codes [n] to the drawn units."""
        if self.count <= MOST_DRAWN:
            return users
        return (np.random.default_rng(_SEED).permutation(self.count) % MOST_DRAWN)[users]

    def blocks(self, *rows: int) -> Iterator[Floats]:
        """Yield [drawn, width]: how often each unit was drawn.

        The width limits the size of matrices with this many ``rows``; the draws do not depend on it.
        """
        width = max(1, BLOCK_CELLS // max(1, self.drawn, *rows))
        yield from draw_counts(self.drawn, replicates=self.replicates, width=width)


def draw_counts(count: int, *, replicates: int, width: int) -> Iterator[Floats]:
    """Yield blocks [count, at most width]: how often each unit was drawn in each replicate.

    Examples
    --------
    >>> [block.sum(axis=0) for block in draw_counts(3, replicates=4, width=2)]
    [array([3., 3.]), array([3., 3.])]
    """
    if count * replicates <= KEPT_CELLS:
        yield from _few_counts(count, replicates, width)
    else:
        yield from _draw_blocks(count, replicates, width)


@lru_cache(maxsize=_KEPT_DRAWS)
def _few_counts(count: int, replicates: int, width: int) -> tuple[Floats, ...]:
    blocks = tuple(_draw_blocks(count, replicates, width))
    for block in blocks:
        block.flags.writeable = False
    return blocks


def _draw_blocks(count: int, replicates: int, width: int) -> Iterator[Floats]:
    rng = np.random.default_rng(_SEED)
    for start in range(0, replicates, width):
        block = np.empty((min(width, replicates - start), count))
        for row in block:
            row[:] = np.bincount(rng.integers(count, size=count), minlength=count)
        yield np.ascontiguousarray(block.T)


def percentile_interval(value: float, replicated: Floats, n: int) -> Estimate:
    """Turn replicates into a 95 % percentile interval of n clusters.

    Bounds are NaN (inconclusive) for fewer than `LEAST_CLUSTERS`, and if more than 5 % of the replicates
    have no value, because the sample then depends on a handful of users. Other requirements of an interval
    are in `Support`.

    Examples
    --------
    >>> percentile_interval(20.0, np.arange(41.0), 20)
    Estimate(value=20.0, low=1.0, high=39.0, n=20)
    """
    defined = replicated[np.isfinite(replicated)]
    defined_enough = n >= LEAST_CLUSTERS and np.isfinite(value) and defined.size
    if not defined_enough or replicated.size - defined.size > MOST_UNDEFINED * replicated.size:
        return Estimate(float(value), float("nan"), float("nan"), int(n))
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high), int(n))


def sum_intervals(
    columns: Sequence[Floats],
    statistics: Mapping[str, Statistic],
    who: Clusters,
    replicates: int,
    group: Grouping | None = None,
) -> dict[str, list[Estimate]]:
    """Intervals of statistics of column sums, per group; users are drawn once for all groups.

    Parameters
    ----------
    columns : each [n]; a statistic gets their sums, [count, 1] or [count, replicates], elementwise.
    who : users of the n rows; all of them are drawn, also those without a row.
    replicates : number of resamples.
    group : group of each row; None for one group of all rows.

    Returns
    -------
    For each statistic, one estimate per group; its ``n`` is the number of users with rows in the group.

    Examples
    --------
    >>> means = {"mean": lambda total, rows: total / rows}
    >>> (mean,) = sum_intervals([np.array([1.0, 3.0]), np.ones(2)], means, cluster_rows([7, 8]), 9)["mean"]
    >>> mean.value, mean.n
    (2.0, 2)
    """
    resampler, of = Resampler(who.count, replicates), group or Grouping.whole(who.codes.size)
    if not who.count:
        return {name: [UNKNOWN_ESTIMATE] * of.count for name in statistics}
    sizes = count_users(who.codes, of.codes, of.count)
    sums = _sums_by_unit(columns, resampler.units(who.codes), of.codes, (of.count, resampler.drawn))
    once = np.ones((resampler.drawn, 1))
    values = _apply_statistics(statistics, [matrix @ once for matrix in sums])
    samples = [
        _apply_statistics(statistics, [matrix @ block for matrix in sums])
        for block in resampler.blocks(of.count)
    ]
    return {
        name: [
            percentile_interval(value, replicated, n)
            for value, replicated, n in zip(
                values[name][:, 0], np.concatenate([s[name] for s in samples], axis=1), sizes, strict=True
            )
        ]
        for name in statistics
    }


def statistic_intervals(
    columns: Sequence[Floats],
    statistic: Statistic,
    who: Clusters,
    replicates: int,
    group: Grouping | None = None,
) -> list[Estimate]:
    """Intervals of one statistic of column sums, per group; see `sum_intervals`.

    Examples
    --------
    >>> statistic_intervals([np.array([1.0, 3.0]), np.ones(2)], divide, cluster_rows([7, 8]), 9)[0].value
    2.0
    """
    return sum_intervals(columns, {"it": statistic}, who, replicates, group)["it"]


def _apply_statistics(statistics: Mapping[str, Statistic], sums: Sequence[Floats]) -> dict[str, Floats]:
    return {name: statistic(*sums) for name, statistic in statistics.items()}


def _sums_by_unit(
    columns: Sequence[Floats], units: Indices, groups: Indices, shape: tuple[int, int]
) -> list[sparse.csr_array]:
    """Sum each column into a sparse [groups, units] matrix."""
    pairs, known = pd.factorize(groups * np.intp(shape[1]) + units)
    place = np.divmod(known, max(1, shape[1]))
    summed = (np.bincount(pairs, column, known.size).astype(np.float64) for column in columns)
    return [sparse.csr_array((sums, place), shape=shape) for sums in summed]


def count_users(users: Indices, groups: Indices, count: int) -> Indices:
    """Count the users with rows in each group [count].

    Examples
    --------
    >>> count_users(np.array([0, 0, 1]), np.array([0, 0, 0]), 2)
    array([2, 0])
    """
    step = np.intp(users.max(initial=0) + 1)
    return np.bincount(pd.unique(groups * step + users) // step, minlength=count)


@dataclass(frozen=True)
class Support:
    """For each group [groups]: effective clusters, rows, and rows with an outcome other than 0."""

    clusters: Floats
    rows: Indices
    positives: Indices

    @classmethod
    def of(
        cls, outcomes: Floats, weights: Floats, users: Indices, group: Grouping | None = None
    ) -> "Support":
        """Count the support of the figures of each group.

        Parameters
        ----------
        outcomes, weights : [n], weights of 0 or more.
        users : [n] codes of the clusters.
        group : group of each row; None for one group of all rows.

        Examples
        --------
        >>> y, w, users = np.array([1.0, 0.0, 0.0]), np.ones(3), np.array([0, 1, 1])
        >>> Support.of(y, w, users)
        Support(clusters=array([1.8]), rows=array([3]), positives=array([1]))
        """
        codes, count = (np.zeros_like(users), 1) if group is None else (group.codes, group.count)
        return cls(
            effective_clusters(weights, users, codes, count),
            np.bincount(codes, minlength=count),
            np.bincount(codes, outcomes != 0, minlength=count).astype(np.intp),
        )

    def of_any(self, estimates: Sequence[Estimate]) -> list[Estimate]:
        """Remove the intervals of groups with too few clusters."""
        return _withhold(estimates, self.clusters >= LEAST_CLUSTERS)

    def of_outcomes(self, estimates: Sequence[Estimate]) -> list[Estimate]:
        """Remove the intervals of groups with too few clusters or positives.

        Examples
        --------
        >>> users = np.arange(20)
        >>> few, enough = (Support.of((users < n).astype(float), np.ones(20), users) for n in (9, 10))
        >>> ratio = Estimate(1.0, 0.6, 1.5, 20)
        >>> few.of_outcomes([ratio])[0].known, enough.of_outcomes([ratio])[0].known
        (False, True)
        """
        return _withhold(self.of_any(estimates), self.positives >= LEAST_POSITIVES)

    def of_order(self, estimates: Sequence[Estimate]) -> list[Estimate]:
        """Remove the intervals of groups with too few clusters, positives or negatives."""
        return _withhold(self.of_outcomes(estimates), self.rows - self.positives >= LEAST_POSITIVES)


def effective_clusters(weights: Floats, users: Indices, groups: Indices, count: int) -> Floats:
    """Return the effective number of clusters of each group [count]: (sum of weights)^2 / sum of squares.

    Parameters
    ----------
    weights, users, groups : [n] weight of 0 or more, code of the cluster, and group from 0 to count - 1.

    Examples
    --------
    >>> weights, users = np.array([4.0, 5.0, 1.0, 1.0]), np.array([0, 0, 1, 1])
    >>> effective_clusters(weights, users, np.array([0, 0, 0, 1]), 2).round(4)
    array([1.2195, 1.    ])
    """
    step = np.intp(users.max(initial=0) + 1)
    pairs, known = pd.factorize(groups * step + users)
    by_user, of = np.bincount(pairs, weights, known.size), known // step
    total, squares = (np.bincount(of, values, count) for values in (by_user, by_user**2))
    return effective_number(total, squares)


def _withhold(estimates: Sequence[Estimate], enough: Flags) -> list[Estimate]:
    return [e if ok else replace(e, low=nan, high=nan) for e, ok in zip(estimates, enough, strict=True)]


_REPLICATES: Final = 500


def mean_interval(values: npt.ArrayLike, users: npt.ArrayLike, *, replicates: int = _REPLICATES) -> Estimate:
    """Interval of the mean of measured values, without NaN values.

    Zero is a measured value here: if every value is 0, so are the bounds, and no positives are needed.

    Examples
    --------
    >>> mean_interval([0.0] * 20 + [float("nan")], range(21))
    Estimate(value=0.0, low=0.0, high=0.0, n=20)
    """
    measured = np.asarray(values, dtype=np.float64)
    known = np.isfinite(measured)
    once, who = np.ones(np.count_nonzero(known)), cluster_rows(np.asarray(users)[known])
    means = statistic_intervals([measured[known], once], divide, who, replicates)
    return Support.of(measured[known], once, who.codes).of_any(means)[0]


def calibration_interval(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Estimate:
    """Interval of the calibration ratio, observed over predicted; unknown without a positive.

    Examples
    --------
    >>> calibration_interval([1, 0, 1], [0.5, 0.5, 1.0], ["u", "v", "w"]).value
    1.0
    """
    y, p, w = check_binary(outcomes, predictions, weights)
    if not y.any():
        return UNKNOWN_ESTIMATE
    who = cluster_rows(users)
    ratios = statistic_intervals([w * y, w * p], divide, who, _REPLICATES)
    return Support.of(y, w, who.codes).of_outcomes(ratios)[0]
