"""Support of an interval, and its minimum.

================== ================================================= =====================================
effective clusters (sum of weights by user)^2 / sum of their squares at least 20, for any figure
positives          rows whose outcome is not 0                       at least 10, for a figure of outcomes
negatives          the other rows                                    at least 10, for an order of rows (AUC)
================== ================================================= =====================================

Below the minimum a figure keeps its value and loses its bounds, so no limit on it can be evaluated.
Resampling shows only the few observed users, so such intervals are too narrow.

The intervals here are of single metrics, by resampled users. They are also unknown if the positives belong to
so few users that a resample often has none; without a positive the value itself is NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.binary import check_binary, divide
from tasks.evaluation.observations import Grouping
from tasks.evaluation.resampling import (
    LEAST_CLUSTERS,
    LEAST_POSITIVES,
    Clusters,
    Resampler,
    Statistic,
    cluster_rows,
    effective_number,
    sum_intervals,
)
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate


@dataclass(frozen=True)
class Support:
    """For each group [groups]: effective clusters, rows, and rows with an outcome other than 0."""

    clusters: Floats
    rows: Indices
    positives: Indices

    @classmethod
    def of(
        cls, outcomes: Floats, weights: Floats, users: Indices, group: Grouping | None = None
    ) -> "Support":
        """Count the support of the figures of each group.

        Parameters
        ----------
        outcomes, weights : [n], weights of 0 or more.
        users : [n] codes of the clusters.
        group : group of each row; None for one group of all rows.

        Examples
        --------
        >>> y, w, users = np.array([1.0, 0.0, 0.0]), np.ones(3), np.array([0, 1, 1])
        >>> Support.of(y, w, users)
        Support(clusters=array([1.8]), rows=array([3]), positives=array([1]))
        """
        codes, count = (np.zeros_like(users), 1) if group is None else (group.codes, group.count)
        return cls(
            effective_clusters(weights, users, codes, count),
            np.bincount(codes, minlength=count),
            np.bincount(codes, outcomes != 0, minlength=count).astype(np.intp),
        )

    def of_any(self, estimates: Sequence[Estimate]) -> list[Estimate]:
        """Remove the intervals of groups with too few clusters."""
        return _withhold(estimates, self.clusters >= LEAST_CLUSTERS)

    def of_outcomes(self, estimates: Sequence[Estimate]) -> list[Estimate]:
        """Remove the intervals of groups with too few clusters or positives.

        Examples
        --------
        >>> users = np.arange(20)
        >>> few, enough = (Support.of((users < n).astype(float), np.ones(20), users) for n in (9, 10))
        >>> ratio = Estimate(1.0, 0.6, 1.5, 20)
        >>> few.of_outcomes([ratio])[0].known, enough.of_outcomes([ratio])[0].known
        (False, True)
        """
        return _withhold(self.of_any(estimates), self.positives >= LEAST_POSITIVES)

    def of_order(self, estimates: Sequence[Estimate]) -> list[Estimate]:
        """Remove the intervals of groups with too few clusters, positives or negatives."""
        return _withhold(self.of_outcomes(estimates), self.rows - self.positives >= LEAST_POSITIVES)


def effective_clusters(weights: Floats, users: Indices, groups: Indices, count: int) -> Floats:
    """Return the effective number of clusters of each group [count]: (sum of weights)^2 / sum of squares.

    Parameters
    ----------
    weights, users, groups : [n] weight of 0 or more, code of the cluster, and group from 0 to count - 1.

    Examples
    --------
    >>> weights, users = np.array([4.0, 5.0, 1.0, 1.0]), np.array([0, 0, 1, 1])
    >>> effective_clusters(weights, users, np.array([0, 0, 0, 1]), 2).round(4)
    array([1.2195, 1.    ])
    """
    step = np.intp(users.max(initial=0) + 1)
    pairs, known = pd.factorize(groups * step + users)
    by_user, of = np.bincount(pairs, weights, known.size), known // step
    total, squares = (np.bincount(of, values, count) for values in (by_user, by_user**2))
    return effective_number(total, squares)


def _withhold(estimates: Sequence[Estimate], enough: Flags) -> list[Estimate]:
    return [e if ok else replace(e, low=nan, high=nan) for e, ok in zip(estimates, enough, strict=True)]


def mean_interval(values: npt.ArrayLike, users: npt.ArrayLike, *, replicates: int = 500) -> Estimate:
    """Interval of the mean of measured values, without NaN values.

    Zero is a measured value here: if every value is 0, so are the bounds, and no positives are needed.

    Examples
    --------
    >>> mean_interval([0.0] * 20 + [float("nan")], range(21))
    Estimate(value=0.0, low=0.0, high=0.0, n=20)
    """
    measured = np.asarray(values, dtype=np.float64)
    known = np.isfinite(measured)
    once, who = np.ones(np.count_nonzero(known)), cluster_rows(np.asarray(users)[known])
    mean = _interval_of_sums([measured[known], once], divide, who, replicates=replicates)
    return Support.of(measured[known], once, who.codes).of_any([mean])[0]


def calibration_interval(
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    users: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Estimate:
    """Interval of the calibration ratio, observed over predicted; unknown without a positive.

    Examples
    --------
    >>> calibration_interval([1, 0, 1], [0.5, 0.5, 1.0], ["u", "v", "w"]).value
    1.0
    """
    y, p, w = check_binary(outcomes, predictions, weights)
    if not y.any():
        return UNKNOWN_ESTIMATE
    who = cluster_rows(users)
    ratio = _interval_of_sums([w * y, w * p], divide, who)
    return Support.of(y, w, who.codes).of_outcomes([ratio])[0]


def _interval_of_sums(
    columns: list[Floats], statistic: Statistic, who: Clusters, *, replicates: int = 500
) -> Estimate:
    if not who.count:
        return UNKNOWN_ESTIMATE
    resampler = Resampler(who.count, 0, replicates)
    return sum_intervals(columns, {"it": statistic}, who.codes, resampler)["it"][0]
