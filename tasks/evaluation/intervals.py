"""User-clustered 95 % intervals of the metrics, alone and as differences on the same rows.

An estimate has NaN bounds where the data cannot tell: fewer than two users, no positive (then the value
is NaN too), or positives of so few users that a resample often has none. Nothing here raises for thin data.
"""

import numpy as np
import numpy.typing as npt

from tasks.evaluation.binary import Codes, Floats, checked, entropy, quotient, request_aucs, row_losses
from tasks.evaluation.rank_sums import rank_sums
from tasks.evaluation.resampling import (
    UNKNOWN,
    Clusters,
    Resampler,
    Statistic,
    clusters,
    interval,
    sum_intervals,
    users_per_group,
)
from tasks.evaluation.verdicts import Estimate


def ratio_interval(
    numerators: npt.ArrayLike,
    denominators: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    seed: int = 0,
    replicates: int = 500,
) -> Estimate:
    """Interval of sum(numerators) / sum(denominators).

    Where every numerator is 0 the value is 0 and the bounds are NaN: resampling zeros shows no spread.

    Examples
    --------
    >>> ratio_interval([1.0, 1.0, 2.0], [2.0, 2.0, 4.0], ["u", "v", "w"])
    Estimate(value=0.5, low=0.5, high=0.5, n=3)
    """
    columns = [np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)]
    estimate = _of_sums(columns, quotient, clusters(users), seed, replicates)
    return estimate if columns[0].any() else _unbounded(estimate)


def mean_interval(
    values: npt.ArrayLike, users: npt.ArrayLike, *, seed: int = 0, replicates: int = 500
) -> Estimate:
    """Interval of the mean of measured values, without those that are NaN.

    A zero is a measurement, not an outcome that was not seen: where every value is 0, so are the bounds.

    Examples
    --------
    >>> mean_interval([0.0, 0.0, float("nan")], ["u", "v", "w"])
    Estimate(value=0.0, low=0.0, high=0.0, n=2)
    """
    measured = np.asarray(values, dtype=np.float64)
    known = np.isfinite(measured)
    columns = [measured[known], np.ones(np.count_nonzero(known))]
    return _of_sums(columns, quotient, clusters(np.asarray(users)[known]), seed, replicates)


def ratio_change_interval(
    numerators: tuple[npt.ArrayLike, npt.ArrayLike],
    denominators: tuple[npt.ArrayLike, npt.ArrayLike],
    users: npt.ArrayLike,
    *,
    relative: bool,
    seed: int = 0,
    replicates: int = 500,
) -> Estimate:
    """Interval of how a ratio changes from a baseline to a challenger, on the same rows.

    Parameters
    ----------
    numerators, denominators : each (baseline [n], challenger [n]); 0 where a side does not use the row.
    relative : change as a share of the baseline's ratio instead of in its unit.
    """
    columns = [np.asarray(column, dtype=np.float64) for column in (*numerators, *denominators)]

    def change(above_base: Floats, above_new: Floats, below_base: Floats, below_new: Floats) -> Floats:
        base, new = quotient(above_base, below_base), quotient(above_new, below_new)
        return quotient(new - base, base) if relative else new - base

    estimate = _of_sums(columns, change, clusters(users), seed, replicates)
    return estimate if columns[0].any() and columns[1].any() else _unbounded(estimate)


def calibration_interval(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
    replicates: int = 500,
) -> Estimate:
    """Interval of the calibration ratio, observed over predicted; unknown without a positive."""
    y, p, w = checked(outcomes, predictions, weights)
    if not y.any():
        return UNKNOWN
    return ratio_interval(w * y, w * p, users, seed=seed, replicates=replicates)


def normalized_entropy_interval(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
    replicates: int = 500,
) -> Estimate:
    """Interval of the normalized entropy; the base rate is that of each sample."""
    y, p, w = checked(outcomes, predictions, weights)
    return _of_sums([w * row_losses(y, p), w * y, w], normalized, clusters(users), seed, replicates)


