"""What a reliability figure is made of, in pixels, for its template: limits, places, lines, bars, words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tasks.calibration.reliability import Curve
from tasks.evaluation.binary import Floats
from tasks.reports.render import render
from tasks.reports.scales import Tick

_BINS: Final = 60
"""Bars of a histogram."""


@dataclass(frozen=True)
class Frame:
    """Limits of both axes, whether they are logarithmic, and whether outcomes are labels or values."""

    x: tuple[float, float]
    y: tuple[float, float]
    rare: bool
    binary: bool

    @classmethod
    def around(cls, curves: Sequence[Curve], *, rare: bool, binary: bool) -> "Frame":
        """Hold every point; of rare outcomes all but the lowest predictions and the thin ends of bars."""
        means = [float(m) for curve in curves for m in curve.predicted if m > 0]
        rates = [r.value for curve in curves for r in curve.observed if r.value > 0] or means
        if not rare or not means:
            span = (0.0, max([*means, *rates, 1e-9]) * 1.1)
            return cls(span, span, rare=False, binary=binary)
        tails = [float(max(np.quantile(curve.predictions, 0.02), 1e-9)) for curve in curves]
        top = min(1.0, 2 * max(*means, *rates))
        limits = (min(*means, *tails) / 1.5, top), (min(*rates, *means) / 2.5, top)
        return cls(*limits, rare=True, binary=binary)

    def count(self, predictions: Floats) -> tuple[Floats, Floats]:
        """Count predictions [n] by bin; return counts [bins] and edges [bins + 1]."""
        edges = np.geomspace(*self.x, _BINS + 1) if self.rare else np.linspace(*self.x, _BINS + 1)
        rows, _ = np.histogram(np.clip(predictions, edges[0], edges[-1]), bins=edges)
        return rows.astype(np.float64), edges


@dataclass(frozen=True)
class Box:
    """The place of a diagram in pixels, and its ticks."""

    left: int
    top: int
    right: int
    bottom: int
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]


@dataclass(frozen=True)
class Point:
    """A bin: where it lies, and what it says in words."""

    x: float
    y: float
    words: str


@dataclass(frozen=True)
class Line:
    """A curve, ``before`` or ``after``: its points, its band, and where bins of no outcome lie."""

    name: str
    line: str
    band: str
    points: Sequence[Point]
    none: Sequence[float]


@dataclass(frozen=True)
class Outer:
    """Which axes of a diagram carry names: those at the outer edges."""

    x: bool
    y: bool


@dataclass(frozen=True)
class Diagram:
    """Curves in a box, under a heading of some lines; ``rows`` is the histogram at its foot, if any."""

    frame: Box
    outer: Outer
    heading: Sequence[str]
    diagonal: tuple[float, ...]
    curves: Sequence[Line]
    rows: str = ""


@dataclass(frozen=True)
class Strip:
    """A histogram in a box of its own, in the colour of the curve above it."""

    frame: Box
    outer: Outer
    name: str
    rows: str


@dataclass(frozen=True)
class Label:
    """The name of an axis."""

    x: int
    y: int
    words: str
    upright: bool = False


@dataclass(frozen=True)
class ReliabilityFigure:
    """A picture that is laid out; a heading has room for so many letters."""

    title: str
    description: str
    width: int
    height: int
    letters: int
    diagrams: Sequence[Diagram]
    strips: Sequence[Strip]
    labels: Sequence[Label]
    small: bool = False

    def to_svg(self) -> str:
        """Write the picture as a file of its own."""
        return render("reliability.svg.j2", figure=self)
