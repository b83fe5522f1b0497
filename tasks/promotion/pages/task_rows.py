"""Tabulate tasks: meaning, metrics, and a small reliability diagram for each.

::

    observed |      o        one point per bin; on the diagonal predictions are calibrated. Both axes go
             |   o /         from 0 to the maximum of all bins; a square-root scale separates rare outcomes.
             | o/
             +--------- predicted

One chart shows each feature's share of the heads' gain, and its changes after training. Tasks that share a
trunk have a table: trees, trunk and blend on the test days, also by segment.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.evaluation.evidence import HeadInputs, HeadModel, HeadModels, InputChange
from tasks.evaluation.figures import CurvePoint, TaskFigures
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import WORST_FIRST, Estimate, Verdict
from tasks.reports.charts import IntervalChart, draw_intervals
from tasks.reports.numbers import format_count, format_estimate, format_number, spoken
from tasks.reports.phrases import Vocabulary

SIZE: Final = 60
_EDGE: Final = 4


_MOST: Final = 15
"""Number of features that are shown without unfolding."""


@dataclass(frozen=True)
class TaskRow:
    """A task's figures as texts, the points of its diagram in pixels, and its worst verdict."""

    task: str
    did: str
    family: str
    better: str
    rows: str
    positives: str
    order: str
    error: str
    ratio: str
    points: tuple[tuple[float, float], ...]
    verdict: str


def list_tasks(tasks: Sequence[TaskFigures], verdicts: Sequence[Verdict], words: Vocabulary) -> list[TaskRow]:
    """Return a row for every task of the release."""
    worst = _worst(verdicts, {task.task for task in tasks})
    return [_row(task, words, worst.get(task.task, "")) for task in tasks]


def _row(task: TaskFigures, words: Vocabulary, verdict: str) -> TaskRow:
    family = words.family(task.task)
    order = task.estimate("auc_by_request")
    if order is None or not order.known:
        order = task.estimate("auc")
    error = task.estimate("normalized_entropy")
    if error is None and task.references is not None:
        error = task.references.relative_squared_error
    known = words.tasks.get(task.task)
    return TaskRow(
        task=task.task,
        did=known.did if known else "",
        family="" if family is None else spoken(family),
        better="" if family is None else ("fewer" if family.costs else "more"),
        rows=format_count(task.rows),
        positives=format_count(task.positives),
        order=format_estimate(order),
        error=format_estimate(error),
        ratio=format_estimate(task.estimate("calibration_ratio")),
        points=draw_points(task.curve),
        verdict=verdict,
    )


def draw_points(curve: Sequence[CurvePoint]) -> tuple[tuple[float, float], ...]:
    """Place the bins of a task's reliability curve in pixels from the upper left.

    Examples
    --------
    >>> from tasks.evaluation.figures import CurvePoint
    >>> first = CurvePoint(predicted=0.01, observed=0.01, rows=90)
    >>> curve = (first, CurvePoint(predicted=0.04, observed=0.01, rows=90))
    >>> draw_points(curve)
    ((30.0, 30.0), (56.0, 30.0))
    """
    most = max((max(one.predicted, one.observed) for one in curve), default=0.0)
    if not most > 0:
        return ()
    room = SIZE - 2 * _EDGE

    def along(value: float) -> float:
        return math.sqrt(max(value, 0.0) / most) * room

    return tuple(
        (round(_EDGE + along(one.predicted), 1), round(SIZE - _EDGE - along(one.observed), 1))
        for one in curve
    )


def _worst(verdicts: Sequence[Verdict], tasks: set[str]) -> Mapping[str, str]:
    """Return the worst outcome by task, over all gates but proxies."""
    found: dict[str, str] = {}
    for outcome in WORST_FIRST:
        for verdict in verdicts:
            task = verdict.subject.task
            if verdict.outcome is outcome and task in tasks and verdict.gate != "proxies":
                found.setdefault(task, outcome.value)
    return found


@dataclass(frozen=True)
class FeatureCell:
    """A feature in one head: its share of the gain of all splits (None: not a feature), and its changes."""

    share: float | None
    changes: tuple[str, ...]


@dataclass(frozen=True)
class FeatureRow:
    """A feature across all heads."""

    feature: str
    cells: tuple[FeatureCell, ...]


