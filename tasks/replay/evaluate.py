"""Measures and evaluates a release's slates against its baseline: primary and guardrails, without a store.

::

    log, slates of the release and of its baseline  ->  every metric  ->  primary, components, guardrails
    slates of anchors (earlier champions)           ->  the same metric, for bounds that name an anchor
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import chain
from typing import Any, Final

import numpy as np
import pandas as pd

from tasks.contracts import Contracts
from tasks.contracts.gates import Gates
from tasks.contracts.metrics import (
    NEW_ITEMS,
    Metric,
    MetricKind,
    metric_columns,
    mix_columns,
    parse_metric,
    read_metric,
)
from tasks.contracts.utility import Guardrail, Primary
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL, NO_THRESHOLD, RATCHET, Segment, Subject, Threshold
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.replay.costs import cost_of, evaluate_cost, given_that, predictions_of
from tasks.replay.evidence import OffPolicyCheck
from tasks.replay.guardrails import evaluate_guardrail, evaluate_primary, evaluate_primary_segments
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.replay_policies import Replay
from tasks.replay.slate_checks import count_filled, evaluate_empty, evaluate_filled


@dataclass(frozen=True)
class Findings:
    """Results of a replay: verdicts of primary and guardrails, every metric, and further policies by name.

    ``others``, ``other_verdicts``: figures and verdicts of further policies compared with the same baseline.
    ``believed``: terms of the observed utility that use a prediction, with the number of observed events;
    ``left_out``: terms that cannot be included. ``costs``: negative and safety tasks. ``checks``: bounded
    figures with their off-policy estimates.
    """

    baseline: str
    verdicts: list[Verdict]
    measured: list[Measured]
    others: dict[str, list[Measured]]
    other_verdicts: dict[str, list[Verdict]] = field(default_factory=dict)
    believed: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    costs: frozenset[str] = frozenset()
    checks: tuple[OffPolicyCheck, ...] = ()

    @property
    def expected_utility(self) -> float:
        """Expected utility of the policy on the whole; NaN where it could not be measured."""
        found = (
            m.policy.value
            for m in self.measured
            if m.subject.metric == MetricKind.EXPECTED_UTILITY and m.policy
        )
        return next(found, math.nan)


MOST_SHARES: Final = 10
"""Number of values of a column whose shares are shown."""


def mix_metrics(contracts: Contracts, log: CandidateLog) -> Iterator[Metric]:
    """Yield the metrics of each column whose values differ within requests."""
    for name in mix_columns(contracts.surface, contracts.slate):
        if name in log.segments and _differs_within_requests(log, log.segments[name]):
            yield Metric(MetricKind.ENTROPY, name)
            yield Metric(MetricKind.GINI, name)
            values, exposure = _frequent(log.segments[name]), contracts.slate.exposure
            yield from (Metric(MetricKind.SHARE, name, value) for value in values)
            if exposure is not None and exposure.by == name:
                yield from (Metric(MetricKind.EXPOSURE_RATIO, name, value) for value in values)


def _differs_within_requests(log: CandidateLog, column: "pd.Categorical[Any]") -> bool:
    first = np.zeros(log.request_count, dtype=column.codes.dtype)
    first[log.requests] = column.codes
    return bool((first[log.requests] != column.codes).any())


def _frequent(column: "pd.Categorical[Any]") -> list[str]:
    counts = np.bincount(column.codes, minlength=len(column.categories))
    order = np.argsort(-counts, kind="stable")[:MOST_SHARES]
    return [str(column.categories[place]) for place in np.sort(order[counts[order] > 0])]


LEAST_SHARE: Final = 0.01
"""Share of the variance below which a term has almost no effect."""
MOST_SHARE: Final = 0.9
"""Share of the variance above which a term decides almost alone."""


_THRESHOLD: Final = Threshold(
    words=f"{LEAST_SHARE:.0%} to {MOST_SHARE:.0%} of the utility's variance within a request"
)


def evaluate_components(measured: Iterable[Measured], *, run: str) -> Iterator[Verdict]:
    """Yield a warning for every term that decides almost nothing or almost everything.

    Parameters
    ----------
    measured : metrics of a policy; metrics other than component shares are skipped.
    run : the MLflow run that the figures come from.
    """
    for one in measured:
        if one.subject.metric != MetricKind.COMPONENT_SHARE or one.policy is None or one.reason:
            continue
        if abs(one.policy.value) < LEAST_SHARE:
            yield _warning(one, "nothing", run)
        elif abs(one.policy.value) > MOST_SHARE:
            yield _warning(one, "all", run)


def _warning(measured: Measured, decided: str, run: str) -> Verdict:
    return Verdict(
        gate="decision",
        subject=measured.subject,
        segment=measured.segment,
        outcome=Outcome.WARN,
        threshold=_THRESHOLD,
        observed=measured.policy,
        reason=f"it decides nearly {decided}",
        evidence=run,
    )


_ON_THE_WHOLE: Final = frozenset(
    {MetricKind.COMPONENT_SHARE, MetricKind.CALIBRATION, MetricKind.LATENCY, MetricKind.NAIVE_NDCG}
)
"""Metrics that are measured in segments only if a guardrail names them."""


@dataclass(frozen=True)
class OfflineEvaluation:
    """The log, the policy and the baselines of an offline evaluation.

    Attributes
    ----------
    contracts : contracts of the surface.
    log : the candidates of the test slice.
    policy, baseline : slates of the release and of its baseline.
    anchors : slates of earlier releases by the reference that a guardrail names, and `RATCHET`.
    """

    contracts: Contracts
    log: CandidateLog
    policy: PolicySlates
    baseline: PolicySlates
    anchors: Mapping[str, PolicySlates] = field(default_factory=dict)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Every metric of the report by name."""
        return report_metrics(self.contracts, self.log)

    @property
    def replay(self) -> Replay:
        """A replay of the log, with the release's predictions in the rates of both policies."""
        tasks = self.contracts.tasks.tasks
        fixed = frozenset(name for name, task in tasks.items() if task.level == "request")
        return Replay(self.log, self.policy, fixed, self.baseline)


