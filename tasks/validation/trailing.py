"""Usual interval of a day's figure, estimated from the days before it and their variation.

::

    middle    the median of the trailing days with the same weekday; a weekday's first day has no interval
    spread    1.267 x root mean square of the trailing days' deviations from their middles, without the
              largest tenth, so that one unusual day does not widen it
    noise     minimum spread by chance alone for so few rows
    interval  middle +- t x the larger of the two, t with three quarters of the days' degrees of freedom

A MAD instead of the spread, with all degrees of freedom, reports normal days too often. A test limits the
false alarms of this interval to twice the declared rate.

Figures are transformed to constant variance: logarithms of counts and means, arcsine roots of shares
(Anscombe 1948). Trailing days are days with a figure, however far apart: for a weekly surface, weeks.

Distributions of values are compared by their Jensen-Shannon divergence, and by its level by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
from scipy.special import rel_entr, stdtrit
from scipy.stats import chi2

from tasks.arrays import Floats

LEAST_DAYS = 5
_LEAST_WEEKDAYS = 3
_FURTHEST = 0.1
_TRIMMED = 1.267
"""Correction for the spread of a normal distribution without its largest tenth."""
_KNOWN = 0.75
"""Share of the degrees of freedom that remains after the omission."""
_MEDIAN_LOSS = np.pi / 2
"""Variance of a median relative to that of a mean."""


@dataclass(frozen=True)
class Comparison:
    """The days to compare with earlier days, and the false alarm rate.

    Attributes
    ----------
    as_of : instant in ISO 8601; only days that had ended by then are compared.
    trailing : number of days before a day for the comparison.
    false_alarm_rate : the probability that any figure of a normal table is reported.
    newest : number of newest days to evaluate; None for all.
    """

    as_of: str
    trailing: int
    false_alarm_rate: float
    newest: int | None = None


@dataclass(frozen=True)
class Usual:
    """Usual middle and interval by day; NaN if too few days precede the day."""

    middle: Floats
    low: Floats
    high: Floats


def usual_levels(
    days: Sequence[date], levels: Floats, noise: Floats, *, trailing: int, false_alarm_rate: float
) -> Usual:
    """Return the interval of each day's level from the levels of the days before it.

    Parameters
    ----------
    days : in order; ``levels`` are their transformed figures.
    noise : variance of each day's level by chance alone.
    trailing : number of days before a day for the comparison.
    false_alarm_rate : the probability of a level outside of the interval, on either side, if nothing has
        changed.

    Examples
    --------
    >>> from datetime import timedelta
    >>> mondays = [date(2026, 3, 2) + n * timedelta(days=7) for n in range(7)]
    >>> levels, noise = np.array([5.0, 5, 5, 5, 5, 5, 9]), np.full(7, 0.01)
    >>> usual = usual_levels(mondays, levels, noise, trailing=28, false_alarm_rate=0.01)
    >>> round(float(usual.low[6]), 2), round(float(usual.high[6]), 2), bool(np.isnan(usual.high[2]))
    (4.46, 5.54, True)
    """
    weekdays = np.array([day.weekday() for day in days])
    interval = np.full((3, len(days)), np.nan)
    for n in range(LEAST_DAYS, len(days)):
        before = slice(max(0, n - trailing), n)
        if weekdays[n] not in weekdays[before]:
            continue
        middle, spread, held, freedom = _describe(levels[before], weekdays[before], weekdays[n])
        variance = max(spread**2, noise[n]) * (1 + _MEDIAN_LOSS / held)
        reach = -stdtrit(freedom, false_alarm_rate / 2) * np.sqrt(variance)
        interval[:, n] = middle, middle - reach, middle + reach
    return Usual(*interval)


def _describe(
    levels: Floats, weekdays: npt.NDArray[np.int_], weekday: int
) -> tuple[float, float, int, float]:
    """Return a weekday's middle, the spread of all days about theirs, its days, the degrees of freedom."""
    middles = np.full(len(levels), np.median(levels))
    groups = 1
    for own in (weekdays == day for day in np.unique(weekdays)):
        if _LEAST_WEEKDAYS <= own.sum() < len(levels):
            middles[own] = np.median(levels[own])
            groups += 1
    held = levels[weekdays == weekday]
    kept = len(levels) - int(np.ceil(_FURTHEST * len(levels)))
    squares = np.sort((levels - middles) ** 2)[:kept].sum()
    spread = _TRIMMED * np.sqrt(squares / max(kept - groups, 1))
    return float(np.median(held)), float(spread), len(held), max(_KNOWN * (len(levels) - groups), 1.0)