@dataclass(frozen=True)
class FeatureChart:
    """The heads, the features with the largest gain or with changes, and the other features."""

    heads: tuple[str, ...]
    rows: tuple[FeatureRow, ...]
    others: tuple[FeatureRow, ...]


def chart_features(inputs: Sequence[HeadInputs], served: Sequence[HeadInputs]) -> FeatureChart | None:
    """Tabulate the features of heads; None without heads."""
    if not inputs:
        return None
    later = {head.task: head.changes for head in served}
    changes = {head.task: (*head.changes, *later.get(head.task, ())) for head in inputs}
    totals: dict[str, float] = {}
    for head in inputs:
        for feature, share in head.gains.items():
            totals[feature] = totals.get(feature, 0.0) + share
    changed = {one.feature for found in changes.values() for one in found}
    ordered = sorted(totals, key=lambda feature: (feature not in changed, -totals[feature]))
    rows = [
        FeatureRow(
            feature,
            tuple(
                FeatureCell(
                    head.gains.get(feature),
                    tuple(_say_change(one) for one in changes[head.task] if one.feature == feature),
                )
                for head in inputs
            ),
        )
        for feature in ordered
    ]
    return FeatureChart(tuple(head.task for head in inputs), tuple(rows[:_MOST]), tuple(rows[_MOST:]))


def _say_change(change: InputChange) -> str:
    observed, bound = (format_number(value) or "not measured" for value in (change.observed, change.bound))
    return f"{spoken(change.kind)} on {spoken(change.days)} days: {observed}, limit {bound}"


_OTHERS: Final[tuple[HeadModel, ...]] = ("trunk", "blend")
_TICKS: Final = (0.01, 0.05, 0.2)


@dataclass(frozen=True)
class HeadModelRow:
    """A task in a segment: the requested model, the chosen model with the reason, and errors as texts."""

    task: str
    segment: str
    asked: str
    model: str
    why: str
    errors: tuple[str, ...]
    rises: tuple[str, ...]


@dataclass(frozen=True)
class HeadModelTable:
    """The rows over all segments, the rows by segment, and a chart of the rises against the trees."""

    rows: Sequence[HeadModelRow]
    segments: Sequence[HeadModelRow]
    chart: IntervalChart | None


def tabulate_head_models(found: Mapping[str, HeadModels]) -> HeadModelTable | None:
    """Tabulate the models of every task with a shared trunk; None if there are none."""
    if not found:
        return None
    segments = [
        _head_model_row(task, models, segment)
        for task, models in found.items()
        for segment in dict.fromkeys(row.segment for row in models.figures)
        if segment != ALL
    ]
    rows = [_head_model_row(task, models, ALL) for task, models in found.items()]
    return HeadModelTable(rows, [row for row in segments if any(row.errors)], _draw(found))


def _head_model_row(task: str, models: HeadModels, segment: Segment) -> HeadModelRow:
    def text(model: HeadModel, *, rise: bool) -> str:
        return format_estimate(models.estimate(model, rise=rise, segment=segment))

    return HeadModelRow(
        task=task,
        segment=str(segment),
        asked=models.asked,
        model=models.model,
        why="" if models.choice is None else models.choice.reason,
        errors=tuple(text(model, rise=False) for model in ("trees", *_OTHERS)),
        rises=tuple(text(model, rise=True) for model in _OTHERS),
    )


def _draw(found: Mapping[str, HeadModels]) -> IntervalChart | None:
    rises = [
        (f"{task}, {model}", _tone(rise), rise)
        for task, models in found.items()
        for model in _OTHERS
        if (rise := models.estimate(model, rise=True)) is not None and rise.known
    ]
    ticks = [(sign * tick, f"{sign * tick:+g}") for tick in _TICKS for sign in (-1, 1)]
    return draw_intervals(rises, _place, ticks=[(0.0, "trees"), *ticks], band=(0.0, 0.0))


def _tone(rise: Estimate) -> str:
    return "pass" if rise.high < 0 else "warn" if rise.low > 0 else "none"


def _place(rise: float) -> float:
    """Map a rise to a position from -1 to 1: linear near 0, logarithmic beyond."""
    return max(-1.0, min(1.0, math.asinh(rise / 0.01) / math.asinh(0.5 / 0.01)))
