"""How many test days decide a bound: where users return, information does not grow in step with days.

::

    se^2(D) = a / D + b       of the log change, from two windows of the test slice: one day, and all days
    D       = a / (g^2 - b)   g = |ln(1 + bound)| / 2.486: an equal release passes one-sided at 95 % in 80 %
    never                     where b >= g^2

With z the influence of a user (or an item) on a day, se^2(1) is the days' mean of sum z^2 and se^2(all) is
sum over users of (sum over days of z)^2: b is what days share. ``python -m benchmarks.planned_days`` prints
the power that is asked for beside the power that is reached, and that of a plan by 1 / days.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from pydantic import ConfigDict

from tasks.arrays import Floats, Indices
from tasks.evaluation.documents import CLOSED, MaybeFloat

DETECTED: Final = 1.644854 + 0.841621
"""Standard errors between no change and a bound that a one-sided 95 % interval keeps in 80 %."""


@dataclass(frozen=True)
class Growth:
    """The variance of a log change by test days D, ``by_day`` / D + ``shared``, as seen on ``days``."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    days: int
    by_day: MaybeFloat
    shared: MaybeFloat

    @classmethod
    def of(cls, influence: Floats, clusters: Indices, days: Indices) -> "Growth | None":
        """Estimate it from a slice; None of fewer than two days, or where nothing varies.

        Parameters
        ----------
        influence : [n] what each row adds to the deviation of the log change, sums to 0.
        clusters : [n] codes of the users, or items, whose rows move together.
        days : [n] codes of the rows' days.

        Examples
        --------
        >>> users, days = np.repeat(np.arange(100), 4), np.tile(np.arange(4), 100)
        >>> habit = np.where(users % 2, 0.001, -0.001)  # the same on every day
        >>> growth = Growth.of(habit, users, days)
        >>> growth.days, round(growth.by_day, 6), round(growth.shared, 6)
        (4, 0.0, 0.0016)
        """
        count = len(np.unique(days))
        step = int(days.max(initial=0)) + 1
        if count < 2:
            return None
        each = np.bincount(clusters * np.int64(step) + days, influence)
        one_day, whole = (float((sums**2).sum()) for sums in (each, np.bincount(clusters, influence)))
        by_day = max(0.0, count * (count * one_day - whole) / (count - 1))
        by_day = min(by_day, count * whole)  # what days share is no less than nothing
        return cls(count, by_day, whole - by_day / count) if whole > 0 else None

    def days_needed(self, bound: float) -> float:
        """Return the test days that decide a bound; infinite where none do.

        Examples
        --------
        >>> growth = Growth(days=7, by_day=0.01, shared=0.0001)
        >>> round(growth.days_needed(0.15), 1), growth.days_needed(0.02)
        (3.3, inf)
        """
        left = (math.log1p(bound) / DETECTED) ** 2 - self.shared
        return self.by_day / left if left > 0 else math.inf


def plan_days(growth: Iterable[Growth], bound: float) -> float:
    """Return the test days that decide a bound by every clustering; NaN for no clustering or a bound of 0.

    Examples
    --------
    >>> users, items = Growth(days=7, by_day=0.01, shared=0.0001), Growth(days=7, by_day=0.005, shared=0.0)
    >>> round(plan_days([users, items], 0.15), 1), plan_days([users, items], 0.0)
    (3.3, nan)
    """
    needed = [one.days_needed(bound) for one in growth] if bound > -1 and bound else []
    return max(needed, default=math.nan)
