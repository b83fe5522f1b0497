"""How far one model's predictions lie from another's on the same rows; outcomes are not needed.

::

    rows in tenths of the mean of both predictions
    shift = sum over tenths of |sum of b - sum of a|  /  sum of |a|

It grows when all predictions rise or fall, and when a model predicts the same for every row; differences of
single rows that even out within a tenth do not count. The order is that of both, since rows
that one model puts at the top by chance would seem to fall under the other.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.evaluation.binary import Codes, Floats, divide
from tasks.evaluation.resampling import Clusters, Resampler, cluster_rows, sum_intervals
from tasks.evaluation.segments import ALL, name_segment
from tasks.evaluation.tenths import TENTHS, assign_tenths
from tasks.evaluation.verdicts import Estimate


def prediction_shift(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    segments: Mapping[str, npt.ArrayLike] | None = None,
) -> dict[str, Estimate]:
    """Measure the shift on the whole and in every value of every segment.

    Parameters
    ----------
    before, after : [n] predictions of the two models.
    users : [n] who is resampled.
    segments : values [n] by the segment's name.

    Returns
    -------
    A share of the mean prediction by ``all`` and ``<segment>=<value>``, never below 0.

    Examples
    --------
    >>> users = ["u", "v", "w"]
    >>> round(prediction_shift([0.1, 0.2, 0.3], [0.11, 0.22, 0.33], users)["all"].value, 9)
    0.1
    >>> round(prediction_shift([0.1, 0.2, 0.3], [0.2, 0.2, 0.2], users)["all"].value, 9)
    0.333333333
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (before, after))
    who = cluster_rows(users)
    tenths = assign_tenths((a + b) / 2)
    columns = [np.where(tenths == tenth, b - a, 0.0) for tenth in range(TENTHS)] + [np.abs(a)]
    shifts = _shift_by_group(columns, who, None)
    for name, values in (segments or {}).items():
        codes, known = pd.factorize(np.asarray(values), sort=True)
        named = [name_segment(name, value) for value in known]
        shifts |= _shift_by_group(columns, who, (codes, named))
    return shifts


def _shift_by_group(
    columns: list[Floats], who: Clusters, groups: tuple[Codes, list[str]] | None
) -> dict[str, Estimate]:
    codes, names = groups or (np.zeros(len(who.codes), dtype=np.intp), [ALL])
    estimates = sum_intervals(
        columns,
        {"shift": _shift},
        who.codes,
        Resampler(who.count, seed=0, replicates=200),
        groups=codes,
        count=len(names),
    )["shift"]
    return dict(zip(names, map(_include_value, estimates), strict=True))


def _shift(*sums: Floats) -> Floats:
    moved = np.add.reduce([np.abs(tenth) for tenth in sums[:-1]])
    return divide(moved, sums[-1])


def _include_value(estimate: Estimate) -> Estimate:
    """Let the interval hold the value: what is never below 0 spreads upwards in resamples."""
    if not estimate.known:
        return estimate
    low, high = min(estimate.low, estimate.value), max(estimate.high, estimate.value)
    return Estimate(estimate.value, low, high, estimate.n)
