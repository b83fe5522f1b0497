"""Draws charts of reliability: predictions against outcomes, before and after calibration.

Charts in the runs of steps, which the dossier shows::

    calibrate   reliability.svg            before and after, on the task's test days
                reliability_segments.svg   the same by segment
    train_trunk training.svg               learning curves of the tasks of a shared trunk
    release     reliability/<task>.svg     the joint of a conditional task, on the release's test days

Layouts::

    reliability_figure   [ before ] [ after ]     side by side, on shared axes
                         [ rows   ] [ rows  ]     histograms of the predictions
    segments_figure      [ ] [ ] [ ] [ ]          one per segment value; before in grey, after in blue

A point is a bin's mean prediction and observed mean; the band is the 95 % interval from resampled users.
Predictions on the dashed diagonal are calibrated. Rare outcomes have logarithmic axes; a value head is drawn
in the value's unit. Charts are SVG with a background that follows the reader's light or dark preference.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.arrays import Flags, Floats
from tasks.calibration.reliability import REPLICATES, Curve, reliability_curve
from tasks.evaluation.binary import check_rows, divide
from tasks.evaluation.calibration_verdicts import SegmentRatio, off_p_value
from tasks.evaluation.figures import group_by_segment
from tasks.evaluation.observations import Observations
from tasks.evaluation.resampling import Clusters, Support, cluster_rows, statistic_intervals
from tasks.evaluation.subjects import Segment
from tasks.evaluation.verdicts import Estimate
from tasks.reports import charts
from tasks.reports.numbers import format_estimate, format_number, shorten
from tasks.stores.manifest import Manifest, Role
from tasks.stores.runs import StepRun
from tasks.stores.workspace import Workspace
from tasks.training.trunk_step import TRAINING

_BINS: Final = 60
"""Number of bars of a histogram."""

RARE: Final = 0.05
"""Base rate below which axes are logarithmic: the diagonal of rarer outcomes would lie in a corner."""

MOST_SEGMENTS: Final = 12
"""Maximum number of segment values; the least calibrated ones are drawn."""

_COLUMNS: Final = 4

_SMALL: Final = "small"
"""CSS class of a drawing of small diagrams, whose points have no words."""

_FOOT: Final = 0.16
"""Height of the histogram at the bottom of a small diagram, as a share of the diagram's height."""


@dataclass(frozen=True)
class Frame:
    """Limits of both axes, whether they are logarithmic, and whether outcomes are labels or values."""

    x: tuple[float, float]
    y: tuple[float, float]
    rare: bool
    binary: bool

    @classmethod
    def around(cls, curves: Sequence[Curve], *, rare: bool, binary: bool) -> "Frame":
        """Return limits that include every point; for rare outcomes they omit the lowest predictions."""
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


def reliability_figure(
    raw: npt.ArrayLike | None, observations: Observations, *, title: str
) -> charts.Drawing:
    """Draw reliability before and after calibration.

    Parameters
    ----------
    raw : [n] probabilities or expected values before calibration; None draws only calibrated ones.
    observations : at least one row, with calibrated predictions; outcomes are observed labels or values.
    title : title, for example the task.

    Examples
    --------
    >>> rows = Observations([0, 1], [0.1, 0.3], ["u", "v"], ["r", "r"])
    >>> reliability_figure([0.2, 0.2], rows, title="click").title
    'click: 1 positives in 2 rows'
    """
    y, after, _ = check_rows(observations.outcomes, observations.predictions)
    who = cluster_rows(observations.users, observations.requests)
    named = {"before": None if raw is None else check_rows(y, raw)[1], "after": after}
    curves = {name: reliability_curve(p, y, who) for name, p in named.items() if p is not None}
    positives = f"{np.count_nonzero(y):,} {'positives' if _is_binary(y) else 'values above 0'}"
    frame = Frame.around(list(curves.values()), rare=_is_rare(y), binary=_is_binary(y))
    return draw_large(f"{title}: {positives} in {y.size:,} rows", curves, frame)


