"""Draws how the tasks of a release go together, for the dossier: a heat map of rank correlations.

::

             click   like   hide          above the diagonal: predictions
    click      .      .4     .5           below it: outcomes, where both are known
    like      .3       .    -.1
    hide      .0     -.0      .           rank correlations, Spearman's rho
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.evaluation.conflicts import ConflictEvidence
from tasks.reports.numbers import format_estimate

_CELL_WIDTH, _CELL_HEIGHT, _LEFT, _TOP = 64, 32, 190, 120
DEEPEST: Final = 0.65
"""Opacity of the strongest correlation, on which its figure can still be read."""


@dataclass(frozen=True)
class Cell:
    """One correlation: its corner, its text, and a colour that is the deeper the stronger it is."""

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
    left: int = _LEFT
    top: int = _TOP
    cell_width: int = _CELL_WIDTH
    cell_height: int = _CELL_HEIGHT


def draw_heat_map(conflicts: ConflictEvidence | None) -> HeatMap | None:
    """Draw the correlations of a release's tasks; None of fewer than two tasks."""
    if conflicts is None or len(conflicts.tasks) < 2:
        return None
    size = len(conflicts.tasks)
    return HeatMap(
        conflicts.tasks,
        list(_cells(conflicts)),
        width=_LEFT + size * _CELL_WIDTH + 90,
        height=_TOP + size * _CELL_HEIGHT + 8,
    )


def _cells(conflicts: ConflictEvidence) -> Iterator[Cell]:
    place = {task: n for n, task in enumerate(conflicts.tasks)}
    for pair in conflicts.pairs:
        first, second = sorted(place[task] for task in pair.tasks)
        yield _cell(first, second, pair.predictions)
        yield _cell(second, first, pair.outcomes)


def _cell(row: int, column: int, rho: float) -> Cell:
    x, y = _LEFT + column * _CELL_WIDTH, _TOP + row * _CELL_HEIGHT
    if math.isnan(rho):
        return Cell(x, y, "?", "unknown", 0.15)
    return Cell(x, y, f"{rho:z.2f}", "together" if rho >= 0 else "apart", round(min(DEEPEST, abs(rho)), 2))


def describe_overlaps(conflicts: ConflictEvidence) -> Iterator[str]:
    """Say which tasks' best rows are a cost's worst more often than by chance, by all of the interval."""
    for one in conflicts.at_top:
        if one.share.known and one.share.low > one.expected:
            yield (
                f"{one.task}: {format_estimate(one.share)} of its top tenth is in {one.cost}'s, "
                f"by chance {one.expected:.2g}"
            )
