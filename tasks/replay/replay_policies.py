"""Policies replayed on the same logged candidates: every metric of each policy, and their paired change.

A replay narrows the choice of policies to test; it does not prove how people would have reacted.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Final

import numpy as np

from tasks.arrays import Floats, Indices, Integers
from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.binary import divide
from tasks.evaluation.clustered import Ratio, RowClusters, clustered_interval
from tasks.evaluation.evidence import DayChange, Measured
from tasks.evaluation.observations import Grouping
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate, Growth
from tasks.replay.compared import ComparedPolicies
from tasks.replay.grouped import (
    GroupedStatistic,
    PairedEstimates,
    divide_grouped,
    grouped_ratio,
    paired_estimates,
)
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.metrics import (
    OF_ALL_CANDIDATES,
    OF_LABELS,
    OF_OUTCOMES,
    REORDERING,
    ByGroup,
    Measurement,
    SegmentedRows,
    examined_by,
    measure_slots,
    per_examined,
    predicted_per_examined,
    unanswerable,
)
from tasks.replay.rates import SPARSE, RateEstimator, TermWorth, by_both

_SHARE: Final = 0.99


def measure_latency(log: CandidateLog, policy: PolicySlates, baseline: PolicySlates) -> Measured:
    """Measure the latency of the requests served by a release and by its baseline."""
    latency = Metric(MetricKind.LATENCY)
    of_policy, of_baseline = (_percentile(log, slates) for slates in (policy, baseline))
    if of_policy is None:
        return _unknown(latency, ALL, policy.name, f"no logged request names {policy.name} as its release")
    change = None if of_baseline is None else _change(of_policy, of_baseline)
    return Measured(Subject.of(latency), ALL, policy.name, of_policy, of_baseline, change)


def _percentile(log: CandidateLog, slates: PolicySlates) -> Estimate | None:
    """Return the latency percentile of a release's requests; None if it served none."""
    if log.latency is None or log.served_by is None or slates.release is None:
        return None
    served = np.flatnonzero((log.served_by == slates.release) & np.isfinite(log.latency))
    if not len(served):
        return None
    _, first = np.unique(log.requests[served], return_index=True)
    rows = served[first]
    return percentile_estimate(log.latency[rows], log.users[rows], log.days[rows])


def percentile_estimate(values: Floats, users: Integers, days: Integers) -> Estimate:
    """Return the 99th percentile of values with Woodruff's interval, clustered by user and day.

    The interval is unknown if one of its ends lies outside the range of the values.

    Examples
    --------
    >>> each = np.arange(2000)
    >>> found = percentile_estimate(each + 1.0, each, each % 7)
    >>> found.value, found.low < 1980 < found.high < 2000
    (1980.0, True)
    """
    ordered = np.sort(values)
    value = float(_quantile_at(ordered, _SHARE))
    below = Ratio((values <= value).astype(float), np.ones(len(values)))
    share = clustered_interval(below.statistic, RowClusters(users, np.arange(len(values)), days))
    if not share.known or share.high >= 1.0 or share.low <= 0.0:
        return Estimate(value, math.nan, math.nan, share.n)
    return Estimate(value, _quantile_at(ordered, share.low), _quantile_at(ordered, share.high), share.n)


def _quantile_at(ordered: Floats, share: float) -> float:
    """Return the smallest value that is not exceeded by this share of all values."""
    place = math.ceil(round(share * len(ordered), 9)) - 1
    return float(ordered[min(max(place, 0), len(ordered) - 1)])


def _change(of_policy: Estimate, of_baseline: Estimate) -> Estimate:
    """Return the relative change of two independent percentiles, from the logarithm of their ratio."""
    if not of_baseline.value > 0:
        return UNKNOWN_ESTIMATE
    ratio, n = of_policy.value / of_baseline.value, min(of_policy.n, of_baseline.n)
    if not (of_policy.known and of_baseline.known and min(of_policy.low, of_baseline.low) > 0):
        return Estimate(ratio - 1, math.nan, math.nan, n)
    half = math.hypot(*(math.log(one.high / one.low) / 2 for one in (of_policy, of_baseline)))
    return Estimate(ratio - 1, ratio * math.exp(-half) - 1, ratio * math.exp(half) - 1, n)


