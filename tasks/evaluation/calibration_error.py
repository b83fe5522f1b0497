"""Errors of calibration as a single non-negative number, of all rows or of the worst segment.

::

    smooth ECE     integral over t of | mean of (outcome - prediction) x kernel(prediction, t) |
                   its bandwidth is the error itself: coarse for large errors, fine for small ones
    debiased ECE   root of the mean over bins of (rate - mean prediction)^2 - rate (1 - rate) / (rows - 1)
                   the second term is the expected contribution of sampling noise

Errors that cancel in the calibration ratio (too low in one range, too high in another) do not cancel here.
Neither has an interval: a resample adds its own noise to a non-negative error, so it would be too high.

The multicalibration error is the most significant miscalibration in any segment, as a probability::

    walk of a segment      by increasing prediction p, the running sum of w (outcome - p) / sum of w
    cumulative error       highest - lowest point of the walk, which starts at 0
    deviation              sqrt(sum of w^2 p (1 - p)) / sum of w
    sigma                  cumulative error / deviation
    multicalibration error the largest sigma of all segments x the deviation of the whole
    minimum detectable     5 x the deviation of the whole: a smaller error cannot be distinguished from noise

Segments are the whole, each value of each segment column, and each pair of values of two columns, with at
least `LEAST_ROWS` rows. The walk is read at the end of tied predictions, so the order of tied rows does not
matter. Deviations assume independent rows. If users return, sigma is too high; verdicts resample users.

References
----------
Blasiok and Nakkiran 2023, "Smooth ECE" (arXiv 2309.12236), section 3. Kumar, Liang and Ma 2019, "Verified
uncertainty calibration" (arXiv 1909.10155), section 5. Guy et al. 2025, "Measuring multi-calibration" (arXiv
2506.11251). Arrieta-Ibarra et al. 2022, "Metrics of calibration for probabilistic predictions" (JMLR 23).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.fft import dct, idct

from tasks.arrays import Flags, Floats, Indices
from tasks.errors import DataError
from tasks.evaluation.binary import check_binary, divide
from tasks.evaluation.observations import Grouping

CELLS: Final = 1 << 15
"""Cells in which residuals are summed, from 0 to twice the greatest prediction; the error of the integral
is about one cell, far below any relevant error."""

BINS: Final = 15
"""Bins of equally many rows; 15 as in Guo et al. 2017 (arXiv 1706.04599), table 1."""

_HALVINGS: Final = 20
"""Steps of the bisection: log(CELLS) / 2^20 is 1e-5, in the logarithm of the bandwidth."""


def smooth_ece(
    outcomes: npt.ArrayLike, predictions: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Smooth calibration error at the bandwidth that equals it; NaN without a row.

    Parameters
    ----------
    outcomes : [n] 0 or 1.
    predictions : [n] probabilities.
    weights : [n] of each row, 0 or more.

    Examples
    --------
    >>> round(smooth_ece([0, 1, 1, 0], [0.25, 0.25, 0.25, 0.25]), 6)
    0.25
    """
    y, p, w = check_binary(outcomes, predictions, weights)
    total = w.sum()
    if not total:
        return float("nan")
    top = min(1.0, 2 * float(p.max())) or 1.0
    waves = dct(_gather_residuals(p / top, w * (y - p) / total), norm="ortho")
    return _find_fixed_point(waves, top)


def _gather_residuals(places: Floats, residuals: Floats) -> Floats:
    """Sum residuals in cells, each split between the two cells with the nearest centres."""
    position = np.clip(places * CELLS - 0.5, 0, CELLS - 1)
    left = np.minimum(position.astype(np.intp), CELLS - 2)
    share = position - left
    upper = np.bincount(left, residuals * share, minlength=CELLS - 1)
    lower = np.bincount(left, residuals, minlength=CELLS - 1) - upper
    return np.r_[lower, 0.0] + np.r_[0.0, upper]