def evaluate_offline(
    evaluation: OfflineEvaluation, others: Mapping[str, PolicySlates], *, run: str
) -> Findings:
    """Measure and evaluate a release against its baseline, and further policies against the same baseline.

    Parameters
    ----------
    others : slates of further policies by name.
    run : the MLflow run that the figures come from.
    """
    replay, metrics = evaluation.replay, evaluation.metrics
    by = _segments(evaluation.contracts, metrics)
    policy, baseline = evaluation.policy, evaluation.baseline
    measured = {n: replay.measure(m, policy, baseline, by.get(n, ())) for n, m in metrics.items()}
    terms = replay.utility_terms(policy, baseline)
    further = {name: _measure_further(evaluation, replay, slates) for name, slates in others.items()}
    return Findings(
        baseline=baseline.name,
        verdicts=list(_evaluate(evaluation, replay, measured, run)),
        measured=list(chain.from_iterable(measured.values())),
        others={
            name: [one for one in chain.from_iterable(each.values()) if one.segment == ALL]
            for name, each in further.items()
        },
        other_verdicts={
            name: list(_evaluate(replace(evaluation, policy=others[name]), replay, each, run))
            for name, each in further.items()
        },
        believed=terms.believed,
        left_out=terms.left_out,
        costs=frozenset(n for n, task in evaluation.contracts.tasks.tasks.items() if task.family.costs),
    )


def _measure_further(
    evaluation: OfflineEvaluation, replay: Replay, slates: PolicySlates
) -> dict[str, list[Measured]]:
    """Measure a further policy: every metric on the whole, and in the segments in which it is evaluated."""
    by: dict[str, tuple[str, ...]] = {}
    _add_segments(by, evaluation.contracts)
    return {
        name: replay.measure(metric, slates, evaluation.baseline, by.get(name, ()))
        for name, metric in evaluation.metrics.items()
    }


def report_metrics(contracts: Contracts, log: CandidateLog) -> dict[str, Metric]:
    """Return every metric of the report by name: primary, guardrail and always shown metrics."""
    tasks = contracts.tasks.tasks
    ranked = [n for n, task in tasks.items() if task.kind == "binary" and task.level == "impression"]
    likely = [task for task in ranked if contracts.head_kind(task) == "binary"]
    valued = [n for n, task in tasks.items() if task.kind == "value" and task.level == "impression"]
    expected = [task for task in valued if contracts.head_kind(task) == "value"]
    named = [one.metric for one in contracts.utility.primary]
    named += [rail.metric for rail in contracts.utility.guardrails]
    parsed = (parse_metric(name, tasks=tasks, columns=log.segments) for name in named)
    metrics = [metric for metric in parsed if metric is not None]
    metrics += [Metric(MetricKind.OBSERVED_UTILITY), Metric(MetricKind.EXPECTED_UTILITY)]
    costs = [task for task in valued if tasks[task].family.costs]
    metrics += [Metric(MetricKind.RATE, task) for task in (*ranked, *costs)]
    metrics += [Metric(k, task) for task in likely for k in (MetricKind.PREDICTED, MetricKind.CALIBRATION)]
    metrics += [Metric(MetricKind.PREDICTED, task) for task in expected]
    of_order = (MetricKind.NDCG, MetricKind.NAIVE_NDCG, MetricKind.RECALL)
    metrics += [Metric(kind, task) for task in ranked for kind in of_order]
    metrics += [Metric(MetricKind.COVERAGE), Metric(MetricKind.LONG_TAIL_EXPOSURE)]
    metrics += [Metric(MetricKind.SLATE_RULE_ACTIVITY), *mix_metrics(contracts, log)]
    metrics += [Metric(MetricKind.COMPONENT_SHARE, task) for task in contracts.utility.term_names]
    metrics += [Metric(MetricKind.NEW_ITEM_EXPOSURE)] if NEW_ITEMS in log.segments else []
    metrics += [Metric(MetricKind.LATENCY)] if log.latency is not None else []
    return {metric.name: metric for metric in metrics}