_OF_ANY_SIGN: Final = frozenset(
    {
        MetricKind.OBSERVED_UTILITY,
        MetricKind.EXPECTED_UTILITY,
        MetricKind.PREDICTED,
        MetricKind.COMPONENT_SHARE,
        MetricKind.LATENCY,
    }
)
"""Metrics that may be negative; all others are rates, shares and ratios of counts."""

_COMPARED: Final = 4
"""Number of pairs of policies whose grouped rows are cached, so that all metrics can reuse them."""


@dataclass(frozen=True)
class UtilityTerms:
    """How the terms of a utility are included in `observed_utility`.

    ``believed``: terms that use a prediction, because too few outcomes were observed. ``left_out``: survey
    answers, and terms that no release predicts.
    """

    terms: tuple[TermWorth, ...]
    believed: Mapping[str, int]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Replay:
    """A log with the settings that all replayed policies share.

    Attributes
    ----------
    log : the candidates.
    reference : the release whose predictions are used in the rates of every policy.
    request_level : tasks that no ranking of a request can affect.
    baseline : decides with the reference, for all comparisons, which terms of the utility are too sparse to
        be measured by outcomes; None is the baseline of each comparison.
    compared_at_once : number of newest pairs of policies whose grouped rows are cached; a search, which
        measures thousands one after the other, needs one.
    """

    log: CandidateLog
    reference: PolicySlates
    request_level: frozenset[str] = frozenset()
    baseline: PolicySlates | None = None
    compared_at_once: int = _COMPARED

    def measure(
        self, metric: Metric, policy: PolicySlates, baseline: PolicySlates, by: Sequence[str]
    ) -> list[Measured]:
        """Measure one metric on the whole and in the segments named by ``by``, with sparse values pooled."""
        reason = unanswerable(metric, self.log, request_level=self.request_level)
        if reason:
            return [_unknown(metric, ALL, "", reason)]
        if metric.kind is MetricKind.LATENCY:
            return [measure_latency(self.log, policy, baseline)]
        compared = self._compare(policy, baseline)
        caveat = self._find_caveat(metric, compared) if self.log.complete else REORDERING
        return [
            replace(measured, reason=measured.reason or caveat)
            for measured in self._measured(metric, compared, by)
        ]

    def utility_terms(self, policy: PolicySlates, baseline: PolicySlates) -> UtilityTerms:
        """Choose how each term of the baseline's utility is measured: by outcomes, or by a prediction.

        An order has no utility: a policy compared with an order is measured by the reference's utility. The
        choice is independent of the policy, so that all policies with one baseline are measured alike.
        """
        worth = baseline.worth or self.reference.worth or policy.worth
        terms, believed, left_out = [], {}, []
        for task in worth:
            if task not in self.log.outcomes:  # a column term has a known value
                terms.append(TermWorth(task, worth, {task: np.ones(1)}))
                continue
            events = min(self.rates.events(task, one) for one in (self.reference, self.baseline or baseline))
            reference_model = baseline if task in baseline.predictions else self.reference
            predicted = task in reference_model.predictions
            if not self.log.outcomes[task].by_examination or (events < SPARSE and not predicted):
                left_out.append(task)
            elif events < SPARSE:
                believed[task] = events
                terms.append(TermWorth(task, worth, predicted_per_examined(self.log, reference_model)))
            else:
                terms.append(TermWorth(task, worth))
        return UtilityTerms(tuple(terms), believed, tuple(left_out))

    def predicted_changes(
        self, policy: PolicySlates, baseline: PolicySlates, by: Sequence[str]
    ) -> dict[Segment, float]:
        """Return the change of utility in each segment, the more favourable of both releases' predictions.

        Every candidate has a prediction, so it is exact where few outcomes were observed. The weights are the
        baseline's. Empty if only shown items are logged, or if a release does not predict every term: with an
        order as baseline there is only one model, the release under test's.
        """
        worth, models = baseline.worth, (policy, baseline)
        kindest: dict[Segment, float] = {}
        predicted = worth.keys() & self.log.outcomes.keys()
        if not self.log.complete or not worth or any(predicted - one.predictions.keys() for one in models):
            return kindest
        of_policy, of_baseline = (examined_by(self.log, one) for one in (policy, baseline))
        for model in models:
            utility = sum(
                each * (1.0 if q is None else q)
                for task, each in worth.items()
                for q in [per_examined(self.log, model, task) if task in predicted else None]
            )
            for name in by:
                of = self._compare(policy, baseline).segmentation(name, None)
                new, old = (
                    divide(
                        *(
                            np.bincount(of.codes, each, len(of.names))
                            for each in (examined * utility, examined)
                        )
                    )
                    for examined in (of_policy, of_baseline)
                )
                changes = divide(new - old, np.where(old > 0, old, np.nan)).tolist()
                kindest |= {
                    segment: max(change, kindest.get(segment, change))
                    for segment, change in zip(of.names, changes, strict=True)
                }
        return kindest

    @cached_property
    def rates(self) -> RateEstimator:
        """The rates of every policy, with the reference's predictions."""
        return RateEstimator(self.log, predicted_per_examined(self.log, self.reference))

    @cached_property
    def _comparisons(self) -> deque[ComparedPolicies]:
        return deque(maxlen=self.compared_at_once)

    def caveat(self, metric: Metric, policy: PolicySlates, baseline: PolicySlates) -> str:
        """Return why an outcome metric cannot be compared for two policies, or an empty string."""
        return self._find_caveat(metric, self._compare(policy, baseline))

    def _find_caveat(self, metric: Metric, compared: ComparedPolicies) -> str:
        if metric.kind not in OF_OUTCOMES:
            return ""
        if metric.kind is MetricKind.OBSERVED_UTILITY:
            tasks = [term.task for term in self._terms(compared) if term.predictions is None]
        else:
            tasks = [str(metric.subject), *([metric.value] if metric.value else [])]
        return next(filter(None, map(compared.caveat, tasks)), "")

    def _compare(self, policy: PolicySlates, baseline: PolicySlates) -> ComparedPolicies:
        """Return a pair of policies with the state that their metrics share; the newest pairs are cached."""
        for compared in self._comparisons:
            if compared.policy is policy and compared.baseline is baseline:
                return compared
        self._comparisons.append(ComparedPolicies(self.log, policy, baseline))
        return self._comparisons[-1]

    def _measured(self, metric: Metric, compared: ComparedPolicies, by: Sequence[str]) -> Iterator[Measured]:
        """Yield the whole, then each segment, by every reference model."""
        everything = metric.kind in OF_ALL_CANDIDATES
        place = compared.place(everything=everything)
        views = [
            _View(
                metric,
                compared,
                reference_model,
                place,
                compared.policy is self.reference,
                *self._measurements(metric, compared, reference_model, place),
            )
            for reference_model in self._reference_models(metric, compared.policy, compared.baseline)
        ]
        task = metric.subject if metric.kind in OF_LABELS else None
        for name in (None, *by):
            segmentation = compared.segmentation(name, task)
            rows = compared.rows(segmentation, everything=everything)
            seen = (view.rows(segmentation, rows) for view in views)
            yield from chain.from_iterable(zip(*seen, strict=True))

    def _reference_models(
        self, metric: Metric, policy: PolicySlates, baseline: PolicySlates
    ) -> tuple[PolicySlates, ...]:
        """Use the release under test; for predictions both releases, jointly if possible."""
        task = str(metric.subject)
        if metric.kind is not MetricKind.PREDICTED or task not in baseline.predictions:
            return (policy,)
        if task not in policy.predictions:
            return policy, baseline
        heads = policy.predictions, baseline.predictions
        known = self._together.get(task)
        if known is None or not all(one is head for one, head in zip(known[0], heads, strict=True)):
            known = self._together[task] = heads, by_both(self.log, policy, baseline, task)
        together = known[1]
        if together is None:
            return policy, baseline
        return (replace(together, name=f"{policy.name} and {baseline.name}"),)

    @cached_property
    def _together(self) -> dict[str, tuple[tuple[Mapping[str, Floats], ...], PolicySlates | None]]:
        """By task, the two newest heads that were compared, and their joint reference model."""
        return {}

    def _measurements(
        self, metric: Metric, compared: ComparedPolicies, reference_model: PolicySlates, place: Indices
    ) -> tuple[Measurement | None, Measurement | None]:
        """Measure policy and baseline; sums are over the counted rows only."""
        of_policy = _at(self._measure(metric, compared, compared.policy, reference_model), place)
        if metric.kind is MetricKind.COMPONENT_SHARE:  # over all candidates, independent of the slates
            return of_policy, of_policy
        return of_policy, _at(self._measure(metric, compared, compared.baseline, reference_model), place)

    def _measure(
        self, metric: Metric, compared: ComparedPolicies, slates: PolicySlates, reference_model: PolicySlates
    ) -> Measurement | None:
        if metric.kind not in OF_OUTCOMES:
            return measure_slots(metric, self.log, slates, reference_model)
        terms = self._terms(compared) if metric.kind is MetricKind.OBSERVED_UTILITY else ()
        ratio, *parent = self.rates.ratios(metric, slates, terms)
        return _rate_given(ratio, *parent) if parent else ratio

    def _terms(self, compared: ComparedPolicies) -> tuple[TermWorth, ...]:
        return self.utility_terms(compared.policy, compared.baseline).terms


