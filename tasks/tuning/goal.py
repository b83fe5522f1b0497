"""The goal of a tuning, measured on one half of the candidates: objectives and excesses over bounds.

::

    maximise     the relative change of a metric against the baseline           first objective
    subject_to   each metric's change, in the direction that its bound requires further objectives, bounds
    guardrails   blocking guardrails, on the whole                              bounds

A bound on predictions or exposure is met if the one-sided 95 % bound lies inside, because other requests of
the same traffic would differ by that much. Outcomes are too few for that: their point estimate has to lie
inside, and for a bounded cost, its prediction within half the bound (as in ``costs.py``). For a cost given
its parent, it is the point estimate of the prediction per parent event.

The values of outcomes (``observed_utility``) are the baseline's, also in a comparison of two other policies:
with their own weights, each comparison would use a different measure.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

import numpy as np

from tasks.arrays import Flags
from tasks.contracts import Contracts
from tasks.contracts.metrics import Metric, MetricKind, parse_metric
from tasks.contracts.utility import Bounded
from tasks.errors import DataError
from tasks.evaluation.evidence import Measured
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate
from tasks.replay import costs, guardrails
from tasks.replay.guardrails import one_sided
from tasks.replay.log import PolicySlates
from tasks.replay.metrics import OF_OUTCOMES
from tasks.replay.replay_policies import Replay
from tasks.tuning.front import hypervolume

Weights = Mapping[str, float]

_HALF: Final = 0.5
_LOST: Final = -1.0


@dataclass(frozen=True)
class Axis:
    """One objective: a metric, and whether more is better (+1) or worse (-1).

    ``limit`` is the relative change allowed by its bound, with the sign of the axis; None without a bound.
    """

    metric: Metric
    sign: int
    limit: float | None

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.metric.name


@dataclass(frozen=True)
class GoalBound:
    """Bounds and their metric; for a cost given its parent, the predictions of both."""

    bounded: Bounded
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class WeightGoal:
    """Objectives and bounds of a search, as metrics of a surface."""

    axes: tuple[Axis, ...]
    bounds: tuple[GoalBound, ...]

    @property
    def metrics(self) -> dict[str, Metric]:
        """All measured metrics by name."""
        bounded = {metric.name: metric for bound in self.bounds for metric in bound.metrics}
        return bounded | {axis.name: axis.metric for axis in self.axes}

    @classmethod
    def of(cls, contracts: Contracts, columns: Mapping[str, object]) -> "WeightGoal":
        """Read the goal of a surface's policy; without ``constrained``, only its blocking guardrails."""
        constrained = contracts.utility.constrained
        if constrained is None:
            return cls((), tuple(blocking_bounds(contracts, columns)))
        tasks = contracts.tasks.tasks

        def read(name: str) -> Metric:
            metric = parse_metric(name, tasks=tasks, columns=list(columns))
            if metric is None:
                raise DataError(f"The candidates have no data to measure '{name}'")
            return metric

        axes = [Axis(read(constrained.maximise), 1, None)]
        for one in constrained.subject_to:
            at_most = one.max is not None or one.relative_increase_max is not None
            axes.append(Axis(read(one.metric), -1 if at_most else 1, _limit(one)))
        subject_to = (GoalBound(one, (read(one.metric),)) for one in constrained.subject_to)
        return cls(tuple(axes), (*subject_to, *blocking_bounds(contracts, columns)))


def blocking_bounds(contracts: Contracts, columns: Mapping[str, object]) -> Iterator[GoalBound]:
    """Yield the blocking guardrails against the baseline and on the whole, with their metrics.

    The rate of a cost, also given its parent, adds half of its relative bound as a bound on its prediction.
    """
    tasks = contracts.tasks.tasks
    for rail in contracts.utility.guardrails:
        metric = parse_metric(rail.metric, tasks=tasks, columns=list(columns))
        if metric is None or rail.action != "block" or rail.anchor is not None:
            continue
        yield GoalBound(rail, (metric,))
        cost, rise = costs.cost_of(rail.metric, tasks), rail.relative_increase_max
        predictions = costs.predictions_of(cost, contracts.tasks.trained) if cost is not None else ()
        if predictions and rise is not None:
            named = "_given_".join(str(prediction.subject) for prediction in predictions)
            half = Bounded(metric=f"{named}_predicted", relative_increase_max=_HALF * rise)
            yield GoalBound(half, predictions)


