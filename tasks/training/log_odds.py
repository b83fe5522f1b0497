"""Logistic regression on a few columns, for rows with optional weights and offsets.

::

    log odds of a row = offset + design @ coefficients
"""

from typing import Final

import numpy as np

from tasks.arrays import AnyFloats, Floats

_STEPS: Final = 100
"""Maximum number of Newton steps; a handful is usual."""
_RIDGE: Final = 1e-9
"""Ridge as a share of the mean curvature, so that equal columns share a coefficient."""
_SMALL: Final = 1e-12
"""Relative step size that ends the iteration: a few units in the last place."""


def fit_log_odds(
    design: AnyFloats,
    labels: AnyFloats,
    *,
    weights: AnyFloats | None = None,
    offsets: AnyFloats | None = None,
) -> Floats:
    """Return the coefficients that minimise the log loss, by Newton's method with step halving.

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
        with np.errstate(over="ignore"):  # a probability of 0
            chance = 1 / (1 + np.exp(-(design @ coefficients + base)))
        slope = design.T @ (w * (labels - chance))
        curvature = (design * (w * chance * (1 - chance))[:, None]).T @ design
        if not np.trace(curvature) > 0:  # all probabilities are 0 or 1 in double precision: converged
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
