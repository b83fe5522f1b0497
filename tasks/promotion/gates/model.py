"""The gates of the heads: predictions compared with the champion's, and their calibration.

The model gate: every head ranks and predicts as well as the champion's, overall and in every segment.

::

    no champion   AUC by request                        at least `first.auc_min`
    champion      drop in AUC by request                at most `auc_drop_max`
                  rise in normalized entropy            at most `normalized_entropy_rise_max`
                  both in every declared segment        the same, corrected for all segments and tasks
    always        the base rate, the best feature       `references`

Pooled AUC rewards a model for separating active users from others, which orders no request: it can rise while
the order within requests falls to chance. It is therefore reported, and decides only where pairs within
requests cannot: for request-level tasks, and with too few pairs for an interval.

The segments of one task are one family::

    p-value      of "the loss is at most the limit", by Student's t with the interval's standard error, and
                 degrees of freedom one less than the users with an event
    adjusted     by Benjamini and Hochberg over all segments and metrics of the task that have an interval
    lost         the adjusted p-value is at most the level: .025, that of a 95 % interval which ends at the
                 limit, divided by the number of compared tasks (Bonferroni)

If no segment loses, this is Simes's test of all segments: the chance of any false loss is at most the level
for any number of segments; uncorrected it is one half for thirty. If one does lose, the release is held
already, and a further false loss costs nothing. Therefore the false discovery rate is bounded and not, as by
Holm, the family-wise error rate, which has less power. Segments overlap, so their p-values are positively
dependent, which both procedures allow (Benjamini and Yekutieli 2001). The tails of the normal distribution
are too light for a segment with a dozen events among hundreds.

The calibration gate: probabilities are calibrated, overall and by segment.

All tasks and gated segments of a release are one family. A cost task as a whole is also tested alone for
more events than predicted (`tasks.evaluation.calibration_verdicts`)::

    calibrated   -> pass
    off          -> block, with the size of the deviation and its p-value
    inconclusive -> inconclusive, which holds or warns as surface.yaml says

The ratio of a value head is observed over predicted mean. Quantile and ranking heads predict no mean and
have no ratio.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

from scipy.stats import false_discovery_control

from tasks.contracts.gates import CalibrationGate, ModelGate
from tasks.evaluation.calibration_verdicts import (
    FALSE_DISCOVERIES,
    Calibration,
    CalibrationStatus,
    SegmentRatio,
    evaluate_calibration,
    inflation,
)
from tasks.evaluation.evidence import ChampionComparison, SegmentComparison
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import ALL, NO_THRESHOLD, Segment, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict, beyond_p_value, evaluate_interval
from tasks.reports.numbers import format_estimate, format_percent

LEVEL: Final = 0.025
"""Chance of holding a release that loses in no segment because of any segment of any task."""


@dataclass(frozen=True)
class SegmentLoss:
    """A loss in one segment, and the limit of its metric."""

    segment: Segment
    metric: str
    loss: Estimate
    bound: float


@dataclass(frozen=True)
class TestedLoss:
    """A loss with its p-value against "at most the limit", alone and adjusted for the family.

    ``lost``: the loss is significant after adjustment.
    """

    of: SegmentLoss
    p_value: float
    adjusted: float
    lost: bool


def evaluate_losses(losses: Sequence[SegmentLoss], *, level: float = LEVEL) -> list[TestedLoss]:
    """Test the losses of a task's segments, in ascending order of p-value.

    Losses without an interval are inconclusive and left out.

    Examples
    --------
    >>> losses = [SegmentLoss(Segment("age", "new"), "auc_drop", Estimate(0.08, 0.04, 0.12, 90), 0.005)]
    >>> losses += [SegmentLoss(Segment("age", "old"), "auc_drop", Estimate(0.01, -0.02, 0.04, 90), 0.005)]
    >>> [(str(one.of.segment), one.lost, round(one.adjusted, 3)) for one in evaluate_losses(losses)]
    [('age=new', True, 0.0), ('age=old', False, 0.372)]
    """
    known = [one for one in losses if one.loss.known]
    p_values = [loss_p_value(one) for one in known]
    adjusted = map(float, false_discovery_control(p_values))
    tested = [TestedLoss(*one, lost=one[2] <= level) for one in zip(known, p_values, adjusted, strict=True)]
    return sorted(tested, key=lambda one: one.p_value)


def loss_p_value(one: SegmentLoss) -> float:
    """Return the p-value of "the loss is at most the limit".

    Examples
    --------
    >>> loss = SegmentLoss(Segment("age", "new"), "auc_drop", Estimate(0.03, 0.01, 0.05, 90), 0.01)
    >>> round(loss_p_value(loss), 3)
    0.027
    """
    return beyond_p_value(one.loss, Threshold(high=one.bound), freedom=max(one.loss.n - 1, 1))


_NO_AUC = {
    "value": "a value task has no AUC; its squared error and its calibration are evaluated",
    "quantile": "a quantile head has no AUC and enters no sum; its coverage is among the figures",
    "ranking": "a ranking head orders within requests and enters no sum; its NDCG is among the figures",
}
_NOT_COMPARED = "nothing of the shared test slice to compare with the champion"
_POOLED = "too few pairs inside requests, so computed on all rows"


def evaluate_models(
    gate: ModelGate,
    tasks: Sequence[TaskFigures],
    comparisons: Sequence[ChampionComparison] | None,
    *,
    run: str,
    simulation: str,
) -> Iterator[Verdict]:
    """Evaluate every head against the champion's, or against the floor of a first release."""
    compared = {comparison.task: comparison for comparison in comparisons or ()}
    champion = Opponent("the champion, same rows", simulation)
    why = "no champion to compare with" if comparisons is None else _NOT_COMPARED
    for task in tasks:
        if task.task in compared:
            yield from evaluate_comparison(gate, compared[task.task], champion, level=LEVEL / len(compared))
        else:
            yield _first(gate, task, why, run)


