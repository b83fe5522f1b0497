"""The dossier's figures on calibration: ratios, errors, segments, and their effect on the utility.

::

    draw_ratios           every gated ratio with its interval, on a log scale from 1/2 to 2
    task_calibrations     by task: ratios of all shown items and of items in the slots, errors, segments
    draw_errors           by term of the utility: effect of its calibration error on a slot
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.evaluation.evidence import Sensitivity
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate, Verdict
from tasks.reports.charts import IntervalChart, draw_intervals
from tasks.reports.numbers import format_estimate, format_number

_MEANS: Final = frozenset({"binary", "value"})
"""Kinds of heads that predict a mean, which can be calibrated."""
ERRORS: Final = (
    "smooth_ece",
    "debiased_ece",
    "multicalibration_error",
    "multicalibration_sigma",
    "multicalibration_detectable",
)
_OF_A_SEGMENT: Final = (
    "mean_prediction",
    "calibration_ratio",
    "normalized_entropy",
    "cumulative_error",
    "cumulative_sigma",
)
_WITHOUT_INTERVAL: Final = frozenset({*ERRORS, "cumulative_error", "cumulative_sigma"})


@dataclass(frozen=True)
class SegmentRow:
    """Figures of one segment value, as texts in the order of the task's columns."""

    segment: Segment
    rows: int
    positives: int
    figures: Sequence[str]
    verdict: str


@dataclass(frozen=True)
class TaskCalibration:
    """The calibration of a task; ``errors`` in the order of `ERRORS`, ``slots`` over the release's slots."""

    task: str
    ratio: str
    slots: str
    errors: Sequence[str]
    columns: Sequence[str]
    segments: Sequence[SegmentRow]


def draw_ratios(verdicts: Sequence[Verdict]) -> IntervalChart | None:
    """Draw each calibration ratio with its interval and the permitted band, on a log scale from 1/2 to 2."""
    gated = [v for v in verdicts if v.gate == "calibration" and v.observed and v.observed.known]
    names = [v.subject.task + ("" if v.segment == ALL else f" {v.segment}") for v in gated]
    rows = [(name, v.outcome.value, v.observed) for name, v in zip(names, gated, strict=True) if v.observed]
    if not rows:
        return None
    band = gated[0].threshold
    ticks = [(ratio, f"{ratio:g}") for ratio in (0.5, 0.8, 1, 1.25, 2)]
    return draw_intervals(rows, _log_scale, ticks=ticks, band=(band.low, band.high))


def task_calibrations(
    tasks: Sequence[TaskFigures], slots: Mapping[str, Estimate], verdicts: Sequence[Verdict]
) -> list[TaskCalibration]:
    """Collect the calibration of every task that predicts a mean."""
    gated = {(v.subject.task, v.segment): v.outcome.value for v in verdicts if v.gate == "calibration"}
    return [
        TaskCalibration(
            task=task.task,
            ratio=format_estimate(_of(task, "calibration_ratio")) or "inconclusive",
            slots=format_estimate(slots.get(task.task)) or "inconclusive",
            errors=[_figure(task, name) for name in ERRORS],
            columns=_segment_columns(task),
            segments=list(_segments(task, gated)),
        )
        for task in tasks
        if task.kind in _MEANS
    ]


def order_terms(terms: Sequence[Sensitivity]) -> tuple[Sensitivity, ...]:
    """Sort terms by the effect of their calibration error on the order, largest or unknown first."""
    return tuple(sorted(terms, key=lambda term: -term.share if math.isfinite(term.share) else 1.0))


def draw_errors(terms: Sequence[Sensitivity]) -> IntervalChart | None:
    """Draw the effect of each term's calibration error on a slot's utility, with its interval."""
    known = [term for term in terms if term.error.known and term.largest > 0]
    widest = max((term.largest for term in known), default=1.0)
    return draw_intervals(
        [(term.task, "warn" if term.amplified else "pass", term.error) for term in known],
        lambda error: error / widest,
        ticks=[(-widest, f"{-widest:.2g}"), (0, "0"), (widest, f"+{widest:.2g}")],
        band=(0, 0),
    )


def _log_scale(ratio: float) -> float:
    """Map a ratio to -1 for 1/2 or below, up to 1 for 2 or above."""
    return max(-1.0, min(1.0, math.log2(ratio) if ratio > 0 else -1.0))


def _segment_columns(task: TaskFigures) -> list[str]:
    return [name for name in _OF_A_SEGMENT if task.figure(name) is not None]


def _segments(task: TaskFigures, gated: Mapping[tuple[str, Segment], str]) -> Iterator[SegmentRow]:
    for segment, counts in {row.segment: row for row in task.figures}.items():
        figures = [_figure(task, name, segment) for name in _segment_columns(task)]
        verdict = gated.get((task.task, segment), "not gated")
        yield SegmentRow(segment, counts.rows, counts.events, figures, verdict)


def _of(task: TaskFigures, metric: str, segment: Segment = ALL) -> Estimate:
    return task.estimate(metric, segment) or UNKNOWN_ESTIMATE


def _figure(task: TaskFigures, metric: str, segment: Segment = ALL) -> str:
    """Format a figure, with its interval if the metric has one; empty if the figure is missing."""
    estimate = _of(task, metric, segment)
    return format_number(estimate.value) if metric in _WITHOUT_INTERVAL else format_estimate(estimate)
