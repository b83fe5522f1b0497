"""Compares the rates of two arms every day: a ratio stratified by day, and bounds valid at every reading.

::

    n1, n0 examined impressions and A, C events of treated and control on a day
    w1 = n0 / (n0 + n1)   R = sum of A w1   S = sum of C w0   w0 = n1 / (n0 + n1)
    estimate = ln(R / S)
    error^2  = sum over users of (sum over days of z)^2
               z = w1 (y - x A / n1) / R of the treated, -w0 (y - x C / n0) / S of the control
    bound    = sqrt(2 (1 + rho / I) ln(sqrt(1 + I / rho) / (2 alpha) + 1)) standard errors, one-sided
               I = 1 / error^2, rho = half the planned information / 6.3

Days are strata, so neither a base rate that rises together with the treated share nor a weekly pattern biases
the estimate. The bound is a normal mixture (Howard, Ramdas, McAuliffe and Sekhon 2021): the probability that
any reading exceeds it is at most ``alpha``. ``python -m benchmarks.ramp_guardrails`` prints false stops.

Every reading also tests whether the arms' users match the declared shares::

    n      new users of each arm in a stage so far, each counted at its first exposure    th   declared shares
    ln E   sum over stages of  ln B(k th + n) - ln B(k th) - sum n ln th                  k = 1,000
    alarm  from the first day on which E >= 100

B is the normaliser of the Dirichlet distribution. If the shares are as declared, E reaches 100 at any of
infinitely many readings with a probability of at most .01 (Lindon and Malek 2022, "Anytime-Valid Inference
for Multinomial Count Data"). Evidence multiplies over the stages of a ramp; users are never pooled, because
each stage has its own shares. ``python -m benchmarks.experiment_readouts`` counts false alarms and power.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import gammaln

from tasks.arrays import Flags, Floats, Indices
from tasks.errors import DataError
from tasks.evaluation.verdicts import DETECTED

LEAST_EVENTS: Final = 20
"""Minimum number of events in each arm for an alarm, because the logarithm of fewer is not nearly normal."""
_TUNED: Final = 6.3
"""Information, in units of rho, at which the bound is narrowest, for a one-sided alpha of .05."""


@dataclass(frozen=True)
class LogRatio:
    """Log ratio of two arms' rates; NaN, with an infinite error, if an arm has no event.

    Parameters
    ----------
    estimate : log of treated rate / control rate.
    error : standard error, clustered by user.
    treated_events, control_events : number of events on days on which both arms served.
    """

    estimate: float
    error: float
    treated_events: int
    control_events: int

    @property
    def enough_events(self) -> bool:
        """Whether both arms have enough events for an alarm."""
        return min(self.treated_events, self.control_events) >= LEAST_EVENTS

    def reversed(self) -> "LogRatio":
        """Return the ratio of control to treated, for rates whose decrease is the harm."""
        return LogRatio(-self.estimate, self.error, self.control_events, self.treated_events)

    def exceeds(self, bound: float, *, planned: float, alpha: float) -> bool:
        """Whether the ratio is above 1 + ``bound``, with a false alarm rate of ``alpha`` over all readings.

        Examples
        --------
        >>> ratio = LogRatio(estimate=0.5, error=0.1, treated_events=150, control_events=100)
        >>> ratio.exceeds(0.1, planned=100, alpha=0.05), ratio.exceeds(0.5, planned=100, alpha=0.05)
        (True, False)
        """
        least = self.estimate - sequential_bound(self.error, planned=planned, alpha=alpha)
        return self.enough_events and least > math.log1p(bound)

    def upper(self, *, planned: float, alpha: float) -> float:
        """Return the upper bound of the relative change, infinite if an arm has no event.

        Examples
        --------
        >>> ratio = LogRatio(estimate=0.0, error=0.1, treated_events=100, control_events=100)
        >>> round(ratio.upper(planned=100, alpha=0.05), 3)
        0.323
        """
        if math.isnan(self.estimate):
            return math.inf
        return math.expm1(self.estimate + sequential_bound(self.error, planned=planned, alpha=alpha))


def planned_information(bound: float) -> float:
    """Return the information that decides a bound, one-sided at 95 % with a power of 80 % for equal arms.

    Examples
    --------
    >>> round(planned_information(0.3), 1)
    89.8
    """
    return (DETECTED / math.log1p(bound)) ** 2


def sequential_bound(error: float, *, planned: float, alpha: float) -> float:
    """Return the one-sided distance of the bound from any day's estimate, in the estimate's unit.

    Parameters
    ----------
    error : standard error of the estimate.
    planned : planned information, 1 / error^2; the bound is narrowest at half of it.
    alpha : probability that the true value is ever further away on that side.

    References
    ----------
    Howard, Ramdas, McAuliffe and Sekhon (2021), Time-uniform, nonparametric, nonasymptotic confidence
    sequences, Annals of Statistics 49(2).

    Examples
    --------
    >>> round(sequential_bound(0.1, planned=100, alpha=0.05) / 0.1, 2)
    2.8
    >>> sequential_bound(math.inf, planned=100, alpha=0.05)
    inf
    """
    if not 0 < error < math.inf:
        return math.inf
    share = planned / 2 / _TUNED * error**2  # rho / I
    return error * math.sqrt(2 * (1 + share) * math.log(math.sqrt(1 + 1 / share) / (2 * alpha) + 1))


def sequential_interval(
    estimate: float, error: float, *, planned: float, alpha: float = 0.05
) -> tuple[float, float]:
    """Return an interval that covers the truth at all readings with a probability of 1 - ``alpha``.

    Examples
    --------
    >>> low, high = sequential_interval(0.2, 0.1, planned=100)
    >>> round(low, 3), round(high, 3)
    (-0.105, 0.505)
    """
    wide = sequential_bound(error, planned=planned, alpha=alpha / 2)
    return estimate - wide, estimate + wide


def stratified_log_ratio(
    users: Indices, days: Indices, treated: Flags, examined: Floats, events: Floats
) -> LogRatio:
    """Return the log ratio of two arms' rates, stratified by day, with its user-clustered error.

    Parameters
    ----------
    users, days : [n] codes from 0 of the rows' users and days; a row is one user's day, or one impression.
    treated : [n] whether the row's impressions were shown in the treated arm.
    examined, events : [n] number of examined impressions, and of their events.

    Examples
    --------
    >>> users, days = np.arange(4), np.zeros(4, dtype=np.int64)
    >>> ratio = stratified_log_ratio(
    ...     users, days, users < 2, np.full(4, 100.0), np.array([15.0, 25.0, 10.0, 10.0])
    ... )
    >>> round(math.exp(ratio.estimate), 2), ratio.treated_events, ratio.control_events
    (2.0, 40, 20)
    """
    arms = [treated, ~treated]
    shown, seen = ([np.bincount(days, column * arm) for arm in arms] for column in (examined, events))
    total = np.maximum(shown[0] + shown[1], np.finfo(float).tiny)
    influence, sums, counts = np.zeros(len(users)), [0.0, 0.0], [0, 0]
    for at, arm in enumerate(arms):
        weight = shown[1 - at] / total
        sums[at] = float((seen[at] * weight).sum())
        counts[at] = int(seen[at][weight > 0].sum())
        rate = seen[at] / np.maximum(shown[at], np.finfo(float).tiny)
        deviation = weight[days] * (events - examined * rate[days]) * arm
        influence += (1 - 2 * at) * deviation / (sums[at] or math.inf)
    if not all(sums):
        return LogRatio(math.nan, math.inf, *counts)
    error = math.sqrt(float((np.bincount(users, influence) ** 2).sum()))
    return LogRatio(math.log(sums[0] / sums[1]), error, *counts)


ALARM: Final = 100.0
"""E-value at which the sample ratio is refused: a probability of .01 if the shares are as declared."""
_CONCENTRATION: Final = 1000.0


@dataclass(frozen=True)
class Stage:
    """A period of constant shares: new users by day and arm [days, arms], and declared shares [arms]."""

    counts: Floats
    shares: Floats


def log_e_values(stages: Sequence[Stage]) -> Floats:
    """Return the logarithm of the e-value after each day of each stage, in their order.

    Examples
    --------
    >>> even = Stage(np.array([[500, 500], [500, 500]]), np.array([0.5, 0.5]))
    >>> lost = Stage(np.array([[500, 400], [500, 400]]), np.array([0.5, 0.5]))
    >>> (log_e_values([even]) < 0).all(), (np.exp(log_e_values([lost])) >= ALARM).tolist()
    (np.True_, [False, True])
    """
    total, found = 0.0, []
    for stage in stages:
        if not (stage.shares > 0).all() or abs(float(stage.shares.sum()) - 1) > 1e-9:
            raise DataError(f"The shares {stage.shares.tolist()} are not above 0 with a sum of 1.")
        prior, seen = _CONCENTRATION * stage.shares, np.cumsum(stage.counts, axis=0)
        each = _log_normaliser(prior + seen) - _log_normaliser(prior) - seen @ np.log(stage.shares)
        found.append(total + each)
        total += float(each[-1]) if len(each) else 0.0
    return np.concatenate(found) if found else np.zeros(0)


def first_alarm(log_e: Floats) -> int | None:
    """Return the index of the first day on which the e-value reaches `ALARM`; None without an alarm.

    Examples
    --------
    >>> first_alarm(np.log([1.0, 120.0, 80.0])), first_alarm(np.zeros(3))
    (1, None)
    """
    beyond = np.flatnonzero(log_e >= np.log(ALARM))
    return int(beyond[0]) if beyond.size else None


def _log_normaliser(weights: Floats) -> Floats:
    """Return ln B of Dirichlet weights, over the last axis."""
    return np.asarray(gammaln(weights).sum(axis=-1) - gammaln(weights.sum(axis=-1)))