def _first(gate: ModelGate, task: TaskFigures, why: str, run: str) -> Verdict:
    if task.kind != "binary":
        subject, reason = Subject("auc", task=task.task), _NO_AUC[task.kind]
        return Verdict("model", subject, ALL, Outcome.NO_RULE, NO_THRESHOLD, None, reason, run)
    floor, pooled = gate.first.auc_min, task.estimate("auc")
    by_request = task.estimate("auc_by_request")
    inside = by_request is not None and by_request.known
    auc = by_request if inside else pooled
    return Verdict(
        gate="model",
        subject=Subject("auc_by_request" if inside else "auc", task=task.task),
        segment=ALL,
        outcome=evaluate_interval(auc, low=floor),
        threshold=Threshold(low=floor),
        observed=auc,
        reason=f"{why}; pooled AUC {format_estimate(pooled)}" if inside else why,
        evidence=run,
    )


@dataclass(frozen=True)
class Opponent:
    """The opponent of a comparison: its phrase, the run of the comparison, and the subjects' baseline."""

    words: str
    run: str
    baseline: str = ""


def evaluate_comparison(
    gate: ModelGate, comparison: ChampionComparison, against: Opponent, *, level: float
) -> Iterator[Verdict]:
    """Evaluate a task's loss in ranking and in error, overall and in every segment."""
    yield from _order(gate, comparison, against)
    most = gate.normalized_entropy_rise_max
    for metric, rise in _error_rises(comparison):
        yield Verdict(
            gate="model",
            subject=Subject(metric, task=comparison.task, baseline=against.baseline),
            segment=ALL,
            outcome=evaluate_interval(rise, high=most),
            threshold=Threshold(high=most),
            observed=rise,
            reason=f"against {against.words}",
            evidence=against.run,
        )
    yield from _segments(gate, comparison, against, level=level)


