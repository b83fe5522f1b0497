"""Charts of feature importances, and of a trunk's training: learning curves, gradient shares and cosines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.reports import charts
from tasks.reports.render import render

_SHOWN: Final = 30
_HEAD, _LINE, _FOOT = 38, 22, 40
_BARS: Final = 400
"""Width of the longest bar."""
_LETTERS: Final = 48
"""Maximum number of letters of a name."""
_LETTER: Final = 7
"""Width of a letter."""


@dataclass(frozen=True)
class Bar:
    """A feature, its share of the total gain, and the position of its bar."""

    feature: str
    share: float
    y: int
    width: float


@dataclass(frozen=True)
class ImportanceFigure:
    """Horizontal bars, in pixels, that begin at ``left``."""

    title: str
    bars: Sequence[Bar]
    ticks: Sequence[charts.Tick]
    left: int
    width: int
    height: int

    def to_svg(self) -> str:
        """Return the chart as an SVG file."""
        return render("importances.svg.j2", figure=self)


def importance_figure(gains: Mapping[str, float], *, title: str) -> ImportanceFigure:
    """Draw each feature's share of the total gain, largest first, up to 30 features.

    Examples
    --------
    >>> figure = importance_figure({"age": 1.0, "price": 3.0}, title="click")
    >>> [(bar.feature, bar.share, bar.width) for bar in figure.bars]
    [('price', 0.75, 400.0), ('age', 0.25, 133.3)]
    """
    total = sum(gains.values()) or 1.0
    shown = sorted(gains.items(), key=lambda item: item[1], reverse=True)[:_SHOWN]
    left = 20 + _LETTER * min(_LETTERS, max(len(name) for name, _ in shown))
    most = shown[0][1] / total or 1.0
    scale = charts.Scale(0.0, 100 * most, left, left + _BARS)
    return ImportanceFigure(
        title=title,
        bars=[
            Bar(name, gain / total, _HEAD + _LINE * n, round(_BARS * gain / total / most, 1))
            for n, (name, gain) in enumerate(shown)
        ],
        ticks=scale.ticks(60),
        left=left,
        width=left + _BARS + 30,
        height=_HEAD + _LINE * len(shown) + _FOOT,
    )


_LEFT, _WIDTH, _HEIGHT, _GAP = 60, 300, 170, 150
_TOP: Final = 56
_CELL: Final = 44
_TURN: Final = 360


@dataclass(frozen=True)
class TaskCurve:
    """A task's line over the epochs: the hue of its colour, its path, and its last point."""

    task: str
    hue: int
    path: str
    end: tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """Lines over epochs in pixels, with the ticks of both axes; ``kept`` is the place of the kept epoch."""

    title: str
    left: int
    curves: Sequence[TaskCurve]
    levels: Sequence[charts.Tick]
    epochs: Sequence[charts.Tick]
    kept: float


@dataclass(frozen=True)
class TrunkFigure:
    """Two panels, and below them the cosines of the kept epoch as a table."""

    title: str
    panels: Sequence[Panel]
    tasks: Sequence[str]
    cosines: Sequence[Sequence[float]]
    top: int = _TOP
    bottom: int = _TOP + _HEIGHT
    cell: int = _CELL

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return 2 * (_LEFT + _WIDTH + _GAP), self.bottom + 90 + _CELL * len(self.tasks)

    def to_svg(self) -> str:
        """Return the chart as an SVG file."""
        return render("trunk.svg.j2", figure=self)


def trunk_figure(
    held_out: Sequence[Mapping[str, float | None]],
    shares: Sequence[Mapping[str, float]],
    cosines: Sequence[Sequence[float]],
    *,
    kept: int,
    title: str,
) -> TrunkFigure:
    """Draw each task's curves.

    Parameters
    ----------
    held_out, shares : by epoch, each task's loss relative to the base rate's, and its share of the gradient.
    cosines : [tasks, tasks] of the kept epoch.
    kept : the epoch whose weights were kept, from 0.

    Examples
    --------
    >>> figure = trunk_figure(
    ...     [{"click": 1.0}, {"click": 0.8}], [{"click": 1.0}] * 2, [[1.0]], kept=1, title="feed"
    ... )
    >>> [(panel.title, len(panel.curves)) for panel in figure.panels]
    [("held-out loss over the base rate's", 1), ('share of the gradient', 1)]
    """
    tasks = [*shares[0]]
    entropies = [{task: one[task] for task in tasks} for one in held_out]
    panels = (
        _panel("held-out loss over the base rate's", entropies, kept, _LEFT),
        _panel("share of the gradient", shares, kept, 2 * _LEFT + _WIDTH + _GAP),
    )
    return TrunkFigure(title, panels, tasks, cosines)


def _panel(title: str, series: Sequence[Mapping[str, float | None]], kept: int, left: int) -> Panel:
    known = [value for epoch in series for value in epoch.values() if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    pad = 0.05 * (high - low) or 0.05
    across = charts.Scale(1.0, max(2.0, float(len(series))), left, left + _WIDTH)
    up = charts.Scale(low - pad, high + pad, _TOP + _HEIGHT, _TOP)

    def at(scale: charts.Scale, value: float) -> float:
        return round(float(scale.place(value)), 1)

    tasks = [*series[0]]
    curves = [
        _curve(task, n * _TURN // len(tasks), series, lambda epoch, value: (at(across, epoch), at(up, value)))
        for n, task in enumerate(tasks)
    ]
    return Panel(
        title,
        left,
        [curve for curve in curves if curve is not None],
        up.ticks(40),
        across.ticks(50),
        at(across, kept + 1),
    )


def _curve(
    task: str,
    hue: int,
    series: Sequence[Mapping[str, float | None]],
    place: Callable[[float, float], tuple[float, float]],
) -> TaskCurve | None:
    points = [
        place(epoch, value) for epoch, one in enumerate(series, start=1) if (value := one[task]) is not None
    ]
    if not points:
        return None
    return TaskCurve(task, hue, "M" + "L".join(f"{x},{y}" for x, y in points), points[-1])
