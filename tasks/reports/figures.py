"""Figures that several pages draw: here intervals on one scale, a row each.

::

    click           ---o--       a row: its name, its interval, its value
    like         --o--
              |    :    |
            left  middle  right
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.evaluation.verdicts import Estimate
from tasks.reports.numbers import format_estimate

_MIDDLE, _HALF = 50, 46
"""Where the scale has its middle, and how far it reaches to both sides, in percent of the width."""


@dataclass(frozen=True)
class IntervalMark:
    """One interval: its name, the class of its colour, where it is drawn, and its figures."""

    name: str
    tone: str
    low: float
    value: float
    high: float
    words: str


@dataclass(frozen=True)
class IntervalChart:
    """Intervals one below the other, in percent of the width; ``band`` are two ends that are shaded."""

    marks: Sequence[IntervalMark]
    ticks: Sequence[tuple[float, str]]
    band: tuple[float, float]


def draw_intervals(
    rows: Sequence[tuple[str, str, Estimate]],
    scale: Callable[[float], float],
    *,
    ticks: Sequence[tuple[float, str]],
    band: tuple[float, float],
) -> IntervalChart | None:
    """Draw intervals on one scale; None where there are none.

    Parameters
    ----------
    rows : name, class of the colour and estimate of each; every interval is known.
    scale : the place of a value, from -1 at the left to 1 at the right.
    ticks : values with their words.
    band : ends of the range that is shaded; a line where both are one value.

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