def _rate_given(child: Ratio, parent: Ratio) -> ByGroup:
    """Return the rate of a task divided by the rate of its parent."""

    def by_group(rows: SegmentedRows) -> GroupedStatistic:
        above, below = (grouped_ratio(_ratio_at(one, rows.place), rows.grouped) for one in (child, parent))
        return divide_grouped(above, below, rows.grouped)

    return by_group


@dataclass(frozen=True)
class _View:
    """One metric of a policy and its baseline by one reference model, on some rows of the log.

    ``planned``: whether to estimate how the variance of the change falls with test days.
    """

    metric: Metric
    compared: ComparedPolicies
    reference_model: PolicySlates
    place: Indices
    planned: bool
    of_policy: Measurement | None
    of_baseline: Measurement | None

    def rows(self, segmentation: Grouping, rows: SegmentedRows) -> Iterator[Measured]:
        """Yield the metric in every segment."""
        if self.of_policy is None:
            reason = f"{self.reference_model.name} gives no figure for it"
            yield from (
                _unknown(self.metric, one, self.reference_model.name, reason) for one in segmentation.names
            )
            return
        of_policy = _statistic(self.of_policy, rows)
        if self.of_baseline is self.of_policy:
            of_baseline: GroupedStatistic | None = of_policy
        else:
            of_baseline = None if self.of_baseline is None else _statistic(self.of_baseline, rows)
        seen = rows.grouped.sum(of_policy.weight) > 0
        estimates = paired_estimates(of_policy, of_baseline, rows.grouped)
        for segment, known, figures in zip(segmentation.names, seen, estimates, strict=True):
            made = self._figures(segment, figures) if known else self._unseen(segment)
            if known and segment == ALL and self.planned and of_baseline is not None:
                made = replace(made, growth=tuple(self._growth(of_policy, of_baseline, rows.place)))
            yield replace(made, pooled=segmentation.pooled.get(segment, ()))

    def _growth(
        self, of_policy: GroupedStatistic, of_baseline: GroupedStatistic, place: Indices
    ) -> Iterator[Growth]:
        """Yield how the variance of the log change falls with days, by user and by item."""
        (policy,), (baseline,) = of_policy.value, of_baseline.value
        if not (policy > 0 and baseline > 0):
            return
        influence, log = of_policy.influence / policy - of_baseline.influence / baseline, self.compared.log
        for clusters in (log.clusters.users, log.clusters.items):
            if growth := Growth.of(influence, clusters[place], log.days[place]):
                yield growth

    def _unseen(self, segment: Segment) -> Measured:
        kind, subject = self.metric.kind, self.metric.subject
        if kind is MetricKind.RECALL:
            nothing = f"no candidate is observed or predicted to lead to {subject}"
        elif kind is MetricKind.COMPONENT_SHARE:
            nothing = f"{subject} has no weight where the utility differs between candidates of a request"
        elif kind is MetricKind.EXPOSURE_RATIO:
            nothing = f"no candidate of {self.metric.value} has any merit"
        elif subject is not None and kind in OF_LABELS:
            nothing = f"no slot holds an observed label of {subject}"
        else:
            nothing = "the policy fills no slot" + ("" if segment == ALL else " in the segment")
        return _unknown(
            self.metric, segment, self.reference_model.name, f"nothing to measure it by: {nothing}"
        )

    def _figures(self, segment: Segment, figures: PairedEstimates) -> Measured:
        metric, log, baseline = self.metric, self.compared.log, figures.baseline
        return Measured(
            subject=Subject.of(metric),
            segment=segment,
            reference_model=self.reference_model.name,
            policy=_level(metric, figures.policy, log),
            baseline=None if baseline is None else _level(metric, baseline, log),
            relative=figures.relative,
            events=figures.events,
            heads=self.reference_model.heads,
            labelled_share=self._labelled_share() if segment == ALL else None,
            by_day=self._by_day() if segment == ALL else (),
        )

    def _labelled_share(self) -> float | None:
        if self.metric.kind not in OF_OUTCOMES or self.metric.subject is None:
            return None
        share = self.compared.labelled_share(self.metric.subject)
        return share if math.isfinite(share) else None  # undefined if the policy fills no slot

    def _by_day(self) -> tuple[DayChange, ...]:
        """Return the change on each day, for metrics that are ratios of sums."""
        of_policy, of_baseline, log = self.of_policy, self.of_baseline, self.compared.log
        if not isinstance(of_policy, Ratio) or not isinstance(of_baseline, Ratio):
            return ()
        days, count = log.days[self.place], len(log.dates)
        policy, baseline = (
            divide(*(np.bincount(days, rows, count) for rows in (m.numerator, m.denominator)))
            for m in (of_policy, of_baseline)
        )
        changes = np.divide(policy, baseline, out=np.full(len(policy), np.nan), where=baseline > 0) - 1
        return tuple(DayChange(day, float(change)) for day, change in zip(log.dates, changes, strict=True))


