"""User-clustered 95 % intervals of single metrics.

An estimate has NaN bounds where the data are too few: fewer than two users, no positive (then the value
is NaN too), or positives of so few users that a resample often has none. Nothing here raises for thin data.
"""

import numpy as np
import numpy.typing as npt

from tasks.evaluation.binary import Floats, check_binary, divide
from tasks.evaluation.resampling import (
    Clusters,
    Resampler,
    Statistic,
    cluster_rows,
    sum_intervals,
)
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate


def mean_interval(values: npt.ArrayLike, users: npt.ArrayLike, *, replicates: int = 500) -> Estimate:
    """Interval of the mean of measured values, without those that are NaN.

    A zero is a measured value here: where every value is 0, so are the bounds.

    Examples
    --------
    >>> mean_interval([0.0, 0.0, float("nan")], ["u", "v", "w"])
    Estimate(value=0.0, low=0.0, high=0.0, n=2)
    """
    measured = np.asarray(values, dtype=np.float64)
    known = np.isfinite(measured)
    columns = [measured[known], np.ones(np.count_nonzero(known))]
    return _interval_of_sums(columns, divide, cluster_rows(np.asarray(users)[known]), replicates=replicates)


def calibration_interval(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Estimate:
    """Interval of the calibration ratio, observed over predicted; unknown without a positive.

    Examples
    --------
    >>> calibration_interval([1, 0, 1], [0.5, 0.5, 1.0], ["u", "v", "w"]).value
    1.0
    """
    y, p, w = check_binary(outcomes, predictions, weights)
    if not y.any():
        return UNKNOWN_ESTIMATE
    return _interval_of_sums([w * y, w * p], divide, cluster_rows(users), seed=seed)


def _interval_of_sums(
    columns: list[Floats], statistic: Statistic, who: Clusters, *, seed: int = 0, replicates: int = 500
) -> Estimate:
    if not who.count:
        return UNKNOWN_ESTIMATE
    resampler = Resampler(who.count, seed, replicates)
    return sum_intervals(columns, {"it": statistic}, who.codes, resampler)["it"][0]
