"""Intervals of statistics that are sums over rows, with rows clustered by user, item or day.

::

    ratio      value = N / D                     influence of row i = (n_i - value x d_i) / D
    change     value = A / B - 1                 influence of row i = (a_i - (A / B) x b_i) / B
    by users   variance = G / (G - 1) x sum over users of (sum of their rows' influence)^2
    by chance  variance = sum over rows of noise^2          noise of row i, as its influence: a_i / B, ...
    interval   value +- the largest of t x sqrt(variance), by user, by item, by day and by chance

``t`` is the quantile of Student's distribution with the effective number of clusters minus one degrees of
freedom: with seven days 2.45 instead of 1.96. The noise of a row is the expected variation of its outcome:
among few rows with large weights none may be positive by chance, and the observed variance is then too small.
``python -m benchmarks.operating_worlds.shocks`` measures the coverage of the largest one-way interval if days
and items affect outcomes. Linearisation and the factor G / (G - 1): Cameron and Miller (2015), "A
Practitioner's Guide to Cluster-Robust Inference".
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from tasks.arrays import Floats, Indices
from tasks.evaluation.resampling import LEAST_CLUSTERS, LEAST_POSITIVES, effective_number
from tasks.evaluation.verdicts import Estimate

_UPPER: Final = 0.975
_LEAST_DAYS: Final = 2


@dataclass(frozen=True)
class Statistic:
    """A figure, the influence of each row, and its number of events.

    Attributes
    ----------
    value : the figure; NaN where it is not defined.
    influence : [n], sums to 0.
    weight : [n], at least 0, the weight of each row.
    events : number of positive outcomes; None if none are counted.
    noise : [n] expected standard deviation of each row's influence, with the sign of its outcome; None if
        unknown.
    """

    value: float
    influence: Floats
    weight: Floats
    events: int | None = None
    noise: Floats | None = None


@dataclass(frozen=True)
class Ratio:
    """A sum over rows divided by another, each of shape [n].

    ``positives``: positive outcomes of each row [n]; ``events``: their total.
    ``noise``: expected standard deviation of each row's numerator [n].

    Examples
    --------
    >>> rate = Ratio(np.array([1.0, 0.0, 1.0]), np.array([1.0, 1.0, 2.0]), events=2)
    >>> rate.statistic.value, rate.statistic.influence.tolist()
    (0.5, [0.125, -0.125, 0.0])
    """

    numerator: Floats
    denominator: Floats
    events: int | None = None
    positives: npt.NDArray[np.generic] | None = None
    noise: Floats | None = None

    @cached_property
    def statistic(self) -> Statistic:
        """The ratio with each row's influence."""
        total = float(self.denominator.sum())
        if total == 0:
            return Statistic(math.nan, np.zeros(len(self.numerator)), np.abs(self.denominator), self.events)
        value = float(self.numerator.sum()) / total
        influence = (self.numerator - value * self.denominator) / total
        noise = None if self.noise is None else self.noise / total
        return Statistic(value, influence, np.abs(self.denominator), self.events, noise)


@dataclass(frozen=True)
class RowClusters:
    """Clusters of correlated rows: codes [n] from 0 of each row's user, item and day."""

    users: Indices
    items: Indices
    days: Indices


def divide_statistics(above: Statistic, below: Statistic) -> Statistic:
    """Divide one statistic by another on the same rows.

    Examples
    --------
    >>> both = Ratio(np.array([1.0, 1.0]), np.array([1.0, 1.0])).statistic
    >>> divide_statistics(both, both).value
    1.0
    """
    if not below.value > 0:
        return Statistic(math.nan, np.zeros(len(above.influence)), above.weight, _fewer(above, below))
    value = above.value / below.value
    influence = (above.influence - value * below.influence) / below.value
    noise = noise_of_quotient(above.noise, below.noise, value, below.value)
    return Statistic(value, influence, above.weight + below.weight, _fewer(above, below), noise)


