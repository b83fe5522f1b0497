"""Alarms on level shifts of daily series: an e-detector with a lagged reference.

::

    day d              |----- reference, 84 days -----|-- 14 days --| d
    z                  (r - mean) / sqrt(s^2 (1 + 1/84) (1 + h) / (1 - h)), mapped to a normal through t(83)
    h                  lag-1 correlation in the reference, pooled over the series of a kind
    evidence           M_j <- (M_j + 1) exp(l_j z - l_j^2 / 2),   l in -2, -1, -.5, .5, 1, 2
    alarm              mean of M >= 3 x series x 700; M starts again from 0

A reference that ends on the day before would absorb a slow drift, hence the lag of 14 days. A limit on each
day's z would raise false alarms every week, and evidence without h would do so if a level persists from day
to day. There is at most about one false alarm in 700 days over all series: ``python -m
benchmarks.drift_alarms`` prints the number, and the delay of detections.

Alarms depend on the series alone, and additional days do not change alarms of earlier days.

Shin, Ramdas and Rinaldo (2024), "E-detectors: a nonparametric framework for sequential change detection".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtri, stdtr

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.binary import divide

REFERENCE: Final = 84
GAP: Final = 14
"""Days between the end of the reference and the compared day."""
HISTORY: Final = REFERENCE + GAP
"""Minimum number of days of a series, including the compared day; before, only levels are shown."""
LEAST_FIGURES: Final = REFERENCE // 2
"""Minimum number of days of the reference with a figure."""
_BETS: Final = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])
_FALSE_ALARM_DAYS: Final = 700
_LIMIT: Final = 3
"""Limit with which twenty series with an estimated reference meet `_FALSE_ALARM_DAYS`."""
_FURTHEST: Final = 37.0
"""Largest normal deviation whose probability is representable in double precision."""
_MOST_PERSISTENT: Final = 0.95


@dataclass(frozen=True)
class DriftAlarm:
    """A series whose level has shifted.

    Attributes
    ----------
    series, day : row and column of the matrix of series.
    since : the day from which the shift is most likely, at most ``day``.
    shift : mean distance of the days from ``since`` to ``day`` from their references, in the series' unit;
        positive if the series rose. It is biased away from 0, because alarms select extreme days.
    z : deviation of ``day`` in standard normal units.
    """

    series: int
    day: int
    since: int
    shift: float
    z: float


@dataclass(frozen=True)
class DriftReading:
    """Comparison of series with their references.

    Attributes
    ----------
    z : [series, days], NaN if a day has no figure or no reference.
    alarms : sorted by day, then by series.
    levels_only : [series], whether a series is too short, or has too few figures, to be compared.
    """

    z: Floats
    alarms: tuple[DriftAlarm, ...]
    levels_only: Flags


def detect_drift(series: Floats, *, kinds: Sequence[str] | None = None) -> DriftReading:
    """Compare every day of every series with its reference and raise alarms.

    An alarm is repeated every few days while the level stays away from its reference.

    Parameters
    ----------
    series : [series, days] figures on a scale with constant variance, such as log(observed / predicted);
        consecutive days, NaN for a day without a figure. More series raise the limit of each.
    kinds : [series] kinds by name, by default one; series of one kind share the lag-1 correlation.

    Examples
    --------
    >>> days = np.random.default_rng(2).normal(0.0, 0.08, (2, 140))
    >>> days[1, 120:] += 0.3
    >>> reading = detect_drift(days)
    >>> [(alarm.series, alarm.day, alarm.since, round(alarm.shift, 2)) for alarm in reading.alarms[:1]]
    [(1, 122, 120, 0.27)]
    >>> detect_drift(days[:, :97]).levels_only.tolist()
    [True, True]
    """
    figures = np.asarray(series, dtype=np.float64)
    codes = np.unique(kinds, return_inverse=True)[1] if kinds else np.zeros(len(figures), dtype=np.intp)
    z, distances = _compare(figures, codes)
    return DriftReading(z, tuple(_raise_alarms(z, distances)), np.asarray(~np.isfinite(z).any(axis=1)))


def _compare(series: Floats, kinds: Indices) -> tuple[Floats, Floats]:
    """Return z and the distances from the reference means, both [series, days]."""
    z, distances = np.full((2, *series.shape), np.nan)
    begun = np.logical_or.accumulate(np.isfinite(series), axis=1)
    for day in range(HISTORY - 1, series.shape[1]):
        first = day - HISTORY + 1
        window = series[:, first : first + REFERENCE]
        known = np.isfinite(window)
        n = known.sum(axis=1)
        mean = divide(np.where(known, window, 0.0).sum(axis=1), n)
        residuals = np.where(known, window - mean[:, None], 0.0)
        variance = divide((residuals**2).sum(axis=1), n - 1)
        h = _correlate_neighbours(divide(residuals, np.sqrt(variance)[:, None]), known, kinds)
        spread = np.sqrt(variance * (1 + divide(1, n)) * (1 + h) / (1 - h))
        enough = begun[:, first] & (n >= LEAST_FIGURES)
        distances[:, day] = np.where(enough, series[:, day] - mean, np.nan)
        z[:, day] = _deviate(distances[:, day], spread, np.abs(mean), n - 1)
    return z, distances


def _correlate_neighbours(residuals: Floats, known: Flags, kinds: Indices) -> Floats:
    """Return the lag-1 correlation of each series, pooled by kind, at least 0."""
    residuals = np.nan_to_num(residuals)
    products = (residuals[:, 1:] * residuals[:, :-1]).sum(axis=1)
    varies = residuals.any(axis=1)
    pairs = np.where(varies, (known[:, 1:] & known[:, :-1]).sum(axis=1), 0)
    pooled = divide(np.bincount(kinds, products), np.bincount(kinds, pairs))
    return np.asarray(np.clip(np.nan_to_num(pooled), 0.0, _MOST_PERSISTENT)[kinds])


def _deviate(distances: Floats, spread: Floats, size: Floats, freedom: Indices) -> Floats:
    """Return distances in standard normal units; any change of a constant series is the maximum."""
    rounding = 1e-12 * size
    moved = np.where(np.abs(distances) > rounding, np.copysign(np.finfo(float).max, distances), 0 * distances)
    t = np.divide(distances, spread, out=moved, where=spread > rounding)
    return np.asarray(np.sign(t) * np.minimum(-ndtri(stdtr(np.maximum(freedom, 1), -np.abs(t))), _FURTHEST))


def _raise_alarms(z: Floats, distances: Floats) -> list[DriftAlarm]:
    count, days = z.shape
    limit = _LIMIT * count * _FALSE_ALARM_DAYS
    gains = np.nan_to_num(_BETS[:, None, None] * z - _BETS[:, None, None] ** 2 / 2)
    evidence, begun = np.zeros((len(_BETS), count)), np.zeros(count, dtype=np.intp)
    alarms = list[DriftAlarm]()
    for day in range(days):
        known = np.isfinite(z[:, day])
        evidence = np.where(known, (evidence + 1) * np.exp(gains[:, :, day]), evidence)
        for one in np.flatnonzero(known & (evidence.mean(axis=0) >= limit)):
            bet = int(evidence[:, one].argmax())
            since = _begin(gains[bet, one, begun[one] : day + 1]) + int(begun[one])
            shift = float(np.nanmean(distances[one, since : day + 1]))
            alarms.append(DriftAlarm(int(one), day, since, shift, float(z[one, day])))
            evidence[:, one], begun[one] = 0.0, day + 1
    return alarms


def _begin(gains: Floats) -> int:
    """Return the first day with which the sum of gains to the end is largest; the last of equal days."""
    return len(gains) - 1 - int(gains[::-1].cumsum().argmax())