def _limit(bounded: Bounded) -> float | None:
    if bounded.relative_increase_max is not None:
        return -bounded.relative_increase_max
    if bounded.relative_increase_min is not None:
        return bounded.relative_increase_min
    return None if bounded.relative_decrease_max is None else -bounded.relative_decrease_max


@dataclass(frozen=True)
class WeightFigures:
    """Figures of a trial's weights.

    Attributes
    ----------
    objectives : greater is better; the first is the maximised metric.
    excess : by bound, the excess over it; 0 or less if the bound is met.
    """

    objectives: tuple[float, ...]
    excess: tuple[float, ...]

    @property
    def exceeded(self) -> float:
        """The sum of excesses over bounds; 0 if all are met."""
        return sum(max(each, 0.0) for each in self.excess)


Changes = tuple[Estimate, ...]


@dataclass(frozen=True)
class ReplayedWeights:
    """Weights measured by a goal on one half of the users, compared with the baseline's slates.

    ``slates`` decides on the half's candidates by the policy with the given weights.
    """

    replay: Replay
    baseline: PolicySlates
    goal: WeightGoal
    slates: Callable[[Weights], PolicySlates]

    def figures(self, weights: Weights) -> WeightFigures:
        """Return objectives and excesses; an unknown figure exceeds no bound, but is a lost objective."""
        found = self._measured(weights)
        changes = (axis.sign * change_of(found[axis.name][0]) for axis in self.goal.axes)
        return WeightFigures(
            tuple(change if math.isfinite(change) else _LOST for change in changes),
            tuple(
                max(_excess(bound, one) for one in each for bound in guardrails.bounds_of(goal.bounded, one))
                for goal, each in self._bounded(found)
            ),
        )

    def require_measurable(self, weights: Weights) -> None:
        """Raise an error if an objective is not measurable on these candidates."""
        slates = self.slates(weights)
        for axis in self.goal.axes:
            (first, *_) = self.replay.measure(axis.metric, slates, self.baseline, ())
            if not math.isfinite(change_of(first)):
                reason = first.reason or guardrails.no_share(first) or "it has no value here"
                raise DataError(f"Weights cannot be tuned by {axis.name}: {reason}")

    def changes(self, weights: Weights, against: Weights | None = None) -> Changes:
        """Return each objective's change against the baseline or other weights, with its interval.

        It is signed so that more is better.
        """
        return self._changes(self.slates(weights), self.baseline if against is None else self.slates(against))

    def _changes(self, slates: PolicySlates, other: PolicySlates) -> Changes:
        beside = ((axis, self._beside(axis.metric, other)) for axis in self.goal.axes)
        return tuple(
            _turned(self.replay.measure(axis.metric, slates, each, ())[0], axis.sign) for axis, each in beside
        )

    def gain(self, weights: Weights, against: Weights) -> Measured:
        """Return the change of the maximised metric by outcomes: for a prediction, the rate that it predicts.

        The rate is doubly robust: the model's own error does not affect its expectation.
        """
        metric = self.goal.axes[0].metric
        if metric.kind is MetricKind.PREDICTED:
            metric = Metric(MetricKind.RATE, metric.subject)
        other = self._beside(metric, self.slates(against))
        return self.replay.measure(metric, self.slates(weights), other, ())[0]

    def _beside(self, metric: Metric, other: PolicySlates) -> PolicySlates:
        """Return other slates; for a sum of outcomes, with the baseline's values of outcomes."""
        if metric.kind is not MetricKind.OBSERVED_UTILITY:
            return other
        return replace(other, worth=self.baseline.worth, predictions=self.baseline.predictions)

    def unmeasured(self, weights: Weights) -> tuple[str, ...]:
        """Return the bounds that are not measurable on these candidates, each with its reason."""
        figures = (
            (goal.bounded.metric, one, bound.observed)
            for goal, each in self._bounded(self._measured(weights))
            for one in each
            for bound in guardrails.bounds_of(goal.bounded, one)
        )
        return tuple(
            dict.fromkeys(
                f"{name}: {one.reason or 'it has no value here'}"
                for name, one, observed in figures
                if one.reason or observed is None or not math.isfinite(observed.value)
            )
        )

    def _measured(self, weights: Weights) -> dict[str, list[Measured]]:
        slates = self.slates(weights)
        return {
            name: [
                one
                for one in self.replay.measure(metric, slates, self.baseline, ())
                if one.subject.name == name
            ]
            for name, metric in self.goal.metrics.items()
        }

    def _bounded(
        self, found: Mapping[str, Sequence[Measured]]
    ) -> Iterator[tuple[GoalBound, Sequence[Measured]]]:
        """Yield each bound with the figures of every reference model, or with reasons why there are none."""
        for goal in self.goal.bounds:
            seen = [found[metric.name] for metric in goal.metrics]
            yield (
                goal,
                reduce(costs.given_that, seen) or [one for each in seen for one in each if not one.relative],
            )

    def find_dominated(self, candidates: Sequence[Weights]) -> Flags:
        """Return which weights are dominated by others by their intervals, shape [n]."""
        slates = [self.slates(weights) for weights in candidates]
        return np.array(
            [
                any(_dominates(self._changes(other, one)) for other in slates if other is not one)
                for one in slates
            ],
            dtype=bool,
        )

    def volume(self, confirmed: Sequence[Changes]) -> float:
        """Return the hypervolume of confirmed changes above the reference of no gain and the bounds.

        For an objective without a relative bound the reference is the smallest value of the points.
        """
        points = np.array([[one.value for one in changes] for changes in confirmed])
        if not len(points) or not np.isfinite(points).all():
            return float("nan")
        limits = [0.0, *(axis.limit for axis in self.goal.axes[1:])]
        least = points.min(axis=0)
        reference = [low if limit is None else limit for limit, low in zip(limits, least, strict=True)]
        return hypervolume(points, reference)


