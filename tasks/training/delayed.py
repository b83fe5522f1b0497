"""Learning from days whose windows are still open: a label that is 0 so far is not taken as a negative.

::

    train days ............................ | calibrate.start
    window closed by then: the label           window open: the label so far, which is 1 for a positive that
                                               had come by then; F(elapsed) is the share

    delays of closed rows -> F(t), the share of positives that come within t of the window's opening

A positive has come by t with probability F(t), whatever its row, so the outcome so far is to the outcome as a
place on a page is to the first one: it is corrected by the same weights (`position_weights`) with F(elapsed)
as the examination. Chapelle (2014) fits the delays beside the outcome; here they are counted, which needs no
form for them, and supposes that the delay of a positive does not depend on its features.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.errors import ImmatureLabels

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEAST: Final = 0.05
"""Share of positives that must have arrived for a row to be learned from: its weight is 20 at most, as
``position.CLIP``. Judged by ``benchmarks/learning/delayed.py``."""


@dataclass(frozen=True)
class TruncatedOutcomes:
    """Rows as they were known at an instant.

    Attributes
    ----------
    labels : [n] the outcome so far.
    arrived : [n] share of positives that had come by then, 1 where the window was closed.
    kept : [n] rows to learn from: at least `LEAST` had come.
    """

    labels: Floats
    arrived: Floats
    kept: Bools


def truncate_outcomes(labels: Floats, delays: Floats, elapsed: Floats, *, window: float) -> TruncatedOutcomes:
    """Truncate outcomes at an instant, and return the share of positives that had arrived.

    Parameters
    ----------
    labels : [n] of 0 and 1, as they turned out.
    delays : [n] time from the window's opening to the positive's event, NaN for a 0.
    elapsed : [n] time from the window's opening to the instant, in the same unit.
    window : its length; a row is closed when so much has elapsed.

    Raises
    ------
    ImmatureLabels
        No closed row is positive, so nothing is known of the delays.

    Examples
    --------
    >>> known = truncate_outcomes(
    ...     np.array([1.0, 1.0, 0.0, 1.0]),
    ...     np.array([1.0, 3.0, np.nan, 3.0]),
    ...     np.array([9.0, 9.0, 2.0, 2.0]),
    ...     window=7,
    ... )
    >>> known.labels, known.arrived
    (array([1., 1., 0., 0.]), array([1. , 1. , 0.5, 0.5]))
    """
    closed = elapsed >= window
    came = np.sort(delays[closed & (labels > 0)])
    if not len(came):
        raise ImmatureLabels(
            f"Of {int(closed.sum())} rows whose window had closed none is positive, so nothing is known of "
            "how late positives come. Lengthen split.train in surface.yaml, or leave `delayed` out."
        )
    share = np.searchsorted(came, elapsed, side="left") / len(came)
    arrived = np.where(closed, 1.0, share)
    by_then = (labels > 0) & (delays < elapsed)
    return TruncatedOutcomes(by_then.astype(np.float64), arrived, (elapsed > 0) & (arrived >= LEAST))
