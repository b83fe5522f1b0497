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
from tasks.evaluation.task_pairs import ConflictEvidence
from tasks.evaluation.verdicts import WORST_FIRST, Verdict
from tasks.promotion.gates.reports import evaluate_gap
from tasks.reports import charts
from tasks.reports.numbers import format_count, format_estimate, format_number, shorten, spoken
from tasks.reports.phrases import Vocabulary

SIZE: Final = 60
_EDGE: Final = 4


@dataclass(frozen=True)
class TaskRow:
    """A task's figures as texts, its reliability diagram, and its worst verdict."""

    task: str
    did: str
    family: str
    better: str
    rows: str
    positives: str
    order: str
    error: str
    ratio: str
    reliability: charts.Drawing | None
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
        reliability=draw_reliability(task.task, task.curve),
        verdict=verdict,
    )


def draw_reliability(task: str, curve: Sequence[CurvePoint]) -> charts.Drawing | None:
    """Draw the bins of a task's reliability curve on axes of square roots; None if all are 0.

    Examples
    --------
    >>> from tasks.evaluation.figures import CurvePoint
    >>> first = CurvePoint(predicted=0.01, observed=0.01, rows=90)
    >>> curve = (first, CurvePoint(predicted=0.04, observed=0.01, rows=90))
    >>> drawn = draw_reliability("click", curve)
    >>> [(mark.attributes["cx"], mark.attributes["cy"]) for mark in drawn.marks if mark.element == "circle"]
    [(30.0, 30.0), (56.0, 30.0)]
    """
    most = max((max(one.predicted, one.observed) for one in curve), default=0.0)
    if not most > 0:
        return None
    end = SIZE - _EDGE
    title = f"reliability of {task}: observed against predicted in {len(curve)} bins"
    drawing = charts.Drawing(title, "", SIZE, SIZE, style="reliability")
    drawing.add("rect", tone="frame", x=0.5, y=0.5, width=SIZE - 1, height=SIZE - 1)
    drawing.add("path", tone="diagonal", d=f"M{_EDGE},{end}L{end},{_EDGE}")
    across, up = charts.Scale(0.0, 1.0, _EDGE, end), charts.Scale(0.0, 1.0, end, _EDGE)
    xs = across.place([math.sqrt(max(one.predicted, 0.0) / most) for one in curve]).tolist()
    ys = up.place([math.sqrt(max(one.observed, 0.0) / most) for one in curve]).tolist()
    for x, y in zip(xs, ys, strict=True):
        drawing.add("circle", cx=x, cy=y, r=2.4)
    return drawing


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


def tabulate_features(
    inputs: Sequence[HeadInputs], served: Sequence[HeadInputs]
) -> dict[str, tuple[FeatureCell, ...]]:
    """Return each feature's cells, one per head; changed features first, then by descending gain."""
    later = {head.task: head.changes for head in served}
    changes = {head.task: (*head.changes, *later.get(head.task, ())) for head in inputs}
    totals: dict[str, float] = {}
    for head in inputs:
        for feature, share in head.gains.items():
            totals[feature] = totals.get(feature, 0.0) + share
    changed = {one.feature for found in changes.values() for one in found}
    totals |= dict.fromkeys(changed - totals.keys(), 0.0)
    ordered = sorted(totals, key=lambda feature: (feature not in changed, -totals[feature]))
    return {
        feature: tuple(
            FeatureCell(
                head.gains.get(feature),
                tuple(_say_change(one) for one in changes[head.task] if one.feature == feature),
            )
            for head in inputs
        )
        for feature in ordered
    }


def _say_change(change: InputChange) -> str:
    observed, bound = (format_number(value) or "not measured" for value in (change.observed, change.bound))
    return f"{spoken(change.kind)} on {change.rows}: {observed}, limit {bound}"


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


def list_head_models(found: Mapping[str, HeadModels]) -> list[HeadModelRow]:
    """Return a row for every task with a shared trunk."""
    return [_head_model_row(task, models, ALL) for task, models in found.items()]


def list_segment_models(found: Mapping[str, HeadModels]) -> list[HeadModelRow]:
    """Return a row for every segment of these tasks in which an error is measured."""
    rows = [
        _head_model_row(task, models, segment)
        for task, models in found.items()
        for segment in dict.fromkeys(row.segment for row in models.figures)
        if segment != ALL
    ]
    return [row for row in rows if any(row.errors)]


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


def draw_rises(found: Mapping[str, HeadModels]) -> charts.IntervalChart | None:
    """Draw the rises of each task's error against the trees; None if none is known."""
    rises = [
        (f"{task}, {model}", "pass" if rise.high < 0 else "warn" if rise.low > 0 else "none", rise)
        for task, models in found.items()
        for model in _OTHERS
        if (rise := models.estimate(model, rise=True)) is not None and rise.known
    ]
    ticks = [(sign * tick, f"{sign * tick:+g}") for tick in _TICKS for sign in (-1, 1)]
    return charts.draw_intervals(rises, _place, ticks=[(0.0, "trees"), *ticks], band=(0.0, 0.0))


def _place(rise: float) -> float:
    """Map a rise to a position from -1 to 1: linear near 0, logarithmic beyond."""
    return max(-1.0, min(1.0, math.asinh(rise / 0.01) / math.asinh(0.5 / 0.01)))