def count_levels(counts: Floats) -> tuple[Floats, Floats]:
    """Return counts as logarithms, and the variance of each by chance."""
    return np.log(counts + 0.5), 1 / (counts + 0.5)


def counts_of(levels: Floats) -> Floats:
    """Invert ``count_levels``."""
    return np.maximum(np.exp(levels) - 0.5, 0.0)


def share_levels(hits: Floats, of: Floats) -> tuple[Floats, Floats]:
    """Return shares as arcsine roots, and the variance of each by chance."""
    return 2 * np.arcsin(np.sqrt((hits + 3 / 8) / (of + 3 / 4))), 1 / (of + 0.5)


def shares_of(levels: Floats) -> Floats:
    """Invert ``share_levels``."""
    return np.sin(np.clip(levels, 0, np.pi) / 2) ** 2


def usual_divergences(counts: Floats, *, trailing: int, false_alarm_rate: float) -> tuple[Floats, Floats]:
    """Return each day's divergence from all its trailing days, and the maximum usual divergence.

    The usual divergence is that of each trailing day from the others, or the divergence by chance if it is
    larger. It is NaN if too few days precede the day.
    """
    divergences = np.full((2, len(counts)), np.nan)
    for n in range(LEAST_DAYS, len(counts)):
        before = counts[max(0, n - trailing) : n]
        together = before.sum(axis=0, keepdims=True)
        day = counts[n : n + 1]
        among = divergence(before, together - before)
        chance = chance_divergence(day, together, false_alarm_rate=false_alarm_rate)
        divergences[:, n] = divergence(day, together)[0], max(float(among.max()), float(chance[0]))
    return divergences[0], divergences[1]


def none_for_nan(figures: Floats) -> list[float | None]:
    """Return figures with NaN replaced by None.

    Examples
    --------
    >>> none_for_nan(np.array([1.0, np.nan]))
    [1.0, None]
    """
    return [None if np.isnan(figure) else float(figure) for figure in figures]


def divergence(left: Floats, right: Floats) -> Floats:
    """Return the Jensen-Shannon divergence in bits: 0 for equal counts, 1 for disjoint ones.

    Parameters
    ----------
    left, right : counts, shape (days, values).

    Examples
    --------
    >>> divergence(np.array([[1.0, 1], [1, 0]]), np.array([[5.0, 5], [0, 1]])).tolist()
    [0.0, 1.0]
    """
    p, q = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) for counts in (left, right))
    middle = (p + q) / 2
    nats = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / 2
    return np.asarray(nats / np.log(2))


def chance_divergence(left: Floats, right: Floats, *, false_alarm_rate: float) -> Floats:
    """Return the divergence that chance alone exceeds with the given false alarm rate.

    For samples of n and m rows of one distribution over k values, 8 ln 2 x divergence / (1/n + 1/m) is about
    chi-squared with k - 1 degrees of freedom.

    Examples
    --------
    >>> few, many = np.array([[40.0, 60]]), np.array([[4000.0, 6000]])
    >>> [chance_divergence(n, n, false_alarm_rate=0.01).round(5).item() for n in (few, many)]
    [0.02393, 0.00024]
    """
    rows = 1 / np.maximum(left.sum(axis=1), 1) + 1 / np.maximum(right.sum(axis=1), 1)
    kinds = np.maximum(((left + right) > 0).sum(axis=1) - 1, 1)
    return np.asarray(chi2.isf(false_alarm_rate, kinds) * rows / (8 * np.log(2)))