def change_of(measured: Measured) -> float:
    """Return a metric's relative change, else its level, NaN if it has neither."""
    return _turned(measured, 1).value


def _turned(measured: Measured, sign: int) -> Estimate:
    estimate = measured.relative or measured.policy or UNKNOWN_ESTIMATE
    if sign > 0:
        return estimate
    return Estimate(-estimate.value, -estimate.high, -estimate.low, estimate.n)


def _excess(bound: guardrails.Bound, measured: Measured) -> float:
    """Return the excess over a bound; for an absolute bound, as a share of the bound.

    A metric that rises from zero exceeds a bound on its rise by its whole level.
    """
    observed = bound.observed
    if measured.policy is not None and guardrails.rises_from_none(bound, measured):
        return measured.policy.value
    if observed is None or not math.isfinite(observed.value):
        return 0.0
    low = high = observed.value
    if measured.subject.metric not in OF_OUTCOMES and observed.known:
        ends = one_sided(observed)
        low, high = ends.low, ends.high
    allowed = bound.allowed
    beyond = max(high - allowed.high, allowed.low - low)
    if bound.relative:
        return beyond
    limit = allowed.high if math.isfinite(allowed.high) else allowed.low
    return beyond / abs(limit) if limit else beyond


def _dominates(changes: Changes) -> bool:
    """Return whether changes are significantly better in one objective and worse in none.

    Examples
    --------
    >>> better, equal = Estimate(0.2, 0.1, 0.3, 90), Estimate(0.0, -0.1, 0.1, 90)
    >>> _dominates((better, equal)), _dominates((equal, equal))
    (True, False)
    """
    return any(one.low > 0 for one in changes) and all(one.value >= 0 for one in changes)
