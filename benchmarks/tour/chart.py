"""Lines by day over the weeks of the tour, with its events as numbered marks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.tour.journal import Event, EventKind
from tasks.reports.charts import Scale, Tick
from tasks.reports.render import render

_BOX: Final = {"width": 800, "height": 320, "left": 56, "right": 788, "top": 84, "bottom": 292}
"""Of the picture and of the lines in it, in pixels."""
_TONES: Final = ("after", "before")
_LEVELS: Final = 4
"""Rows of marks above a chart."""
_APART: Final = 15.0
"""Pixels between two marks of a row."""
_MARGIN: Final = 0.06


@dataclass(frozen=True)
class DayLine:
    """A line of a chart: its name, the class of its colour, and its path."""

    name: str
    tone: str
    path: str


@dataclass(frozen=True)
class EventMark:
    """An event of a chart: its place in pixels, its row, its number in the list, and its kind."""

    at: float
    level: int
    number: int
    kind: EventKind


@dataclass(frozen=True)
class WeeksChart:
    """Lines over weeks, with numbered events; ``about`` says in words what is drawn."""

    title: str
    about: str
    lines: Sequence[DayLine]
    weeks: Sequence[Tick]
    levels: Sequence[Tick]
    marks: Sequence[EventMark]

    def to_svg(self) -> str:
        """Write the chart as a file of its own."""
        return render("weeks.svg.j2", chart=self, box=_BOX)


def draw_weeks(title: str, values: Mapping[str, Sequence[float]], events: Sequence[Event]) -> WeeksChart:
    """Draw a figure of several feeds by day.

    Parameters
    ----------
    values : by feed, of each day.
    events : in the order of their numbers, from 1.
    """
    every = np.concatenate([np.asarray(of, dtype=np.float64) for of in values.values()])
    margin = _MARGIN * float(every.max() - every.min()) or 1.0
    y = Scale(max(0.0, float(every.min()) - margin), float(every.max()) + margin, _BOX["bottom"], _BOX["top"])
    days = max(map(len, values.values()))
    x = Scale(0.0, float(days), _BOX["left"], _BOX["right"])
    lines = [
        DayLine(name, tone, _path(x.place(np.arange(len(of)) + 0.5), y.place(of)))
        for (name, of), tone in zip(values.items(), _TONES, strict=False)
    ]
    weeks = x.place(7.0 * np.arange(days // 7) + 3.5).tolist()
    named = tuple(Tick(at, f"week {n}") for n, at in enumerate(weeks, start=1))
    ends = "; ".join(f"{name} from {of[0]:.3g} to {of[-1]:.3g}" for name, of in values.items())
    return WeeksChart(title, ends, lines, named, y.ticks(28), _mark(events, x))


def _mark(events: Sequence[Event], x: Scale) -> list[EventMark]:
    """Place the marks in rows where they do not cover each other."""
    ends, marks = [-_APART] * _LEVELS, list[EventMark]()
    for number, event in enumerate(events, start=1):
        at = float(x.place(event.day))
        level = next((n for n, end in enumerate(ends) if at - end >= _APART), int(np.argmin(ends)))
        ends[level] = at
        marks.append(EventMark(at, level, number, event.kind))
    return marks


def _path(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> str:
    return "M" + "L".join(f"{a:g},{b:g}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
