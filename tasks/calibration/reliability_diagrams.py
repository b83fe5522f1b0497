"""How reliability is laid out: diagrams with their axes, curves, bands and histograms, in pixels.

::

    draw_large   [ before ] [ after ]     beside each other, on axes that they share
                 [ rows   ] [ rows  ]     where the predictions lie
    draw_small   [ ] [ ] [ ] [ ]          a segment value each, its rows at the foot
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.calibration.reliability import Curve
from tasks.calibration.reliability_shapes import (
    Box,
    Diagram,
    Frame,
    Label,
    Line,
    Outer,
    Point,
    ReliabilityFigure,
    Strip,
)
from tasks.evaluation.verdicts import Estimate
from tasks.reports.numbers import format_estimate, format_number
from tasks.reports.scales import Scale, outline_steps

_COLUMNS: Final = 4
_FOOT: Final = 0.16
"""Share of a small diagram's height that the histogram at its foot may take."""


def draw_large(title: str, curves: Mapping[str, Curve], frame: Frame) -> ReliabilityFigure:
    """Lay out a large diagram for each curve, by ``before`` and ``after``, each above its histogram.

    Examples
    --------
    >>> from tasks.calibration.reliability import reliability_curve
    >>> from tasks.evaluation.resampling import Clusters
    >>> p, y = np.array([0.1, 0.1, 0.4, 0.4]), np.array([0.0, 0.0, 0.0, 1.0])
    >>> curve = reliability_curve(p, y, Clusters(np.arange(4), 4, "users"))
    >>> frame = Frame.around([curve], rare=False, binary=True)
    >>> (diagram,) = draw_large("click", {"after": curve}, frame).diagrams
    >>> [(point.x, point.words) for point in diagram.curves[0].points]
    [(137.8, 'predicted 0.1, observed 0 [?]'), (323.3, 'predicted 0.4, observed 0.5 [?]')]
    """
    several = len(curves) > 1
    headings = {name: _describe(curve.ratio) for name, curve in curves.items()}
    if several:
        headings = {name: f"{name}: {words}" for name, words in headings.items()}
    most = max(float(frame.count(curve.predictions)[0].max()) for curve in curves.values())
    diagrams, strips = [], []
    for column, (name, curve) in enumerate(curves.items()):
        left = 76 + 360 * column
        axes = _Axes.of(frame, left, 62, 340, 290)
        outer = Outer(x=False, y=column == 0)
        heading = (headings[name],)
        diagrams.append(Diagram(axes.box(46, 32), outer, heading, axes.diagonal(), (axes.line(name, curve),)))
        below = _Axes(axes.x, Scale(0.0, 1.1 * most, 434, 364))
        strips.append(Strip(below.box(46, 24), Outer(x=True, y=column == 0), name, below.steps(frame, curve)))
    width = 76 + 360 * len(curves)
    return ReliabilityFigure(
        title=title,
        description=". ".join(headings.values()),
        width=width,
        height=478,
        letters=60,
        diagrams=diagrams,
        strips=strips,
        labels=[
            Label((76 + width) // 2, 470, _predicted(frame)),
            Label(18, 207, _observed(frame), upright=True),
            Label(18, 399, "rows", upright=True),
        ],
    )


def draw_small(
    title: str, pairs: Mapping[tuple[str, str], Mapping[str, Curve]], frame: Frame
) -> ReliabilityFigure:
    """Lay out a small diagram for each segment value.

    Parameters
    ----------
    pairs : by the segment's name and its ratio in words, the curves by ``before`` and ``after``.

    Examples
    --------
    >>> from tasks.calibration.reliability import reliability_curve
    >>> from tasks.evaluation.resampling import Clusters
    >>> p, y = np.array([0.1, 0.1, 0.4, 0.4]), np.array([0.0, 0.0, 0.0, 1.0])
    >>> curve = reliability_curve(p, y, Clusters(np.arange(4), 4, "users"))
    >>> frame = Frame.around([curve], rare=False, binary=True)
    >>> draw_small("click", {("source=ads", "1.00"): {"after": curve}}, frame).description
    'source=ads: 1.00'
    """
    diagrams = []
    for number, (heading, curves) in enumerate(pairs.items()):
        row, column = divmod(number, _COLUMNS)
        axes = _Axes.of(frame, 60 + 212 * column, 74 + 196 * row, 198, 140)
        foot = _Axes(axes.x, Scale(0.0, 1.0, axes.y.start, axes.y.end))
        outer = Outer(x=number + _COLUMNS >= len(pairs), y=column == 0)
        lines = [axes.line(name, curve, band=name == "after") for name, curve in curves.items()]
        rows = foot.steps(frame, curves["after"], share=_FOOT)
        diagrams.append(Diagram(axes.box(46, 30), outer, heading, axes.diagonal(), lines, rows))
    height = 56 + 196 * -(-len(pairs) // _COLUMNS) + 10
    width = 60 + 212 * min(_COLUMNS, max(2, len(pairs)))
    return ReliabilityFigure(
        title=title,
        description=". ".join(f"{name}: {ratio}" for name, ratio in pairs),
        width=width,
        height=height,
        letters=34,
        diagrams=diagrams,
        strips=(),
        labels=[
            Label(
                (60 + width) // 2, height - 8, f"{_predicted(frame)}; grey before and blue after calibration"
            ),
            Label(14, height // 2, _observed(frame), upright=True),
        ],
        small=True,
    )


def format_ratio(ratio: Estimate) -> str:
    """Write the ratio of observed to predicted, or that it cannot be told.

    Examples
    --------
    >>> format_ratio(Estimate(1.234, 1.1, 1.4, 900))
    '1.23 [1.10, 1.40]'
    """
    if not ratio.known:
        return "cannot be told"
    return f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


@dataclass(frozen=True)
class _Axes:
    """Both axes of a diagram."""

    x: Scale
    y: Scale

    @classmethod
    def of(cls, frame: Frame, left: int, top: int, width: int, height: int) -> "_Axes":
        x = Scale(*frame.x, left, left + width, logarithmic=frame.rare)
        return cls(x, Scale(*frame.y, top + height, top, logarithmic=frame.rare))

    def box(self, beside: float, above: float) -> Box:
        """Return the place, with named values so many pixels beside and above each other."""
        left, right, bottom, top = (int(at) for at in (self.x.start, self.x.end, self.y.start, self.y.end))
        return Box(left, top, right, bottom, self.x.ticks(beside), self.y.ticks(above))

    def diagonal(self) -> tuple[float, ...]:
        """Return both ends of the line on which predictions are calibrated."""
        ends = max(self.x.low, self.y.low), min(self.x.high, self.y.high)
        return tuple(float(scale.place(end)) for end in ends for scale in (self.x, self.y))

    def line(self, name: str, curve: Curve, *, band: bool = True) -> Line:
        value, low, high = (
            np.array([getattr(rate, side) for rate in curve.observed]) for side in ("value", "low", "high")
        )
        seen = value >= self.y.low
        bounded = np.isfinite(low)
        points = tuple(self._points(curve, seen))
        edge = [
            *zip(self.x.place(curve.predicted[bounded]), self.y.place(high[bounded]), strict=True),
            *zip(self.x.place(curve.predicted[bounded]), self.y.place(low[bounded]), strict=True),
        ]
        half = len(edge) // 2
        return Line(
            name,
            line=" ".join(f"{point.x:g},{point.y:g}" for point in points),
            band=" ".join(f"{x:g},{y:g}" for x, y in (*edge[:half], *edge[half:][::-1])) if band else "",
            points=points,
            none=self.x.place(curve.predicted[~seen]).tolist(),
        )

    def steps(self, frame: Frame, curve: Curve, *, share: float | None = None) -> str:
        """Return the outline of a histogram of the predictions; with a share, the highest bar is so high."""
        rows, edges = frame.count(curve.predictions)
        heights = rows if share is None else share * rows / rows.max()
        return outline_steps(self.y.place(heights), self.x.place(edges), base=self.y.start)

    def _points(self, curve: Curve, seen: npt.NDArray[np.bool_]) -> Iterator[Point]:
        rates = [rate for rate, shown in zip(curve.observed, seen, strict=True) if shown]
        predicted = curve.predicted[seen]
        xs, ys = self.x.place(predicted).tolist(), self.y.place([rate.value for rate in rates]).tolist()
        for x, y, p, rate in zip(xs, ys, predicted.tolist(), rates, strict=True):
            yield Point(x, y, f"predicted {format_number(p)}, observed {format_estimate(rate)}")


def _describe(ratio: Estimate) -> str:
    return f"observed / predicted {format_ratio(ratio)}"


def _predicted(frame: Frame) -> str:
    return "predicted probability" if frame.binary else "predicted, in the unit of the value"


def _observed(frame: Frame) -> str:
    return "observed rate" if frame.binary else "observed mean"
