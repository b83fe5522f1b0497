"""Isotonic blocks: neighbours by score whose outcomes share one mean, each with enough behind it.

Plain isotonic regression ends in blocks of a few rows whose means are 0 or far too high; neighbouring
blocks are merged until each has the least support, and their means still increase.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import isotonic_regression

from tasks.evaluation.binary import Codes, Floats


@dataclass(frozen=True)
class Blocks:
    """Per block [m] the mean of x, the mean of y, and how much of the first required kind it holds.

    ``first`` and ``last`` are the least and greatest x of all rows.
    """

    centres: Floats
    means: Floats
    support: Floats
    first: float
    last: float


def fit_isotonic_blocks(
    x: Floats, y: Floats, weights: Floats, *, required: Sequence[npt.NDArray[np.bool_] | Floats], least: int
) -> Blocks:
    """Blocks of y that increase with x.

    Parameters
    ----------
    x, y, weights : [n], at least one row, weights above 0.
    required : for each of some kinds how many a row holds [n]; every block holds at least ``least`` of each
        (all rows together may not).

    Examples
    --------
    >>> x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0, 1.0])
    >>> blocks = fit_isotonic_blocks(x, y, np.ones(4), required=(y, 1 - y), least=1)
    >>> blocks.centres, blocks.means, blocks.support
    (array([1.5]), array([0.5]), array([2.]))
    """
    order = np.argsort(x, kind="stable")
    columns = [(weights * part)[order] for part in (np.ones_like(x), x, y)]
    columns += [kind[order].astype(np.float64) for kind in required]
    sums = _sum_runs(columns, np.flatnonzero(np.r_[True, np.diff(x[order]) > 0]))
    fitted = isotonic_regression(sums[2] / sums[0], sample_weight=sums[0])
    sums = _sum_runs(sums, np.flatnonzero(np.r_[True, np.diff(fitted) > 0]))
    weight, moment, total, support, *_ = _sum_runs(sums, _merge_unsupported(np.column_stack(sums[3:]), least))
    return Blocks(moment / weight, total / weight, support, float(x.min()), float(x.max()))


def _sum_runs(columns: Sequence[Floats], starts: Codes) -> list[Floats]:
    return [np.add.reduceat(column, starts) for column in columns]


def _merge_unsupported(counts: Floats, least: int) -> Codes:
    """Start a block where the one before has enough of every kind and what is left has too."""
    upto = np.cumsum(counts, axis=0)
    starts, held = [0], np.zeros(counts.shape[1])
    for i in range(len(counts) - 1):
        if (upto[i] - held >= least).all() and (upto[-1] - upto[i] >= least).all():
            starts.append(i + 1)
            held = upto[i]
    return np.asarray(starts, dtype=np.intp)