def _smooth_error(waves: Floats, bandwidth: float) -> float:
    """Smooth error of a Gaussian that is reflected at both ends, which damps each cosine independently."""
    damping = np.exp(-0.5 * (np.pi * np.arange(CELLS) * bandwidth) ** 2)
    return float(np.abs(idct(waves * damping, norm="ortho")).sum())


def _find_fixed_point(waves: Floats, top: float) -> float:
    """Bisect, in logarithms, for the bandwidth that equals the decreasing error."""
    low, high = np.log(1.0 / CELLS), 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _smooth_error(waves, np.exp(middle)) > np.exp(middle) * top:
            low = middle
        else:
            high = middle
    return _smooth_error(waves, float(np.exp(high)))


def debiased_ece(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    bins: int = BINS,
) -> float:
    """Root mean square calibration error over bins, without sampling noise.

    A bin has (sum of weights)^2 / sum of squared weights effective rows. The noise of a bin with one row
    cannot be estimated, so the bin counts as 0; NaN if no bin has more.

    Parameters
    ----------
    outcomes, predictions, weights : [n] as in `smooth_ece`.
    bins : number of bins with equally many rows; equal predictions share a bin.

    Examples
    --------
    >>> debiased_ece([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5])
    0.0
    """
    y, p, w = check_binary(outcomes, predictions, weights)
    if not w.sum():
        return float("nan")
    of = assign_equal_bins(p, bins)
    squares, expected, observed, total = (np.bincount(of, column) for column in (w * w, w * p, w * y, w))
    rate, rows = divide(observed, total), divide(total**2, squares)
    if not (rows > 1).any():
        return float("nan")
    noise = np.divide(rate * (1 - rate), rows - 1, out=np.zeros_like(rows), where=rows > 1)
    error = np.where(rows > 1, (rate - divide(expected, total)) ** 2 - noise, 0.0)
    return float(np.sqrt(max(0.0, (total * error).sum() / total.sum())))


def assign_equal_bins(predictions: Floats, bins: int) -> Indices:
    """Return the bin of each row [n], in bins of equally many rows; cuts lie halfway between two rows.

    Examples
    --------
    >>> assign_equal_bins(np.array([0.4, 0.1, 0.2, 0.3]), 2)
    array([1, 0, 0, 1])
    """
    ordered = np.sort(predictions)
    size, longer = divmod(ordered.size, min(bins, ordered.size))
    sizes = size + (np.arange(min(bins, ordered.size)) < longer)
    after = np.cumsum(sizes)[:-1]
    cuts = np.unique((ordered[after - 1] + ordered[after]) / 2)
    return np.searchsorted(cuts, predictions, side="left")


LEAST_ROWS: Final = 10
"""Fewest rows of a measured segment, as in MCGrad, with whose figures the tests compare these."""
DEPTH: Final = 2
"""Maximum number of columns whose values are crossed."""

_DETECTABLE: Final = 5.0
"""Deviations that are distinguishable from noise in any of thousands of segments (Guy et al. 2025)."""


@dataclass(frozen=True)
class CumulativeErrors:
    """Segments with enough rows: code, cumulative error, and its deviation under calibration, each [m]."""

    codes: Indices
    errors: Floats
    deviations: Floats

    @property
    def sigmas(self) -> Floats:
        """Errors in deviations; 0 for a zero error, infinite for a nonzero error with zero deviation."""
        certain = np.where(self.errors > 0, np.inf, 0.0)
        return np.divide(self.errors, self.deviations, out=certain, where=self.deviations > 0)


@dataclass(frozen=True)
class Multicalibration:
    """The worst segment's error as a probability, its sigma, and the smallest detectable error."""

    error: float
    sigma: float
    detectable: float


