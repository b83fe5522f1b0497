"""Draw pairs of a release's tasks for the dossier: conflicts between tasks, and the value of proxies.

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.evaluation.release_evidence import ProxyEvidence
from tasks.evaluation.task_pairs import ConflictEvidence, Tenth
from tasks.promotion.gates.reports import evaluate_gap
from tasks.reports.numbers import format_estimate, format_number

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
