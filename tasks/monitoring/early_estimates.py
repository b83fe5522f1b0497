"""Calibration of a day before its labels mature, with an interval that past errors have earned.

::

    impression day d, data until day d + a      age a = 0, 1, ... until maturity
    estimate   sum of events so far / sum over strata of F_s(a) x sum of p
    F_s(a)     share of the events of stratum s that arrive by age a: the 28 newest days matured by d + a
    target     observed / predicted of the same impressions once they are mature
    se_c^2     (1 - F) / events so far, of the log: which events came early is chance
    tau_a^2    max(0, mean of e^2 - se_c^2), e = ln(estimate / target) of 28 reconciled days at the same age
    interval   exp(ln estimate +- t(n - 1) sqrt(se_c^2 + tau_a^2)), from n = 14 reconciled days on

Strata are tenths of the prediction. One F for all rows is wrong as soon as rows that convert slowly become
more frequent. Counts alone give intervals that hold the target too seldom where delays differ from day to
day; tau is measured on errors that were made. ``python -m benchmarks.early_estimates`` prints errors and
coverage.

No estimate uses anything that was unknown at the end of day d + a, so it can be computed anew at any time.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import stdtrit

from tasks.arrays import Floats, Indices
from tasks.evaluation.binary import divide

MATURED_DAYS: Final = 28
"""Newest matured days from which F and tau are taken."""
LEAST_DAYS: Final = 14
"""Days of those that F, and reconciled days that an interval, needs."""


@dataclass(frozen=True)
class EarlyEstimates:
    """Estimates of observed / predicted by impression day and age, and what became of them.

    Attributes
    ----------
    value, low, high : [days, ages], the estimate and its 95 % interval. NaN where day + age lies after the
        last day, where F is unknown, and without events; the interval also before 14 reconciled days.
    matured : [days], observed / predicted of the mature days, NaN of the others.
    shares : [days, ages], the share of a mature day's events that had arrived by an age. They are series of
        their own: where they alarm, delays have changed and the estimates should decide nothing.
    """

    value: Floats
    low: Floats
    high: Floats
    matured: Floats
    shares: Floats

    @property
    def reconciled(self) -> Floats:
        """Whether an interval held the matured target, [days, ages]: 1, 0, or NaN where that is unknown."""
        target = self.matured[:, None]
        inside = (self.low <= target) & (target <= self.high)
        return np.where(np.isfinite(self.low) & np.isfinite(target), inside, np.nan)

    @property
    def coverage(self) -> Floats:
        """The share of reconciled intervals that held their target, [ages]."""
        return divide(np.nansum(self.reconciled, axis=0), np.isfinite(self.reconciled).sum(axis=0))


def estimate_early(predicted: Floats, arrived: Floats) -> EarlyEstimates:
    """Estimate observed / predicted of every day at every age, as of the end of day + age.

    Parameters
    ----------
    predicted : [days, strata], the sum of calibrated predictions of a day's impressions. Days are consecutive
        and the last one is the newest with data. A stratum is a tenth of the prediction, with the same edges
        on every day. 0 for a day without impressions.
    arrived : [days, strata, ages + 1], events of those impressions by the days between impression and event;
        column 0 is the impression's own day and the last column is the day on which a label matures: eight
        columns for a window of seven days. Columns of days that have not ended are not read.

    Examples
    --------
    Half of the events arrive on the first day, the rest on the second. On the last day twice as many arrive:

    >>> predicted, arrived = np.full((50, 1), 100.0), np.full((50, 1, 2), 50.0)
    >>> arrived[-1] = 100, 0  # the second day has not ended
    >>> estimates = estimate_early(predicted, arrived)
    >>> estimates.value[-1].round(2).tolist(), estimates.matured[-2:].tolist()
    ([2.0], [1.0, nan])
    >>> estimates.low[-1].round(2).tolist(), estimates.high[-1].round(2).tolist()
    ([1.73], [2.31])
    """
    days, _, columns = arrived.shape
    ages = np.arange(columns - 1)
    known = np.add.outer(np.arange(days), np.arange(columns)) < days
    mature = known[:, -1]
    until = np.where(known[:, None], arrived, 0.0).cumsum(axis=2)
    events, sums = until.sum(axis=1), predicted.sum(axis=1)
    matured = np.where(mature, divide(events[:, -1], sums), np.nan)
    shares = np.where(mature[:, None], divide(events[:, :-1], events[:, -1:]), np.nan)

    newest = np.add.outer(np.arange(days), ages - ages.size)  # day that has just matured, by day and age
    arriving = _expect_shares(np.where(mature[:, None, None], until, 0.0), newest)
    enough = _sum_newest((mature & (sums > 0)).astype(float))[newest] >= LEAST_DAYS
    expected = np.where(enough & (newest >= 0), (arriving * predicted[:, None]).sum(axis=2), np.nan)
    seen = np.where(known[:, :-1] & (events[:, :-1] > 0), events[:, :-1], np.nan)
    value = divide(seen, expected)
    by_chance = (1 - np.minimum(divide(expected, sums[:, None]), 1.0)) / seen
    reach = _reach(np.log(divide(value, matured[:, None])), by_chance, newest)
    return EarlyEstimates(value, value * np.exp(-reach), value * np.exp(reach), matured, shares)


def _expect_shares(until: Floats, newest: Indices) -> Floats:
    """Return the share of events that arrives by an age, as known at that age: [days, ages, strata]."""
    sums = _sum_newest(until)
    early, late = sums[newest, :, np.arange(newest.shape[1])], sums[newest, :, -1]
    pooled = divide(early.sum(axis=2), late.sum(axis=2))[:, :, None]
    return np.where(late > 0, divide(early, late), pooled)


def _reach(errors: Floats, by_chance: Floats, newest: Indices) -> Floats:
    """Return half the width of the intervals on the log scale; errors are NaN of days that are not mature."""
    reconciled = np.isfinite(errors)
    ages = np.arange(newest.shape[1])
    n = _sum_newest(reconciled.astype(float))[newest, ages]
    extra = _sum_newest(np.where(reconciled, errors**2 - by_chance, 0.0))[newest, ages]
    spread = np.sqrt(by_chance + np.maximum(divide(extra, n), 0.0))
    return np.where((n >= LEAST_DAYS) & (newest >= 0), stdtrit(np.maximum(n - 1, 1), 0.975) * spread, np.nan)


def _sum_newest(figures: Floats) -> Floats:
    """Return sums over the newest days up to each day."""
    sums = figures.cumsum(axis=0)
    sums[MATURED_DAYS:] = sums[MATURED_DAYS:] - sums[:-MATURED_DAYS]
    return sums