def _statistic(measured: Measurement, rows: SegmentedRows) -> GroupedStatistic:
    return grouped_ratio(measured, rows.grouped) if isinstance(measured, Ratio) else measured(rows)


def _at(measured: Measurement | None, place: Indices) -> Measurement | None:
    """Select the rows of a ratio; a function of the grouping is returned unchanged."""
    return _ratio_at(measured, place) if isinstance(measured, Ratio) else measured


def _ratio_at(ratio: Ratio, place: Indices) -> Ratio:
    if len(place) == len(ratio.numerator):  # every row: no copy is needed
        return ratio
    positives = None if ratio.positives is None else ratio.positives[place]
    noise = None if ratio.noise is None else ratio.noise[place]
    return Ratio(ratio.numerator[place], ratio.denominator[place], ratio.events, positives, noise)


def _level(metric: Metric, estimate: Estimate, log: CandidateLog) -> Estimate:
    """Return a figure's interval, truncated at 0 for a rate.

    A gain without its ideal is not a level: only its change is reported.
    """
    if metric.kind is MetricKind.NDCG:
        return replace(UNKNOWN_ESTIMATE, n=estimate.n)
    of_outcomes = metric.kind in {MetricKind.RATE, MetricKind.GIVEN, MetricKind.RECALL}
    is_negative = of_outcomes and metric.subject not in log.tasks_from_zero
    if metric.kind in _OF_ANY_SIGN or is_negative or not estimate.value >= 0:
        return estimate
    return replace(estimate, low=max(estimate.low, 0.0)) if estimate.low < 0 else estimate


def _unknown(metric: Metric, segment: Segment, reference_model: str, reason: str) -> Measured:
    return Measured(Subject.of(metric), segment, reference_model, None, None, None, reason)
