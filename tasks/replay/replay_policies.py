"""Policies replayed on the same logged candidates: each metric of each, with intervals that resample users.

Both policies are measured on the same resampled users, so their relative change has a paired interval.
A replay narrows what is worth testing; it does not prove what people would have done.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.binary import divide
from tasks.evaluation.exposure import entropy, gini
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.resampling import Resampler, percentile_interval
from tasks.evaluation.segments import ALL, name_segment
from tasks.evaluation.verdicts import Estimate
from tasks.replay.log import CandidateLog, Floats, Slates
from tasks.replay.metrics import Rows, UserSums, unanswerable, user_sums

_OF_OUTCOMES = frozenset({MetricKind.RATE, MetricKind.CALIBRATION})


@dataclass(frozen=True)
class Replay:
    """What a replay needs beside the policies: the log, a resampler of its users, the request-level tasks."""

    log: CandidateLog
    resampler: Resampler
    request_level: frozenset[str]

    def measure(self, metric: Metric, policy: Slates, baseline: Slates, by: Sequence[str]) -> list[Measured]:
        """Measure one metric on the whole and in every value of the segments named by ``by``."""
        reason = unanswerable(metric, self.log, request_level=self.request_level)
        if reason:
            return [_unknown(metric, ALL, "", reason)]
        return [
            self._measured(one, policy, baseline, judge, segment, rows)
            for one in _with_naive(metric)
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
                    yield name_segment(name, value), rows

    def _measured(
        self, metric: Metric, policy: Slates, baseline: Slates, judge: Slates, segment: str, rows: Rows
    ) -> Measured:
        ours, theirs = (self._sample(metric, slates, judge, rows) for slates in (policy, baseline))
        reason = _reason(metric, ours, judge)
        if reason:
            return _unknown(metric, segment, judge.name, reason)
        return Measured(
            metric=metric.name,
            segment=segment,
            judge=judge.name,
            policy=ours.estimate if ours else None,
            baseline=theirs.estimate if theirs else None,
            relative=_relative(ours, theirs) if ours and theirs else None,
            kind=metric.kind,
            subject=metric.subject,
        )

    def _sample(self, metric: Metric, slates: Slates, judge: Slates, rows: Rows) -> "_Sample | None":
        if metric.kind is MetricKind.COVERAGE:
            return _coverage(self.log, slates, rows)
        if metric.kind in {MetricKind.ENTROPY, MetricKind.GINI}:
            return self._concentration(metric, slates, rows)
        own = slates if metric.kind is MetricKind.CALIBRATION and slates.predictions else judge
        sums = user_sums(metric, self.log, slates, own, rows)
        return None if sums is None else self._ratio(sums, outcomes=metric.kind in _OF_OUTCOMES)

    def _ratio(self, sums: UserSums, *, outcomes: bool) -> "_Sample":
        """Sample a ratio; where not one outcome was seen, zeros show no spread and the bounds are unknown."""
        above, below = self._totals(np.column_stack([sums.numerator, sums.denominator]))
        replicates = np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)
        if outcomes and not sums.numerator.any():
            replicates = np.full(len(replicates), np.nan)
        total = sums.denominator.sum()
        return _Sample(float(sums.numerator.sum() / total) if total else math.nan, replicates, sums.n)

    def _concentration(self, metric: Metric, slates: Slates, rows: Rows) -> "_Sample | None":
        values = self.log.segments.get(str(metric.subject))
        if values is None:
            return None
        rows = rows & (slates.slot > 0)
        exposure = np.where(rows, self.log.examined_at(slates.slot), 0.0)
        width = len(values.categories)
        cells = self.log.users * width + values.codes
        flat = np.bincount(cells, exposure, self.log.user_count * width).astype(np.float64)
        by_user = flat.reshape(self.log.user_count, width)
        concentration = entropy if metric.kind is MetricKind.ENTROPY else gini
        replicates = concentration(_shares(np.ascontiguousarray(self._totals(by_user).T)))
        whole = float(concentration(_shares(by_user.sum(axis=0))))
        return _Sample(whole, replicates, int(np.count_nonzero(by_user.sum(axis=1))))

    def _totals(self, by_user: Floats) -> Floats:
        """Return the totals of each replicate: sums by user (users, k) to (k, replicates)."""
        units = self.resampler.units(np.arange(self.log.user_count))
        by_unit = np.zeros((self.resampler.drawn, by_user.shape[1]))
        np.add.at(by_unit, units, by_user)
        return np.concatenate([by_unit.T @ block for block in self.resampler.blocks()], axis=1)


def _unknown(metric: Metric, segment: str, judge: str, reason: str) -> Measured:
    return Measured(metric.name, segment, judge, None, None, None, metric.kind, metric.subject, reason)


@dataclass(frozen=True)
class _Sample:
    value: float
    replicates: Floats
    n: int

    @property
    def estimate(self) -> Estimate:
        return percentile_interval(self.value, self.replicates, self.n)


def _reason(metric: Metric, ours: "_Sample | None", judge: Slates) -> str:
    """Say why there is no figure; nothing where there is one."""
    if ours is None:
        return f"{judge.name} gives no figure for it"
    if ours.n == 0:
        return f"nothing to measure it by: no slot holds an observed label of {metric.subject}"
    return ""


def _shares(looks: Floats) -> Floats:
    """Divide looks [..., values] by those of all values; NaN where there are none."""
    return divide(looks, looks.sum(axis=-1, keepdims=True))


def _with_naive(metric: Metric) -> tuple[Metric, ...]:
    """Print the naive NDCG beside the weighted one; under another name, so that nothing gates on it."""
    if metric.kind is not MetricKind.NDCG:
        return (metric,)
    return (metric, replace(metric, naive=True))


def _judges(metric: Metric, policy: Slates, baseline: Slates) -> Iterator[Slates]:
    """Believe the release under test, and for predictions its baseline as well: the worse decides."""
    yield policy
    if metric.kind is MetricKind.PREDICTED and metric.subject in baseline.predictions:
        yield baseline


def _relative(policy: _Sample, baseline: _Sample) -> Estimate:
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = policy.replicates / baseline.replicates - 1.0
    value = policy.value / baseline.value - 1.0 if baseline.value else math.nan
    return percentile_interval(value, replicates, min(policy.n, baseline.n))


def _coverage(log: CandidateLog, slates: Slates, rows: Rows) -> _Sample:
    """Count distinct items shown over available ones: a census of the slice, so without an interval."""
    shown = len(np.unique(log.items[rows & (slates.slot > 0)]))
    available = len(np.unique(log.items[rows]))
    share = shown / available if available else math.nan
    return _Sample(share, np.full(2, share), available)
