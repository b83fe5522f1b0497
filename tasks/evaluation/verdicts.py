"""Evaluates bounds by intervals.

::

    bound            low |-----------| high of the allowed range
    all inside            |--|                 pass
    all outside                          |--|  block (or warn)
    across                          |-----|    inconclusive

The number of test days that decide a bound; if users return, information grows more slowly than days::

    se^2(D) = a / D + b       of the log change, from two windows of the test slice: one day, and all days
    D       = a / (g^2 - b)   g = |ln(1 + bound)| / 2.486: an equal release passes one-sided at 95 % in 80 %
    never                     if b >= g^2

With z the influence of a user (or an item) on a day, se^2(1) is the days' mean of sum z^2 and se^2(all) is
sum over users of (sum over days of z)^2: b is the part shared by days. ``python -m benchmarks.planned_days``
prints the requested and the reached power, and that of a plan by 1 / days.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from pydantic import ConfigDict, TypeAdapter
from scipy.special import stdtr

from tasks.arrays import Floats, Indices
from tasks.evaluation.documents import CLOSED, MaybeFloat
from tasks.evaluation.subjects import ALL, STATED, Segment, Subject, Threshold

DETECTED: Final = 1.644854 + 0.841621
"""Standard errors between no change and a bound for a power of 80 % with a one-sided 95 % interval."""


@dataclass(frozen=True)
class Growth:
    """The variance of a log change by test days D, ``by_day`` / D + ``shared``, estimated on ``days``."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    days: int
    by_day: MaybeFloat
    shared: MaybeFloat

    @classmethod
    def of(cls, influence: Floats, clusters: Indices, days: Indices) -> "Growth | None":
        """Estimate the growth from a slice; None for fewer than two days, or without variance.

        Parameters
        ----------
        influence : [n] influence of each row on the log change, sums to 0.
        clusters : [n] codes of the users, or items, with correlated rows.
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
        by_day = min(by_day, count * whole)  # the shared variance is not negative
        return cls(count, by_day, whole - by_day / count) if whole > 0 else None

    def days_needed(self, bound: float) -> float:
        """Return the test days that decide a bound; infinite if no number of days does.

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


class Outcome(StrEnum):
    """The outcome of a gate or a guardrail."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    WARN = "warn"
    BLOCK = "block"
    INCONCLUSIVE = "inconclusive"
    NO_RULE = "no_rule"
    METRIC_MISSING = "metric_missing"


WORST_FIRST: Final = (
    Outcome.BLOCK,
    Outcome.METRIC_MISSING,
    Outcome.INCONCLUSIVE,
    Outcome.WARN,
    Outcome.PASS,
    Outcome.NO_RULE,
)
"""Order of outcomes on pages; of two outcomes, the first counts."""


def stops(outcome: str) -> bool:
    """Whether an outcome stops a release by itself: a bound is broken, or its metric is missing.

    Examples
    --------
    >>> stops(Outcome.BLOCK), stops("metric_missing"), stops(Outcome.INCONCLUSIVE)
    (True, True, False)
    """
    return outcome in {Outcome.BLOCK, Outcome.METRIC_MISSING}


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95 % interval and the number of rows or clusters behind it."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    value: MaybeFloat
    low: MaybeFloat
    high: MaybeFloat
    n: int

    @property
    def known(self) -> bool:
        """Whether value and interval are finite."""
        return all(math.isfinite(x) for x in (self.value, self.low, self.high))

    @property
    def standard_error(self) -> float:
        """The standard error of a normal distribution with this interval; NaN if the interval is unknown."""
        return (self.high - self.low) / _WIDTH


_WIDTH: Final = 2 * 1.959964
"""Standard errors from one end of a 95 % interval to the other."""
_DETECTED: Final = 1.959964 + 0.841621
"""Standard errors of a change that a 95 % interval detects with a power of 80 % (Lehr 1992)."""

UNKNOWN_ESTIMATE: Final = Estimate(math.nan, math.nan, math.nan, 0)
"""A figure that the data cannot provide."""


def beyond_p_value(estimate: Estimate, allowed: Threshold, *, freedom: float = math.inf) -> float:
    """Return the one-sided p-value of "the bound is met"; 1 if the interval is unknown.

    Examples
    --------
    >>> high = Estimate(0.3, 0.3 - 1.959964 * 0.1, 0.3 + 1.959964 * 0.1, 90)
    >>> round(beyond_p_value(high, Threshold(high=0.1)), 4)
    0.0228
    """
    if not estimate.known:
        return 1.0
    excess, error = max(estimate.value - allowed.high, allowed.low - estimate.value), estimate.standard_error
    if error <= 0:
        return 0.0 if excess > 0 else 1.0
    return float(stdtr(freedom, -excess / error))


@dataclass(frozen=True)
class Power:
    """The smallest change that the data detect in 80 %, and the test days that decide the bound in 80 %.

    ``days``: days of the test slice; ``days_needed`` is None if unknown; ``never``: whether no number of
    days decides the bound at this traffic.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    detectable: MaybeFloat
    days: int = 0
    days_needed: int | None = None
    never: bool = False

    @classmethod
    def of(cls, change: Estimate | None, *, bound: float, growth: Sequence[Growth]) -> "Power | None":
        """Derive the power from a change's interval; None if the interval is unknown.

        Parameters
        ----------
        change : a relative change.
        bound : the allowed change, such as -0.05 for a fall.
        growth : how its variance falls with days, by user and by item.

        Examples
        --------
        >>> growth = Growth(days=7, by_day=0.01, shared=0.0001)
        >>> power = Power.of(Estimate(0.0, -0.1, 0.1, 90), bound=0.1, growth=[growth])
        >>> round(power.detectable, 3), power.days, power.days_needed, power.never
        (0.143, 7, 8, False)
        """
        if change is None or not change.known:
            return None
        needed = plan_days(growth, bound)
        return cls(
            detectable=_DETECTED * change.standard_error,
            days=max((one.days for one in growth), default=0),
            days_needed=math.ceil(needed) if math.isfinite(needed) else None,
            never=math.isinf(needed),
        )