def _segments(contracts: Contracts, metrics: Mapping[str, Metric]) -> dict[str, tuple[str, ...]]:
    """Return the segments by which each metric is measured: the surface's and those of guardrails.

    The prediction of a cost is measured in the segments of its rate too.
    """
    declared = tuple(segment.name for segment in contracts.surface.segments)
    by = {
        name: tuple(one for one in declared if one != _column(metric))
        for name, metric in metrics.items()
        if _in_segments(contracts, metric)
    }
    _add_segments(by, contracts)
    return by


def _add_segments(by: dict[str, tuple[str, ...]], contracts: Contracts) -> None:
    """Add the segments in which the primary (all declared segments) and the guardrails are evaluated."""
    declared = [segment.name for segment in contracts.surface.segments]
    for primary in contracts.utility.primary:
        by[primary.metric] = tuple(dict.fromkeys((*by.get(primary.metric, ()), *declared)))
    for rail in contracts.utility.guardrails:
        cost = cost_of(rail.metric, contracts.tasks.tasks)
        causes = predictions_of(cost, contracts.tasks.trained) if cost else ()
        predicted = [metric.name for metric in causes]
        for name in (rail.metric, *predicted):
            by[name] = tuple(dict.fromkeys((*by.get(name, ()), *rail.by)))


def _in_segments(contracts: Contracts, metric: Metric) -> bool:
    """Whether a metric is always measured by segment; predictions only for costs."""
    if metric.kind is MetricKind.PREDICTED:
        return contracts.tasks.tasks[str(metric.subject)].family.costs
    return metric.kind not in _ON_THE_WHOLE


def _column(metric: Metric) -> str | None:
    """Return the column whose mix the metric measures: within one of its values the metric is meaningless."""
    return NEW_ITEMS if metric.kind is MetricKind.NEW_ITEM_EXPOSURE else metric.subject


def _evaluate(
    evaluation: OfflineEvaluation, replay: Replay, measured: Mapping[str, Sequence[Measured]], run: str
) -> Iterator[Verdict]:
    gates = evaluation.contracts.surface.gates
    for primary in evaluation.contracts.utility.primary:
        of_primary = _primary(evaluation, replay, primary, measured)
        yield from (_settle(replace(verdict, evidence=run), gates) for verdict in of_primary)
    yield from _filled(evaluation, run)
    yield from evaluate_components(chain.from_iterable(measured.values()), run=run)
    for rail in evaluation.contracts.utility.guardrails:
        cost = cost_of(rail.metric, evaluation.contracts.tasks.tasks)
        of_rail = _measured_for(evaluation, replay, rail, rail.metric, measured)
        if not of_rail:
            yield _missing(evaluation.contracts, rail.metric, run)
            continue
        if cost is None:
            verdicts = [_settle(verdict, gates) for verdict in evaluate_guardrail(rail, of_rail, run=run)]
        else:
            predicted = [
                _measured_for(evaluation, replay, rail, metric.name, measured)
                for metric in predictions_of(cost, evaluation.contracts.tasks.trained)
            ]
            expected = reduce(given_that, predicted) if predicted else None
            verdicts = evaluate_cost(rail, of_rail, expected, run=run)
            verdicts = [_settle(one, gates) for one in verdicts] if expected is None else verdicts
        yield from (_name_anchor(verdict, rail, evaluation) for verdict in verdicts)


def _filled(evaluation: OfflineEvaluation, run: str) -> Iterator[Verdict]:
    """Evaluate the number of filled slots, and the requests with an empty slate."""
    requests, baseline = evaluation.log.requests, evaluation.baseline
    candidate, reference = (count_filled(requests, slates.slot) for slates in (evaluation.policy, baseline))
    yield evaluate_filled(candidate, reference, gate="decision", against=baseline.name, run=run)
    most = evaluation.contracts.surface.gates.shadow.error_rate_max
    yield from evaluate_empty(candidate, most=most, gate="decision", run=run)


