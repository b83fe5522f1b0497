"""Tasks that share a trunk: their trees, the trunk and the blend on the test days, by segment too."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.evaluation.head_models import HeadModel, HeadModels
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate
from tasks.reports.charts import IntervalChart, draw_intervals
from tasks.reports.numbers import format_estimate

_OTHERS: Final[tuple[HeadModel, ...]] = ("trunk", "blend")
_TICKS: Final = (0.01, 0.05, 0.2)


@dataclass(frozen=True)
class HeadModelRow:
    """A task in a segment: what was asked for, which model predicts and why, and the errors as texts."""

    task: str
    segment: str
    asked: str
    model: str
    why: str
    errors: tuple[str, ...]
    rises: tuple[str, ...]


@dataclass(frozen=True)
class HeadModelTable:
    """The rows of the whole, those of segments, and the rises against the trees as a picture."""

    rows: Sequence[HeadModelRow]
    segments: Sequence[HeadModelRow]
    chart: IntervalChart | None


def tabulate_head_models(found: Mapping[str, HeadModels]) -> HeadModelTable | None:
    """Lay out the models of every task in a trunk; None where there is none."""
    if not found:
        return None
    segments = [
        _row(task, models, segment)
        for task, models in found.items()
        for segment in dict.fromkeys(row.segment for row in models.figures)
        if segment != ALL
    ]
    rows = [_row(task, models, ALL) for task, models in found.items()]
    return HeadModelTable(rows, [row for row in segments if any(row.errors)], _draw(found))


def _row(task: str, models: HeadModels, segment: Segment) -> HeadModelRow:
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
    """Place a rise from -1 to 1: in proportion near 0, by logarithm beyond."""
    return max(-1.0, min(1.0, math.asinh(rise / 0.01) / math.asinh(0.5 / 0.01)))
