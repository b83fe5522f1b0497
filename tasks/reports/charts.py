"""Scales, drawings, interval charts and guardrail charts, in pixels or per cent of the width.

::

    Drawing: SVG elements, in the colours of `drawing.css`; axes have a line of the grid at each tick

    Scale: linear          0     2     4     6     steps of 1, 2 or 5 times a power of ten
           logarithmic     .001    .01    .1       decades, and as many values between as fit

    draw_intervals: one row each, on one scale
        click           ---o--       a row: its name, its interval, its value
        like         --o--
                 |    :    |
               left  middle  right

    draw_rails: each guardrail on a scale of its own limit, better to the right
                           limit        baseline            a rate that may rise by 10 %, and rose by 11 %
        hide_rate       <----|-o------- |                   0 at the baseline, 1 at the limit
        ndcg_click           |   ---o---|
        spend_rate       ----|--o---                        may not fall: the baseline is the limit
        report_rate          |          o                   a limit on a level: no baseline
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.arrays import Floats
from tasks.evaluation.subjects import ALL, NO_THRESHOLD, Threshold
from tasks.evaluation.verdicts import WORST_FIRST, Estimate, Outcome, Verdict
from tasks.reports.numbers import format_estimate, shorten
from tasks.reports.phrases import (
    Vocabulary,
    describe_subject,
    name_subject,
    write_change,
    write_interval,
    write_limit,
)
from tasks.reports.render import render

_MANTISSAS: Final = (tuple(range(1, 10)), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
"""Labelled multiples of each decade, the finest set first."""
_MIDDLE, _HALF = 50, 46
"""Middle of the scale, and its reach to both sides, in per cent of the width."""
_BEST, _WORST = -1.0, 3.0
"""Right and left end of the scale, as multiples of the limit's distance from the baseline."""
BASELINE_AT: Final = 100 * (_WORST - 0) / (_WORST - _BEST)
BOUND_AT: Final = 100 * (_WORST - 1) / (_WORST - _BEST)
"""Positions of the baseline and of every limit, in per cent of the width."""
_UNKNOWN: Final = frozenset({Outcome.INCONCLUSIVE, Outcome.METRIC_MISSING})
_BROKEN: Final = frozenset({Outcome.BLOCK, Outcome.WARN})
"""Outcomes of a limit without a relative change, because the baseline is 0."""
_NARROWEST: Final = 0.02
"""Scale of a limit of 0, if value and interval are 0 or unknown."""


@dataclass(frozen=True)
class Tick:
    """A labelled value of an axis, in pixels."""

    at: float
    words: str


def write_percent(change: float) -> str:
    """Format a relative change as an axis label.

    Examples
    --------
    >>> write_percent(0.025), write_percent(0.0)
    ('+2.5 %', '0')
    """
    return f"{100 * change:+.4g} %" if change else "0"


