"""Figures of groups of rows, computed for all groups at once, with intervals of `tasks.evaluation.clustered`.

::

    row   group  user     N    D         value[g]     sum of N / sum of D over the rows of g
    0     new    u        1    1         influence    (N - value[g] x D) / sum of D, of each row
    1     new    v        0    1         by cluster   influence and weight summed over the group's rows of a
    2     old    u        0    .5                     user (item, day): one pass over the rows for all groups

Policy and baseline are measured on the same rows, so their change is paired.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from tasks.arrays import Floats, Indices
from tasks.evaluation.binary import divide
from tasks.evaluation.clustered import Ratio, RowClusters, noise_of_quotient
from tasks.evaluation.resampling import LEAST_CLUSTERS, LEAST_POSITIVES, effective_number
from tasks.evaluation.verdicts import Estimate

_UPPER: Final = 0.975
_LEAST_DAYS: Final = 2


@dataclass(frozen=True)
class GroupedStatistic:
    """A figure of each group, the influence of each row, and its number of events.

    Attributes
    ----------
    value : [groups]; NaN where it is not defined.
    influence : [n], sums to 0 in each group.
    weight : [n], at least 0, the weight of each row.
    events : [groups] number of positive outcomes; None where none are counted.
    noise : [n] expected standard deviation of each row's influence; None where it is not known.
    """

    value: Floats
    influence: Floats
    weight: Floats
    events: Indices | None = None
    noise: Floats | None = None


@dataclass(frozen=True)
class PairedEstimates:
    """A policy, its baseline and the relative change in one group; ``events``: the smaller of both counts."""

    policy: Estimate
    baseline: Estimate | None
    relative: Estimate | None
    events: int | None


@dataclass(frozen=True)
class GroupedRows:
    """n rows in groups, with the users, items and days whose rows are correlated.

    Attributes
    ----------
    codes : [n] group of each row, from 0.
    count : number of groups.
    clusterings : by user, by item and by day, the group of each pair of group and cluster, [pairs], and the
        pair of each row, [n].
    """

    codes: Indices
    count: int
    clusterings: tuple[tuple[Indices, Indices], ...]

    @classmethod
    def of(cls, codes: Indices, count: int, clusters: RowClusters) -> "GroupedRows":
        """Index the rows of each pair of group and cluster."""
        each = (clusters.users, clusters.items, clusters.days)
        return cls(codes, count, tuple(_cluster(codes, members) for members in each))

    def sum(self, values: npt.ArrayLike) -> Floats:
        """Sum values [n] by group [groups]."""
        summed = np.bincount(self.codes, np.asarray(values, dtype=np.float64), self.count)
        return summed.astype(np.float64, copy=False)


def grouped_ratio(ratio: Ratio, rows: GroupedRows) -> GroupedStatistic:
    """Divide sums over each group's rows.

    Examples
    --------
    >>> rows = GroupedRows.of(np.array([0, 0, 1]), 2, RowClusters(*[np.array([0, 1, 2])] * 3))
    >>> rate = grouped_ratio(Ratio(np.array([1.0, 0.0, 1.0]), np.array([1.0, 1.0, 2.0])), rows)
    >>> rate.value.tolist(), rate.influence.tolist()
    ([0.5, 0.5], [0.25, -0.25, 0.0])
    """
    total = rows.sum(ratio.denominator)
    value = divide(rows.sum(ratio.numerator), total)
    expected = np.nan_to_num(value)[rows.codes]
    expected *= ratio.denominator  # in place to save memory: there is a row per candidate
    influence = divide(np.subtract(ratio.numerator, expected, out=expected), total[rows.codes])
    positives = None if ratio.positives is None else rows.sum(ratio.positives).astype(np.int64)
    noise = None if ratio.noise is None else np.nan_to_num(divide(ratio.noise, total[rows.codes]))
    np.nan_to_num(influence, copy=False)
    return GroupedStatistic(value, influence, np.abs(ratio.denominator), positives, noise)


def divide_grouped(above: GroupedStatistic, below: GroupedStatistic, rows: GroupedRows) -> GroupedStatistic:
    """Divide one statistic by another on the same rows; NaN where the divisor is not positive.

    Examples
    --------
    >>> rows = GroupedRows.of(np.array([0, 1]), 2, RowClusters(*[np.array([0, 1])] * 3))
    >>> above, below = (grouped_ratio(Ratio(np.array(n), np.ones(2)), rows) for n in ([1.0, 1.0], [2.0, 0.0]))
    >>> divide_grouped(above, below, rows).value
    array([0.5, nan])
    """
    base = np.where(below.value > 0, below.value, np.nan)
    value = above.value / base
    of_row, base_of_row = np.nan_to_num(value)[rows.codes], base[rows.codes]
    influence = np.nan_to_num((above.influence - of_row * below.influence) / base_of_row)
    noise = noise_of_quotient(above.noise, below.noise, of_row, base_of_row)
    return GroupedStatistic(value, influence, above.weight + below.weight, _fewer(above, below), noise)


def paired_estimates(
    policy: GroupedStatistic, baseline: GroupedStatistic | None, rows: GroupedRows
) -> list[PairedEstimates]:
    """Return, by group, the 95 % intervals of a policy, its baseline and their relative change.

    The bounds are NaN with fewer than `LEAST_CLUSTERS` effective users or fewer than `LEAST_POSITIVES`
    events, as in `tasks.evaluation.clustered`.

    Examples
    --------
    >>> rng, each = np.random.default_rng(0), np.arange(900)
    >>> rows = GroupedRows.of(each % 2, 2, RowClusters(each // 3, each, each % 9))
    >>> ours, theirs = (grouped_ratio(Ratio(rng.random(900) + by, np.ones(900)), rows) for by in (0.5, 0))
    >>> [one.relative.low > 0 for one in paired_estimates(ours, theirs, rows)]
    [True, True]
    """
    if baseline is None:
        sums = list(_sums([policy], rows))
        alone = _intervals(policy.value, policy.events, sums, _by_chance(policy.noise, rows))
        events = _plain(policy.events, rows.count)
        return [PairedEstimates(one, None, None, n) for one, n in zip(alone, events, strict=True)]
    sums = list(_sums([policy, baseline], rows))
    levels = [
        _intervals(
            one.value,
            one.events,
            [_Summed(s.group, s.influence[:, [k]], s.weight[:, [k]]) for s in sums],
            _by_chance(one.noise, rows),
        )
        for k, one in enumerate((policy, baseline))
    ]
    base = np.where(baseline.value > 0, baseline.value, np.nan)
    quotient = policy.value / base
    fewer = _fewer(policy, baseline)
    changes = [_change(s, quotient, base) for s in sums]
    noise = None
    if policy.noise is not None:
        noise = noise_of_quotient(policy.noise, baseline.noise, quotient[rows.codes], base[rows.codes])
    relative = _intervals(quotient - 1, fewer, changes, _by_chance(noise, rows))
    events = _plain(fewer, rows.count)
    return [PairedEstimates(*each) for each in zip(*levels, relative, events, strict=True)]


@dataclass(frozen=True)
class _Summed:
    """Influence and weight of statistics, summed by pair of group and cluster: [pairs, statistics]."""

    group: Indices
    influence: Floats
    weight: Floats


def _cluster(groups: Indices, clusters: Indices) -> tuple[Indices, Indices]:
    step = np.int64(clusters.max(initial=0) + 1)
    pairs, known = pd.factorize(groups * step + clusters)
    return np.asarray(known) // step, pairs.astype(np.int32)


def _sums(statistics: Sequence[GroupedStatistic], rows: GroupedRows) -> Iterator[_Summed]:
    for group, pairs in rows.clusterings:
        influence, weight = (
            np.column_stack([np.bincount(pairs, column, len(group)) for column in columns])
            for columns in ([one.influence for one in statistics], [one.weight for one in statistics])
        )
        yield _Summed(group, influence.astype(np.float64, copy=False), weight.astype(np.float64, copy=False))


def _change(summed: _Summed, quotient: Floats, base: Floats) -> _Summed:
    ours, theirs = summed.influence.T
    of = np.nan_to_num(quotient)[summed.group]
    influence = np.nan_to_num((ours - of * theirs) / base[summed.group])
    return _Summed(summed.group, influence[:, None], summed.weight.sum(axis=1, keepdims=True))


def _by_chance(noise: Floats | None, rows: GroupedRows) -> Floats:
    """Return the standard deviation of a statistic from the noise of its rows alone, [groups]."""
    return np.zeros(rows.count) if noise is None else np.sqrt(rows.sum(np.square(noise)))


def _intervals(
    value: Floats, events: Indices | None, clusterings: Sequence[_Summed], by_chance: Floats
) -> list[Estimate]:
    """Return the interval of one statistic in every group: the widest of the clusterings' and the noise's."""
    count = len(value)
    half = np.zeros(count)
    for position, summed in enumerate(clusterings):
        weight, influence = summed.weight[:, 0], summed.influence[:, 0]
        effective = effective_number(
            np.bincount(summed.group, weight, count), np.bincount(summed.group, weight**2, count)
        )
        members = np.bincount(summed.group, weight != 0, count).astype(np.intp)
        if position == 0:
            users, enough = members, effective >= LEAST_CLUSTERS
            half = stdtrit(np.where(enough, effective - 1, 1.0), _UPPER) * by_chance
        half = np.maximum(half, _half_width(summed.group, influence, effective, members))
    known = enough & np.isfinite(value)
    if events is not None:
        known &= events >= LEAST_POSITIVES
    half = np.where(known, half, math.nan)
    return [
        Estimate(float(v), float(v - h), float(v + h), int(n))
        for v, h, n in zip(value, half, users, strict=True)
    ]


def _half_width(group: Indices, influence: Floats, effective: Floats, members: Indices) -> Floats:
    enough = effective >= _LEAST_DAYS
    variance = divide(members, members - 1) * np.bincount(group, influence**2, len(effective))
    quantile = stdtrit(np.where(enough, effective - 1, 1.0), _UPPER)
    return np.where(enough, quantile * np.sqrt(np.where(enough, variance, 0.0)), 0.0)


def _fewer(one: GroupedStatistic, other: GroupedStatistic) -> Indices | None:
    counted = [s.events for s in (one, other) if s.events is not None]
    return np.minimum.reduce(counted) if counted else None


def _plain(events: Indices | None, count: int) -> list[int | None]:
    return [None] * count if events is None else [int(n) for n in events]
