"""Whether a fast outcome is a valid proxy of a slow one: the slow outcome by tenths of the fast prediction.

::

    rows where both outcomes are known, ordered by the fast task's prediction
      -> ten tenths (ties stay together, so there may be fewer) -> mean slow outcome of each, with interval
    gap = mean slow outcome of the top tenth - that of all rows below it      (turned round for a cost)

A proxy is doubted where its best rows are worse than the rest: a gap below 0 (R23, F10). It is a check within
a model's predictions; whether moving the fast outcome moves the slow one is a question for experiments.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.binary import check_rows, divide
from tasks.evaluation.documents import CLOSED
from tasks.evaluation.grouping import assign_tenths
from tasks.evaluation.resampling import Clusters, Resampler, cluster_rows, sum_intervals
from tasks.evaluation.support import Support
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate


@dataclass(frozen=True)
class Tenth:
    """Rows of similar predictions: their mean prediction, mean slow outcome, and how many there are.

    ``positives`` counts slow outcomes other than 0.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    predicted: float
    outcome: Estimate
    rows: int
    positives: int


@dataclass(frozen=True)
class ProxyReport:
    """A slow outcome along the tenths of its proxy, lowest prediction first.

    ``mean`` is the slow outcome of all rows; ``gap`` is above 0 where the top tenth is better than the rest,
    which for a cost means rarer; ``worst_at_top`` says that no other tenth is worse.
    """

    tenths: tuple[Tenth, ...]
    mean: Estimate
    gap: Estimate
    worst_at_top: bool


def proxy_report(
    fast: npt.ArrayLike,
    slow: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    cost: bool = False,
) -> ProxyReport:
    """Compare a slow outcome with the fast task's predictions.

    Parameters
    ----------
    fast : [n] predictions of the fast task, on rows where its own outcome is known too.
    slow : [n] the slow outcome.
    users : [n] who is resampled.
    cost : the slow outcome is one that people suffer from, so less of it is better.

    Examples
    --------
    >>> clicked = [0.1, 0.1, 0.9, 0.9]
    >>> found = proxy_report(clicked, [1, 1, 0, 0], ["u", "v", "w", "x"])
    >>> [tenth.outcome.value for tenth in found.tenths], found.gap.value, found.worst_at_top
    ([1.0, 0.0], -1.0, True)
    """
    y, p, _ = check_rows(slow, fast)
    if not p.size:
        return ProxyReport((), UNKNOWN_ESTIMATE, UNKNOWN_ESTIMATE, worst_at_top=False)
    who = cluster_rows(users)
    resampler, codes = Resampler(who.count, seed=0, replicates=200), assign_tenths(p)
    tenths = tuple(_tenths(p, y, codes, who, resampler))
    mean = _mean_by_group(y, np.zeros_like(codes), 1, who, resampler)[0]
    sign = -1.0 if cost else 1.0
    gap = _gap(sign * y, codes == codes.max(), who, resampler) if len(tenths) > 1 else UNKNOWN_ESTIMATE
    good = [sign * tenth.outcome.value for tenth in tenths]
    return ProxyReport(tenths, mean, gap, worst_at_top=len(good) > 1 and good[-1] < min(good[:-1]))


def _tenths(p: Floats, y: Floats, codes: Indices, who: Clusters, resampler: Resampler) -> list[Tenth]:
    count = int(codes.max()) + 1
    rows, predicted = np.bincount(codes), np.bincount(codes, p)
    positives = np.bincount(codes, y != 0)
    return [
        Tenth(float(predicted[i] / rows[i]), outcome, int(rows[i]), int(positives[i]))
        for i, outcome in enumerate(_mean_by_group(y, codes, count, who, resampler))
    ]


def _mean_by_group(
    y: Floats, codes: Indices, count: int, who: Clusters, resampler: Resampler
) -> list[Estimate]:
    """Return the mean outcome by group; where every outcome is 0, resampling zeros shows no spread."""
    means = sum_intervals(
        [y, np.ones_like(y)], {"mean": divide}, who.codes, resampler, groups=codes, count=count
    )["mean"]
    return [e if e.value else Estimate(e.value, float("nan"), float("nan"), e.n) for e in means]


def _gap(good: Floats, top: Flags, who: Clusters, resampler: Resampler) -> Estimate:
    """Return how much better the top is than the rest.

    Without bounds where one side's outcomes are all the same: resampling them shows no spread.
    """
    inside = top.astype(np.float64)
    columns = [good * inside, inside, good * (1 - inside), 1 - inside]

    def difference(above: Floats, rows_above: Floats, below: Floats, rows_below: Floats) -> Floats:
        return divide(above, rows_above) - divide(below, rows_below)

    gaps = sum_intervals(columns, {"gap": difference}, who.codes, resampler)["gap"]
    (gap,) = Support.of(good, np.ones_like(good), who.codes).of_outcomes(gaps)
    both_vary = np.ptp(good[top]) > 0 and np.ptp(good[~top]) > 0
    return gap if both_vary else Estimate(gap.value, float("nan"), float("nan"), gap.n)
