"""User-clustered 95 % intervals of the metrics, alone and as differences on the same rows.

An estimate has NaN bounds where the data are too few: fewer than two users, no positive (then the value
is NaN too), or positives of so few users that a resample often has none. Nothing here raises for thin data.
"""

import numpy as np
import numpy.typing as npt

from tasks.evaluation.binary import Floats, check_binary, divide, normalize_entropy, row_losses
from tasks.evaluation.rank_sums import sum_ranks
from tasks.evaluation.resampling import (
    Clusters,
    Resampler,
    Statistic,
    cluster_rows,
    percentile_interval,
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


def normalized_entropy_rise(
    outcomes: npt.ArrayLike, users: npt.ArrayLike, *, champion: npt.ArrayLike, challenger: npt.ArrayLike
) -> Estimate:
    """Paired interval of NE(challenger) - NE(champion): positive where the challenger predicts worse.

    Examples
    --------
    >>> p = [0.75, 0.25]
    >>> normalized_entropy_rise([1, 0], ["u", "v"], champion=p, challenger=p).value
    0.0
    """
    y, old, once = check_binary(outcomes, champion)
    _, new, _ = check_binary(outcomes, challenger)
    columns = [row_losses(y, new) - row_losses(y, old), y, once]
    return _interval_of_sums(columns, normalize_entropy, cluster_rows(users))


def auc_drop(
    outcomes: npt.ArrayLike, users: npt.ArrayLike, *, champion: npt.ArrayLike, challenger: npt.ArrayLike
) -> Estimate:
    """Paired interval of AUC(champion) - AUC(challenger): positive where the challenger ranks worse.

    Examples
    --------
    >>> auc_drop([1, 0], ["u", "v"], champion=[0.9, 0.1], challenger=[0.1, 0.9]).value
    1.0
    """
    y, old, once = check_binary(outcomes, champion)
    _, new, _ = check_binary(outcomes, challenger)
    if not y.size:
        return UNKNOWN_ESTIMATE
    who = cluster_rows(users)
    resampler = Resampler(who.count, seed=0, replicates=200)
    units = resampler.units(who.codes)
    before, after = (sum_ranks(y, side, once, units, resampler.drawn) for side in (old, new))
    samples = before.replicated(resampler)[0] - after.replicated(resampler)[0]
    return percentile_interval(before.aucs[0] - after.aucs[0], samples[0], who.count)


def _interval_of_sums(
    columns: list[Floats], statistic: Statistic, who: Clusters, *, seed: int = 0, replicates: int = 500
) -> Estimate:
    if not who.count:
        return UNKNOWN_ESTIMATE
    resampler = Resampler(who.count, seed, replicates)
    return sum_intervals(columns, {"it": statistic}, who.codes, resampler)["it"][0]
