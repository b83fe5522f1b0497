"""User-clustered 95 % intervals of single metrics.

An estimate has NaN bounds where users or positives are too few (`tasks.evaluation.support`), or where
positives are of so few users that a resample often has none. Without a positive the value is NaN too. Nothing
here raises for thin data.
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
from tasks.evaluation.support import Support
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate


def mean_interval(values: npt.ArrayLike, users: npt.ArrayLike, *, replicates: int = 500) -> Estimate:
    """Interval of the mean of measured values, without those that are NaN.

    A zero is a measured value here: where every value is 0, so are the bounds, and no positives are needed.

    Examples
    --------
    >>> mean_interval([0.0] * 20 + [float("nan")], range(21))
    Estimate(value=0.0, low=0.0, high=0.0, n=20)
    """
    measured = np.asarray(values, dtype=np.float64)
    known = np.isfinite(measured)
    once, who = np.ones(np.count_nonzero(known)), cluster_rows(np.asarray(users)[known])
    mean = _interval_of_sums([measured[known], once], divide, who, replicates=replicates)
    return Support.of(measured[known], once, who.codes).of_any([mean])[0]


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
    who = cluster_rows(users)
    ratio = _interval_of_sums([w * y, w * p], divide, who, seed=seed)
    return Support.of(y, w, who.codes).of_outcomes([ratio])[0]


def _interval_of_sums(
    columns: list[Floats], statistic: Statistic, who: Clusters, *, seed: int = 0, replicates: int = 500
) -> Estimate:
    if not who.count:
        return UNKNOWN_ESTIMATE
    resampler = Resampler(who.count, seed, replicates)
    return sum_intervals(columns, {"it": statistic}, who.codes, resampler)["it"][0]
