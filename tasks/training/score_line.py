"""One simple map for models that are only compared: a line in the logit, fitted on calibrate days.

::

    logit of a probability = intercept + slope x logit of the score        both by least log loss

Two scores that were mapped alike may be held against each other by normalized entropy, which asks for
probabilities. What serves has maps of more care (`tasks.calibration`).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.ranking.maps import LogisticMap, compress_logits, logit
from tasks.training.log_odds import fit_log_odds

Floats = npt.NDArray[np.float64]

LEAST_SLOPE: Final = 0.05
"""Slope where the scores order the outcomes the wrong way round: order stays."""


def fit_score_line(scores: Floats, outcomes: Floats) -> LogisticMap | None:
    """Fit a line to the logits of scores; None where only one outcome was seen.

    Parameters
    ----------
    scores : float [rows] in [0, 1].
    outcomes : float [rows], 0 or 1.

    Examples
    --------
    >>> scores, outcomes = np.repeat([0.2, 0.8], 10), np.tile([1.0, 0.0], 10)
    >>> fit_score_line(scores, outcomes).apply([0.2, 0.8]).round(2)
    array([0.48, 0.52])
    >>> fit_score_line(scores, np.zeros(20)) is None
    True
    """
    if not len(outcomes) or np.ptp(outcomes) == 0:
        return None
    design = np.column_stack([np.ones(len(scores)), compress_logits(logit(scores))])
    intercept, slope = fit_log_odds(design, outcomes)
    if slope >= LEAST_SLOPE:
        return LogisticMap(slope=float(slope), intercept=float(intercept))
    moved = LEAST_SLOPE * design[:, 1]
    (level,) = fit_log_odds(design[:, :1], outcomes, offsets=moved)
    return LogisticMap(slope=LEAST_SLOPE, intercept=float(level))