def segments_figure(raw: npt.ArrayLike, observations: Observations, *, title: str) -> charts.Drawing | None:
    """Draw reliability by segment, least calibrated segment values first.

    Returns
    -------
    None if no segment has rows of both outcomes.

    Examples
    --------
    >>> source = {"source": ["ads", "ads", "feed", "feed"]}
    >>> rows = Observations([0, 1, 0, 0], [0.1, 0.3, 0.1, 0.1], ["u", "v", "w", "x"], ["r"] * 4, source)
    >>> segments_figure([0.2] * 4, rows, title="click").title
    'click: 1 of 1 segment values'
    """
    y, after, _ = check_rows(observations.outcomes, observations.predictions)
    before = check_rows(y, raw)[1]
    who = cluster_rows(observations.users, observations.requests)
    found = list(_find_segments(y, after, observations.segments, who))
    # sorted by the p-value of a ratio of 1; unknown ratios come last
    p_values = [off_p_value(SegmentRatio(of), low=1.0, high=1.0) if of.known else 2.0 for *_, of in found]
    drawable = [found[place] for place in np.argsort(p_values, kind="stable")]
    shown = drawable[:MOST_SEGMENTS]
    if not shown:
        return None
    pairs = {
        (str(segment), format_ratio(ratio)): {
            name: reliability_curve(p[rows], y[rows], cluster_rows(who.codes[rows]))
            for name, p in (("before", before), ("after", after))
        }
        for segment, rows, ratio in shown
    }
    curves = [curve for pair in pairs.values() for curve in pair.values()]
    frame = Frame.around(curves, rare=_is_rare(y), binary=_is_binary(y))
    return draw_small(f"{title}: {len(shown)} of {len(drawable)} segment values", pairs, frame)


def _find_segments(
    y: Floats, p: Floats, segments: Mapping[str, npt.ArrayLike], who: Clusters
) -> Iterator[tuple[Segment, Flags, Estimate]]:
    """Yield the segment values with both outcomes, each with its rows [n] and its ratio."""
    for column in list(group_by_segment(segments, y.size))[1:]:
        ratios = statistic_intervals([y, p], divide, who, REPLICATES, column)
        supported = Support.of(y, np.ones_like(y), who.codes, column).of_outcomes(ratios)
        for code, (name, ratio) in enumerate(zip(column.names, supported, strict=True)):
            rows = column.codes == code
            if 0 < np.count_nonzero(y[rows]) < np.count_nonzero(rows):
                yield name, rows, ratio


def _is_binary(y: Floats) -> bool:
    return bool(np.isin(y, (0.0, 1.0)).all())


def _is_rare(y: Floats) -> bool:
    return _is_binary(y) and float(y.mean()) < RARE


