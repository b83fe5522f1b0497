"""Verdicts on the calibration of many segments at once: calibrated, off, or inconclusive.

A segment's ratio is observed over predicted; the surface allows a range ``[low, high]`` around 1::

    off          the null is "the ratio lies inside the range". Its p-value is twice the chance of a count at
                 least as extreme as observed if the ratio is at the nearer edge, the worst case of the null:
                     below low    p = 2 P(count <= seen | low x predicted)
                     above high   p = 2 P(count >= seen | high x predicted)
                     inside       p = 1
                 The p-values of all segments are adjusted by Benjamini and Hochberg (1995): off if the
                 adjusted one is at most .05: at most 5 % of the segments called off are not, in expectation.
    harm         a cost (a negative or safety task) on the whole is also tested alone in the harmful
                 direction: off if P(count >= seen | high x predicted) is at most .025, independent of the
                 number of other segments. In the family it has the other direction only: predicting too much
                 is not harmful by itself, but distorts the utility like any ratio. A cost's segments are in
                 the family like all others: they are many, and the whole covers what harms most people.
    calibrated   the null is "the ratio lies outside the range", rejected if the segment's whole 95 %
                 interval is inside. A release passes if every segment does, so more segments never make
                 it easier: no correction is needed (an intersection-union test, Berger 1982).
    inconclusive  neither: too few outcomes, or outside by no more than multiple testing explains.

Counts follow a Poisson distribution whose variance is inflated by the clustering of outcomes in users:
``inflation``, the variance of the resampled count over the count, at least that of the task's whole. A count
is tested if its ratio has an interval (`tasks.evaluation.resampling`), or, if it lacks one for too few
positives, from `LEAST_PREDICTED` predicted positives on. So an equal head is off in at most 5 % of worlds in
which users differ (tests/evaluation/test_calibration_verdicts.py). Segments overlap, so their p-values are
positively dependent, which the adjustment allows (Benjamini and Yekutieli 2001).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from scipy.special import gammainc, gammaincc
from scipy.stats import false_discovery_control

from tasks.evaluation.verdicts import Estimate

FALSE_DISCOVERIES: Final = 0.05
"""Expected share of the segments called off that are not (Benjamini and Hochberg 1995)."""
HARM_LEVEL: Final = 0.025
"""Probability that a cost at the edge of the range is called off: that of one end of the 95 % interval, so
that a cost is off if its whole interval is beyond the range, as with every bound."""
LEAST_PREDICTED: Final = 20.0
"""Predicted positives from which a count without an interval is tested: the number that a cost needs to be
measured offline."""
_UNKNOWN_INFLATION: Final = 2.0
"""Inflation of a count if not even the whole has one: 20 outcomes of 80 users with a gamma distribution of
shape .3 have 1.8 (1 + outcomes per user / shape)."""
_LEAST: Final = 1e-12
"""Smallest inflation, as a share of the count, to avoid a division by 0 for an interval of one point."""


class CalibrationStatus(StrEnum):
    """Calibration status of a segment."""

    CALIBRATED = "calibrated"
    OFF = "off"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class SegmentRatio:
    """A segment's ratio with its interval, and the counts behind it.

    ``observed``: positives; None for a mean of values, whose count follows from the interval alone.
    ``predicted``: sum of predictions; None if there are too few clusters to test a count.
    ``inflation``: least variance of the count over the count. ``cost``: whether it is a negative or safety
    task on the whole, which is tested alone above the range.
    """

    ratio: Estimate
    observed: float | None = None
    predicted: float | None = None
    inflation: float = 0.0
    cost: bool = False


@dataclass(frozen=True)
class Calibration:
    """A segment's status, its p-value of "inside the range", and the p-value adjusted for the family.

    A cost that is off by the separate test is a family of one.
    """

    status: CalibrationStatus
    p_value: float
    adjusted: float
    family: int


def evaluate_calibration(segments: Sequence[SegmentRatio], *, low: float, high: float) -> list[Calibration]:
    """Evaluate a family of segments: every task and segment of one release.

    Examples
    --------
    >>> family = [SegmentRatio(Estimate(1.3, 1.2, 1.4, 900)), SegmentRatio(Estimate(1.3, 0.7, 2.1, 12))]
    >>> [str(one.status) for one in evaluate_calibration(family, low=0.9, high=1.1)]
    ['off', 'inconclusive']
    """
    p_values = np.array([off_p_value(one, low=low, high=high) for one in segments])
    adjusted = false_discovery_control(p_values)
    return [
        _evaluate_cost(one, high)
        or Calibration(
            _calibration_status(one.ratio, low, high, off=q <= FALSE_DISCOVERIES),
            float(p),
            float(q),
            p_values.size,
        )
        for one, p, q in zip(segments, p_values, adjusted, strict=True)
    ]


def off_p_value(segment: SegmentRatio, *, low: float, high: float) -> float:
    """Return the p-value in the family of "the ratio lies inside the range"; 1 if the ratio is unknown.

    Examples
    --------
    >>> none = SegmentRatio(Estimate(float("nan"), float("nan"), float("nan"), 0), observed=0, predicted=20)
    >>> round(off_p_value(none, low=0.5, high=2.0), 6)
    0.013476
    """
    count, predicted = _effective_counts(segment)
    if count > high * predicted and not segment.cost:
        return min(1.0, 2 * _chance_of_more(count, high * predicted))
    if count < low * predicted:
        return min(1.0, 2 * float(gammaincc(count + 1, low * predicted)))
    return 1.0


def _evaluate_cost(segment: SegmentRatio, high: float) -> Calibration | None:
    """Evaluate a cost on the whole by the separate test; None if it is not a cost, or not off."""
    count, predicted = _effective_counts(segment)
    p = _chance_of_more(count, high * predicted)
    return Calibration(CalibrationStatus.OFF, p, p, 1) if segment.cost and p <= HARM_LEVEL else None


def _chance_of_more(count: float, expected: float) -> float:
    """Return P(a Poisson count >= ``count``); 1 for a count of 0."""
    return float(gammainc(count, expected)) if count > 0 else 1.0


def inflation(ratio: Estimate, observed: float) -> float:
    """Return the variance of a resampled count over the count; 0 if the ratio is unknown.

    Examples
    --------
    >>> low, high = 1 - 1.959964 * 0.1, 1 + 1.959964 * 0.1
    >>> round(inflation(Estimate(1.0, low, high, 100), observed=100), 6)
    1.0
    """
    if not ratio.known or ratio.value <= 0:
        return 0.0
    return observed * (ratio.standard_error / ratio.value) ** 2


def _effective_counts(segment: SegmentRatio) -> tuple[float, float]:
    """Return observed and predicted counts of independent outcomes with equal variance; zeros if unknown."""
    ratio, observed = segment.ratio, segment.observed
    if not ratio.known or ratio.value <= 0:
        if observed is None or segment.predicted is None or segment.predicted < LEAST_PREDICTED:
            return 0.0, 0.0
        spread = max(1.0, segment.inflation) if segment.inflation else _UNKNOWN_INFLATION
        return observed / spread, segment.predicted / spread
    weighed = ratio.value if observed is None else observed
    spread = max(inflation(ratio, weighed), 0.0 if observed is None else segment.inflation, _LEAST * weighed)
    count = weighed / spread
    return count, count / ratio.value


def _calibration_status(ratio: Estimate, low: float, high: float, *, off: bool) -> CalibrationStatus:
    if off:
        return CalibrationStatus.OFF
    inside = ratio.known and low <= ratio.low and ratio.high <= high
    return CalibrationStatus.CALIBRATED if inside else CalibrationStatus.INCONCLUSIVE
