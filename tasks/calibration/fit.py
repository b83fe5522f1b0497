"""Fitting calibration maps on the calibrate slice, so that what is predicted adds up to what happened.

::

    observed rows -> isotonic blocks -> merged until each holds positives and negatives enough -> knots
                  -> knots drawn a little to the base rate, kept apart, shifted until the sums agree
    fewer than 200 positives, or no two blocks  ->  logistic map, its slope held near 1 by a prior

Only observed labels come in; nothing here knows tasks or time.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import isotonic_regression

from tasks.calibration.maps import IsotonicMap, LogisticMap, MeanMap, expit, logit, raised
from tasks.errors import DataError
from tasks.evaluation.binary import Floats, checked, checked_rows
from tasks.evaluation.intervals import calibration_interval

LOGISTIC_BELOW: Final = 200
"""Positives (or negatives, the fewer) below which a map of two figures is all that the data can carry."""

BLOCK_POSITIVES: Final = 10
"""Least positives and least negatives of an isotonic block."""

SHRINKAGE: Final = 0.25
"""Positives' worth of pull of a block's logit to the base rate's: a sixteenth part at 4, little at 10."""

LEAST_SLOPE: Final = 1e-3
"""Least slope between knots, in the logit (or logarithm), so that no scores are tied."""

EDGE_SLOPE: Final = 0.5
"""Slope in the logit from the centre of an outermost block to the outermost score."""

SLOPE_SPREAD: Final = 0.5
"""Standard deviation of the logistic map's prior slope around 1."""

MEAN_BLOCK: Final = 200
"""Least values other than 0 in a block of a mean map; ten blocks' worth before it has more than a factor."""

FLOOR_SHARE: Final = 0.01
"""Predicted values below this share of the mean outcome are lifted in order."""


def fit_binary(
    scores: npt.ArrayLike, outcomes: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> IsotonicMap | LogisticMap:
    """Fit a map from raw scores to probabilities.

    Parameters
    ----------
    scores : [n] in [0, 1].
    outcomes : [n] observed labels, 0 or 1.
    weights : [n] row weights; None counts each row once.

    Returns
    -------
    A map whose weighted sum of probabilities is that of the outcomes, to 1e-6 of it.

    Raises
    ------
    DataError
        Positives or negatives are missing, or a figure is out of range.
    """
    y, s, w = checked(outcomes, scores, weights)
    kept = w > 0
    y, s, w = y[kept], s[kept], w[kept]
    positives, negatives = int(y.sum()), int((1 - y).sum())
    if not (positives and negatives):
        lacking = "positive" if not positives else "negative"
        raise DataError(f"Calibration needs both outcomes; there is no {lacking} among {y.size} observed rows.")
    blocks = _blocks(logit(s), y, w, least=BLOCK_POSITIVES) if min(positives, negatives) >= LOGISTIC_BELOW else None
    if blocks is None or blocks.centres.size < 2:
        return _fit_logistic(s, y, w)
    return _fit_isotonic(s, y, w, blocks)


@dataclass(frozen=True)
class _Blocks:
    """Neighbouring rows with one mean: centre of x [m], mean of y [m], rows that support it [m]; ends of x."""

    centres: Floats
    means: Floats
    support: Floats
    first: float
    last: float


def _blocks(x: Floats, y: Floats, w: Floats, *, least: int) -> _Blocks:
    """Isotonic blocks of y over x, merged until each has ``least`` rows with y and ``least`` without.

    A value head's y is not 0 or 1: then any y other than 0 counts as having it, and only those are asked for.
    """
    order = np.argsort(x, kind="stable")
    x, y, w = x[order], y[order], w[order]
    ties = np.flatnonzero(np.r_[True, np.diff(x) > 0])
    per = [np.add.reduceat(column, ties) for column in (w, w * y, w * x, y != 0, y == 0)]
    fitted = isotonic_regression(per[1] / per[0], sample_weight=per[0])
    starts = np.flatnonzero(np.r_[True, np.diff(fitted) > 0])
    per = [np.add.reduceat(column, starts) for column in per]
    binary = bool(((y == 0) | (y == 1)).all())
    enough = np.minimum(per[3], per[4]) if binary else per[3]
    del enough
    groups = _merged(per[3], per[4] if binary else np.full_like(per[3], least), least)
    weight, total, moment, having, _ = (np.add.reduceat(column, groups) for column in per)
    return _Blocks(moment / weight, total / weight, having.astype(np.float64), float(x[0]), float(x[-1]))