def _settle(verdict: Verdict, gates: Gates) -> Verdict:
    """Let an inconclusive verdict block only the promotion to champion, not a canary, where that is allowed.

    Costs that are trained are left out: the predictions of both releases decide whether they hold.
    """
    holds = gates.inconclusive == "hold" if verdict.holds is None else verdict.holds
    if gates.decision.shown_only == "canary" and verdict.outcome is Outcome.INCONCLUSIVE and holds:
        return replace(verdict, holds="champion")
    return verdict


def _name_anchor(verdict: Verdict, rail: Guardrail, evaluation: OfflineEvaluation) -> Verdict:
    """Add the anchor's name to a verdict: a metric may be bounded against both baseline and anchor."""
    if rail.anchor is None or not verdict.relative:
        return verdict
    against = f"{evaluation.anchors[rail.anchor].name}, the anchor '{rail.anchor}'"
    reason = "; ".join(filter(None, (f"against {against}", verdict.reason)))
    return replace(verdict, reason=reason, against=against)


def _primary(
    evaluation: OfflineEvaluation,
    replay: Replay,
    primary: Primary,
    measured: Mapping[str, Sequence[Measured]],
) -> Iterator[Verdict]:
    """Evaluate a primary against the baseline and the champion of four promotions ago, and in segments.

    Models predict the change of the utility in a segment, so it is compared with one primary only: the
    observed utility, or the first primary if there is none.
    """
    if primary.metric not in measured:
        yield _missing(evaluation.contracts, primary.metric, "")
        return
    whole = measured[primary.metric][0]
    yield evaluate_primary(primary, whole, run="")
    yield _ratchet(evaluation, replay, primary)
    if whole.reason:  # segments are not evaluated if the whole is not
        return
    segments = [m for m in measured[primary.metric] if m.segment != ALL and m.subject.name == primary.metric]
    by = dict.fromkeys(m.segment.column for m in segments)
    predicted: dict[Segment, float] = {}
    if primary == _of_utility(evaluation.contracts.utility.primary):
        predicted = replay.predicted_changes(evaluation.policy, evaluation.baseline, tuple(by))
    yield from evaluate_primary_segments(primary, whole, segments, predicted, run="")


def _of_utility(primaries: Sequence[Primary]) -> Primary:
    observed = (one for one in primaries if one.metric == MetricKind.OBSERVED_UTILITY)
    return next(observed, primaries[0])


def _ratchet(evaluation: OfflineEvaluation, replay: Replay, primary: Primary) -> Verdict:
    """Evaluate a primary against the champion of four promotions ago."""
    subject = replace(Subject.of(evaluation.metrics[primary.metric]), baseline=RATCHET)
    anchor = evaluation.anchors.get(RATCHET)
    if anchor is None:
        return _without_figure(subject, Outcome.NO_RULE, "fewer than four promotions so far", "")
    of_anchor = replay.measure(evaluation.metrics[primary.metric], evaluation.policy, anchor, ())[0]
    against = f"{anchor.name}, {RATCHET}"
    verdict = evaluate_primary(primary, of_anchor, run="")
    return replace(verdict, subject=subject, against=against)


def _missing(contracts: Contracts, name: str, run: str) -> Verdict:
    """Return a verdict for a metric that cannot be computed because the log lacks its data."""
    columns = metric_columns(contracts.surface, contracts.slate)
    metric = parse_metric(name, tasks=contracts.tasks.tasks, columns=columns)
    subject = Subject.of(metric or read_metric(name))
    return _without_figure(subject, Outcome.METRIC_MISSING, "the candidates hold nothing of that name", run)


def _without_figure(subject: Subject, outcome: Outcome, reason: str, run: str) -> Verdict:
    return Verdict("decision", subject, ALL, outcome, NO_THRESHOLD, None, reason=reason, evidence=run)


def _measured_for(
    evaluation: OfflineEvaluation,
    replay: Replay,
    rail: Guardrail,
    name: str,
    measured: Mapping[str, Sequence[Measured]],
) -> list[Measured]:
    """Return a metric in a guardrail's segments, compared with its anchor if it names one."""
    found = measured.get(name, ())
    if rail.anchor is not None and found:
        anchor = evaluation.anchors[rail.anchor]
        found = replay.measure(evaluation.metrics[name], evaluation.policy, anchor, rail.by)
    return [one for one in found if one.segment == ALL or one.segment.column in rail.by]