def draw_large(title: str, curves: Mapping[str, Curve], frame: Frame) -> charts.Drawing:
    """Draw a large diagram for each curve, by ``before`` and ``after``, each above its histogram.

    Examples
    --------
    >>> p, y = np.array([0.1, 0.1, 0.4, 0.4]), np.array([0.0, 0.0, 0.0, 1.0])
    >>> curve = reliability_curve(p, y, Clusters(np.arange(4), 4, "users"))
    >>> frame = Frame.around([curve], rare=False, binary=True)
    >>> drawing = draw_large("click", {"after": curve}, frame)
    >>> [(mark.attributes["cx"], mark.words) for mark in drawing.marks if mark.element == "circle"]
    [(137.8, 'predicted 0.1, observed 0 [?]'), (323.3, 'predicted 0.4, observed 0.5 [?]')]
    """
    headings = {name: f"observed / predicted {format_ratio(curve.ratio)}" for name, curve in curves.items()}
    if len(curves) > 1:
        headings = {name: f"{name}: {words}" for name, words in headings.items()}
    most = max(float(frame.count(curve.predictions)[0].max()) for curve in curves.values())
    drawing = charts.Drawing(title, ". ".join(headings.values()), 76 + 360 * len(curves), 478)
    for column, (name, curve) in enumerate(curves.items()):
        left = 76 + 360 * column
        above = _Diagram.of(drawing, frame, left, 62, 340, 290)
        above.axes(46, 32, names_y=column == 0)
        above.heading(headings[name], letters=60)
        above.diagonal()
        above.curve(name, curve)
        below = _Diagram(drawing, above.x, charts.Scale(0.0, 1.1 * most, 434, 364))
        below.axes(46, 24, names_x=True, names_y=column == 0)
        below.histogram(frame, curve, tone=f"{name} bars")
    drawing.add("text", _predicted(frame), tone="quiet middle", x=(76 + drawing.width) // 2, y=470)
    drawing.name_upright(_observed(frame), 18, 207, tone="quiet")
    drawing.name_upright("rows", 18, 399, tone="quiet")
    return drawing


def draw_small(
    title: str, pairs: Mapping[tuple[str, str], Mapping[str, Curve]], frame: Frame
) -> charts.Drawing:
    """Draw a small diagram for each segment value.

    Examples
    --------
    >>> p, y = np.array([0.1, 0.1, 0.4, 0.4]), np.array([0.0, 0.0, 0.0, 1.0])
    >>> curve = reliability_curve(p, y, Clusters(np.arange(4), 4, "users"))
    >>> frame = Frame.around([curve], rare=False, binary=True)
    >>> draw_small("click", {("source=ads", "1.00"): {"after": curve}}, frame).about
    'source=ads: 1.00'
    """
    about = ". ".join(f"{name}: {ratio}" for name, ratio in pairs)
    width = 60 + 212 * min(_COLUMNS, max(2, len(pairs)))
    height = 56 + 196 * -(-len(pairs) // _COLUMNS) + 10
    drawing = charts.Drawing(title, about, width, height, style=_SMALL)
    for number, (heading, curves) in enumerate(pairs.items()):
        row, column = divmod(number, _COLUMNS)
        diagram = _Diagram.of(drawing, frame, 60 + 212 * column, 74 + 196 * row, 198, 140)
        diagram.axes(46, 30, names_x=number + _COLUMNS >= len(pairs), names_y=column == 0)
        diagram.heading(*heading, letters=34)
        foot = _Diagram(drawing, diagram.x, charts.Scale(0.0, 1.0, diagram.y.start, diagram.y.end))
        foot.histogram(frame, curves["after"], tone="rows", share=_FOOT)
        diagram.diagonal()
        for name, curve in curves.items():
            diagram.curve(name, curve, band=name == "after")
    below = f"{_predicted(frame)}; grey before and blue after calibration"
    drawing.add("text", below, tone="quiet middle", x=(60 + width) // 2, y=height - 8)
    drawing.name_upright(_observed(frame), 14, height // 2, tone="quiet")
    return drawing


def format_ratio(ratio: Estimate) -> str:
    """Format the ratio of observed to predicted, or that it is not measurable.

    Examples
    --------
    >>> format_ratio(Estimate(1.234, 1.1, 1.4, 900))
    '1.23 [1.10, 1.40]'
    """
    if not ratio.known:
        return "not measurable"
    return f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


@dataclass(frozen=True)
class _Diagram:
    """A part of a drawing between two axes."""

    drawing: charts.Drawing
    x: charts.Scale
    y: charts.Scale

    @classmethod
    def of(
        cls, drawing: charts.Drawing, frame: Frame, left: int, top: int, width: int, height: int
    ) -> "_Diagram":
        x = charts.Scale(*frame.x, left, left + width, logarithmic=frame.rare)
        return cls(drawing, x, charts.Scale(*frame.y, top + height, top, logarithmic=frame.rare))

    def axes(self, beside: float, above: float, *, names_x: bool = False, names_y: bool = False) -> None:
        """Draw the grid, whose labels are at least so many pixels apart horizontally and vertically."""
        across, up = self.x.ticks(beside), self.y.ticks(above)
        self.drawing.axes(self.x, self.y, across, up)
        outline = f"M{self.x.start:g},{self.y.end:g}V{self.y.start:g}H{self.x.end:g}"
        self.drawing.add("path", tone="grid", d=outline)
        if names_x:
            self.drawing.label_x(across, self.y.start + 15)
        if names_y:
            self.drawing.label_y(up, self.x.start - 6)

    def heading(self, *lines: str, letters: int) -> None:
        for n, line in enumerate(reversed(lines)):
            y = self.y.end - 7 - 13 * n
            self.drawing.add("text", shorten(line, letters), tone="quiet", x=self.x.start, y=y)

    def diagonal(self) -> None:
        """Draw the line of calibrated predictions."""
        ends = max(self.x.low, self.y.low), min(self.x.high, self.y.high)
        path = charts.join_points(self.x.place(ends), self.y.place(ends))
        self.drawing.add("path", tone="diagonal", d=path)

    def curve(self, name: str, curve: Curve, *, band: bool = True) -> None:
        """Draw a curve with its band, and a triangle at the foot for a bin without positives.

        Points of large diagrams show their figures.
        """
        value, low, high = (
            np.array([getattr(rate, side) for rate in curve.observed]) for side in ("value", "low", "high")
        )
        p, bounded, seen = curve.predicted, np.isfinite(low), value >= self.y.low
        if band and bounded.any():
            edge = self.x.place(p[bounded])
            xs, ys = np.r_[edge, edge[::-1]], np.r_[high[bounded], low[bounded][::-1]]
            self.drawing.add("path", tone=f"{name} band", d=charts.join_points(xs, self.y.place(ys)) + "Z")
        xs, ys = self.x.place(p[seen]), self.y.place(value[seen])
        if len(xs):
            self.drawing.add("path", tone=name, d=charts.join_points(xs, ys))
        for x, y, n in zip(xs.tolist(), ys.tolist(), np.flatnonzero(seen).tolist(), strict=True):
            words, radius = "", 2.2
            if self.drawing.style != _SMALL:
                words = f"predicted {format_number(p[n])}, observed {format_estimate(curve.observed[n])}"
                radius = 3.4
            self.drawing.add("circle", words, tone=name, cx=x, cy=y, r=radius)
        for x in self.x.place(p[~seen]).tolist():
            self.drawing.add("path", tone=name, d=f"M{x - 4:g},{self.y.start - 9:g}h8l-4,7z")

    def histogram(self, frame: Frame, curve: Curve, *, tone: str, share: float | None = None) -> None:
        """Draw the predictions by bin; ``share`` is the height of the highest bar."""
        rows, edges = frame.count(curve.predictions)
        heights = rows if share is None else share * rows / rows.max()
        path = charts.outline_steps(self.y.place(heights), self.x.place(edges), base=self.y.start)
        self.drawing.add("path", tone=tone, d=path)


def _predicted(frame: Frame) -> str:
    return "predicted probability" if frame.binary else "predicted, in the unit of the value"


def _observed(frame: Frame) -> str:
    return "observed rate" if frame.binary else "observed mean"


RELIABILITY: Final = "reliability.svg"
SEGMENTS: Final = "reliability_segments.svg"
JOINTS: Final = "reliability"


def joint_picture(task: str) -> str:
    """Return the file name of the chart of a task's joint probability."""
    return f"{JOINTS}/{task}.svg"


def draw_calibration(run: StepRun, task: str, raw: Floats, observations: Observations) -> None:
    """Draw the reliability of the rows [n] of a task's test days, if there are any.

    Parameters
    ----------
    raw : [n] predictions before calibration; ``observations`` has the calibrated ones.
    """
    if not len(np.asarray(observations.outcomes)):
        return
    run.text(RELIABILITY, reliability_figure(raw, observations, title=task).to_svg())
    by_segment = segments_figure(raw, observations, title=task)
    if by_segment is not None:
        run.text(SEGMENTS, by_segment.to_svg())


def draw_joint(run: StepRun, task: str, outcomes: Floats, predictions: Floats, users: npt.ArrayLike) -> None:
    """Draw a joint probability [n] against its outcome, without rows of unknown outcome (NaN)."""
    known = Observations(outcomes, predictions, users, users).select_known()
    if len(np.asarray(known.outcomes)):
        run.text(joint_picture(task), reliability_figure(None, known, title=task).to_svg())


def gather_pictures(workspace: Workspace, manifest: Manifest, *, release_run: str) -> dict[str, bytes]:
    """Return the charts of a release's calibrators, joints and shared trunks, by caption.

    A refitted part has the charts of the tested part, because only that part was measured.
    """
    registry, tested = workspace.store.registry, manifest.find(Role.TESTED)
    repeated = () if tested is None else workspace.releases.manifest(tested.version).parts
    joints = workspace.store.runs.read_pictures(release_run, JOINTS)
    pictures: dict[str, bytes | None] = {}
    for pinned in (*manifest.parts, *repeated):
        if pinned.role is Role.CALIBRATOR:
            drawn = workspace.store.runs.read_pictures(registry.run_id(pinned))
            name = f"{pinned.task}, calibrator {pinned.version}"
            pictures[name] = drawn.get(RELIABILITY)
            pictures[f"{name}, by segment"] = drawn.get(SEGMENTS)
            pictures[f"{pinned.task}, joint along its chain"] = joints.get(joint_picture(str(pinned.task)))
        elif pinned.role is Role.TRUNK:
            drawn = workspace.store.runs.read_pictures(registry.run_id(pinned))
            pictures[f"{pinned.name}, version {pinned.version}"] = drawn.get(TRAINING)
    return {caption: picture for caption, picture in pictures.items() if picture is not None}
