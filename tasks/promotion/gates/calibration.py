"""The calibration gate: probabilities are calibrated, overall and by segment.

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

from tasks.contracts.gates import CalibrationGate
from tasks.evaluation.calibration_verdicts import (
    FALSE_DISCOVERIES,
    Calibration,
    CalibrationStatus,
    SegmentRatio,
    evaluate_calibration,
    inflation,
)
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import ALL, Segment, Subject, Threshold
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.reports.numbers import format_percent

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
    pairs = [(task, segment) for task in tasks for segment in _segments(gate, task)]
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


def _segments(gate: CalibrationGate, task: TaskFigures) -> list[Segment]:
    """Return the whole and the gated segments of a head; empty for heads that do not predict a mean."""
    if task.kind not in {"binary", "value"}:
        return []
    ratios = [row.segment for row in task.figures if row.subject.metric == "calibration_ratio"]
    return [segment for segment in ratios if _gated(gate, segment)] or [ALL]


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


def _gated(gate: CalibrationGate, segment: Segment) -> bool:
    return segment == ALL or segment.column in gate.by