def _order(gate: ModelGate, comparison: ChampionComparison, against: Opponent) -> Iterator[Verdict]:
    """Evaluate the drop in AUC by request, else in pooled AUC; value tasks have neither."""
    drop, pooled = comparison.auc_by_request_drop, comparison.auc_drop
    if drop is None and pooled is None:
        return
    inside, reason = drop is not None and (drop.known or pooled is None), f"against {against.words}"
    if inside and pooled is not None:
        reason += f"; pooled AUC fell by {format_estimate(pooled)}"
    elif not inside and drop is not None:
        reason += f"; {_POOLED}"
    yield Verdict(
        gate="model",
        subject=Subject(
            "auc_by_request_drop" if inside else "auc_drop", task=comparison.task, baseline=against.baseline
        ),
        segment=ALL,
        outcome=evaluate_interval(drop if inside else pooled, high=gate.auc_drop_max),
        threshold=Threshold(high=gate.auc_drop_max),
        observed=drop if inside else pooled,
        reason=reason,
        evidence=against.run,
    )


def _segments(
    gate: ModelGate, comparison: ChampionComparison, against: Opponent, *, level: float
) -> Iterator[Verdict]:
    """Evaluate the segments as one family: one verdict for each loss, else one for the worst segment.

    Inconclusive segments do not hold a release. If no segment can be measured, one verdict warns.
    """
    losses = list(_losses(gate, comparison))
    tested = evaluate_losses(losses, level=level)
    if not losses:
        return
    subject = Subject("segments", task=comparison.task, baseline=against.baseline)
    if not tested:
        inconclusive = f"none of {len(comparison.segments)} segments has the data to be compared"
        reason = f"{inconclusive} with {against.words}"
        yield Verdict("model", subject, ALL, Outcome.WARN, NO_THRESHOLD, None, reason, against.run)
        return
    lost = [one for one in tested if one.lost]
    for one in lost or tested[:1]:
        yield Verdict(
            gate="model",
            subject=replace(subject, metric=one.of.metric),
            segment=one.of.segment,
            outcome=Outcome.BLOCK if one.lost else Outcome.PASS,
            threshold=Threshold(high=one.of.bound),
            observed=one.of.loss,
            reason=_among(one, comparison, tested),
            evidence=against.run,
        )


def _losses(gate: ModelGate, comparison: ChampionComparison) -> Iterator[SegmentLoss]:
    for one in comparison.segments:
        if one.auc_by_request_drop is not None:
            yield SegmentLoss(one.segment, "auc_by_request_drop", one.auc_by_request_drop, gate.auc_drop_max)
        for metric, rise in _error_rises(one):
            yield SegmentLoss(one.segment, metric, rise, gate.normalized_entropy_rise_max)


def _error_rises(of: ChampionComparison | SegmentComparison) -> Iterator[tuple[str, Estimate]]:
    """Yield the name and the rise of a head's error, as a share of a constant's error."""
    for metric, rise in (
        ("normalized_entropy_rise", of.normalized_entropy_rise),
        ("relative_squared_error_rise", of.relative_squared_error_rise),
        ("relative_pinball_loss_rise", of.relative_pinball_loss_rise),
    ):
        if rise is not None:
            yield metric, rise


def _among(one: TestedLoss, comparison: ChampionComparison, tested: Sequence[TestedLoss]) -> str:
    """Describe a segment's p-value among the tests of its family."""
    conclusive = len({other.of.segment for other in tested})
    worst = "" if one.lost else f"the worst of {conclusive} segments: none is shown to lose; "
    inconclusive = len(comparison.segments) - conclusive
    rest = f"; {inconclusive} more inconclusive" if inconclusive else ""
    return f"{worst}p {one.p_value:.2g}, {one.adjusted:.2g} adjusted for {len(tested)} tests{rest}"


_OUTCOMES = {
    CalibrationStatus.CALIBRATED: Outcome.PASS,
    CalibrationStatus.OFF: Outcome.BLOCK,
    CalibrationStatus.INCONCLUSIVE: Outcome.INCONCLUSIVE,
}


