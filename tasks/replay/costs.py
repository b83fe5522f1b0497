"""Guardrails on costs: rates of negative and safety tasks, which are often too rare for an interval.

::

    interval inside the bound                                              pass
    interval beyond it on the whole                                        block
    a segment beyond it in the harmful direction, by its p-value at .05    block
          corrected for the segments of this cost alone (Bonferroni)
    else, with 20 events or more: the point estimate is within the bound,  inconclusive, a warning
          and the reference models agree (below)
    else, with fewer: the models agree; "not measurable offline"           inconclusive, a warning
    else                                                                   inconclusive that holds
    inconclusive on the whole of a cost that is never trained,             as `gates.inconclusive` declares
          which no model predicts
    any inconclusive verdict of a guardrail with `action: warn`            inconclusive, a warning

The release and its baseline predict jointly (``rates.py``), and agree if the predicted change is at most
three quarters of the bound on the whole, and at most the bound in each segment. Without a joint prediction,
each predicts by itself: the mean change, with falls counted as none, is at most half the bound; the larger
change, and the change in each segment, is at most the bound. An interval alone decides little: costs are
rare, and a rise well beyond the bound is seldom detected.
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
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate, Outcome, Verdict, beyond_p_value, stops
from tasks.replay.guardrails import Bound, bounds_of, by_chance, evaluate_bound
from tasks.replay.rates import SPARSE

_SHARE_OF_BOUND: Final = {1: 0.5, 2: 0.75}
"""Share of the bound that the mean change may use on the whole, by number of joined heads: one head
detects less than half of a large rise, two detect nearly all of it (``python -m benchmarks.both_heads``)."""

_SEGMENTS_LEVEL: Final = 0.05
"""Probability of a false block among all segments of one cost."""


@dataclass(frozen=True)
class PredictedChange:
    """Change of a predicted cost: mean and largest over the models on the whole, and largest in a segment.

    NaN if no model predicts the cost, or a model predicts a rate of 0.
    """

    mean: float
    worse: float
    segment: float
    heads: int = 1

    @classmethod
    def of(cls, predicted: Sequence[Measured]) -> "PredictedChange":
        """Collect the changes predicted by the reference models."""
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
    """Return the metric if it is the rate of a cost, per impression or per parent event, else None."""
    metric = parse_metric(name, tasks=tasks, columns=())
    if metric is None or metric.kind not in {MetricKind.RATE, MetricKind.GIVEN}:
        return None
    return metric if tasks[str(metric.subject)].family.costs else None


def predictions_of(cost: Metric, trained: Collection[str]) -> tuple[Metric, ...]:
    """Return the prediction metrics of a cost and of its parent; empty if one of them is never trained.

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
    """Return the change in children per parent event that each reference model predicts.

    A model that does not predict the parent is paired with the smallest predicted change of the parent.

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
    left = 1 + before.value  # of the parent's events; none if it falls to zero
    change = (1 + child.relative.value) / left - 1 if left > 0 else math.nan
    relative = Estimate(change, math.nan, math.nan, child.relative.n)
    return replace(child, relative=relative, heads=min(child.heads, parent.heads))


def evaluate_cost(
    guardrail: Guardrail, measured: Sequence[Measured], predicted: Sequence[Measured] | None, *, run: str
) -> list[Verdict]:
    """Evaluate a guardrail on the rate of a cost, or its rate per parent event, overall and by segment.

    Parameters
    ----------
    guardrail : its bounds; an allowed rise is decided by the rule above, any other bound by its interval.
    measured : the rate, on the whole first and in each segment.
    predicted : the prediction of the same task in the same segments, by every reference model; None for a
        task that is never trained, whose inconclusive whole holds if the surface declares so.
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
    if guardrail.action == "warn":  # a breach only warns, so an inconclusive figure cannot hold
        return [replace(one, holds=False) if one.outcome is Outcome.INCONCLUSIVE else one for one in worst]
    return worst


def _by_interval(guardrail: Guardrail, bound: Bound, measured: Measured, run: str) -> Verdict:
    """Evaluate by the interval; inconclusive for a change with fewer than 20 events."""
    verdict = evaluate_bound(guardrail, bound, measured, run)
    return (
        replace(verdict, outcome=Outcome.INCONCLUSIVE) if bound.relative and _is_sparse(measured) else verdict
    )


def _evaluate_segments(
    verdicts: Sequence[Verdict], measured: Sequence[Measured], action: Outcome
) -> Iterator[Verdict]:
    """Evaluate segments with a Bonferroni correction in the harmful direction, within this metric alone."""
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
    """Decide whether an inconclusive whole holds; segments only block."""
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
        return replace(verdict, holds=not bound.allowed.low <= seen <= bound.allowed.high)  # NaN holds
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
