"""Levels of one task's predictions on some days, overall and for every value of every segment.

::

    calibration_ratio    sum of observed / sum of predicted                  binary, value
    normalized_entropy   log loss / entropy of the base rate                 binary
    auc_by_request       share of pairs within requests that are won         binary, ranking
    coverage             share of outcomes at or below the prediction        quantile
    rate                 mean outcome per impression                         a task that is never trained
    calibration_by_tenth calibration_ratio in ten bins with equal shares of the sum of predictions
    interval             the wider of user-clustered and day-clustered (Student's t)

One day has no day-clustered interval, and if days differ, a user-clustered interval is too narrow. Therefore
levels are reported for weeks, and daily series are used for alarms.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from tasks.arrays import Flags, Floats, Indices
from tasks.calibration.reliability import cut_equal_shares
from tasks.contracts.training import HeadKind
from tasks.evaluation import binary
from tasks.evaluation.clustered import Ratio, RowClusters, Statistic, clustered_interval
from tasks.evaluation.figures import Figure, group_by_segment
from tasks.evaluation.observations import Observations
from tasks.evaluation.resampling import cluster_rows
from tasks.evaluation.subjects import Segment, Subject
from tasks.evaluation.verdicts import Estimate

METRICS: Final[dict[HeadKind | None, tuple[str, ...]]] = {
    "binary": ("calibration_ratio", "normalized_entropy", "auc_by_request"),
    "value": ("calibration_ratio",),
    "quantile": ("coverage",),
    "ranking": ("auc_by_request",),
    None: ("rate",),
}
"""Metrics of each kind of head, and of a task without a head."""
BY_TENTH: Final = "calibration_by_tenth"
"""Calibration ratio of one of ten bins of increasing predictions; the subject's value is its number."""


@dataclass(frozen=True)
class _Rows:
    """Rows of one segment: outcomes, predictions and the codes of user, request and day, each [n]."""

    outcomes: Floats
    predictions: Floats
    users: Indices
    requests: Indices
    days: Indices

    def estimate(self, metric: str) -> Estimate:
        match metric:
            case "calibration_ratio":
                return self._interval(Ratio(self.outcomes, self.predictions, self.events).statistic)
            case "normalized_entropy":
                return self._interval(self._entropy())
            case "coverage":
                below = (self.outcomes <= self.predictions).astype(np.float64)
                return self._interval(Ratio(below, np.ones_like(below)).statistic)
            case "rate":
                return self._interval(
                    Ratio(self.outcomes, np.ones(len(self.outcomes)), self.events).statistic
                )
        pairs = binary.request_pairs(self.outcomes > 0, self.predictions, self.requests)
        return self._interval(Ratio(pairs.won, pairs.pairs, self.events).statistic, pairs.first_rows)

    def select(self, rows: Flags) -> "_Rows":
        codes = (self.users[rows], self.requests[rows], self.days[rows])
        return _Rows(self.outcomes[rows], self.predictions[rows], *codes)

    @property
    def events(self) -> int:
        return int(np.count_nonzero(self.outcomes))

    def _interval(self, statistic: Statistic, rows: Indices | None = None) -> Estimate:
        """Return the interval of a statistic with one entry per row, or per given row."""
        users, days = (self.users, self.days) if rows is None else (self.users[rows], self.days[rows])
        if not len(users):
            return Estimate(np.nan, np.nan, np.nan, 0)
        return clustered_interval(statistic, RowClusters(users, np.zeros_like(users), days))

    def _entropy(self) -> Statistic:
        """Return the log loss over the entropy of the base rate, linearised by the delta method."""
        n, rate = len(self.outcomes), float(self.outcomes.mean())
        fewer = min(self.events, n - self.events)
        if not fewer:
            return Statistic(np.nan, np.zeros(n), np.ones(n), 0)
        losses, base = binary.row_losses(self.outcomes, self.predictions), float(binary.entropy(rate))
        value, slope = float(losses.mean()) / base, np.log((1 - rate) / rate)
        influence = (losses - losses.mean() - value * slope * (self.outcomes - rate)) / (n * base)
        return Statistic(value, influence, np.ones(n), fewer)


def measure_levels(
    task: str, kind: HeadKind | None, rows: Observations, days: Indices, *, tenths: bool = False
) -> Iterator[Figure]:
    """Yield the figures of a task's rows with known outcomes, and known predictions if it has a head.

    Parameters
    ----------
    kind : kind of head; None without predictions.
    days : [n] codes of the rows' days.
    tenths : also measure the calibration of ten equal shares of the sum of predictions.

    Examples
    --------
    >>> rows = Observations([1.0, 0.0, 1.0], [0.5, 0.5, 0.5], ["u", "v", "w"], ["r", "r", "r"])
    >>> figures = measure_levels("click", "binary", rows, np.zeros(3, int))
    >>> {figure.subject.metric: round(figure.value, 3) for figure in figures}
    {'calibration_ratio': 1.333, 'normalized_entropy': 1.089, 'auc_by_request': 0.5}
    """
    y, p = (np.asarray(column, dtype=np.float64) for column in (rows.outcomes, rows.predictions))
    if not len(y):
        return
    who = cluster_rows(rows.users, rows.requests)
    requests = pd.factorize(np.asarray(rows.requests), use_na_sentinel=False)[0]
    for group in group_by_segment(rows.segments, len(y)):
        order = np.argsort(group.codes, kind="stable")
        ends = np.searchsorted(group.codes[order], np.arange(1, group.count))
        for segment, mine in zip(group.names, np.split(order, ends), strict=True):
            own = _Rows(y[mine], p[mine], who.codes[mine], requests[mine], days[mine])
            for metric in METRICS[kind]:
                yield _figure(Subject(metric, task=task), metric, own, segment, who.resampled)
            if tenths and "calibration_ratio" in METRICS[kind]:
                bins = cut_equal_shares(own.predictions, 10)
                for n in np.unique(bins):
                    subject = Subject(BY_TENTH, task=task, column="tenth", value=str(n + 1))
                    yield _figure(subject, "calibration_ratio", own.select(bins == n), segment, who.resampled)


def _figure(subject: Subject, metric: str, rows: _Rows, segment: Segment, resampled: str) -> Figure:
    seen = rows.estimate(metric)
    ends = (seen.value, seen.low, seen.high, seen.n)
    return Figure(subject, segment, *ends, len(rows.outcomes), rows.events, resampled)
