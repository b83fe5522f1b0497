r"""Weights that correct for position bias, so that a head learns the reference position.

In the position-based model an item whose outcome has probability g where it is examined has e g at a position
that is examined e times as often as the reference. The log loss that
averages to the loss at the reference, whatever the places, is (Saito et al. 2020, eq. 9)::

    - [ y / e  log q  +  (1 - y / e)  log (1 - q) ],          E[y / e] = g

Its second weight is negative for a positive below the reference, which no tree can be given. What a row
weighs as a negative has the mean 1 - g, though, and rows with y = 0 come with probability 1 - e g. So the
same mean is had from non-negative weights::

    y = 1:  1 / e            y = 0:  (1 - g) / (1 - e g)

(the M-step of regression EM, Wang et al. 2018). They need a g. An error of d in it moves the learned odds by
a share of about d (1 - e), since they depend on it through that factor alone: the mean serves for training,
and the head's own scores for its calibrator, which sets the level right. 1 / e is clipped: one click at a
place that is hardly ever looked at would outweigh thousands, and the clip trades that variance for a bias of
those places to fewer outcomes.
"""

from typing import Final

import numpy as np

from tasks.arrays import Floats
from tasks.errors import DataError

CLIP: Final = 20.0
"""The greatest weight of a positive for its position (clipping trades variance for bias, Strehl et al. 2010);
judged by ``benchmarks/learning/position.py``."""

_MOST: Final = 0.999
"""Greatest prior probability, at which a negative still weighs something."""


def position_weights(labels: Floats, examination: Floats, prior: Floats | float | None = None) -> Floats:
    """Return what each example weighs, shape [n], above 0, so that log loss is that of the reference.

    Parameters
    ----------
    labels : [n] of 0 and 1.
    examination : [n] how often the row's position is examined, relative to the reference.
    prior : [n] or one figure: a first guess of the probability at the reference; `mean_at_reference` of the
        rows where it is left out.

    Examples
    --------
    >>> clicks, examined = np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.5, 1.0])
    >>> position_weights(clicks, examined, prior=0.2).round(3)
    array([2.   , 0.889, 1.   ])
    """
    examined = _check_examination(examination)
    guess = mean_at_reference(labels, examined) if prior is None else np.asarray(prior, dtype=np.float64)
    g = np.minimum(guess, _MOST)
    as_negative = (1 - g) / np.maximum(1 - examined * g, 1 - _MOST)
    return np.where(np.asarray(labels) > 0, np.minimum(1 / examined, CLIP), as_negative)


def require_positions(positions: Floats) -> None:
    """Refuse positions that count from 0: each would be taken for the place below it.

    Examples
    --------
    >>> require_positions(np.array([1.0, 2.0, np.nan]))
    """
    if below := int(np.count_nonzero(positions < 1)):
        raise DataError(
            f"{below} of {positions.size} positions are below 1, the least is {np.nanmin(positions):g}; "
            "places count from 1. Log them so, or leave `position` out of surface.yaml."
        )


def mean_at_reference(labels: Floats, examination: Floats) -> float:
    """Return the mean outcome had every item stood at the reference.

    The plain mean of y / e swings with every positive at a rarely examined position. Outcomes over
    looks has the same limit where places are dealt regardless of the items, and never leaves [0, max y / e].

    Examples
    --------
    >>> mean_at_reference(np.array([1.0, 0.0, 0.0]), np.array([1.0, 0.5, 0.5]))
    0.5
    """
    examined = _check_examination(examination)
    return float(np.sum(labels) / examined.sum()) if len(examined) else 0.0


def _check_examination(examination: Floats) -> Floats:
    examined = np.asarray(examination, dtype=np.float64)
    if nowhere := int(np.count_nonzero(~(examined > 0))):
        raise DataError(
            f"{nowhere} of {examined.size} rows have no position, so nothing is known of how much they were "
            "looked at. Log the position of every impression, or leave `position: weight` out of "
            "surface.yaml."
        )
    return examined
