"""Off-policy estimates of replayed outcome figures, by the log's propensities alone: a check, not a gate.

::

    replay       exposure x [q + w x (y / e0 - q)]     w: an item's outcome at any position, by the curve
    off-policy   exposure x [q + v x (y / e0 - q)]     v: only where the log agrees with the policy

    cascade_dr   v of agreement from the top        an outcome may depend on the items above; needs no curve
    place_dr     v of the item's own position       on its item and position; the curve converts items above

The replay is precise because it moves outcomes between positions, and it is valid only if the examination
curve is correct and items do not interact; otherwise the two differ. Both use the same model ``q``, so their
difference consists of weighted residuals on the same rows, with the interval of `tasks.evaluation.clustered`.
The first estimator with support is used; without any, the figure is `inconclusive`. Without ``q`` they are
RIPS and IIPS (`tasks.ope.slates`).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Final, Literal

import numpy as np

from tasks.arrays import Flags, Floats, Integers
from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.clustered import Statistic, clustered_interval, divide_statistics, relative_change
from tasks.evaluation.resampling import LEAST_CLUSTERS, LEAST_POSITIVES, Support, effective_clusters
from tasks.evaluation.subjects import Subject
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate
from tasks.ope.overlap import MOST_OF_ONE, measure_overlap
from tasks.ope.slates import LoggedPlaces, place_weights, prefix_weights
from tasks.replay.evaluate import OfflineEvaluation
from tasks.replay.evidence import OffPolicyCheck
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.metrics import OF_OUTCOMES, examined_by, unanswerable
from tasks.replay.rates import RateEstimator
from tasks.replay.replay_policies import Replay, UtilityTerms

Bound = Literal["level", "change"]

ESTIMATORS: Final[Mapping[str, Callable[..., Floats]]] = {
    "cascade_dr": prefix_weights,
    "place_dr": place_weights,
}
"""Weights of each estimator by name, the one with the fewest assumptions first."""
_STANDARD_ERRORS: Final = 3.0


def check_off_policy(evaluation: OfflineEvaluation) -> tuple[OffPolicyCheck, ...]:
    """Estimate a release's bounded outcome figures from the log's propensities, and compare with the replay.

    Returns
    -------
    One check for each bound of the primary and the guardrails on an outcome figure; empty if the log has no
    propensities.
    """
    if not logs_propensities(evaluation.log):
        return ()
    replay, policy, baseline = evaluation.replay, evaluation.policy, evaluation.baseline
    return tuple(
        _Check(replay, metric, policy, evaluation.anchors[anchor] if anchor else baseline, bound).run()
        for metric, anchor, bound in dict.fromkeys(_bounded_figures(evaluation))
    )


def disagreements(checks: Sequence[OffPolicyCheck]) -> Iterator[str]:
    """Yield a sentence for each disagreement between the replay and the off-policy estimate."""
    for one in checks:
        if one.verdict == "disagrees":
            what = "" if one.bound == "level" else f", the change against {one.against}"
            yield (
                f"{one.subject}{what}: the replay and the off-policy estimate ({one.estimator}) disagree. "
                "One of them has a wrong assumption: check the examination curve first."
            )


def logs_propensities(log: CandidateLog) -> bool:
    """Whether a log contains the probability with which each shown item was shown."""
    weighted = log.complete and log.inclusion is not None and not log.shown.all()
    return log.propensity is not None or weighted


def _bounded_figures(evaluation: OfflineEvaluation) -> Iterator[tuple[Metric, str | None, Bound]]:
    """Yield the figures that primaries and guardrails bound, with the anchor that a guardrail names."""
    utility, metrics = evaluation.contracts.utility, evaluation.metrics
    for named in utility.primary:
        primary = metrics.get(named.metric)
        if primary is not None and primary.kind in OF_OUTCOMES:
            yield primary, None, "change"
    for rail in utility.guardrails:
        metric = metrics.get(rail.metric)
        if metric is None or metric.kind not in OF_OUTCOMES:
            continue
        if rail.max is not None or rail.min is not None:
            yield metric, rail.anchor, "level"
        changes = (rail.relative_increase_max, rail.relative_increase_min, rail.relative_decrease_max)
        if any(change is not None for change in changes):
            yield metric, rail.anchor, "change"


@dataclass(frozen=True)
class _Check:
    """One figure of a policy, or its change against a baseline, by replay and off-policy."""

    replay: Replay
    metric: Metric
    policy: PolicySlates
    baseline: PolicySlates
    bound: Bound

    def run(self) -> OffPolicyCheck:
        """Estimate the figure by the first estimator with support."""
        reason = self._unknown_rate
        if reason:
            return self._untellable(reason)
        for name in ESTIMATORS:
            weights = [self._weights(name, slates) for slates in self._slates]
            reason = self._sparse_support(weights)
            if not reason:
                break
        return self._compare(name, weights, reason)

    @property
    def _slates(self) -> tuple[PolicySlates, ...]:
        return (self.policy,) if self.bound == "level" else (self.policy, self.baseline)

    @property
    def _log(self) -> CandidateLog:
        return self.replay.log

    @property
    def _unknown_rate(self) -> str:
        """Why this log allows no such estimate, or an empty string."""
        reason = unanswerable(self.metric, self._log, request_level=self.replay.request_level)
        if self.metric.kind is MetricKind.RECALL:
            reason = "recall sums over all candidates, and a slate holds a part of them"
        if self.metric.kind is MetricKind.NDCG and self.bound == "level":
            reason = "a gain without its ideal is no level"
        caveat = self.replay.caveat(self.metric, self.policy, self._slates[-1])
        return reason or unsuited_propensities(self._log) or caveat

    def _weights(self, estimator: str, slates: PolicySlates) -> Floats | None:
        """Return the weights of a policy's slots; None for an order that follows the shown items."""
        return None if slates.follows_log else ESTIMATORS[estimator](self._places, slates.slot)

    @cached_property
    def _places(self) -> LoggedPlaces:
        log, nowhere = self._log, np.full(len(self._log.shown), np.nan)
        position = np.where(log.shown, log.logged_position, np.nan)
        return LoggedPlaces(log.requests, position, nowhere if log.propensity is None else log.propensity)

    @cached_property
    def _terms(self) -> UtilityTerms:
        return self.replay.utility_terms(self.policy, self.baseline)

    @property
    def _positive(self) -> Flags:
        """Rows with an outcome that the figure counts, [n]."""
        measured = [term.task for term in self._terms.terms if term.predictions is None]
        tasks = measured if self.metric.kind is MetricKind.OBSERVED_UTILITY else [str(self.metric.subject)]
        positive = np.zeros(len(self._log.shown), dtype=bool)
        for outcome in (self._log.outcomes[task] for task in tasks):
            positive |= outcome.known & (outcome.value > 0)
        return positive

    def _sparse_support(self, weights: Sequence[Floats | None]) -> str:
        """Return which policy lacks support in the log and why, or an empty string."""
        for slates, each in zip(self._slates, weights, strict=True):
            reason = "" if each is None else sparse_support(self._log, slates, each, self._positive)
            if reason:
                return f"{slates.name}: {reason}"
        return ""

    def _figure(self, weights: Sequence[Floats | None], *, model: bool = True) -> Statistic:
        """Return the figure with given weights of shown items; None uses the log's weights."""
        predictions, each = self.replay.rates.per_examined if model else {}, list[Statistic]()
        for slates, of_policy in zip(self._slates, weights, strict=True):
            rates = RateEstimator(self._log, predictions, of_policy)
            ratios = rates.ratios(self.metric, slates, self._terms.terms)
            each.append(reduce(divide_statistics, (ratio.statistic for ratio in ratios)))
        return each[0] if self.bound == "level" else relative_change(*each)

    def _compare(self, estimator: str, weights: Sequence[Floats | None], reason: str) -> OffPolicyCheck:
        examined = examined_by(self._log, self.policy)
        of_policy = np.zeros(len(examined)) if weights[0] is None else weights[0]
        counted = int(np.count_nonzero(self._positive & (examined * of_policy > 0)))

        def interval(statistic: Statistic) -> Estimate:
            weighted = replace(statistic, weight=examined * of_policy, events=counted)
            estimate = clustered_interval(weighted, self._log.clusters)
            return replace(estimate, low=math.nan, high=math.nan) if reason else estimate

        replayed = self._figure([None] * len(weights))
        of_replay = clustered_interval(replayed, self._log.clusters)
        replayed = replace(replayed, weight=examined, noise=None)  # these are not read again
        exact = self._figure(weights)
        off_policy = interval(exact)
        difference = interval(
            Statistic(exact.value - replayed.value, exact.influence - replayed.influence, examined)
        )
        del replayed, exact
        overlap = measure_overlap(np.where(examined > 0, of_policy, 0.0), self._log.users)
        return OffPolicyCheck(
            subject=Subject.of(self.metric),
            against=self.baseline.name,
            bound=self.bound,
            estimator=estimator,
            replayed=of_replay,
            off_policy=off_policy,
            without_model=interval(self._figure(weights, model=False)),
            difference=difference,
            ess=overlap.ess,
            max_weight=overlap.max_weight,
            verdict=_verdict(difference),
            reason=reason or ("" if difference.known else "too few outcomes for an interval"),
        )

    def _untellable(self, reason: str) -> OffPolicyCheck:
        return OffPolicyCheck(
            subject=Subject.of(self.metric),
            against=self.baseline.name,
            bound=self.bound,
            estimator="",
            replayed=UNKNOWN_ESTIMATE,
            off_policy=UNKNOWN_ESTIMATE,
            without_model=UNKNOWN_ESTIMATE,
            difference=UNKNOWN_ESTIMATE,
            ess=math.nan,
            max_weight=math.nan,
            verdict="inconclusive",
            reason=reason,
        )


