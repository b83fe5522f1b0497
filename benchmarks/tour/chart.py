"""Lines by day over the weeks of the tour, with its events as numbered marks."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from benchmarks.tour.journal import Event, EventKind
from tasks.reports.charts import Drawing, Scale, Tick, join_points

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 788, 84, 292
"""Ends of the lines in the picture, in pixels."""
_TONES: Final = ("after", "before")
_LEVELS: Final = 4
"""Rows of marks above a chart."""
_APART: Final = 15.0
"""Pixels between two marks of a row."""
_MARGIN: Final = 0.06


_COLOURS: Final[Mapping[EventKind, str]] = {
    EventKind.FAULT: "#c62828",
    EventKind.HELD: "#b45309",
    EventKind.ROLLBACK: "#b45309",
    EventKind.NOTICE: "#7c3aed",
    EventKind.MENDED: "#7c3aed",
    EventKind.RELEASE: "#2e7d32",
    EventKind.CANARY: "#2e7d32",
}


def draw_weeks(title: str, values: Mapping[str, Sequence[float]], events: Sequence[Event]) -> Drawing:
    """Draw a figure of several feeds by day.

    Parameters
    ----------
    values : by feed, of each day.
    events : in the order of their numbers, from 1.
    """
    every = np.concatenate([np.asarray(of, dtype=np.float64) for of in values.values()])
    margin = _MARGIN * float(every.max() - every.min()) or 1.0
    y = Scale(max(0.0, float(every.min()) - margin), float(every.max()) + margin, _BOTTOM, _TOP)
    days = max(map(len, values.values()))
    x = Scale(0.0, float(days), _LEFT, _RIGHT)
    ends = "; ".join(f"{name} from {of[0]:.3g} to {of[-1]:.3g}" for name, of in values.items())
    drawing, levels = Drawing(title, ends, 800, 320), y.ticks(28)
    drawing.axes(x, y, up=levels)
    drawing.label_y(levels, _LEFT - 6)
    weeks = x.place(7.0 * np.arange(days // 7) + 3.5).tolist()
    drawing.label_x([Tick(at, f"week {n}") for n, at in enumerate(weeks, start=1)], _BOTTOM + 18)
    _mark(drawing, events, x)
    for n, (tone, (name, of)) in reversed([*enumerate(zip(_TONES, values.items(), strict=False))]):
        key = 470 + 130 * n
        drawing.add("path", tone=tone, stroke_width=2.5, d=f"M{key},14h20")
        drawing.add("text", name, tone="quiet", x=key + 26, y=18)
        path = join_points(x.place(np.arange(len(of)) + 0.5), y.place(of))
        drawing.add("path", tone=tone, stroke_width=2, d=path)
    return drawing


def _mark(drawing: Drawing, events: Sequence[Event], x: Scale) -> None:
    """Place the marks in rows where they do not cover each other."""
    ends = [-_APART] * _LEVELS
    for number, event in enumerate(events, start=1):
        at = float(x.place(event.day))
        level = next((n for n, end in enumerate(ends) if at - end >= _APART), int(np.argmin(ends)))
        ends[level] = at
        y, colour = 34 + 13 * level, _COLOURS.get(event.kind, "currentColor")
        drawing.add(
            "path", stroke=colour, stroke_dasharray="2 4", stroke_opacity=0.5, d=f"M{at:g},{y}V{_BOTTOM}"
        )
        drawing.add("circle", fill=colour, cx=at, cy=y, r=6.5)
        drawing.add("text", str(number), tone="middle badge", x=at, y=y + 3)
