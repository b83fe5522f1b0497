"""Guardrails on what costs: rates of negative and safety tasks, which are often too rare for an interval.

::

    interval inside the bound                                              pass
    interval beyond it on the whole                                        block
    a segment beyond it on the side of the harm, by its p-value at .05     block
          corrected for the segments of this cost alone (Bonferroni)
    else, with 20 events or more: the point estimate is within the bound,  inconclusive, a warning
          and the judges agree (below)
    else, with fewer: the judges agree; "not measurable offline"           inconclusive, a warning
    else                                                                   inconclusive that holds
    inconclusive on the whole of a cost that is never trained,             as `gates.inconclusive` says
          which no judge predicts
    whatever is inconclusive of a guardrail with `action: warn`            inconclusive, a warning

The release and its baseline judge together (``both_heads.py``), and agree where the change that they predict
is at most three quarters of the bound on the whole, and at most the bound in each segment. Where they cannot,
each judges by itself: the change is at most half the bound by their mean, in which a fall counts as none, and
at most the bound by the worse one and in each segment. By itself an interval decides little: costs are rare,
and a rise well beyond the bound is seldom detected.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tasks.contracts import TaskSpec
from tasks.contracts.metrics import Metric, MetricKind, parse_metric
from tasks.contracts.utility import Guardrail
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL, Threshold
from tasks.evaluation.verdicts import (
    UNKNOWN_ESTIMATE,
    Estimate,
    Outcome,
    Verdict,
    beyond_p_value,
    stops,
)
from tasks.replay.guardrails import Bound, bounds_of, by_chance, evaluate_bound
from tasks.replay.rates import SPARSE

_SHARE_OF_BOUND: Final = {1: 0.5, 2: 0.75}
"""How much of the bound the mean of the judges may use on the whole, by the heads that a judge joins: one
sees less than half of a large rise, two nearly all of it (``python -m benchmarks.both_heads``)."""

_SEGMENTS_LEVEL: Final = 0.05
"""Chance of a false block among all segments of one cost."""


@dataclass(frozen=True)
class PredictedChange:
    """Change of a cost's prediction: on the whole by their mean and by the worse, at most in a segment.

    NaN where no judge predicts it, or one of them none of it.
    """

    mean: float
    worse: float
    segment: float
    heads: int = 1

    @classmethod
    def of(cls, predicted: Sequence[Measured]) -> "PredictedChange":
        """Take the changes that the judges see."""
        whole = [m.relative.value for m in predicted if m.relative and m.segment == ALL]
        parts = [m.relative.value for m in predicted if m.relative and m.segment != ALL]
        finite = [part for part in parts if math.isfinite(part)]
        mean = math.fsum(max(one, 0.0) for one in whole) / len(whole) if whole else math.nan
        heads = min((m.heads for m in predicted), default=1)
        return cls(mean, max(whole, default=math.nan), max(finite, default=-math.inf), heads)

    def agree(self, margin: float) -> bool:
        """Whether the change stays within the bound."""
        return self.mean <= _SHARE_OF_BOUND[self.heads] * margin and max(self.worse, self.segment) <= margin


def cost_of(name: str, tasks: Mapping[str, TaskSpec]) -> Metric | None:
    """Return a metric that is the rate of a cost, of all looks or given what comes before; None of others."""
    metric = parse_metric(name, tasks=tasks, columns=())
    if metric is None or metric.kind not in {MetricKind.RATE, MetricKind.GIVEN}:
        return None
    return metric if tasks[str(metric.subject)].family.costs else None


def predictions_of(cost: Metric, trained: Collection[str]) -> tuple[Metric, ...]:
    """Return the predictions of a cost and of its parent; nothing where one is never trained.

    Examples
    --------
    >>> cost = Metric(MetricKind.GIVEN, "return", "buy")
    >>> [each.name for each in predictions_of(cost, ["buy", "return"])], predictions_of(cost, ["buy"])
    (['return_predicted', 'buy_predicted'], ())
    """
    tasks = (cost.subject, cost.value) if cost.kind is MetricKind.GIVEN else (cost.subject,)
    if not {*tasks} <= {*trained}:
        return ()
    return tuple(Metric(MetricKind.PREDICTED, task) for task in tasks)


def given_that(child: Sequence[Measured], parent: Sequence[Measured]) -> list[Measured]:
    """Return how much more of a child each judge predicts for each of its parent.

    A judge that does not judge the parent is given the judge that predicts least of it.

    Examples
    --------
    >>> from tasks.evaluation.subjects import Subject
    >>> def by(task: str, change: float) -> list[Measured]:
    ...     relative = Estimate(change, math.nan, math.nan, 90)
    ...     return [Measured(Subject("predicted", task=task), ALL, "release 2", None, None, relative)]
    >>> (returned,) = given_that(by("return", 0.2), by("buy", -0.2))
    >>> round(returned.relative.value, 3)
    0.5
    """
    return [given for one in child if (given := _given(one, parent))]


def _given(child: Measured, parents: Sequence[Measured]) -> Measured | None:
    known = [(one.relative, one) for one in parents if one.relative and one.segment == child.segment]
    if child.relative is None or not known:
        return None
    own = [pair for pair in known if pair[1].reference_model == child.reference_model]
    before, parent = min(own or known, key=lambda pair: pair[0].value)
    return replace(child, relative=_over(child.relative, before), heads=min(child.heads, parent.heads))


def _over(child: Estimate, parent: Estimate) -> Estimate:
    """Divide one change by another; what is no more there is divided by nothing."""
    left = 1 + parent.value
    change = (1 + child.value) / left - 1 if left > 0 else math.nan
    return Estimate(change, math.nan, math.nan, child.n)


def evaluate_cost(
    guardrail: Guardrail, measured: Sequence[Measured], predicted: Sequence[Measured] | None, *, run: str
) -> list[Verdict]:
    """Judge a guardrail on the rate of a cost, also given its parent, on the whole and in its segments.

    Parameters
    ----------
    guardrail : its bounds; a rise that is allowed decides by the rule above, any other by its interval.
    measured : the rate, on the whole first and in each segment.
    predicted : the prediction of the same task in the same segments, by every judge; None of a task that is
        never trained, of which an inconclusive whole holds or not as the surface says.
    run : the MLflow run that the figures come from.
    """
    verdicts = []
    for position, bound in enumerate(bounds_of(guardrail, measured[0])):
        evaluated = [
            _by_interval(guardrail, list(bounds_of(guardrail, one))[position], one, run) for one in measured
        ]
        corrected = list(_evaluate_segments(evaluated, measured, Outcome(guardrail.action)))
        predicted_change = None if predicted is None else PredictedChange.of(predicted)
        verdicts.append(list(_settle(corrected, bound, measured[0], predicted_change)))
    worst = [max(of_segment, key=_severity) for of_segment in zip(*verdicts, strict=True)]
    if guardrail.action == "warn":  # beyond its bound it only warns, so short of that it cannot hold
        return [replace(one, holds=False) if one.outcome is Outcome.INCONCLUSIVE else one for one in worst]
    return worst


def _by_interval(guardrail: Guardrail, bound: Bound, measured: Measured, run: str) -> Verdict:
    """Judge by the interval, which tells nothing of a change that rests on fewer than 20 events."""
    verdict = evaluate_bound(guardrail, bound, measured, run)
    return (
        replace(verdict, outcome=Outcome.INCONCLUSIVE) if bound.relative and _is_sparse(measured) else verdict
    )


def _evaluate_segments(
    verdicts: Sequence[Verdict], measured: Sequence[Measured], action: Outcome
) -> Iterator[Verdict]:
    """Judge segments by Bonferroni on the side of the harm; other metrics' segments change nothing."""
    evaluated = [
        verdict.segment != ALL
        and not _is_sparse(one)
        and verdict.observed is not None
        and verdict.observed.known
        for verdict, one in zip(verdicts, measured, strict=True)
    ]
    for verdict, is_tested in zip(verdicts, evaluated, strict=True):
        yield _evaluate_segment(verdict, action, family=sum(evaluated)) if is_tested else verdict