def noise_of_quotient(
    above: Floats | None, below: Floats | None, quotient: Floats | float, base: Floats | float
) -> Floats | None:
    """Return the noise [n] of a quotient of two statistics; None if the noise of one is unknown.

    Parameters
    ----------
    quotient, base : the quotient and its divisor, for all rows or for each row's group [n]; NaN counts as 0.

    Examples
    --------
    >>> noise_of_quotient(np.array([0.3]), np.array([0.1]), 2.0, 0.5)
    array([0.2])
    """
    if above is None or below is None:
        return None
    return np.nan_to_num((above - np.nan_to_num(quotient) * below) / base)


def relative_change(policy: Statistic, baseline: Statistic) -> Statistic:
    """Return policy / baseline - 1, paired; NaN if the baseline is not positive.

    Examples
    --------
    >>> ours, theirs = (Ratio(np.array([x, 1.0]), np.ones(2)).statistic for x in (2.0, 1.0))
    >>> relative_change(ours, theirs).value
    0.5
    """
    quotient = divide_statistics(policy, baseline)
    return replace(quotient, value=quotient.value - 1)


def clustered_interval(statistic: Statistic, clusters: RowClusters) -> Estimate:
    """Return the 95 % interval of a statistic; its ``n`` is the number of users.

    The bounds are NaN with fewer than `LEAST_CLUSTERS` effective users or fewer than `LEAST_POSITIVES`
    events, because such an interval has too low a coverage.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> clicks, ones = rng.binomial(1, 0.5, 900).astype(float), np.ones(900)
    >>> rows = RowClusters(np.arange(900) // 3, np.arange(900), np.arange(900) % 9)
    >>> found = clustered_interval(Ratio(clicks, ones, events=int(clicks.sum())).statistic, rows)
    >>> found.low < 0.5 < found.high, found.n
    (True, 300)
    """
    users = _sum_by(clusters.users, statistic.weight)
    n = int(np.count_nonzero(users))
    few = statistic.events is not None and statistic.events < LEAST_POSITIVES
    if few or _effective(users) < LEAST_CLUSTERS or not math.isfinite(statistic.value):
        return Estimate(statistic.value, math.nan, math.nan, n)
    half = max(half_width(statistic, codes) for codes in (clusters.users, clusters.items, clusters.days))
    if statistic.noise is not None:
        half = max(half, _quantile(_effective(users)) * float(np.sqrt(np.square(statistic.noise).sum())))
    return Estimate(statistic.value, statistic.value - half, statistic.value + half, n)


def _effective(weights: Floats) -> float:
    """Return the effective number of clusters with the given weights."""
    return float(effective_number(weights.sum(), (weights**2).sum()))


def half_width(statistic: Statistic, codes: Indices) -> float:
    """Return half of the 95 % interval by one kind of cluster; 0 with fewer than two effective clusters.

    Examples
    --------
    >>> rate = Ratio(np.array([1.0, 0.0, 1.0, 0.0]), np.ones(4)).statistic
    >>> round(half_width(rate, np.arange(4)), 3), half_width(rate, np.zeros(4, dtype=int))
    (0.919, 0.0)
    """
    weights = _sum_by(codes, statistic.weight)
    effective = _effective(weights)
    if effective < _LEAST_DAYS:
        return 0.0
    count = np.count_nonzero(weights)
    sums = _sum_by(codes, statistic.influence)
    variance = count / (count - 1) * float((sums**2).sum())
    return _quantile(effective) * math.sqrt(variance)


def _quantile(effective: float) -> float:
    return float(stdtrit(effective - 1, _UPPER))


def _sum_by(codes: Indices, values: Floats) -> Floats:
    return np.bincount(codes, values).astype(np.float64)


def _fewer(one: Statistic, other: Statistic) -> int | None:
    counted = [s.events for s in (one, other) if s.events is not None]
    return min(counted) if counted else None