@dataclass(frozen=True)
class Scale:
    """An axis from the value ``low`` at the pixel ``start`` to ``high`` at ``end``.

    ``low`` is below ``high``, and above 0 for a logarithmic axis; ``end`` may be smaller than ``start``.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, values: npt.ArrayLike) -> Floats:
        """Return the pixels of values [n], rounded to a tenth; values beyond an end are clipped.

        Examples
        --------
        >>> Scale(0.0, 2.0, 100.0, 0.0).place([0.0, 0.5, 9.0]).tolist()
        [100.0, 75.0, 0.0]
        >>> Scale(0.01, 1.0, 0.0, 100.0, logarithmic=True).place([0.0, 0.1, 1.0]).tolist()
        [0.0, 50.0, 100.0]
        """
        inside = np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)
        ends = np.array([self.low, self.high])
        (low, high), inside = (np.log(x) if self.logarithmic else x for x in (ends, inside))
        pixels: Floats = np.round(self.start + (self.end - self.start) * (inside - low) / (high - low), 1)
        return pixels

    def shows(self, value: float) -> bool:
        """Whether a value lies on the axis."""
        return self.low <= value <= self.high

    def ticks(self, apart: float, write: Callable[[float], str] = "{:,.10g}".format) -> tuple[Tick, ...]:
        """Return the labelled values, at least ``apart`` pixels apart.

        Examples
        --------
        >>> [tick.words for tick in Scale(0.0, 1234.0, 0.0, 100.0).ticks(30)]
        ['0', '500', '1,000']
        >>> [tick.words for tick in Scale(0.004, 0.3, 0.0, 100.0, logarithmic=True).ticks(25)]
        ['0.01', '0.03', '0.1', '0.3']
        """
        values: list[float] = []
        if self.logarithmic:
            choices = _log_choices(self.low, self.high)
            values = next(each for each in choices if np.all(np.abs(np.diff(self.place(each))) >= apart))
        if len(values) < 2:  # a single label does not show the scale
            values = self._linear_values(apart)
        places = self.place(values).tolist()
        return tuple(Tick(at, write(value)) for at, value in zip(places, values, strict=True))

    def _linear_values(self, apart: float) -> list[float]:
        """Return multiples of the smallest step of 1, 2 or 5 times a power of ten that is wide enough.

        If no multiple lies on the axis, return the last multiple of half the step.
        """
        least = apart * (self.high - self.low) / abs(self.end - self.start)
        power = 10.0 ** np.floor(np.log10(least))
        step = next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= least)
        numbers = self._multiples(step)
        if not len(numbers):
            step /= 2
            numbers = self._multiples(step)[-1:]
        return [float(f"{number * step:.10g}") + 0.0 for number in numbers]  # no -0

    def _multiples(self, step: float) -> Floats:
        return np.arange(np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9) + 1)


def join_points(xs: npt.ArrayLike, ys: npt.ArrayLike) -> str:
    """Return the SVG path of the line through points [n], in pixels.

    Examples
    --------
    >>> join_points([0.0, 10.5], [2.0, 4.0])
    'M0,2L10.5,4'
    """
    pairs = zip(np.asarray(xs).tolist(), np.asarray(ys).tolist(), strict=True)
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in pairs)


def outline_steps(tops: npt.ArrayLike, edges: npt.ArrayLike, *, base: float) -> str:
    """Return the SVG path of a histogram: bars [n] between edges [n + 1], all in pixels.

    Examples
    --------
    >>> outline_steps([8.0, 5.0], [0.0, 10.0, 20.0], base=9.0)
    'M0,9V8H10V5H20V9Z'
    """
    heights, places = np.asarray(tops).tolist(), np.asarray(edges).tolist()
    bars = (f"V{top:g}H{right:g}" for top, (_, right) in zip(heights, pairwise(places), strict=True))
    return f"M{places[0]:g},{base:g}{''.join(bars)}V{base:g}Z"


def _log_choices(low: float, high: float) -> Iterator[list[float]]:
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for mantissas in _MANTISSAS:
        named = (float(f"{mantissa}e{decade}") for decade in decades for mantissa in mantissas)
        yield [value for value in named if low <= value <= high]
    for stride in range(2, len(decades) + 2):
        named = (float(f"1e{decade}") for decade in decades if decade % stride == 0)
        yield [value for value in named if low <= value <= high]


@dataclass(frozen=True)
class Mark:
    """An SVG element with its attributes, its text or tooltip, and the address that it opens, if any."""

    element: str
    attributes: Mapping[str, object]
    words: str
    link: str = ""


@dataclass(frozen=True)
class Drawing:
    """A chart in pixels from the upper left.

    ``about`` describes a file of its own for readers who do not see it; ``style`` is a CSS class.
    """

    title: str
    about: str
    width: float
    height: float
    style: str = ""
    marks: list[Mark] = field(default_factory=list)

    def add(
        self, element: str, words: str = "", *, tone: str = "", link: str = "", **attributes: object
    ) -> None:
        """Add an element; ``tone`` are its CSS classes.

        Examples
        --------
        >>> drawing = Drawing("click", "", 100, 20)
        >>> drawing.add("circle", "half", tone="after", cx=50, cy=10, r=4)
        >>> '<circle class="after" cx="50" cy="10" r="4"><title>half</title></circle>' in drawing.to_svg()
        True
        """
        named = {name.replace("_", "-"): value for name, value in attributes.items()}
        self.marks.append(Mark(element, {"class": tone or None, **named}, words, link))

    def axes(self, x: Scale, y: Scale, across: Sequence[Tick] = (), up: Sequence[Tick] = ()) -> None:
        """Add a line of the grid for each tick, from one end of the other axis to its other end."""
        lines = (
            *(f"M{tick.at:g},{y.end:g}V{y.start:g}" for tick in across),
            *(f"M{x.start:g},{tick.at:g}H{x.end:g}" for tick in up),
        )
        self.add("path", tone="grid", d="".join(lines))

    def label_x(self, ticks: Sequence[Tick], below: float) -> None:
        """Write the ticks of a horizontal axis."""
        for tick in ticks:
            self.add("text", tick.words, tone="tick middle", x=tick.at, y=below)

    def label_y(self, ticks: Sequence[Tick], left: float) -> None:
        """Write the ticks of a vertical axis, whose labels end at ``left``."""
        for tick in ticks:
            self.add("text", tick.words, tone="tick end", x=left, y=tick.at + 4)

    def name_upright(self, words: str, x: float, y: float, *, tone: str = "") -> None:
        """Write the name of a vertical axis, from below upwards around its middle."""
        turned = f"translate({x:g} {y:g}) rotate(-90)"
        self.add("text", words, tone=f"{tone} middle".strip(), transform=turned)

    def to_svg(self) -> str:
        """Return the chart as an SVG file."""
        return render("drawing.svg.j2", drawing=self)


@dataclass(frozen=True)
class IntervalMark:
    """One interval: its name, its CSS class, its position, and its figures."""

    name: str
    tone: str
    low: float
    value: float
    high: float
    words: str


@dataclass(frozen=True)
class IntervalChart:
    """Intervals below each other, in per cent of the width; ``band`` holds the ends of a shaded range."""

    marks: Sequence[IntervalMark]
    ticks: Sequence[tuple[float, str]]
    band: tuple[float, float]

    def to_svg(self, title: str) -> str:
        """Render the chart, without its band, as a standalone file; tones are ``before`` and ``after``."""
        bottom = _CHART_HEAD + _CHART_ROW * len(self.marks) + 6
        about = ", ".join(f"{mark.name} {mark.words}" for mark in self.marks)
        drawing = Drawing(title, f"{about}.", 800, bottom + 26)
        ticks = [Tick(_across_chart(x), words) for x, words in self.ticks]
        ends = _across_chart(0.0), _across_chart(100.0)
        drawing.axes(Scale(0.0, 1.0, *ends), Scale(0.0, 1.0, bottom, _CHART_HEAD), ticks)
        drawing.label_x(ticks, bottom + 16)
        for n, mark in enumerate(self.marks):
            y = _CHART_HEAD + _CHART_ROW * n + 12
            low, value, high = map(_across_chart, (mark.low, mark.value, mark.high))
            drawing.add("text", shorten(mark.name, 40), tone="end", x=_CHART_LEFT - 10, y=y + 4)
            drawing.add("path", tone=mark.tone, stroke_width=3, d=f"M{low:g},{y}H{high:g}")
            drawing.add("circle", tone=mark.tone, cx=value, cy=y, r=4)
            drawing.add("text", mark.words, tone="quiet", x=_CHART_LEFT + 310, y=y + 4)
        return drawing.to_svg()


_CHART_LEFT, _CHART_HEAD, _CHART_ROW = 250, 34, 24
"""Left end of the scale, top of the rows, and the height of a row, in pixels."""


def _across_chart(percent: float) -> float:
    """Return the pixel of a position in per cent of the scale, which is 300 pixels wide."""
    return round(_CHART_LEFT + 3 * percent, 1)


def draw_intervals(
    rows: Sequence[tuple[str, str, Estimate]],
    scale: Callable[[float], float],
    *,
    ticks: Sequence[tuple[float, str]],
    band: tuple[float, float],
) -> IntervalChart | None:
    """Draw intervals on one scale; None without rows.

    Parameters
    ----------
    rows : name, CSS class and estimate of each row; every interval is known.
    scale : maps a value to a position, from -1 at the left to 1 at the right.
    ticks : values with their labels.
    band : ends of the shaded range; a line if they are equal.

    Examples
    --------
    >>> chart = draw_intervals(
    ...     [("click", "pass", Estimate(0.5, 0.0, 1.0, 9))], lambda x: x, ticks=[(0, "0")], band=(0, 0)
    ... )
    >>> chart.marks[0]
    IntervalMark(name='click', tone='pass', low=50.0, value=73.0, high=96.0, words='0.5 [0, 1]')
    """
    if not rows:
        return None

    def place(value: float) -> float:
        return round(_MIDDLE + _HALF * scale(value), 2)

    return IntervalChart(
        marks=[
            IntervalMark(name, tone, place(of.low), place(of.value), place(of.high), format_estimate(of))
            for name, tone, of in rows
        ],
        ticks=[(place(value), words) for value, words in ticks],
        band=(place(band[0]), place(band[1])),
    )


@dataclass(frozen=True)
class Rail:
    """One guardrail: its texts, and the positions of value and interval, in per cent of the width.

    ``low`` and ``high`` are None for an unknown interval; ``beyond``: the interval extends past the left end.
    ``baseline`` is the position of no change, None for a limit on a level. ``why`` is the reason if the
    metric was not measured.
    """

    metric: str
    meaning: str
    outcome: str
    observed: str
    limit: str
    value: float | None
    low: float | None
    high: float | None
    beyond: bool
    baseline: float | None = BASELINE_AT
    why: str = ""


def draw_rails(verdicts: Sequence[Verdict], words: Vocabulary) -> list[Rail]:
    """Draw every limit of the decision gate over all segments, the worst first.

    A declared limit without data is drawn empty; other metrics without data are only in the table.
    """
    decided = [
        v for v in verdicts if v.gate == "decision" and v.segment == ALL and v.threshold != NO_THRESHOLD
    ]
    evaluated = [v for v in decided if v.outcome is not Outcome.NO_RULE or v.subject.decided is not None]
    evaluated.sort(
        key=lambda verdict: (WORST_FIRST.index(verdict.outcome), verdict.subject.name not in words.primary)
    )
    return [_rail(verdict, words) for verdict in evaluated]


def _rail(verdict: Verdict, words: Vocabulary) -> Rail:
    seen, bounds = verdict.observed, verdict.threshold
    value = low = high = None
    beyond = False
    if seen is not None and bounds.bounded and math.isfinite(seen.value):
        value = _place(seen.value, bounds, seen)
        if seen.known:
            low, high = sorted((_place(seen.low, bounds, seen), _place(seen.high, bounds, seen)))
            beyond = max(badness(seen.low, bounds, seen), badness(seen.high, bounds, seen)) > _WORST
    return Rail(
        metric=name_subject(verdict.subject, words),
        meaning=describe_subject(verdict.subject, words),
        outcome=verdict.outcome.value,
        observed=_observed(verdict, words),
        limit=write_limit(verdict, words) + (f" vs {verdict.against}" if verdict.against else ""),
        value=value,
        low=low,
        high=high,
        beyond=beyond,
        baseline=_baseline(verdict),
        why=verdict.reason if verdict.outcome in _UNKNOWN else "",
    )


def _baseline(verdict: Verdict) -> float | None:
    """Return the position of no change; it equals the limit if no change for the worse is permitted."""
    if not verdict.relative:
        return None
    return _place(0.0, verdict.threshold, verdict.observed) if verdict.threshold.bounded else BASELINE_AT


def _observed(verdict: Verdict, words: Vocabulary) -> str:
    """Write the figure with its interval."""
    seen = verdict.observed
    if seen is None or math.isnan(seen.value):
        return "above a baseline of 0" if verdict.outcome in _BROKEN else ""
    return write_change(seen) if verdict.relative else write_interval(verdict.subject, seen, words)


def _place(value: float, bounds: Threshold, seen: Estimate | None) -> float:
    placed = min(max(badness(value, bounds, seen), _BEST), _WORST)
    return round(100 * (_WORST - placed) / (_WORST - _BEST), 1)


def badness(value: float, bounds: Threshold, seen: Estimate | None) -> float:
    """Return a value's position relative to its limit: 0 at the baseline (or 0), 1 at the limit.

    Examples
    --------
    >>> seen = Estimate(0.11, 0.02, 0.22, 900)
    >>> round(badness(0.11, Threshold(high=0.1), seen), 2), badness(-0.05, Threshold(low=-0.1), seen)
    (1.1, 0.5)
    """
    if math.isfinite(bounds.high):
        return value / bounds.high if bounds.high > 0 else 1 + (value - bounds.high) / _scale(seen)
    if bounds.low > 0:
        return 2 - value / bounds.low
    return value / bounds.low if bounds.low < 0 else 1 - value / _scale(seen)


def _scale(seen: Estimate | None) -> float:
    ends = () if seen is None else (seen.value, seen.low, seen.high)
    return max((abs(x) for x in ends if math.isfinite(x)), default=0) or _NARROWEST