def events_to_tell(margin: float) -> int | None:
    """Return how many events each side needs to detect a change of ``margin`` in 80 %; None for 0.

    Two counts of n events each differ by chance by a share of sqrt(2 / n); if both policies fill many slots
    equally, fewer are enough.

    Examples
    --------
    >>> events_to_tell(0.1), events_to_tell(0.5), events_to_tell(0.0)
    (1570, 63, None)
    """
    return math.ceil(2 * (_DETECTED / margin) ** 2) if margin else None


@dataclass(frozen=True)
class Verdict:
    """One gate's or guardrail's result with its evidence.

    ``evidence``: the run that the figures come from; ``relative``: whether the figure is relative to a
    baseline, which ``against`` names if it is not the baseline of the release's decision. ``holds``: whether
    an inconclusive verdict holds the release (``champion``: it may serve as the canary, not as champion);
    None leaves this to the surface's gates. ``power``: for a bound on a change. ``caveat``: why the figure is
    not valid evidence, independent of its interval: more rows of the same log would not change that.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    gate: str
    subject: Annotated[Subject, STATED]
    segment: Annotated[Segment, STATED]
    outcome: Outcome
    threshold: Annotated[Threshold, STATED]
    observed: Estimate | None
    reason: str = ""
    evidence: str = ""
    relative: bool = False
    holds: bool | Literal["champion"] | None = None
    power: Power | None = None
    caveat: str = ""
    against: str = ""

    @property
    def of(self) -> str:
        """Return what was evaluated, and where."""
        return str(self.subject) if self.segment == ALL else f"{self.subject} at {self.segment}"

    @property
    def harms_segment(self) -> bool:
        """Whether a bound is broken in a segment."""
        return self.segment != ALL and self.outcome in {Outcome.BLOCK, Outcome.WARN}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; unknown figures become null."""
        return _VERDICT.dump_python(self, mode="json")


_VERDICT: Final = TypeAdapter(Verdict)


def evaluate_interval(
    estimate: Estimate | None,
    *,
    low: float | None = None,
    high: float | None = None,
    action: Literal["block", "warn"] = "block",
) -> Outcome:
    """Evaluate an interval against the closed range ``[low, high]``.

    Parameters
    ----------
    estimate : the figure; None if the metric could not be computed.
    low, high : allowed range; None leaves a side open, both None is no rule.
    action : outcome of an interval wholly outside.

    Examples
    --------
    >>> evaluate_interval(Estimate(1.0, 0.95, 1.05, 900), low=0.9, high=1.1).value
    'pass'
    >>> evaluate_interval(Estimate(1.2, 1.15, 1.3, 900), low=0.9, high=1.1, action="warn").value
    'warn'
    >>> evaluate_interval(Estimate(1.05, 0.9, 1.2, 40), low=0.9, high=1.1).value
    'inconclusive'
    """
    if low is None and high is None:
        return Outcome.NO_RULE
    if estimate is None:
        return Outcome.METRIC_MISSING
    if not estimate.known:
        return Outcome.INCONCLUSIVE
    floor = -math.inf if low is None else low
    ceiling = math.inf if high is None else high
    if floor <= estimate.low and estimate.high <= ceiling:
        return Outcome.PASS
    if estimate.high < floor or estimate.low > ceiling:
        return Outcome(action)
    return Outcome.INCONCLUSIVE