_CELL_WIDTH, _CELL_HEIGHT, _NAMES_WIDTH, _NAMES_HEIGHT = 64, 32, 190, 120
DEEPEST: Final = 0.65
"""Opacity of the strongest correlation, at which its figure is still legible."""


def draw_heat_map(conflicts: ConflictEvidence | None) -> charts.Drawing | None:
    """Draw the correlations of a release's tasks, each with a row and a column; None for fewer than two."""
    if conflicts is None or len(conflicts.tasks) < 2:
        return None
    size = len(conflicts.tasks)
    width, height = _NAMES_WIDTH + size * _CELL_WIDTH + 90, _NAMES_HEIGHT + size * _CELL_HEIGHT + 8
    drawing = charts.Drawing("rank correlations", "", width, height, style="small chart")
    for n, task in enumerate(conflicts.tasks):
        y = _NAMES_HEIGHT + (n + 0.5) * _CELL_HEIGHT + 4
        drawing.add("text", shorten(task, 24), tone="end", x=_NAMES_WIDTH - 8, y=y)
        turned = f"translate({_NAMES_WIDTH + (n + 0.5) * _CELL_WIDTH + 4} {_NAMES_HEIGHT - 8}) rotate(-40)"
        drawing.add("text", shorten(task, 16), transform=turned)
    place = {task: n for n, task in enumerate(conflicts.tasks)}
    for pair in conflicts.pairs:
        names, (first, second) = " and ".join(pair.tasks), sorted(place[task] for task in pair.tasks)
        _add_cell(drawing, first, second, pair.predictions, f"predictions of {names}")
        _add_cell(drawing, second, first, pair.outcomes, f"outcomes of {names}")
    return drawing


def _add_cell(drawing: charts.Drawing, row: int, column: int, rho: float, words: str) -> None:
    """Draw one correlation, in a colour whose opacity grows with its strength."""
    x, y = _NAMES_WIDTH + column * _CELL_WIDTH, _NAMES_HEIGHT + row * _CELL_HEIGHT
    text, tone, depth = "?", "unknown", 0.15
    if not math.isnan(rho):
        text, tone = f"{rho:z.2f}", "together" if rho >= 0 else "apart"
        depth = round(min(DEEPEST, abs(rho)), 2)
    width, height = _CELL_WIDTH - 2, _CELL_HEIGHT - 2
    drawing.add("rect", words, tone=tone, x=x, y=y, width=width, height=height, fill_opacity=depth)
    drawing.add("text", text, tone="middle", x=x + _CELL_WIDTH / 2 - 1, y=y + _CELL_HEIGHT / 2 + 4)


def describe_overlaps(conflicts: ConflictEvidence) -> Iterator[str]:
    """List the tasks whose top tenth overlaps a cost's top tenth significantly more often than by chance."""
    for one in conflicts.at_top:
        if one.share.known and one.share.low > one.expected:
            yield (
                f"{one.task}: {format_estimate(one.share)} of its top tenth is in {one.cost}'s, "
                f"by chance {one.expected:.2g}"
            )


_WIDTH, _HEIGHT, _LEFT, _TOP = 560, 200, 60, 16


def draw_proxy(proxy: ProxyEvidence) -> charts.Drawing | None:
    """Draw the mean outcome of each tenth with its interval; None if no row has both outcomes.

    The colour of the last tenth is its verdict's.
    """
    outcomes = [tenth.outcome for tenth in proxy.tenths]
    if not outcomes:
        return None
    known = [end for of in outcomes for end in (of.value, of.low, of.high) if math.isfinite(end)]
    floor, ceiling = min(0.0, *known), max(0.0, *known) or 1.0
    bottom = _TOP + _HEIGHT
    x, y = charts.Scale(0.0, len(outcomes), _LEFT, _WIDTH), charts.Scale(floor, ceiling, bottom, _TOP)
    drawing = charts.Drawing(f"{proxy.slow} by tenths", "", _WIDTH, bottom + 40, style="small chart")
    drawing.add("path", tone="axis", d=f"M{_LEFT},{y.place(0.0):g}H{_WIDTH}")
    drawing.add("path", tone="mean", d=f"M{_LEFT},{y.place(proxy.mean.value):g}H{_WIDTH}")
    ends = [charts.Tick(float(y.place(value)), format_number(value)) for value in (0.0, ceiling)]
    drawing.label_y(ends, _LEFT - 8)
    verdict = evaluate_gap(proxy.gap, worst=proxy.worst_at_top)[0].value
    for n, tenth in enumerate(proxy.tenths):
        of, at = tenth.outcome, float(x.place(n + 0.5))
        tone = verdict if n == len(outcomes) - 1 else ""
        if of.known:
            low, high = y.place([of.low, of.high])
            drawing.add("path", tone=f"spread {tone}".strip(), d=f"M{at:g},{low:g}V{high:g}")
        drawing.add("circle", tone=tone, cx=at, cy=float(y.place(of.value)), r=5)
        drawing.add("text", format_number(tenth.predicted, 2), tone="middle", x=at, y=bottom + 16)
    middle = (_LEFT + _WIDTH) // 2
    drawing.add("text", f"mean prediction of {proxy.fast}", tone="middle", x=middle, y=bottom + 36)
    return drawing
