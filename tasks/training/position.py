r"""Weights that correct for position bias, so that a head learns the reference position.

In the position-based model, an item with outcome probability g if examined has outcome probability e g at a
position with relative examination e. The following log loss has the same mean as the loss at the reference
position, for any positions (Saito et al. 2020, eq. 9)::

    - [ y / e  log q  +  (1 - y / e)  log (1 - q) ],          E[y / e] = g

Its second weight is negative for a positive below the reference, which trees do not support. However, the
weight of a row as a negative has the mean 1 - g, and rows with y = 0 have the probability 1 - e g. So
nonnegative weights have the same mean::

    y = 1:  1 / e            y = 0:  (1 - g) / (1 - e g)

(the M-step of regression EM, Wang et al. 2018). They need g. An error of d in g changes the learned odds by a
share of about d (1 - e), because g enters only through the weights of negatives. The mean suffices for
training, and the head's own scores for its calibrator, which corrects the level. 1 / e is clipped: otherwise
one click at a rarely examined position would outweigh thousands. The clip trades this variance for a bias of
those positions towards fewer outcomes.
"""

from typing import Final

import numpy as np

from tasks.arrays import Floats
from tasks.errors import DataError

CLIP: Final = 20.0
"""Maximum weight of a positive for its position (clipping trades variance for bias, Strehl et al. 2010);
tuned with ``benchmarks/learning/position.py``."""

_MOST: Final = 0.999
"""Maximum prior probability, so that negatives keep a positive weight."""


def position_weights(labels: Floats, examination: Floats, prior: Floats | float | None = None) -> Floats:
    """Return example weights, shape [n], above 0, with which the log loss refers to the reference position.

    Parameters
    ----------
    labels : [n] of 0 and 1.
    examination : [n] examination of the row's position relative to the reference.
    prior : [n] or scalar, prior probability at the reference; by default `mean_at_reference` of the rows.

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
    """Refuse positions that count from 0, which would shift every item by one position.

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
    """Return the mean outcome if every item were shown at the reference position.

    The plain mean of y / e has a high variance from positives at rarely examined positions. The ratio of
    outcomes to examinations has the same limit if positions do not depend on items, and is in [0, max y / e].

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
            f"{nowhere} of {examined.size} rows have no position, so their examination is unknown. "
            "Log the position of every impression, or leave `position: weight` out of "
            "surface.yaml."
        )
    return examined
