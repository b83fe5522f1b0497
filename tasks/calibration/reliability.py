"""Reliability curves: predictions against outcomes in bins, each with its interval.

Bins have equal shares of the sum of predictions, so each expects the same number of positives.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from tasks.arrays import Floats, Indices
from tasks.evaluation.binary import divide
from tasks.evaluation.figures import CurvePoint
from tasks.evaluation.observations import Grouping
from tasks.evaluation.resampling import Clusters, Support, statistic_intervals
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate

MOST_BINS: Final = 12
"""Maximum number of bins that are distinguishable in a chart."""
BIN_POSITIVES: Final = 10
"""Mean number of positives per bin; fewer positives give fewer bins."""

REPLICATES: Final = 200
"""Number of bootstrap samples: enough for a chart, where percentiles differ by a few pixels."""


@dataclass(frozen=True)
class Curve:
    """Mean prediction and observed mean of each bin, by increasing prediction, and the ratio of all rows.

    ``predictions`` [n] are those of the rows, ``predicted`` [bins] and ``observed`` [bins] those of the bins.
    """

    predictions: Floats
    predicted: Floats
    observed: tuple[Estimate, ...]
    ratio: Estimate


def reliability_curve(predictions: Floats, outcomes: Floats, who: Clusters) -> Curve:
    """Bin rows and measure each bin.

    Parameters
    ----------
    predictions, outcomes : [n] probabilities and 0 or 1, or expected values and values; at least one row.
    who : clusters for resampling.

    Examples
    --------
    >>> who = Clusters(np.arange(4), 4, "users")
    >>> curve = reliability_curve(np.array([0.1, 0.1, 0.4, 0.4]), np.array([0.0, 0.0, 0.0, 1.0]), who)
    >>> curve.predicted, [rate.value for rate in curve.observed], curve.ratio.value
    (array([0.1, 0.4]), [0.0, 0.5], 1.0)
    """
    bins, count = assign_equal_shares(predictions, int(np.count_nonzero(outcomes)))
    ones = np.ones_like(outcomes)
    means = statistic_intervals([outcomes, ones], divide, who, REPLICATES, Grouping.of_bins(bins, count))
    predicted = np.bincount(bins, predictions, minlength=count) / np.bincount(bins, minlength=count)
    ratios = statistic_intervals([outcomes, predictions], divide, who, REPLICATES)
    (ratio,) = Support.of(outcomes, ones, who.codes).of_outcomes(ratios)
    return Curve(predictions, predicted, tuple(means), ratio if outcomes.any() else UNKNOWN_ESTIMATE)


def assign_equal_shares(predictions: Floats, positives: int) -> tuple[Indices, int]:
    """Assign rows [n] to bins with equal shares of the sum of predictions; return bins and their number.

    Examples
    --------
    >>> assign_equal_shares(np.array([0.1, 0.1, 0.1, 0.2, 0.3]), 20)
    (array([0, 0, 0, 1, 1]), 2)
    """
    bins = cut_equal_shares(predictions, int(np.clip(positives // BIN_POSITIVES, 2, MOST_BINS)))
    filled = np.bincount(bins) > 0
    return (np.cumsum(filled) - 1)[bins], int(filled.sum())


def cut_equal_shares(predictions: Floats, wanted: int) -> Indices:
    """Assign rows [n] to bins; equal predictions share a bin, so some of the ``wanted`` bins may be empty.

    Examples
    --------
    >>> cut_equal_shares(np.array([0.1, 0.2, 0.4, 0.5]), 2), cut_equal_shares(np.array([0.2, 0.2]), 2)
    (array([0, 0, 1, 1]), array([1, 1]))
    """
    order = np.argsort(predictions, kind="stable")
    passed = np.cumsum(predictions[order])
    cuts = predictions[order][np.searchsorted(passed, np.arange(1, wanted) / wanted * passed[-1])]
    return np.searchsorted(cuts, predictions, side="right")


def curve_points(predictions: Floats, outcomes: Floats) -> tuple[CurvePoint, ...]:
    """Return the bins of a curve without intervals, by increasing prediction; drop unknown outcomes.

    Parameters
    ----------
    predictions, outcomes : [n] as in `reliability_curve`, NaN if unknown.

    Examples
    --------
    >>> points = curve_points(np.array([0.1, 0.1, 0.4, 0.4, 0.9]), np.array([0.0, 0.0, 0.0, 1.0, np.nan]))
    >>> [(point.predicted, point.observed, point.rows) for point in points]
    [(0.1, 0.0, 2), (0.4, 0.5, 2)]
    """
    known = np.isfinite(outcomes) & np.isfinite(predictions)
    p, y = predictions[known], outcomes[known]
    if not p.size:
        return ()
    bins, count = assign_equal_shares(p, int(np.count_nonzero(y)))
    rows = np.bincount(bins, minlength=count)
    means = [np.bincount(bins, values, minlength=count) / rows for values in (p, y)]
    return tuple(
        CurvePoint(predicted=float(predicted), observed=float(observed), rows=int(n))
        for predicted, observed, n in zip(*means, rows, strict=True)
    )