def evaluate_ratios(
    gate: CalibrationGate, tasks: Sequence[TaskFigures], *, costs: AbstractSet[str], run: str
) -> Iterator[Verdict]:
    """Evaluate every task and gated segment as one family, and the whole of ``costs`` alone."""
    low, high = gate.ratio
    pairs = [(task, segment) for task in tasks for segment in _task_segments(gate, task)]
    ratios = [(task, segment, _ratio(task, segment, costs)) for task, segment in pairs]
    family = [ratio for _, _, ratio in ratios if ratio is not None]
    calibrations = iter(evaluate_calibration(family, low=low, high=high))
    for task, segment, ratio in ratios:
        calibration = None if ratio is None else next(calibrations)
        yield Verdict(
            gate="calibration",
            subject=Subject("calibration_ratio", task=task.task),
            segment=segment,
            outcome=Outcome.METRIC_MISSING if calibration is None else _OUTCOMES[calibration.status],
            threshold=Threshold(low, high),
            observed=None if ratio is None else ratio.ratio,
            reason="" if ratio is None or calibration is None else _why(gate, ratio, calibration),
            evidence=run,
        )


def _task_segments(gate: CalibrationGate, task: TaskFigures) -> list[Segment]:
    """Return the whole and the gated segments of a head; empty for heads that do not predict a mean."""
    if task.kind not in {"binary", "value"}:
        return []
    ratios = [row.segment for row in task.figures if row.subject.metric == "calibration_ratio"]
    return [segment for segment in ratios if segment == ALL or segment.column in gate.by] or [ALL]


def _ratio(task: TaskFigures, segment: Segment, costs: AbstractSet[str]) -> SegmentRatio | None:
    """Collect the figures behind a segment's ratio; a value task has no count of positives.

    The mean prediction has an interval if there are enough clusters, even with few positives.
    """
    ratio, cost = task.figure("calibration_ratio", segment), segment == ALL and task.task in costs
    if ratio is None:
        return None
    mean, whole = task.figure("mean_prediction", segment), task.figure("calibration_ratio")
    if whole is None or task.kind != "binary":
        return SegmentRatio(ratio.estimate, cost=cost)
    return SegmentRatio(
        ratio.estimate,
        observed=ratio.events,
        predicted=mean.value * ratio.rows if mean is not None and mean.estimate.known else None,
        inflation=inflation(whole.estimate, whole.events),
        cost=cost,
    )


def _why(gate: CalibrationGate, segment: SegmentRatio, calibration: Calibration) -> str:
    """Describe how far a segment is off, or why it is inconclusive."""
    ratio = segment.ratio
    among = f"p {calibration.p_value:.2g}, {_describe_family(calibration)}"
    if segment.observed is not None and segment.predicted is not None and not ratio.known:
        counted = f"{segment.observed or 'no'} positive{'s' if segment.observed > 1 else ''}"
        return f"{counted} where {segment.predicted:.3g} were predicted; {among}"
    if calibration.status is CalibrationStatus.OFF:
        if not ratio.value:
            return f"no positive; {among}"
        side = "low" if ratio.value > 1 else "high"
        return f"predictions are {format_percent(abs(1 / ratio.value - 1))} % too {side}; {among}"
    outside = (
        ratio.high < gate.ratio[0] or ratio.low > gate.ratio[1] or calibration.p_value <= FALSE_DISCOVERIES
    )
    if calibration.status is CalibrationStatus.INCONCLUSIVE and outside:
        return f"one of so many ratios may be as far out by chance; {among}"
    return ""


def _describe_family(calibration: Calibration) -> str:
    """Describe the adjusted p-value of the family; an exceeding cost is tested alone."""
    if calibration.family == 1:
        return "a test of this cost alone"
    return f"{calibration.adjusted:.2g} adjusted for {calibration.family} tests"
