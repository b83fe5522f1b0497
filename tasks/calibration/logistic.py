"""A logistic map of a score: a level and a slope, for outcomes too few to say more.

::

    logit of a probability = level + slope x (logit of the score - centre)
    slope ~ Normal(1, SLOPE_SPREAD)       level ~ Normal(centre, LEVEL_SPREAD), so around the scores' own

The centre is that of the information, where a steeper slope moves no total. Both are the posterior mode. Rows
that refute the scores' level decide it alone.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.optimize import brentq

from tasks.evaluation.binary import Floats
from tasks.ranking.maps import LogisticMap, expit, logit

LEAST_LOGISTIC_SLOPE: Final = 0.05
"""Slope of a logistic map where the scores order the outcomes the wrong way round."""

SLOPE_SPREAD: Final = 0.5
"""Standard deviation of the logistic map's prior slope around 1."""

LEVEL_SPREAD: Final = 0.25
"""Standard deviation, in the logit, of the logistic map's prior level around that of the scores: what
training on some twenty positives leaves unknown (.22), and a base rate that has moved by a tenth since. It
weighs as much as 16 positives. Rows alone would write their luck into the map: 3 reports where 10 are
expected would say a third of the truth. Judged by ``benchmarks/calibration_level.py``."""

REFUTED: Final = 3.0
"""Standard deviations of prior and rows together from which the rows refute the scores' level, and decide it
alone: scores in another unit are no evidence of a level."""


def fit_logistic(x: Floats, y: Floats, w: Floats) -> LogisticMap:
    """Fit a map to logits of scores.

    Parameters
    ----------
    x : [n] logits, finite.
    y : [n] outcomes or rates, in [0, 1].
    w : [n] weights above 0.

    Examples
    --------
    >>> ten_expected, three_seen = np.full(1000, logit(0.01)), (np.arange(1000) < 3).astype(float)
    >>> fitted = fit_logistic(ten_expected, three_seen, np.ones(1000))
    >>> round(float(fitted.apply([0.01])[0]) * 1000, 1)
    7.5
    """
    chances = expit(x)
    information = w * chances * (1 - chances)
    centred = x - (centre := float((information * x).sum() / information.sum()))
    precision, mode = 0.0, _find_posterior_mode(centred, y, w, centre=centre, precision=0.0)
    if not _refutes_level(mode, centred, w, centre):
        precision = LEVEL_SPREAD**-2
        mode = _find_posterior_mode(centred, y, w, centre=centre, precision=precision)
    slope = max(mode[1], LEAST_LOGISTIC_SLOPE)
    level = find_level(slope * centred, y, w, centre=centre, precision=precision)
    return LogisticMap(slope, level - slope * centre)


def _find_posterior_mode(
    x: Floats, y: Floats, w: Floats, *, centre: float, precision: float
) -> tuple[float, float]:
    """Return level and slope by Newton's method; ``precision`` is that of the level's prior."""
    basis = np.column_stack([np.ones_like(x), x])
    prior, around = np.array([precision, SLOPE_SPREAD**-2]), np.array([centre, 1.0])
    at = np.array([float(logit((w * y).sum() / w.sum())), 1.0])
    for _ in range(100):
        p = expit(basis @ at)
        gradient = basis.T @ (w * (y - p)) - prior * (at - around)
        curvature = (basis * (w * p * (1 - p))[:, None]).T @ basis + np.diag(prior)
        step = np.clip(np.linalg.solve(curvature, gradient), -1, 1)
        at += step
        if np.abs(step).max() < 1e-10:
            break
    return float(at[0]), float(at[1])


def _refutes_level(mode: tuple[float, float], x: Floats, w: Floats, centre: float) -> bool:
    """Whether rows that decide alone put the level farther from the scores' than chance and drift do."""
    level, slope = mode
    p = expit(level + slope * x)
    variance = LEVEL_SPREAD**2 + 1 / float((w * p * (1 - p)).sum())
    return abs(level - centre) > REFUTED * variance**0.5


def find_level(z: Floats, y: Floats, w: Floats, *, centre: float = 0.0, precision: float = 0.0) -> float:
    """Find the shift of all logits after which probabilities add up to the outcomes.

    Parameters
    ----------
    z, y, w : [n] logits, outcomes or rates, weights.
    centre, precision : of a normal prior of the shift; a precision of 0 is none.

    Examples
    --------
    >>> z, y, w = logit([0.1, 0.2]), np.array([0.2, 0.4]), np.array([50.0, 50.0])
    >>> shift = find_level(z, y, w)
    >>> round(float((w * expit(z + shift)).sum()), 6)
    30.0
    """
    total = float((w * y).sum())

    def excess(shift: float) -> float:
        return float((w * expit(z + shift)).sum()) - total + precision * (shift - centre)

    low, high = _find_bracket(excess)
    return float(brentq(excess, low, high, xtol=1e-12))


def _find_bracket(excess: Callable[[float], float]) -> tuple[float, float]:
    """Widen an interval around 0 until the rising function changes its sign in it."""
    low, high = -1.0, 1.0
    while excess(low) > 0:
        low *= 2
    while excess(high) < 0:
        high *= 2
    return low, high
