"""Pairs of tasks: whether a fast outcome is a valid proxy of a slow one, and which tasks conflict.

A proxy, by deciles of the fast prediction::

    rows with both outcomes known, ordered by the fast task's prediction
      -> ten deciles (ties stay together, so there may be fewer) -> mean slow outcome of each, with interval
    gap = mean slow outcome of the top decile - that of all rows below it      (negated for a cost)

A proxy is questionable if its best rows are worse than the rest: a gap below 0 (R23, F10). This check uses a
model's predictions; whether a change of the fast outcome changes the slow one needs an experiment.

Conflicts (R11)::

    predictions[a, b]   Spearman's rho of the two predictions over all rows
    outcomes[a, b]      Spearman's rho of the two outcomes over the rows[a, b] where both are known
    at_top              share of a task's top decile in a cost's top decile; by chance about .1

Rows with equal predictions are in one decile, which may then be larger or smaller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ConfigDict

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.binary import check_rows, divide
from tasks.evaluation.documents import CLOSED, MaybeFloat, Section
from tasks.evaluation.observations import Grouping, assign_tenths
from tasks.evaluation.resampling import Clusters, Support, cluster_rows, mean_interval, statistic_intervals
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate

_REPLICATES: Final = 200


@dataclass(frozen=True)
class Tenth:
    """Rows of similar predictions: their mean prediction, mean slow outcome, and number.

    ``positives`` counts slow outcomes other than 0.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    predicted: float
    outcome: Estimate
    rows: int
    positives: int


@dataclass(frozen=True)
class ProxyReport:
    """A slow outcome along the deciles of its proxy, lowest prediction first.

    ``mean`` is the slow outcome of all rows; ``gap`` is above 0 if the top decile is better than the rest,
    which for a cost means rarer; ``worst_at_top``: whether no other decile is worse.
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
    fast : [n] predictions of the fast task, on rows where its own outcome is also known.
    slow : [n] the slow outcome.
    users : [n] resampled users.
    cost : whether the slow outcome is harmful, so less of it is better.

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
    codes = assign_tenths(p)
    tenths = tuple(_tenths(p, y, codes, who))
    mean = _means(y, who)[0]
    sign = -1.0 if cost else 1.0
    gap = _gap(sign * y, codes == codes.max(), who) if len(tenths) > 1 else UNKNOWN_ESTIMATE
    good = [sign * tenth.outcome.value for tenth in tenths]
    return ProxyReport(tenths, mean, gap, worst_at_top=len(good) > 1 and good[-1] < min(good[:-1]))


def _tenths(p: Floats, y: Floats, codes: Indices, who: Clusters) -> list[Tenth]:
    rows, predicted = np.bincount(codes), np.bincount(codes, p)
    positives = np.bincount(codes, y != 0)
    tenths = Grouping.of_bins(codes, len(rows))
    return [
        Tenth(float(predicted[i] / rows[i]), outcome, int(rows[i]), int(positives[i]))
        for i, outcome in enumerate(_means(y, who, tenths))
    ]


def _means(y: Floats, who: Clusters, group: Grouping | None = None) -> list[Estimate]:
    """Return the mean outcome by group; if every outcome is 0, resampling shows no spread."""
    means = statistic_intervals([y, np.ones_like(y)], divide, who, _REPLICATES, group)
    return [e if e.value else Estimate(e.value, float("nan"), float("nan"), e.n) for e in means]


def _gap(good: Floats, top: Flags, who: Clusters) -> Estimate:
    """Return the difference between the top and the rest.

    It has no bounds if one side's outcomes are all equal, because resampling then shows no spread.
    """
    inside = top.astype(np.float64)
    columns = [good * inside, inside, good * (1 - inside), 1 - inside]

    def difference(above: Floats, rows_above: Floats, below: Floats, rows_below: Floats) -> Floats:
        return divide(above, rows_above) - divide(below, rows_below)

    gaps = statistic_intervals(columns, difference, who, _REPLICATES)
    (gap,) = Support.of(good, np.ones_like(good), who.codes).of_outcomes(gaps)
    both_vary = np.ptp(good[top]) > 0 and np.ptp(good[~top]) > 0
    return gap if both_vary else Estimate(gap.value, float("nan"), float("nan"), gap.n)


@dataclass(frozen=True)
class TopOverlap:
    """Share of a task's top decile in a cost's top decile; ``expected`` is the cost's share of all rows."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    task: str
    cost: str
    share: Estimate
    expected: float
    rows: int


class PairEvidence(Section):
    """Rank correlations of predictions and outcomes of two tasks; ``rows``: rows with both outcomes."""

    tasks: tuple[str, str]
    predictions: MaybeFloat
    outcomes: MaybeFloat
    rows: int


class ConflictEvidence(Section):
    """Conflicts between the tasks of a release."""

    tasks: tuple[str, ...]
    pairs: tuple[PairEvidence, ...]
    at_top: tuple[TopOverlap, ...]


def measure_conflicts(
    predictions: Mapping[str, Floats],
    outcomes: Mapping[str, Floats],
    users: npt.ArrayLike,
    *,
    costs: Sequence[str],
) -> ConflictEvidence:
    """Compare every pair of tasks on the same rows.

    Parameters
    ----------
    predictions : by task, each [n].
    outcomes : by task, each [n], NaN if unknown.
    users : [n] resampled users for the shares.
    costs : the tasks of which less is better.

    Examples
    --------
    >>> p = {"click": np.arange(20.0), "hide": np.arange(20.0)[::-1]}
    >>> unknown = {task: np.full(20, np.nan) for task in p}
    >>> found = measure_conflicts(p, unknown, np.arange(20), costs=["hide"])
    >>> found.pairs[0].predictions, found.pairs[0].outcomes, found.at_top[0].share.value
    (-1.0, nan, 0.0)
    """
    names = tuple(predictions)
    known = pd.DataFrame({name: outcomes[name] for name in names})
    counted = known.notna().to_numpy().astype(np.int64)
    of_predictions, of_outcomes = (
        frame.corr("spearman").to_numpy() for frame in (pd.DataFrame(dict(predictions)), known)
    )
    rows = counted.T @ counted
    pairs = tuple(
        PairEvidence(
            tasks=(names[i], names[j]),
            predictions=float(of_predictions[i, j]),
            outcomes=float(of_outcomes[i, j]),
            rows=int(rows[i, j]),
        )
        for i, j in combinations(range(len(names)), 2)
    )
    at_top = tuple(_measure_top_overlaps(predictions, users, costs))
    return ConflictEvidence(tasks=names, pairs=pairs, at_top=at_top)


def _measure_top_overlaps(
    predictions: Mapping[str, Floats], users: npt.ArrayLike, costs: Sequence[str]
) -> list[TopOverlap]:
    codes = {name: assign_tenths(p) for name, p in predictions.items() if len(p)}
    top = {name: of == of.max() for name, of in codes.items()}
    return [
        TopOverlap(
            task=task,
            cost=cost,
            share=mean_interval(np.where(mine, top[cost], np.nan), users, replicates=_REPLICATES),
            expected=float(top[cost].mean()),
            rows=int(mine.sum()),
        )
        for task, mine in top.items()
        for cost in costs
        if task not in costs and cost in top
    ]
