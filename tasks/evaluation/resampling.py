"""The bootstrap of users: who is resampled, the draws, and intervals of anything made from sums.

Rows of one user depend on each other, so users are drawn, never rows::

    rows --sum by user--> sums [users]     draws [users, replicates]: how often each user was drawn
    statistic(sums @ draws)  ->  one value a replicate  ->  percentiles 2.5 and 97.5

By request, where users come back, intervals that say 95 % cover 62 %.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from tasks.errors import DataError
from tasks.evaluation.binary import Codes, Floats
from tasks.evaluation.verdicts import Estimate

UNKNOWN = Estimate(float("nan"), float("nan"), float("nan"), 0)

BLOCK_CELLS = 4_000_000
"""Cells of the largest matrix of floats held at once (32 MB)."""

KEPT_CELLS = 250_000_000
"""Draws up to so many cells are kept (a byte each) instead of being drawn again for every metric."""

MOST_UNDEFINED = 0.05
"""Share of replicates without a value from which an interval cannot be told."""

Statistic = Callable[..., Floats]


@dataclass(frozen=True)
class Clusters:
    """Which rows are drawn together: ``codes`` [n] from 0 to ``count - 1``, and in words ``resampled``."""

    codes: Codes
    count: int
    resampled: str


def clusters(users: npt.ArrayLike, requests: npt.ArrayLike | None = None) -> Clusters:
    """Cluster rows by user; a row without a user by its request, which ``resampled`` then says.

    Raises
    ------
    DataError
        A user is missing and no requests are given.

    Examples
    --------
    >>> clusters(["u", "v", "u"])
    Clusters(codes=array([0, 1, 0]), count=2, resampled='users')
    """
    codes, known = pd.factorize(np.asarray(users))
    missing = codes < 0
    lacking, count = int(missing.sum()), len(known)
    if not lacking:
        return Clusters(codes, count, "users")
    if requests is None:
        raise DataError(f"user_id is missing in {lacking} of {codes.size} rows; pass requests to resample those by.")
    stand_in, others = pd.factorize(np.asarray(requests)[missing], use_na_sentinel=False)
    codes[missing] = stand_in + count
    where = "" if lacking == codes.size else f" in the {lacking} rows without a user, else users"
    return Clusters(codes, count + len(others), f"requests{where}")


@dataclass(frozen=True)
class Resampler:
    """Draws ``count`` clusters with replacement, ``replicates`` times; the same for every metric that asks."""

    count: int
    seed: int
    replicates: int

    def blocks(self, *rows: int) -> Iterator[Floats]:
        """Yield [count, width]: how often each cluster was drawn.

        The width lets matrices of so many ``rows`` stay small; the draws do not depend on it.
        """
        width = max(1, BLOCK_CELLS // max(1, self.count, *rows))
        rng = np.random.default_rng(self.seed)
        for start in range(0, self.replicates, width):
            stop = min(start + width, self.replicates)
            drawn = self._draw(rng, stop - start) if self._kept is None else self._kept[start:stop]
            yield np.ascontiguousarray(drawn.T, dtype=np.float64)

    @cached_property
    def _kept(self) -> npt.NDArray[np.uint8] | None:
        if self.count * self.replicates > KEPT_CELLS:
            return None
        return self._draw(np.random.default_rng(self.seed), self.replicates)

    def _draw(self, rng: np.random.Generator, times: int) -> npt.NDArray[np.uint8]:
        drawn = np.empty((times, self.count), dtype=np.uint8)
        for row in drawn:
            row[:] = np.bincount(rng.integers(self.count, size=self.count), minlength=self.count)
        return drawn


def interval(value: float, replicated: Floats, n: int) -> Estimate:
    """Turn replicates into a 95 % percentile interval of n clusters.

    Bounds are NaN (cannot tell) for fewer than two clusters and where more than 5 % of the replicates
    have no value: then the sample hangs on a handful of users.
    """
    defined = replicated[np.isfinite(replicated)]
    told = n >= 2 and np.isfinite(value) and defined.size
    if not told or replicated.size - defined.size > MOST_UNDEFINED * replicated.size:
        return Estimate(float(value), float("nan"), float("nan"), int(n))
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high), int(n))


def sum_intervals(
    columns: Sequence[Floats],
    statistics: Mapping[str, Statistic],
    users: Codes,
    resampler: Resampler,
    *,
    groups: Codes | None = None,
    count: int = 1,
) -> dict[str, list[Estimate]]:
    """Intervals of statistics of column sums, per group; users are drawn once for all groups.

    Parameters
    ----------
    columns : each [n]; a statistic gets their sums as arrays [count, 1] or [count, replicates] and is elementwise.
    users : [n] codes from `clusters`, all below ``resampler.count``.
    groups : [n] group of each row, 0 to count - 1; None is one group.

    Returns
    -------
    Per statistic one estimate a group; its ``n`` is the number of users with rows in the group.
    """
    sums, sizes = _sums_by_user(columns, users, np.zeros_like(users) if groups is None else groups, count, resampler)
    found = _apply(statistics, [matrix.sum(axis=1)[:, None] for matrix in sums])
    samples = [_apply(statistics, [matrix @ block for matrix in sums]) for block in resampler.blocks(count)]
    return {
        name: [
            interval(value, replicated, n)
            for value, replicated, n in zip(
                found[name][:, 0], np.concatenate([s[name] for s in samples], axis=1), sizes, strict=True
            )
        ]
        for name in statistics
    }


def _apply(statistics: Mapping[str, Statistic], sums: Sequence[Floats]) -> dict[str, Floats]:
    return {name: statistic(*sums) for name, statistic in statistics.items()}


def _sums_by_user(
    columns: Sequence[Floats], users: Codes, groups: Codes, count: int, resampler: Resampler
) -> tuple[list[sparse.csr_array], Codes]:
    """Sum each column into a sparse [count, users]; also count each group's users."""
    pairs, known = pd.factorize(groups * np.intp(max(1, resampler.count)) + users)
    place = np.divmod(known, max(1, resampler.count))
    shape = (count, resampler.count)
    sums = [sparse.csr_array((np.bincount(pairs, column, known.size), place), shape=shape) for column in columns]
    return sums, np.bincount(place[0], minlength=count)


def users_per_group(users: Codes, groups: Codes, count: int) -> Codes:
    """Count the users that have rows in each group [count]."""
    step = np.intp(users.max(initial=0) + 1)
    return np.bincount(pd.unique(groups * step + users) // step, minlength=count)
