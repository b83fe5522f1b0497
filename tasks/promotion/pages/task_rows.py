"""Tabulate tasks with their metrics, and draw pairs of tasks.

Each task has a small reliability diagram.

::

    observed |      o        one point per bin; on the diagonal predictions are calibrated. Both axes go
             |   o /         from 0 to the maximum of all bins; a square-root scale separates rare outcomes.
             | o/
             +--------- predicted

One chart shows each feature's share of the heads' gain, and its changes after training. Tasks that share a
trunk have a table: trees, trunk and blend on the test days, also by segment.

Pairs of tasks show conflicts between tasks, and the value of proxies.

::

    heat map   click   like   hide        above the diagonal: predictions
      click        .      .4     .5         below it: outcomes, where both are known
      like        .3       .    -.1
      hide        .0     -.0      .         rank correlations, Spearman's rho

    slow outcome |              o      o  mean of a tenth with its interval; the last has the verdict's colour
                 | - - - o - - - - -   -  mean of all rows
                 |  o  o
                 +---------------------  mean prediction of the fast task, by tenth
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.evaluation.evidence import HeadInputs, HeadModel, HeadModels, InputChange
from tasks.evaluation.figures import CurvePoint, TaskFigures
from tasks.evaluation.release_evidence import ProxyEvidence
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.task_pairs import ConflictEvidence, Tenth
from tasks.evaluation.verdicts import WORST_FIRST, Estimate, Verdict
from tasks.promotion.gates.reports import evaluate_gap
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


_CELL_WIDTH, _CELL_HEIGHT, _NAMES_WIDTH, _NAMES_HEIGHT = 64, 32, 190, 120
DEEPEST: Final = 0.65
"""Opacity of the strongest correlation, at which its figure is still legible."""


_WIDTH, _HEIGHT, _LEFT, _TOP = 560, 200, 60, 16


@dataclass(frozen=True)
class Cell:
    """One correlation: its corner, its text, and a colour whose opacity grows with its strength."""

    x: int
    y: int
    text: str
    tone: str
    depth: float


@dataclass(frozen=True)
class HeatMap:
    """Correlations of every pair, in pixels from the upper left; each task has a row and a column."""

    tasks: Sequence[str]
    cells: Sequence[Cell]
    width: int
    height: int
    left: int = _NAMES_WIDTH
    top: int = _NAMES_HEIGHT
    cell_width: int = _CELL_WIDTH
    cell_height: int = _CELL_HEIGHT


def draw_heat_map(conflicts: ConflictEvidence | None) -> HeatMap | None:
    """Draw the correlations of a release's tasks; None for fewer than two tasks."""
    if conflicts is None or len(conflicts.tasks) < 2:
        return None
    size = len(conflicts.tasks)
    return HeatMap(
        conflicts.tasks,
        list(_cells(conflicts)),
        width=_NAMES_WIDTH + size * _CELL_WIDTH + 90,
        height=_NAMES_HEIGHT + size * _CELL_HEIGHT + 8,
    )


def _cells(conflicts: ConflictEvidence) -> Iterator[Cell]:
    place = {task: n for n, task in enumerate(conflicts.tasks)}
    for pair in conflicts.pairs:
        first, second = sorted(place[task] for task in pair.tasks)
        yield _cell(first, second, pair.predictions)
        yield _cell(second, first, pair.outcomes)


def _cell(row: int, column: int, rho: float) -> Cell:
    x, y = _NAMES_WIDTH + column * _CELL_WIDTH, _NAMES_HEIGHT + row * _CELL_HEIGHT
    if math.isnan(rho):
        return Cell(x, y, "?", "unknown", 0.15)
    return Cell(x, y, f"{rho:z.2f}", "together" if rho >= 0 else "apart", round(min(DEEPEST, abs(rho)), 2))


def describe_overlaps(conflicts: ConflictEvidence) -> Iterator[str]:
    """List the tasks whose top tenth overlaps a cost's top tenth significantly more often than by chance."""
    for one in conflicts.at_top:
        if one.share.known and one.share.low > one.expected:
            yield (
                f"{one.task}: {format_estimate(one.share)} of its top tenth is in {one.cost}'s, "
                f"by chance {one.expected:.2g}"
            )


@dataclass(frozen=True)
class TenthMark:
    """One tenth: the positions of its mean and interval, and the class of its colour."""

    x: float
    y: float
    interval: tuple[float, float] | None
    predicted: float
    tone: str


@dataclass(frozen=True)
class ProxyFigure:
    """A declared pair with its chart, in pixels from the upper left; no marks if no row has both outcomes."""

    proxy: ProxyEvidence
    marks: Sequence[TenthMark] = ()
    mean: float = 0.0
    ticks: Sequence[tuple[float, str]] = ()
    width: int = _WIDTH
    foot: int = _TOP + _HEIGHT
    left: int = _LEFT

    @property
    def rows(self) -> int:
        """Number of rows with both outcomes."""
        return sum(tenth.rows for tenth in self.proxy.tenths)

    @property
    def positives(self) -> int:
        """Number of slow outcomes other than 0."""
        return sum(tenth.positives for tenth in self.proxy.tenths)


def draw_proxy(proxy: ProxyEvidence) -> ProxyFigure:
    """Draw one declared pair."""
    if not proxy.tenths:
        return ProxyFigure(proxy)
    outcomes = [tenth.outcome for tenth in proxy.tenths]
    ceiling = max(max(of.value, of.high if of.known else 0.0) for of in outcomes) or 1.0
    last = len(outcomes) - 1
    tone = evaluate_gap(proxy.gap, worst=proxy.worst_at_top)[0].value
    step = (_WIDTH - _LEFT) / len(outcomes)
    return ProxyFigure(
        proxy,
        marks=[
            _mark(tenth, round(_LEFT + (n + 0.5) * step, 1), ceiling, tone if n == last else "")
            for n, tenth in enumerate(proxy.tenths)
        ],
        mean=_height(proxy.mean.value, ceiling),
        ticks=[(_height(value, ceiling), format_number(value)) for value in (0.0, ceiling)],
    )


def _mark(tenth: Tenth, x: float, ceiling: float, tone: str) -> TenthMark:
    of = tenth.outcome
    interval = (_height(of.low, ceiling), _height(of.high, ceiling)) if of.known else None
    return TenthMark(x, _height(of.value, ceiling), interval, tenth.predicted, tone)


def _height(value: float, ceiling: float) -> float:
    return round(_TOP + _HEIGHT * (1 - value / ceiling), 1)
