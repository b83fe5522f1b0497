"""A map on the product of the calibrated factors along a chain, where that product is miscalibrated."""

import numpy as np
import numpy.typing as npt

from tasks.calibration.fit import fit_binary
from tasks.evaluation.intervals import calibration_interval
from tasks.ranking.maps import IsotonicMap, LogisticMap


def fit_joint(
    product: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
) -> IsotonicMap | LogisticMap | None:
    """Fit a map on the product along a chain, where the product does not hold as it is.

    Parameters
    ----------
    product : [n] product of the calibrated factors.
    outcomes : [n] 1 where the task and its parents are all positive, on all rows where they are known.
    users : [n] ids, none missing.

    Returns
    -------
    None unless the user-clustered interval of the calibration ratio excludes 1.

    Examples
    --------
    >>> outcomes, users = np.tile([1.0, 0.0], 50), np.arange(100)
    >>> fit_joint(np.full(100, 0.5), outcomes, users) is None
    True
    >>> fit_joint(np.full(100, 0.1), outcomes, users).apply([0.1]).round(6)
    array([0.5])
    """
    ratio = calibration_interval(outcomes, product, users, weights=weights, seed=seed)
    if not ratio.known or ratio.low <= 1 <= ratio.high or bool(np.all(np.asarray(outcomes) == 1)):
        return None
    return fit_binary(product, outcomes, weights)
