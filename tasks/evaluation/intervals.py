"""User-clustered 95 % intervals of the metrics, alone and as differences on the same rows.

An estimate has NaN bounds where the data cannot tell: fewer than two users, no positive (then the value
is NaN too), or positives of so few users that a resample often has none. Nothing here raises for thin data.
"""

import numpy as np
import numpy.typing as npt

from tasks.evaluation.binary import Codes, Floats, checked, entropy, quotient, request_aucs, row_losses
from tasks.evaluation.rank_sums import rank_sums
from tasks.evaluation.resampling import clusters, interval, sum_intervals
from tasks.evaluation.verdicts import Estimate

UNKNOWN = Estimate(float("nan"), float("nan"), float("nan"), 0)


def ratio_interval(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, users: npt.ArrayLike, *, seed: int = 0, replicates: int = 500
) -> Estimate:
    """Interval of sum(numerators) / sum(denominators).

    Where every numerator is 0 the value is 0 and the bounds are NaN: resampling zeros shows no spread.

    Examples
    --------
    >>> ratio_interval([1.0, 1.0, 2.0], [2.0, 2.0, 4.0], ["u", "v", "w"])
    Estimate(value=0.5, low=0.5, high=0.5, n=3)
    """
    above, below = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    estimate = sum_intervals([above, below], quotient, _codes(users), seed=seed, replicates=replicates)[0]
    return estimate if above.any() else Estimate(estimate.value, float("nan"), float("nan"), estimate.n)


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
    pairs = (*numerators, *denominators)
    columns = [np.asarray(column, dtype=np.float64) for column in pairs]

    def change(n_base: Floats, n_new: Floats, d_base: Floats, d_new: Floats) -> Floats:
        base, new = quotient(n_base, d_base), quotient(n_new, d_new)
        return quotient(new - base, base) if relative else new - base

    estimate = sum_intervals(columns, change, _codes(users), seed=seed, replicates=replicates)[0]
    told = columns[0].any() and columns[1].any()
    return estimate if told else Estimate(estimate.value, float("nan"), float("nan"), estimate.n)


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
    return _ranked(outcomes, predictions, users, weights, seed, replicates)[0]


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
    return _ranked(outcomes, predictions, users, weights, seed, replicates)[1]


def _ranked(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    users: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    seed: int,
    replicates: int,
) -> tuple[Estimate, Estimate]:
    y, p, w = checked(outcomes, predictions, weights)
    if not y.size:
        return UNKNOWN, UNKNOWN
    aucs, precisions = ranked_intervals(y, p, w, _codes(users), seed=seed, replicates=replicates)
    return aucs[0], precisions[0]


def ranked_intervals(
    outcomes: Floats,
    predictions: Floats,
    weights: Floats,
    users: Codes,
    *,
    groups: Codes | None = None,
    count: int = 1,
    seed: int = 0,
    replicates: int = 200,
) -> tuple[list[Estimate], list[Estimate]]:
    """Intervals of pooled AUC and of average precision per group [count], from one sort.

    With ``replicates`` 0 the values stand without bounds.
    """
    sums = rank_sums(outcomes, predictions, weights, users, groups=groups)
    values = sums.measure(np.ones((sums.users, 1)))
    empty = np.empty((sums.groups.size, 0))
    replicated = sums.replicated(seed=seed, replicates=replicates) if replicates else (empty, empty)
    sizes = _users_per_group(users, groups, count)
    return tuple(  # type: ignore[return-value]  # a pair: one list for each metric
        _placed(value[:, 0], reps, sums.groups, sizes) for value, reps in zip(values, replicated, strict=True)
    )


def _placed(values: Floats, replicated: Floats, groups: Codes, sizes: Codes) -> list[Estimate]:
    placed = [Estimate(float("nan"), float("nan"), float("nan"), 0) for _ in sizes]
    for value, reps, group in zip(values, replicated, groups, strict=True):
        placed[group] = interval(value, reps, int(sizes[group]))
    return placed


def _users_per_group(users: Codes, groups: Codes | None, count: int) -> Codes:
    of = np.zeros_like(users) if groups is None else groups
    pairs = np.unique(of * (int(users.max()) + 1) + users)
    return np.bincount(pairs // (int(users.max()) + 1), minlength=count)


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
    codes = _codes(users)
    sides = [rank_sums(y, side, w, codes) for side in (old, new)]
    before, after = (side.replicated(seed=seed, replicates=replicates)[0][0] for side in sides)
    values = [float(side.measure(np.ones((side.users, 1)))[0][0, 0]) for side in sides]
    return interval(values[0] - values[1], before - after, np.unique(codes).size)


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

    def rise(lost_new: Floats, lost_old: Floats, positive: Floats, total: Floats) -> Floats:
        return quotient(quotient(lost_new - lost_old, total), entropy(quotient(positive, total)))

    columns = [w * row_losses(y, new), w * row_losses(y, old), w * y, w]
    return sum_intervals(columns, rise, _codes(users), seed=seed, replicates=replicates)[0]


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
    if not found.values.size:
        return UNKNOWN
    of = _codes(users)[found.first_rows]
    return ratio_interval(found.values, np.ones_like(found.values), of, seed=seed, replicates=replicates)


def _codes(users: npt.ArrayLike) -> Codes:
    return clusters(users).codes
