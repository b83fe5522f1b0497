"""The bootstrap of users: who is resampled, the draws, and intervals of anything made from sums.

Rows of one user depend on each other, so users are drawn, never rows::

    rows --sum by user--> sums [users]     draws [users, replicates]: how often each user was drawn
    statistic(sums @ draws)  ->  one value a replicate  ->  percentiles 2.5 and 97.5

By request, where users come back, intervals that say 95 % cover 62 %.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from tasks.errors import DataError
from tasks.evaluation.binary import Codes, Floats
from tasks.evaluation.verdicts import Estimate

BLOCK_CELLS = 4_000_000
"""Cells of the largest matrix held at once (32 MB)."""

MOST_UNDEFINED = 0.05
"""Share of replicates without a value from which an interval cannot be told."""


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


def draws(count: int, *, seed: int, replicates: int, width: int) -> Iterator[Floats]:
    """Yield blocks [count, at most width]: how often each cluster was drawn in each replicate.

    The draws depend on the seed alone, not on the width, so two metrics see the same samples.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, replicates, width):
        block = np.empty((min(width, replicates - start), count))
        for row in block:
            row[:] = np.bincount(rng.integers(count, size=count), minlength=count)
        yield np.ascontiguousarray(block.T)


def block_width(*rows: int) -> int:
    """How many replicates fit into one block beside matrices of so many rows."""
    return max(1, BLOCK_CELLS // max(1, *rows))


def interval(value: float, replicated: Floats, n: int) -> Estimate:
    """Turn replicates into a 95 % percentile interval of n clusters.

    Bounds are NaN (cannot tell) for fewer than two clusters and where more than 5 % of the replicates
    have no value: then the sample hangs on a handful of users.
    """
    defined = replicated[np.isfinite(replicated)]
    if n < 2 or not np.isfinite(value) or replicated.size - defined.size > MOST_UNDEFINED * replicated.size:
        return Estimate(float(value), float("nan"), float("nan"), n)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high), n)


def sum_intervals(
    columns: Sequence[Floats],
    statistic: Callable[..., Floats],
    users: Codes,
    *,
    groups: Codes | None = None,
    count: int = 1,
    seed: int = 0,
    replicates: int = 500,
) -> list[Estimate]:
    """Interval per group of a statistic of column sums, users drawn once for all groups.

    Parameters
    ----------
    columns : each [n]; ``statistic`` gets their sums as arrays [count] or [count, replicates] and is elementwise.
    users : [n] codes from `clusters`.
    groups : [n] group of each row, 0 to count - 1; None is one group.

    Returns
    -------
    One estimate a group; its ``n`` is the number of users with rows in the group.
    """
    of = np.zeros(users.size, dtype=np.intp) if groups is None else groups
    shape = (count, int(users.max(initial=-1)) + 1)
    sums = [sparse.csr_array((column, (of, users)), shape=shape) for column in columns]
    present = sparse.csr_array((np.ones(users.size), (of, users)), shape=shape)
    sizes = np.diff(present.indptr)
    values = statistic(*(matrix.sum(axis=1) for matrix in sums))
    if shape[1] < 2:
        return [interval(value, np.empty(0), int(n)) for value, n in zip(values, sizes, strict=True)]
    blocks = draws(shape[1], seed=seed, replicates=replicates, width=block_width(*shape))
    replicated = np.concatenate([statistic(*(matrix @ block for matrix in sums)) for block in blocks], axis=1)
    return [interval(*row) for row in zip(values, replicated, sizes.tolist(), strict=True)]