def unsuited_propensities(log: CandidateLog) -> str:
    """Return why a log's propensities cannot evaluate other slates, or an empty string."""
    if not log.complete:
        return "only what was shown is logged, so what the policy would have shown instead is not known"
    if log.propensity is None:
        return "the logged propensity is of being on the page, not of its position"
    shown = log.propensity[log.shown]
    bad = int(np.count_nonzero((shown <= 0) | (shown > 1)))
    return f"{bad:,} of {len(shown):,} logged propensities are not above 0 and at most 1" if bad else ""


def sparse_support(log: CandidateLog, slates: PolicySlates, weights: Floats, positive: Flags) -> str:
    """Return why weighted outcomes of a log give too little support for a policy, or an empty string.

    Parameters
    ----------
    weights : [n] weights whose mean over the log's draws is 1 in each slot.
    positive : [n] rows with an outcome.
    """
    rows = np.flatnonzero(slates.slot > 0)
    slot, users, weight = slates.slot[rows], log.users[rows], weights[rows]
    deepest = int(np.nanmax(np.where(log.shown, log.logged_position, 0.0), initial=0.0))
    if not len(rows) or slot.max() > deepest:
        return f"the log fills {deepest} places, and it has slots below them"
    if not np.isfinite(weight.sum()):
        return "the weights are too large to be added up"
    each = effective_clusters(weight, users, slot - 1, int(slot.max()))
    filled = np.bincount(slot - 1) > 0
    worst = int(np.argmin(np.where(filled, each, np.inf)))
    if each[worst] < LEAST_CLUSTERS:
        return (
            f"in slot {worst + 1} the weights count like {each[worst]:.1f} equal users "
            f"(at least {LEAST_CLUSTERS})"
        )
    if (count := int(Support.of(positive[rows] * weight, weight, users).positives[0])) < LEAST_POSITIVES:
        return f"{count} outcomes have a weight (at least {LEAST_POSITIVES})"
    if (one := measure_overlap(weight, users).largest_share) > MOST_OF_ONE:
        return f"{one:.0%} of all weight belongs to one user (at most {MOST_OF_ONE:.0%})"
    return _odd_mean(examined_by(log, slates)[rows], weight, users)


def _odd_mean(examined: Floats, weight: Floats, users: Integers) -> str:
    """Return a message if the mean weight is not 1: propensities are wrong, or items are never shown."""
    excess = np.bincount(users, examined * (weight - 1.0))[np.bincount(users) > 0]
    mean, error = excess.sum() / examined.sum(), excess.std(ddof=1) * math.sqrt(len(excess)) / examined.sum()
    if abs(mean) <= _STANDARD_ERRORS * error + 1e-9:
        return ""
    return f"the mean of the weights is {1 + mean:.3g}, with a standard error of {error:.2g}, and not 1"


def _verdict(difference: Estimate) -> Literal["agrees", "disagrees", "inconclusive"]:
    if not difference.known:
        return "inconclusive"
    return "agrees" if difference.low <= 0 <= difference.high else "disagrees"
