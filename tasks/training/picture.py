"""Charts of feature importances, and of a trunk's training: learning curves, gradient shares and cosines."""

from collections.abc import Mapping, Sequence
from typing import Final

from tasks.reports import charts
from tasks.reports.numbers import format_share, shorten

_SHOWN: Final = 30
_HEAD, _LINE, _FOOT = 38, 22, 40
_BARS: Final = 400
"""Width of the longest bar."""
_LETTERS: Final = 48
"""Maximum number of letters of a name."""
_LETTER: Final = 7
"""Width of a letter."""


def importance_figure(gains: Mapping[str, float], *, title: str) -> charts.Drawing:
    """Draw each feature's share of the total gain, largest first, up to 30 features.

    Examples
    --------
    >>> importance_figure({"age": 1.0, "price": 3.0}, title="click").about
    'Share of the total gain: price 75%, age 25%.'
    """
    total = sum(gains.values()) or 1.0
    shown = sorted(gains.items(), key=lambda item: item[1], reverse=True)[:_SHOWN]
    left = 20 + _LETTER * min(_LETTERS, max(len(name) for name, _ in shown))
    most = shown[0][1] / total or 1.0
    bottom = _HEAD + _LINE * len(shown)
    across = charts.Scale(0.0, 100 * most, left, left + _BARS)
    listed = ", ".join(f"{name} {format_share(gain / total)}" for name, gain in shown)
    drawing = charts.Drawing(title, f"Share of the total gain: {listed}.", left + _BARS + 30, bottom + _FOOT)
    ticks = across.ticks(60)
    drawing.axes(across, charts.Scale(0.0, 1.0, bottom, _HEAD - 4), ticks)
    for n, (name, gain) in enumerate(shown):
        y, width = _HEAD + _LINE * n, round(_BARS * gain / total / most, 1)
        drawing.add("text", shorten(name, _LETTERS), tone="end", x=left - 8, y=y + 12)
        drawing.add("rect", tone="after bars", x=left, y=y, width=width, height=16)
    drawing.label_x(ticks, bottom + 15)
    middle = (left + drawing.width) // 2
    drawing.add("text", "share of the total gain, %", tone="quiet middle", x=middle, y=bottom + 32)
    return drawing


_LEFT, _WIDTH, _HEIGHT, _GAP = 60, 300, 170, 150
_TOP, _BOTTOM = 56, 226
_CELL, _CELL_WIDTH = 44, 61.6
_COSINES: Final = _BOTTOM + 70


def trunk_figure(
    held_out: Sequence[Mapping[str, float | None]],
    shares: Sequence[Mapping[str, float]],
    cosines: Sequence[Sequence[float]],
    *,
    kept: int,
    title: str,
) -> charts.Drawing:
    """Draw each task's curves, and below them the cosines as a table.

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
    >>> figure.about
    "Held-out loss over the base rate's and share of the gradient by epoch of 1 tasks, and their cosines."
    """
    tasks = [*shares[0]]
    right = 2 * _LEFT + _WIDTH + _GAP
    drawing = charts.Drawing(
        title,
        f"Held-out loss over the base rate's and share of the gradient by epoch of {len(tasks)} tasks,"
        " and their cosines.",
        2 * (_LEFT + _WIDTH + _GAP),
        _BOTTOM + 90 + _CELL * len(tasks),
    )
    hues = {task: f"hsl({360 * n // len(tasks)} 60% 50%)" for n, task in enumerate(tasks)}
    _panel(drawing, "held-out loss over the base rate's", held_out, hues, kept=kept, left=_LEFT)
    _panel(drawing, "share of the gradient", shares, hues, kept=kept, left=right)
    for n, (task, hue) in enumerate(hues.items()):
        drawing.add("circle", fill=hue, cx=right + 318, cy=_TOP + 18 * n + 6, r=4)
        drawing.add("text", shorten(task, 20), x=right + 328, y=_TOP + 18 * n + 10)
    drawing.add("text", "cosines between the tasks' gradients of the shared weights", x=60, y=_COSINES - 10)
    for n, (task, row) in enumerate(zip(tasks, cosines, strict=True)):
        y = _COSINES + _CELL * n
        drawing.add("text", shorten(task, 22), tone="end", x=210, y=y + 26)
        for column, cosine in enumerate(row):
            left, hue = 220 + _CELL_WIDTH * column, f"hsl({210 if cosine >= 0 else 10} 70% 50%)"
            width, depth = _CELL_WIDTH - 2, round(0.6 * abs(cosine), 2)
            drawing.add("rect", x=left, y=y, width=width, height=_CELL - 2, fill=hue, fill_opacity=depth)
            drawing.add("text", f"{cosine:+.2f}", tone="middle", x=left + _CELL_WIDTH / 2, y=y + 26)
    return drawing


def _panel(
    drawing: charts.Drawing,
    title: str,
    series: Sequence[Mapping[str, float | None]],
    hues: Mapping[str, str],
    *,
    kept: int,
    left: int,
) -> None:
    """Draw a line for each task over the epochs, and a dashed one at the kept epoch."""
    known = [value for epoch in series for task in hues if (value := epoch[task]) is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    pad = 0.05 * (high - low) or 0.05
    across = charts.Scale(1.0, max(2.0, float(len(series))), left, left + _WIDTH)
    up = charts.Scale(low - pad, high + pad, _BOTTOM, _TOP)
    levels = up.ticks(40)
    drawing.add("text", title, x=left, y=44)
    drawing.axes(across, up, up=levels)
    drawing.label_y(levels, left - 6)
    drawing.label_x(across.ticks(50), _BOTTOM + 16)
    drawing.add("path", tone="diagonal", d=f"M{across.place(kept + 1):g},{_TOP}V{_BOTTOM}")
    for task, hue in hues.items():
        points = [(n, value) for n, one in enumerate(series, start=1) if (value := one[task]) is not None]
        if points:
            epochs, values = zip(*points, strict=True)
            xs, ys = across.place(epochs), up.place(values)
            path = charts.join_points(xs, ys)
            drawing.add("path", fill="none", stroke=hue, stroke_width=2, d=path)
            drawing.add("circle", fill=hue, cx=xs[-1], cy=ys[-1], r=3)
    note = "epoch; dashed: the one that is kept"
    drawing.add("text", note, tone="quiet middle", x=left + _WIDTH // 2, y=_BOTTOM + 32)
