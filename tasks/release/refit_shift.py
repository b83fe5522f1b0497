"""How far the predictions of refitted models lie from those of the tested ones, and what chance allows.

::

    rows in tenths of the mean of both predictions
    shift = sum over tenths of |sum of b - sum of a|  /  sum of |a|

The shift needs no outcomes. It grows when all predictions rise or fall, and when a model predicts the same of
every row; differences of single rows that even out within a tenth do not count. The order is that of both
models, since rows that one model puts at the top by chance would seem to fall under the other.

The bound is the larger of what the surface declares and of what chance makes of so many positives. Two models
of one recipe that learned from other days shift too: a sum of n positives varies by a share of 1 / sqrt(n),
so with n and m positives to be calibrated on::

    level alone        shift <= 1.96 sqrt(1/n + 1/m)    in 95 % of pairs     (2.8 / sqrt(n) where n = m)
    level and tenths   shift <= 2.75 sqrt(1/n + 1/m)    what `chance_shift` allows
"""

from collections.abc import Mapping
from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.arrays import Floats
from tasks.evaluation.binary import divide
from tasks.evaluation.grouping import TENTHS, Grouping, assign_tenths
from tasks.evaluation.metric_rows import group_by_segment
from tasks.evaluation.resampling import Clusters, Resampler, cluster_rows, sum_intervals
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate

CHANCE_DEVIATIONS: Final = 2.75
"""Deviations of the level by which equal refits may shift: 95 % of pairs with 30 to 1,500 positives to be
calibrated on shift by at most 1.7 to 2.75 of them, since an isotonic map moves its parts one by one
(tests/release/test_refit_shift.py). With more positives .1 is the larger bound."""


def chance_shift(tested: float, served: float) -> float:
    """Return the shift that chance alone makes of a refit, in all but one of twenty.

    Examples
    --------
    >>> round(chance_shift(800, 800), 3), round(chance_shift(50, 50), 3)
    (0.138, 0.55)
    """
    return CHANCE_DEVIATIONS * sqrt(1 / tested + 1 / served) if min(tested, served) > 0 else float("inf")


def predicted_shares(
    predictions: npt.ArrayLike, segments: Mapping[str, npt.ArrayLike]
) -> dict[Segment, float]:
    """Return the share of the sum of predictions [n] in the whole and in every value of every segment.

    Examples
    --------
    >>> shares = predicted_shares([0.25, 0.75], {"source": ["ads", "feed"]})
    >>> {str(segment): share for segment, share in shares.items()}
    {'all': 1.0, 'source=ads': 0.25, 'source=feed': 0.75}
    """
    p = np.asarray(predictions, dtype=np.float64)
    shares: dict[Segment, float] = {}
    for group in group_by_segment(segments, len(p)):
        sums = divide(np.bincount(group.codes, p, group.count), p.sum())
        shares |= zip(group.names, sums.tolist(), strict=True)
    return shares | {ALL: 1.0}


def prediction_shift(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    segments: Mapping[str, npt.ArrayLike] | None = None,
) -> dict[Segment, Estimate]:
    """Measure the shift on the whole and in every value of every segment.

    Parameters
    ----------
    before, after : [n] predictions of the two models.
    users : [n] who is resampled.
    segments : values [n] by the segment's name.

    Returns
    -------
    A share of the mean prediction by segment, never below 0.

    Examples
    --------
    >>> users = ["u", "v", "w"]
    >>> round(prediction_shift([0.1, 0.2, 0.3], [0.11, 0.22, 0.33], users)[ALL].value, 9)
    0.1
    >>> round(prediction_shift([0.1, 0.2, 0.3], [0.2, 0.2, 0.2], users)[ALL].value, 9)
    0.333333333
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (before, after))
    who = cluster_rows(users)
    tenths = assign_tenths((a + b) / 2)
    columns = [np.where(tenths == tenth, b - a, 0.0) for tenth in range(TENTHS)] + [np.abs(a)]
    shifts: dict[Segment, Estimate] = {}
    for group in group_by_segment(segments or {}, len(a)):
        shifts |= _shift_by_group(columns, who, group)
    return shifts


def _shift_by_group(columns: list[Floats], who: Clusters, group: Grouping) -> dict[Segment, Estimate]:
    estimates = sum_intervals(
        columns,
        {"shift": _shift},
        who.codes,
        Resampler(who.count, seed=0, replicates=200),
        groups=group.codes,
        count=group.count,
    )["shift"]
    return dict(zip(group.names, map(_include_value, estimates), strict=True))


def _shift(*sums: Floats) -> Floats:
    moved = np.add.reduce([np.abs(tenth) for tenth in sums[:-1]])
    return divide(moved, sums[-1])


def _include_value(estimate: Estimate) -> Estimate:
    """Let the interval hold the value: what is never below 0 spreads upwards in resamples."""
    if not estimate.known:
        return estimate
    low, high = min(estimate.low, estimate.value), max(estimate.high, estimate.value)
    return Estimate(estimate.value, low, high, estimate.n)
