"""How far predicted values are from observed ones: rmse, mae and the ratio of their sums."""

import numpy as np
import numpy.typing as npt

from tasks.evaluation.binary import checked_rows, quotient


def rmse(
    outcomes: npt.ArrayLike, predictions: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Root of the mean squared error, in the value's own unit.

    Examples
    --------
    >>> rmse([0.0, 4.0], [3.0, 8.0])
    3.5355339059327378
    """
    y, p, w = checked_rows(outcomes, predictions, weights)
    return float(np.sqrt(quotient((w * (y - p) ** 2).sum(), w.sum())))


def mae(
    outcomes: npt.ArrayLike, predictions: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Mean absolute error, in the value's own unit."""
    y, p, w = checked_rows(outcomes, predictions, weights)
    return float(quotient((w * np.abs(y - p)).sum(), w.sum()))


def mean_ratio(
    outcomes: npt.ArrayLike, predictions: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Sum of observed over sum of predicted values: the calibration ratio of a value head.

    Examples
    --------
    >>> mean_ratio([0.0, 6.0], [2.0, 2.0])
    1.5
    """
    y, p, w = checked_rows(outcomes, predictions, weights)
    return float(quotient((w * y).sum(), (w * p).sum()))
