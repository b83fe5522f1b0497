"""Policies replayed on the same logged candidates: each metric of each, with intervals that resample users.

Both policies are measured on the same resampled users, so their relative change has a paired interval.
A replay narrows what is worth testing; it does not prove what people would have done.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.exposure import entropy, gini
from tasks.evaluation.resampling import interval
from tasks.evaluation.verdicts import Estimate
from tasks.simulation.log import CandidateLog, Floats, Slates
from tasks.simulation.metrics import Rows, UserSums, unanswerable, user_sums
from tasks.simulation.users import UserDraws

ALL = "all"


@dataclass(frozen=True)
class Measured:
    """A metric of the policy and its baseline in one segment, as one judge sees it.

    ``relative`` is policy / baseline - 1. ``reason`` says why a figure is missing; ``judge`` names whose
    predictions were believed (the same for metrics of outcomes).
    """

    metric: str
    segment: str
    judge: str
    policy: Estimate | None
    baseline: Estimate | None
    relative: Estimate | None
    reason: str = ""


@dataclass(frozen=True)
class Replay:
    """What a replay needs beside the policies: the log, draws of its users, the request-level tasks."""

    log: CandidateLog
    draws: UserDraws
    request_level: frozenset[str]

    def measure(self, metric: Metric, policy: Slates, baseline: Slates, by: Sequence[str]) -> list[Measured]:
        """Measure one metric on the whole and in every value of the segments named by ``by``."""
        reason = unanswerable(metric, self.log, request_level=self.request_level)
        if reason:
            return [Measured(metric.name, ALL, "", None, None, None, reason)]
        return [
            self._measured(metric, policy, baseline, judge, segment, rows)
            for segment, rows in self._segments(by)
            for judge in _judges(metric, policy, baseline)
        ]

    def _segments(self, by: Sequence[str]) -> Iterator[tuple[str, Rows]]:
        yield ALL, np.ones(len(self.log.requests), dtype=bool)
        for name in by:
            values = self.log.segments[name]
            for code, value in enumerate(values.categories):
                rows = np.asarray(values.codes == code)
                if rows.any():
                    yield f"{name}={value}", rows

    def _measured(
        self, metric: Metric, policy: Slates, baseline: Slates, judge: Slates, segment: str, rows: Rows
    ) -> Measured:
        ours, theirs = (self._sample(metric, slates, judge, rows) for slates in (policy, baseline))
        reason = "" if ours else f"{judge.name} gives no figure for {metric.name}"
        return Measured(
            metric=metric.name,
            segment=segment,
            judge=judge.name,
            policy=ours.estimate if ours else None,
            baseline=theirs.estimate if theirs else None,
            relative=_relative(ours, theirs) if ours and theirs else None,
            reason=reason,
        )

    def _sample(self, metric: Metric, slates: Slates, judge: Slates, rows: Rows) -> "_Sample | None":
        if metric.kind is MetricKind.COVERAGE:
            return _coverage(self.log, slates, rows)
        if metric.kind in {MetricKind.ENTROPY, MetricKind.GINI}:
            return self._concentration(metric, slates, rows)
        own = slates if metric.kind is MetricKind.CALIBRATION and slates.predictions else judge
        sums = user_sums(metric, self.log, slates, own, rows)
        return None if sums is None else self._ratio(sums)

    def _ratio(self, sums: UserSums) -> "_Sample":
        replicates = self.draws.ratios(sums.numerator, sums.denominator)
        total = sums.denominator.sum()
        return _Sample(float(sums.numerator.sum() / total) if total else math.nan, replicates, sums.n)

    def _concentration(self, metric: Metric, slates: Slates, rows: Rows) -> "_Sample | None":
        values = self.log.segments.get(str(metric.subject))
        if values is None:
            return None
        rows = rows & (slates.slot > 0)
        exposure = np.where(rows, self.log.examined_at(slates.slot), 0.0)
        width = len(values.categories)
        flat = np.bincount(
            self.log.users * width + values.codes, exposure, minlength=self.log.user_count * width
        )
        by_user = flat.reshape(self.log.user_count, width)
        figure = entropy if metric.kind is MetricKind.ENTROPY else gini
        replicates = np.array([figure(row) for row in self.draws.sums(by_user)])
        return _Sample(float(figure(by_user.sum(axis=0))), replicates, int(rows.sum()))


@dataclass(frozen=True)
class _Sample:
    value: float
    replicates: Floats
    n: int

    @property
    def estimate(self) -> Estimate:
        return interval(self.value, self.replicates, self.n)


def _judges(metric: Metric, policy: Slates, baseline: Slates) -> Iterator[Slates]:
    """Believe the release under test, and for predictions its baseline as well: the worse decides."""
    yield policy
    if metric.kind is MetricKind.PREDICTED and metric.subject in baseline.predictions:
        yield baseline


def _relative(policy: _Sample, baseline: _Sample) -> Estimate:
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = policy.replicates / baseline.replicates - 1.0
    value = policy.value / baseline.value - 1.0 if baseline.value else math.nan
    return interval(value, replicates, min(policy.n, baseline.n))


def _coverage(log: CandidateLog, slates: Slates, rows: Rows) -> _Sample:
    """Count distinct items shown over available ones: a census of the slice, so without an interval."""
    shown = len(np.unique(log.items[rows & (slates.slot > 0)]))
    available = len(np.unique(log.items[rows]))
    share = shown / available if available else math.nan
    return _Sample(share, np.full(2, share), available)


def measure_all(
    replay: Replay, metrics: Mapping[str, tuple[Metric, Sequence[str]]], policy: Slates, baseline: Slates
) -> list[Measured]:
    """Measure every metric with the segments asked for it."""
    return [m for metric, by in metrics.values() for m in replay.measure(metric, policy, baseline, by)]
