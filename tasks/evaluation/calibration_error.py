"""Errors of calibration as a single non-negative number.

::

    smooth ECE     integral over t of | mean of (outcome - prediction) x kernel(prediction, t) |
                   its bandwidth is the error itself: coarse for large errors, fine for small ones
    debiased ECE   root of the mean over bins of (rate - mean prediction)^2 - rate (1 - rate) / (rows - 1)
                   the second term is the expected contribution of sampling noise

Errors that cancel in the calibration ratio (too low in one range, too high in another) do not cancel here.
Neither has an interval: a resample adds its own noise to a non-negative error, so it would be too high.

References
----------
Blasiok and Nakkiran 2023, "Smooth ECE" (arXiv 2309.12236), section 3. Kumar, Liang and Ma 2019, "Verified
uncertainty calibration" (arXiv 1909.10155), section 5.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.fft import dct, idct

from tasks.arrays import Floats, Indices
from tasks.evaluation.binary import check_binary, divide

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
