"""Policies replayed on the same logged candidates: each metric of each, and their paired change.

A replay narrows what is worth testing; it does not prove what people would have done.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.binary import divide
from tasks.evaluation.clustered import Ratio, Statistic, clustered_interval, relative_change
from tasks.evaluation.replay_evidence import DayChange, Measured
from tasks.evaluation.segments import ALL, name_segment
from tasks.evaluation.verdicts import Estimate
from tasks.replay.inclusion import LEAST_INCLUSION, MOST_UNSUPPORTED, unsupported_share
from tasks.replay.log import CandidateLog, Slates
from tasks.replay.metrics import (
    OF_OUTCOMES,
    Measurement,
    Rows,
    measure_slots,
    naive_ndcg,
    per_look,
    unanswerable,
)
from tasks.replay.rates import THIN, RateEstimator, Term

BIASED = "the log holds candidates without propensities, so the figure favours what its ranker favoured"
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class UtilityTerms:
    """How the terms of a utility enter `observed_utility`.

    ``believed``: by a prediction, since too few outcomes were seen. ``left_out``: answers to
    surveys, and what no release predicts.
    """

    terms: tuple[Term, ...]
    believed: Mapping[str, int]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Replay:
    """What a replay needs beside the policies.

    Attributes
    ----------
    log : the candidates.
    reference : the release whose predictions enter the rates of every policy.
    request_level : tasks that no ranking of a request can move.
    """

    log: CandidateLog
    reference: Slates
    request_level: frozenset[str] = frozenset()

    def measure(self, metric: Metric, policy: Slates, baseline: Slates, by: Sequence[str]) -> list[Measured]:
        """Measure one metric on the whole and in every value of the segments named by ``by``."""
        reason = unanswerable(metric, self.log, request_level=self.request_level)
        if reason:
            return [_unknown(metric, ALL, "", reason)]
        doubt = self._doubt(policy, baseline) if metric.kind in OF_OUTCOMES else ""
        utility = metric.kind is MetricKind.OBSERVED_UTILITY
        terms = self.utility_terms(policy, baseline).terms if utility else ()
        return [
            replace(measured, reason=measured.reason or doubt)
            for one in _with_naive(metric)
            for segment, rows in self._segments(by)
            for judge in _judges(metric, policy, baseline)
            for measured in (self._measured(_Comparison(one, policy, baseline, judge, terms), segment, rows),)
        ]

    def utility_terms(self, policy: Slates, baseline: Slates) -> UtilityTerms:
        """Choose how each term of the baseline's utility enters: by what happened, or by a prediction."""
        worth = baseline.worth or policy.worth
        everywhere = np.ones(len(self.log.requests), dtype=bool)
        terms, believed, left_out = [], {}, []
        for task, each in worth.items():
            counted = [self._rates.events(task, slates, everywhere) for slates in (policy, baseline)]
            judge = baseline if task in baseline.predictions else self.reference
            prediction = per_look(self.log, judge, task)
            if not self.log.outcomes[task].looked_at or (min(counted) < THIN and prediction is None):
                left_out.append(task)
            elif min(counted) < THIN:
                believed[task] = min(counted)
                terms.append(Term(task, np.nan_to_num(each), prediction))
            else:
                terms.append(Term(task, np.nan_to_num(each)))
        return UtilityTerms(tuple(terms), believed, tuple(left_out))

    @cached_property
    def _rates(self) -> RateEstimator:
        known = {task: per_look(self.log, self.reference, task) for task in self.log.outcomes}
        return RateEstimator(self.log, {task: q for task, q in known.items() if q is not None})

    def _doubt(self, *policies: Slates) -> str:
        """Say why no rate of these policies may be judged; nothing where it may."""
        if self.log.inclusion is None:
            return BIASED
        if self.log.contradiction:
            return self.log.contradiction
        for slates in policies:
            if slates.follows_log or not self.log.complete:
                continue
            looks = np.where(slates.slot > 0, self.log.examined_at(slates.slot), 0.0)
            share, error = unsupported_share(looks, self.log.inclusion)
            if share - _STANDARD_ERRORS * error > MOST_UNSUPPORTED:
                return (
                    f"{share:.0%} of the looks of {slates.name} fall on items that the log shows with a "
                    f"probability below {LEAST_INCLUSION:g}"
                )
        return ""

    def _segments(self, by: Sequence[str]) -> Iterator[tuple[str, Rows]]:
        yield ALL, np.ones(len(self.log.requests), dtype=bool)
        for name in by:
            values = self.log.segments[name]
            for code, value in enumerate(values.categories):
                rows = np.asarray(values.codes == code)
                if rows.any():
                    yield name_segment(name, value), rows

    def _measured(self, compared: "_Comparison", segment: str, rows: Rows) -> Measured:
        metric, judge = compared.metric, compared.judge
        ours, theirs = (self._measure(compared, s, rows) for s in (compared.policy, compared.baseline))
        if ours is None:
            return _unknown(metric, segment, judge.name, f"{judge.name} gives no figure for it")
        ours_alone = _statistic(ours)
        if not ours_alone.weight.any():
            reason = f"nothing to measure it by: no slot holds an observed label of {metric.subject}"
            return _unknown(metric, segment, judge.name, reason)
        change = None if theirs is None else relative_change(ours_alone, _statistic(theirs))
        return Measured(
            metric=metric.name,
            segment=segment,
            judge=judge.name,
            policy=self._level(metric, ours_alone),
            baseline=None if theirs is None else self._level(metric, _statistic(theirs)),
            relative=None if change is None else clustered_interval(change, self.log.clusters),
            kind=metric.kind,
            subject=metric.subject,
            events=ours_alone.events if change is None else change.events,
            by_day=self._by_day(ours, theirs) if segment == ALL else (),
        )

    def _measure(self, compared: "_Comparison", slates: Slates, rows: Rows) -> Measurement | None:
        metric, task = compared.metric, str(compared.metric.subject)
        match metric.kind:
            case MetricKind.RATE:
                return self._rates.rate(task, slates, rows)
            case MetricKind.GIVEN:
                return self._rates.rate_given(task, str(metric.value), slates, rows)
            case MetricKind.NDCG if metric.naive:
                return naive_ndcg(task, self.log, slates, rows)
            case MetricKind.NDCG:
                return self._rates.gain(task, slates, rows)
            case MetricKind.OBSERVED_UTILITY:
                return self._rates.utility(compared.terms, slates, rows)
        return measure_slots(metric, self.log, slates, compared.judge, rows)

    def _level(self, metric: Metric, statistic: Statistic) -> Estimate:
        """Return a figure's interval; a gain without its ideal is no level: only its change is told."""
        interval = clustered_interval(statistic, self.log.clusters)
        if metric.kind is MetricKind.NDCG and not metric.naive:
            return Estimate(math.nan, math.nan, math.nan, interval.n)
        return interval

    def _by_day(self, ours: Measurement, theirs: Measurement | None) -> tuple[DayChange, ...]:
        """Return the change on each day, of metrics that are ratios of sums."""
        if not isinstance(ours, Ratio) or not isinstance(theirs, Ratio):
            return ()
        policy, baseline = (
            divide(*(np.bincount(self.log.days, rows) for rows in (m.numerator, m.denominator)))
            for m in (ours, theirs)
        )
        changes = np.divide(policy, baseline, out=np.full(len(policy), np.nan), where=baseline > 0) - 1
        return tuple(
            DayChange(day, float(change)) for day, change in zip(self.log.dates, changes, strict=True)
        )


@dataclass(frozen=True)
class _Comparison:
    """One metric of a policy and its baseline, the judge that is believed, and the terms of the utility."""

    metric: Metric
    policy: Slates
    baseline: Slates
    judge: Slates
    terms: tuple[Term, ...]


def _statistic(measured: Measurement) -> Statistic:
    return measured.statistic if isinstance(measured, Ratio) else measured


def _unknown(metric: Metric, segment: str, judge: str, reason: str) -> Measured:
    return Measured(metric.name, segment, judge, None, None, None, metric.kind, metric.subject, reason)


def _with_naive(metric: Metric) -> tuple[Metric, ...]:
    """Print the naive NDCG beside the other; under another name, so that nothing gates on it."""
    if metric.kind is not MetricKind.NDCG:
        return (metric,)
    return (metric, replace(metric, naive=True))


def _judges(metric: Metric, policy: Slates, baseline: Slates) -> Iterator[Slates]:
    """Believe the release under test, and for predictions its baseline as well: the worse decides."""
    yield policy
    if metric.kind is MetricKind.PREDICTED and metric.subject in baseline.predictions:
        yield baseline