def _evaluate_segment(verdict: Verdict, action: Outcome, *, family: int) -> Verdict:
    p = min(
        1.0,
        family * beyond_p_value(verdict.observed or UNKNOWN_ESTIMATE, Threshold(high=verdict.threshold.high)),
    )
    if p <= _SEGMENTS_LEVEL:
        return replace(verdict, outcome=action)
    return by_chance(verdict, p, family) if verdict.outcome is action else verdict


def _is_sparse(measured: Measured) -> bool:
    return bool(measured.reason) or (measured.events or 0) < SPARSE


def _settle(
    verdicts: Sequence[Verdict], bound: Bound, whole: Measured, predicted_change: PredictedChange | None
) -> Iterator[Verdict]:
    """Decide whether a whole that is inconclusive holds; segments only block."""
    for verdict in verdicts:
        if verdict.outcome is not Outcome.INCONCLUSIVE:
            yield verdict
        elif verdict.segment == ALL:
            yield _settle_whole(verdict, bound, whole, predicted_change)
        else:
            yield replace(verdict, holds=False)


def _settle_whole(
    verdict: Verdict, bound: Bound, whole: Measured, predicted_change: PredictedChange | None
) -> Verdict:
    if not (bound.relative and math.isfinite(bound.allowed.high)):
        seen = math.nan if bound.observed is None else bound.observed.value
        return replace(verdict, holds=seen > bound.allowed.high or seen < bound.allowed.low)
    sparse = _is_sparse(whole)
    measurable = (
        f"not measurable offline ({whole.events or 0} events): " if sparse and not whole.reason else ""
    )
    if predicted_change is None:
        return replace(verdict, reason=f"{measurable}never trained, so no release predicts it")
    evaluated = (
        f"predicted change {predicted_change.mean:+.1%}"
        if math.isfinite(predicted_change.mean)
        else "no release predicts it"
    )
    if predicted_change.worse > predicted_change.mean:
        evaluated += f", by the worse model {predicted_change.worse:+.1%}"
    if math.isfinite(predicted_change.segment):
        evaluated += f", at most {predicted_change.segment:+.1%} in a segment"
    margin = bound.allowed.high
    within = sparse or (bound.observed is not None and bound.observed.value <= margin)
    return replace(
        verdict, holds=not (within and predicted_change.agree(margin)), reason=f"{measurable}{evaluated}"
    )


def _severity(verdict: Verdict) -> tuple[bool, bool, bool]:
    outcome = verdict.outcome
    blocks = stops(outcome)
    return blocks, outcome is Outcome.INCONCLUSIVE and bool(verdict.holds), outcome is not Outcome.PASS