def normalized(losses: Floats, positives: Floats, total: Floats) -> Floats:
    """Normalized entropy from sums of row losses, positives and rows."""
    return quotient(quotient(losses, total), entropy(quotient(positives, total)))


def normalized_entropy_rise(
    outcomes: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    champion: npt.ArrayLike,
    challenger: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
    replicates: int = 500,
) -> Estimate:
    """Paired interval of NE(challenger) - NE(champion): positive where the challenger predicts worse."""
    y, old, w = checked(outcomes, champion, weights)
    _, new, _ = checked(outcomes, challenger, weights)
    columns = [w * (row_losses(y, new) - row_losses(y, old)), w * y, w]
    return _of_sums(columns, normalized, clusters(users), seed, replicates)


def auc_by_request_interval(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    requests: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
    replicates: int = 500,
) -> Estimate:
    """Interval of the mean AUC of the requests that have both classes."""
    found = request_aucs(outcomes, predictions, requests, weights=weights)
    of = np.asarray(users)[found.first_rows]
    return ratio_interval(found.aucs, np.ones_like(found.aucs), of, seed=seed, replicates=replicates)


def auc_interval(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
    replicates: int = 200,
) -> Estimate:
    """Interval of the pooled AUC."""
    who = clusters(users)
    checked_columns = checked(outcomes, predictions, weights)
    return ranked_intervals(*checked_columns, who.codes, Resampler(who.count, seed, replicates))[0][0]


def average_precision_interval(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
    replicates: int = 200,
) -> Estimate:
    """Interval of the average precision."""
    who = clusters(users)
    checked_columns = checked(outcomes, predictions, weights)
    return ranked_intervals(*checked_columns, who.codes, Resampler(who.count, seed, replicates))[1][0]


def ranked_intervals(
    outcomes: Floats,
    predictions: Floats,
    weights: Floats,
    users: Codes,
    resampler: Resampler,
    *,
    groups: Codes | None = None,
    count: int = 1,
) -> tuple[list[Estimate], list[Estimate]]:
    """Intervals of pooled AUC and of average precision per group [count], from one sort."""
    aucs, precisions = [UNKNOWN] * count, [UNKNOWN] * count
    if not outcomes.size:
        return aucs, precisions
    ranked = rank_sums(outcomes, predictions, weights, resampler.units(users), resampler.drawn, groups=groups)
    auc_samples, precision_samples = ranked.replicated(resampler)
    sizes = users_per_group(users, np.zeros_like(users) if groups is None else groups, count)
    for i, group in enumerate(ranked.groups):
        aucs[group] = interval(ranked.aucs[i], auc_samples[i], sizes[group])
        precisions[group] = interval(ranked.precisions[i], precision_samples[i], sizes[group])
    return aucs, precisions


def auc_drop(
    outcomes: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    champion: npt.ArrayLike,
    challenger: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    seed: int = 0,
    replicates: int = 200,
) -> Estimate:
    """Paired interval of AUC(champion) - AUC(challenger): positive where the challenger ranks worse."""
    y, old, w = checked(outcomes, champion, weights)
    _, new, _ = checked(outcomes, challenger, weights)
    if not y.size:
        return UNKNOWN
    who = clusters(users)
    resampler = Resampler(who.count, seed, replicates)
    units = resampler.units(who.codes)
    before, after = (rank_sums(y, side, w, units, resampler.drawn) for side in (old, new))
    samples = before.replicated(resampler)[0] - after.replicated(resampler)[0]
    return interval(before.aucs[0] - after.aucs[0], samples[0], who.count)


def _of_sums(
    columns: list[Floats], statistic: Statistic, who: Clusters, seed: int, replicates: int
) -> Estimate:
    if not who.count:
        return UNKNOWN
    resampler = Resampler(who.count, seed, replicates)
    return sum_intervals(columns, {"it": statistic}, who.codes, resampler)["it"][0]


def _unbounded(estimate: Estimate) -> Estimate:
    return Estimate(estimate.value, float("nan"), float("nan"), estimate.n)