@dataclass(frozen=True)
class SortedRows:
    """Rows by increasing prediction [n]: contributions to the walk and its variance, and ends of ties.

    They are sorted once for all segment columns.
    """

    order: Indices
    steps: Floats
    variances: Floats
    weights: Floats
    ends: Flags

    @classmethod
    def of(cls, y: Floats, p: Floats, w: Floats) -> "SortedRows":
        """Sort outcomes, predictions and weights [n], from `check_binary`."""
        order = np.argsort(p, kind="stable")
        y, p, w = y[order], p[order], w[order]
        ends = np.append(np.diff(p) != 0, True)[: p.size]
        return cls(order, w * (y - p), w * w * p * (1 - p), w, ends)

    def errors(self, codes: Indices, count: int) -> CumulativeErrors:
        """Return the cumulative errors of segments, by code [n] below ``count``, with enough rows."""
        codes = codes[self.order]
        sizes = np.bincount(codes, minlength=count)
        total = np.bincount(codes, self.weights, count)
        spread = np.sqrt(np.bincount(codes, self.variances, count))
        kept = np.flatnonzero((sizes >= LEAST_ROWS) & (total > 0))
        ranges = _ranges(self, codes, sizes)[kept]
        return CumulativeErrors(kept, ranges / total[kept], divide(spread, total)[kept])

    def worst(self, segments: Sequence[Grouping], *, depth: int = DEPTH) -> Multicalibration:
        """Return the multicalibration error.

        Parameters
        ----------
        segments : each with codes [n].
        depth : maximum number of crossed columns.

        Examples
        --------
        >>> from tasks.evaluation.subjects import Segment
        >>> source = Grouping((Segment("source", "ads"), Segment("source", "feed")), np.repeat([0, 1], 100))
        >>> y, p = np.tile([0.0, 1.0], 100), np.repeat([0.5, 0.1], 100)
        >>> round(SortedRows.of(y, p, np.ones(200)).worst([source]).sigma, 2)
        13.33
        """
        if any(segment.codes.shape != self.order.shape for segment in segments):
            raise DataError(f"Every segment column needs {self.order.size} rows, one for each outcome.")
        errors = list(_cross_segments(self, segments, depth))
        whole = errors[0].deviations[0] if errors[0].codes.size else np.nan
        sigmas = np.concatenate([one.sigmas for one in errors])
        if not sigmas.size or not np.isfinite(whole):
            return Multicalibration(np.nan, np.nan, np.nan)
        sigma = float(np.max(sigmas))
        return Multicalibration(sigma * float(whole), sigma, _DETECTABLE * float(whole))


def _cross_segments(rows: SortedRows, segments: Sequence[Grouping], depth: int) -> Iterator[CumulativeErrors]:
    yield rows.errors(np.zeros(rows.order.size, dtype=np.intp), 1)
    for columns in range(1, depth + 1):
        for chosen in combinations(segments, columns):
            counts = [one.count for one in chosen]
            yield rows.errors(np.ravel_multi_index([one.codes for one in chosen], counts), math.prod(counts))


def _ranges(rows: SortedRows, codes: Indices, sizes: Indices) -> Floats:
    """Highest minus lowest point of each group's walk [count], including 0, at the ends of ties."""
    count = sizes.size
    present = np.flatnonzero(sizes)
    if not present.size:
        return np.zeros(count)
    small = np.min_scalar_type(count)
    by_group = np.argsort(codes.astype(small), kind="stable") if count > 1 else np.arange(codes.size)
    walk = np.cumsum(rows.steps[by_group])
    last = np.cumsum(sizes[present])
    starts = np.r_[0, last[:-1]]
    walk -= np.repeat(np.r_[0.0, walk[last[:-1] - 1]], sizes[present])
    if not rows.ends.all():
        ties = np.cumsum(rows.ends)[by_group]
        inside = np.append(np.diff(ties) == 0, False)
        inside[last - 1] = False
        walk = np.where(inside, 0.0, walk)
    ranges = np.zeros(count)
    ranges[present] = np.maximum(np.maximum.reduceat(walk, starts), 0) - np.minimum(
        np.minimum.reduceat(walk, starts), 0
    )
    return ranges
