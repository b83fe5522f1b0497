"""Logistic regression on a few columns, of rows that may carry weights and offsets.

::

    log odds of a row = offset + design @ coefficients
"""

from typing import Final

import numpy as np

from tasks.arrays import AnyFloats, Floats

_STEPS: Final = 100
"""Most steps of Newton; a handful is the rule."""
_RIDGE: Final = 1e-9
"""Share of the mean curvature that is added to it, so that equal columns share a coefficient."""
_SMALL: Final = 1e-12
"""Step, relative to the coefficients, that ends the iteration: a few units in the last place."""


def fit_log_odds(
    design: AnyFloats,
    labels: AnyFloats,
    *,
    weights: AnyFloats | None = None,
    offsets: AnyFloats | None = None,
) -> Floats:
    """Return the coefficients of least log loss, by Newton's method with halved steps.

    Parameters
    ----------
    design : float [rows, columns].
    labels : float [rows], 0 or 1, with both outcomes among them.
    weights, offsets : float [rows]; 1 and 0 by default.

    Returns
    -------
    float [columns]

    Examples
    --------
    >>> fit_log_odds(np.ones((4, 1)), np.array([1.0, 0.0, 0.0, 0.0])).round(4)
    array([-1.0986])
    """
    w = np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=np.float64)
    base = np.zeros(len(labels)) if offsets is None else np.asarray(offsets, dtype=np.float64)
    coefficients = np.zeros(design.shape[1])
    loss = _loss(design @ coefficients + base, labels, w)
    for _ in range(_STEPS):
        with np.errstate(over="ignore"):  # a chance of 0
            chance = 1 / (1 + np.exp(-(design @ coefficients + base)))
        slope = design.T @ (w * (labels - chance))
        curvature = (design * (w * chance * (1 - chance))[:, None]).T @ design
        if not np.trace(curvature) > 0:  # every chance is 0 or 1 to the last bit: nothing is left to gain
            break
        step = np.linalg.solve(curvature + _RIDGE * np.trace(curvature) * np.eye(len(coefficients)), slope)
        while (after := _loss(design @ (coefficients + step) + base, labels, w)) > loss and _is_moving(
            step, coefficients
        ):
            step = step / 2
        if not _is_moving(step, coefficients):
            break
        coefficients, loss = coefficients + step, after
    return coefficients


def _is_moving(step: Floats, coefficients: Floats) -> bool:
    return bool(np.abs(step).max() > _SMALL * max(1.0, float(np.abs(coefficients).max())))


def _loss(raw: Floats, labels: AnyFloats, weights: Floats) -> float:
    return float(np.sum(weights * (np.logaddexp(0, raw) - labels * raw)))
