"""Drawings of the validation report: figures by day in their usual band, and statuses as stacked bars.

::

    [   band: what was usual   ]
    ---- line: the values -------o      o  a day that breaks the rule
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from tasks.columns import Status
from tasks.reports.numbers import format_number, format_share
from tasks.validation.findings import Line

_WIDTH, _HEIGHT, _EDGE = 300, 76, 4


@dataclass(frozen=True)
class Dot:
    """The value of one day; ``odd`` where it breaks the rule."""

    x: float
    y: float
    title: str
    odd: bool


@dataclass(frozen=True)
class Bar:
    """The share of one status on one day."""

    status: Status
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class DayFigure:
    """A small drawing by day, in pixels from the upper left; ``low`` and ``high`` name its extremes."""

    title: str
    span: str
    low: str
    high: str
    band: Sequence[tuple[float, float]] = ()
    line: Sequence[tuple[float, float]] = ()
    dots: Sequence[Dot] = ()
    bars: Sequence[Bar] = ()
    width: int = _WIDTH
    height: int = _HEIGHT


def draw_line(line: Line) -> DayFigure:
    """Draw a figure by day, each day placed by its date, so that a gap is seen."""
    across, height_of = _across(line.days), _scale(line)
    known = [(day, x, y) for day, x, y in zip(line.days, across, line.values, strict=True) if y is not None]
    usual = [
        (x, height_of(low), height_of(high))
        for x, low, high in zip(across, line.low, line.high, strict=True)
        if low is not None and high is not None
    ]
    values = [value for _, _, value in known] or [math.nan]
    return DayFigure(
        title=line.subject,
        span=_span(line.days),
        low=_format(min(values), share=line.share),
        high=_format(max(values), share=line.share),
        band=[(x, high) for x, _, high in usual] + [(x, low) for x, low, _ in reversed(usual)],
        line=[(x, height_of(value)) for _, x, value in known],
        dots=[
            Dot(x, height_of(value), f"{day}: {_format(value, share=line.share)}", day in line.odd)
            for day, x, value in known
        ],
    )


def draw_statuses(task: str, days: Sequence[date], shares: Mapping[str, Sequence[float]]) -> DayFigure:
    """Draw the share of each status of a task: one bar a day, stacked from below in the statuses' order.

    Parameters
    ----------
    shares : by status the share of each day's labels.
    """
    width, bars = _WIDTH / max(len(days), 1), []
    for n in range(len(days)):
        top = float(_HEIGHT)
        for status in Status:
            height = _HEIGHT * shares[status][n]
            top -= height
            if height:
                place = (n * width, top, width * 0.9, height)
                bars.append(Bar(status, *(round(x, 1) for x in place)))
    return DayFigure(task, _span(days), "0%", "100%", bars=bars)


def _span(days: Sequence[date]) -> str:
    return f"{days[0]} to {days[-1]}" if days else "no day"


def _across(days: Sequence[date]) -> Sequence[float]:
    span = max((days[-1] - days[0]).days, 1) if days else 1
    return [round(_EDGE + (_WIDTH - 2 * _EDGE) * (day - days[0]).days / span, 1) for day in days]


def _scale(line: Line) -> Callable[[float], float]:
    """Return the height of a value; a band that reaches far beyond the values is cut."""
    values = [value for value in line.values if value is not None] or [0.0]
    reach = max(values) - min(values) or abs(values[0]) or 1.0
    least, most = max(min(values) - reach, 0.0), max(values) + reach

    def height_of(value: float) -> float:
        inside = min(max(value, least), most)
        return round(_HEIGHT - _EDGE - (_HEIGHT - 2 * _EDGE) * (inside - least) / (most - least), 1)

    return height_of


def _format(value: float, *, share: bool) -> str:
    return format_share(value) if share else format_number(value)
