"""Reliability pictures: what was predicted against what happened, before and after calibration.

::

    reliability_figure   the whole: two diagrams side by side, and below each where the predictions lie
    segments_figure      a small diagram for each segment value, before in grey and after in blue

A point is at a bin's mean prediction and observed mean, the band is the 95 % interval that resamples
users; on the dashed diagonal predictions are calibrated. Rare outcomes get logarithmic axes, since there
a factor matters; a value head is drawn in the value's unit. Pictures bring their own light ground, so they
read alike on light and dark pages.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from tasks.calibration.reliability import REPLICATES, Curve, reliability_curve
from tasks.evaluation.binary import Floats, check_rows, divide
from tasks.evaluation.calibration_verdicts import SegmentRatio, off_p_value
from tasks.evaluation.metric_rows import group_by_segment
from tasks.evaluation.observations import Observations
from tasks.evaluation.resampling import Clusters, Resampler, cluster_rows, sum_intervals
from tasks.evaluation.support import Support
from tasks.evaluation.verdicts import Estimate

RARE: Final = 0.05
"""Base rate below which axes are logarithmic: the diagonal of rarer outcomes would lie in one corner."""

MOST_SEGMENTS: Final = 12
"""Segment values that are drawn: those that look least like calibrated."""

_BEFORE, _AFTER, _QUIET = "#8a8f98", "#1f6feb", "#57606a"
_COLUMNS: Final = 4


def reliability_figure(raw: npt.ArrayLike | None, observations: Observations, *, title: str) -> Figure:
    """Draw reliability before and after calibration.

    Parameters
    ----------
    raw : [n] probabilities or expected values before calibration; None draws the calibrated ones only.
    observations : at least one row, with calibrated predictions; outcomes are observed labels or values.
    title : what was calibrated, for instance the task.

    Returns
    -------
    A figure of its own canvas: nothing global is touched, `tasks.reports.png` writes it.

    Examples
    --------
    >>> rows = Observations([0, 1], [0.1, 0.3], ["u", "v"], ["r", "r"])
    >>> reliability_figure([0.2, 0.2], rows, title="click").get_suptitle()
    'click: 1 positives in 2 rows'
    """
    y, after, _ = check_rows(observations.outcomes, observations.predictions)
    who = cluster_rows(observations.users)
    named = {"before": None if raw is None else check_rows(y, raw)[1], "after": after}
    curves = {name: reliability_curve(p, y, who) for name, p in named.items() if p is not None}
    positives = f"{np.count_nonzero(y):,} {'positives' if _is_binary(y) else 'values above 0'}"
    figure, axes = _large_diagrams(f"{title}: {positives} in {y.size:,} rows", len(curves))
    frame = _frame(list(curves.values()), rare=_is_binary(y) and float(y.mean()) < RARE)
    _set_scales(axes[0, 0], frame)
    for column, (name, curve) in enumerate(curves.items()):
        colour = _BEFORE if name == "before" else _AFTER
        _draw_diagonal(axes[0, column])
        _draw_curve(axes[0, column], curve, colour, frame)
        _set_title(
            axes[0, column],
            f"{name}: {_describe_ratio(curve.ratio)}" if len(curves) > 1 else _describe_ratio(curve.ratio),
        )
        _draw_strip(axes[1, column], curve.predictions, colour, frame)
    axes[0, 0].set_ylabel("observed mean")
    axes[1, 0].set_ylabel("rows")
    return figure


def segments_figure(raw: npt.ArrayLike, observations: Observations, *, title: str) -> Figure | None:
    """Draw reliability in segments, those that look least like calibrated first.

    Parameters
    ----------
    raw, observations, title : as in `reliability_figure`.

    Returns
    -------
    None where no segment has a row of each outcome.

    Examples
    --------
    >>> source = {"source": ["ads", "ads", "feed", "feed"]}
    >>> rows = Observations([0, 1, 0, 0], [0.1, 0.3, 0.1, 0.1], ["u", "v", "w", "x"], ["r"] * 4, source)
    >>> segments_figure([0.2] * 4, rows, title="click").get_suptitle()
    'click: 1 of 1 segment values'
    """
    y, after, _ = check_rows(observations.outcomes, observations.predictions)
    before = check_rows(y, raw)[1]
    who = cluster_rows(observations.users)
    drawable = sorted(
        _find_segments(y, after, observations.segments, who),
        key=lambda one: _miscalibration_p_value(one.ratio),
    )
    shown = drawable[:MOST_SEGMENTS]
    if not shown:
        return None
    pairs = [[_segment_curve(p, y, who, one.rows) for p in (before, after)] for one in shown]
    figure, axes = _small_diagrams(f"{title}: {len(shown)} of {len(drawable)} segment values", len(shown))
    frame = _frame([curve for pair in pairs for curve in pair], rare=_is_binary(y) and float(y.mean()) < RARE)
    _set_scales(axes[0], frame)
    if frame.rare:
        _thin_ticks(axes[0])
    for place, segment, pair in zip(axes, shown, pairs, strict=False):
        _draw_diagonal(place)
        for curve, colour in zip(pair, (_BEFORE, _AFTER), strict=True):
            _draw_curve(place, curve, colour, frame, size=3.0, band=colour == _AFTER)
        _draw_ground(place, pair[1].predictions, frame)
        _set_title(place, f"{segment.name}\n{_format_ratio(segment.ratio)}", size=8)
    return figure


@dataclass(frozen=True)
class _Segment:
    """A segment value with its rows [n] and its ratio after calibration."""

    name: str
    rows: npt.NDArray[np.bool_]
    ratio: Estimate


def _find_segments(
    y: Floats, p: Floats, segments: Mapping[str, npt.ArrayLike], who: Clusters
) -> Iterator[_Segment]:
    """Yield the segment values that hold both outcomes."""
    resampler = Resampler(who.count, seed=0, replicates=REPLICATES)
    for column in list(group_by_segment(segments, y.size))[1:]:
        ratios = sum_intervals(
            [y, p], {"it": divide}, who.codes, resampler, groups=column.codes, count=column.count
        )
        supported = Support.of(y, np.ones_like(y), who.codes, column).of_outcomes(ratios["it"])
        for code, (name, ratio) in enumerate(zip(column.names, supported, strict=True)):
            rows = column.codes == code
            if 0 < np.count_nonzero(y[rows]) < np.count_nonzero(rows):
                yield _Segment(name, rows, ratio)


def _is_binary(y: Floats) -> bool:
    return bool(np.isin(y, (0.0, 1.0)).all())


def _segment_curve(p: Floats, y: Floats, who: Clusters, rows: npt.NDArray[np.bool_]) -> Curve:
    return reliability_curve(p[rows], y[rows], cluster_rows(who.codes[rows]))


def _large_diagrams(title: str, count: int) -> tuple[Figure, npt.NDArray[np.object_]]:
    """Return a figure and the places [2, count] of its diagrams; laid out by inches, which is quick."""
    width, height = 0.4 + 4.6 * count, 5.6
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, y=1 - 0.08 / height, ha="left", va="top", fontsize=12)
    sides = {"left": 0.85 / width, "right": 1 - 0.1 / width, "top": 1 - 0.65 / height, "bottom": 0.5 / height}
    grid = {**sides, "hspace": 0.06, "wspace": 0.06, "height_ratios": (4, 1)}
    axes = figure.subplots(2, count, sharex="all", sharey="row", squeeze=False, gridspec_kw=grid)
    return figure, axes


def _small_diagrams(title: str, count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure and the places of its diagrams; laid out by inches, which is quick."""
    lines = -(-count // _COLUMNS)
    height = 1.0 + 2.3 * lines
    figure = Figure(figsize=(11.0, height))
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, y=1 - 0.08 / height, ha="left", va="top", fontsize=12)
    sides = {"left": 0.06, "right": 0.99, "top": 1 - 0.65 / height, "bottom": 0.55 / height}
    grid = {**sides, "hspace": 0.28, "wspace": 0.06}
    axes = figure.subplots(
        lines, _COLUMNS, sharex="all", sharey="all", squeeze=False, gridspec_kw=grid
    ).ravel()
    for place in axes[count:]:
        place.set_axis_off()
    for place in axes[:count]:  # matplotlib measures all ticks to find the place of names that nobody gave
        place.xaxis.set_label_coords(0.5, 0)
        place.yaxis.set_label_coords(0, 0.5)
    for place in axes[max(0, count - _COLUMNS) : count]:
        place.tick_params(labelbottom=True)
    figure.text(0.06, 0.1 / height, "predicted; grey before and blue after calibration", fontsize=9)
    figure.text(0.008, 0.5, "observed mean", fontsize=9, rotation="vertical", va="center")
    return figure, list(axes)


def _miscalibration_p_value(ratio: Estimate) -> float:
    """Rank a ratio: the least p-value of "it is 1" first, an unknown one last."""
    return off_p_value(SegmentRatio(ratio), low=1.0, high=1.0) if ratio.known else 2.0


@dataclass(frozen=True)
class _Frame:
    """Limits of both axes, and whether they are logarithmic."""

    x: tuple[float, float]
    y: tuple[float, float]
    rare: bool

    @property
    def edges(self) -> Floats:
        return np.geomspace(*self.x, 61) if self.rare else np.linspace(*self.x, 61)


def _frame(curves: Sequence[Curve], *, rare: bool) -> _Frame:
    """Hold every point; of rare outcomes all but the lowest predictions and the thin ends of bars."""
    means = [float(m) for curve in curves for m in curve.predicted if m > 0]
    rates = [r.value for curve in curves for r in curve.observed if r.value > 0] or means
    if not rare or not means:
        span = (0.0, max([*means, *rates, 1e-9]) * 1.1)
        return _Frame(span, span, rare=False)
    tails = [float(max(np.quantile(curve.predictions, 0.02), 1e-9)) for curve in curves]
    top = min(1.0, 2 * max(*means, *rates))
    return _Frame((min(*means, *tails) / 1.5, top), (min(*rates, *means) / 2.5, top), rare=True)


def _set_scales(axes: Axes, frame: _Frame) -> None:
    """Set scales and limits, which all diagrams of a figure share."""
    if frame.rare:
        axes.set(xscale="log", yscale="log")
    axes.set(xlim=frame.x, ylim=frame.y)


def _thin_ticks(axes: Axes) -> None:
    """Leave few ticks on logarithmic axes, which all diagrams of a figure share."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=5))
        axis.set_minor_locator(NullLocator())


def _draw_diagonal(axes: Axes) -> None:
    axes.axline((0.1, 0.1), (0.2, 0.2), color=_QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    _style_axes(axes)


def _draw_curve(
    axes: Axes, curve: Curve, colour: str, frame: _Frame, *, size: float = 4.5, band: bool = True
) -> None:
    """Draw points on a line within the band; what lies below the frame is a hollow mark at its foot."""
    value, low, high = (
        np.array([getattr(r, side) for r in curve.observed]) for side in ("value", "low", "high")
    )
    off = value < frame.y[0]
    if band:
        bounded = np.isfinite(low)
        ends = [np.clip(bound[bounded], *frame.y) for bound in (low, high)]
        axes.fill_between(curve.predicted[bounded], *ends, color=colour, alpha=0.22, linewidth=0)
    axes.plot(curve.predicted[~off], value[~off], "o-", color=colour, markersize=size, linewidth=1, zorder=3)
    foot = np.full(int(off.sum()), frame.y[0] * 1.15)
    axes.plot(curve.predicted[off], foot, "v", color=colour, markersize=size, fillstyle="none", zorder=3)


def _draw_strip(axes: Axes, p: Floats, colour: str, frame: _Frame) -> None:
    axes.stairs(*_count_by_bin(p, frame), color=colour, alpha=0.7, fill=True)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("predicted")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rows, _: f"{rows:,.0f}"))
    _style_axes(axes)


def _count_by_bin(p: Floats, frame: _Frame) -> tuple[Floats, Floats]:
    """Count the predictions in each of the frame's bins; return counts [bins] and edges [bins + 1]."""
    rows, edges = np.histogram(np.clip(p, *frame.x), bins=frame.edges)
    return rows.astype(np.float64), edges


def _draw_ground(axes: Axes, p: Floats, frame: _Frame) -> None:
    """Draw where the predictions lie as a low histogram at the foot of a diagram."""
    rows, edges = _count_by_bin(p, frame)
    foot = axes.get_xaxis_transform()
    axes.stairs(0.16 * rows / rows.max(), edges, color=_QUIET, alpha=0.25, fill=True, transform=foot)
    axes.tick_params(labelsize=7)


def _style_axes(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#d0d7de", linewidth=0.5)
    axes.set_axisbelow(True)


def _set_title(axes: Axes, words: str, *, size: float = 10) -> None:
    # with a fixed y matplotlib does not measure all ticks to keep the title clear of them
    axes.set_title(words, loc="left", y=1.0, fontsize=size, color=_QUIET)


def _describe_ratio(ratio: Estimate) -> str:
    if not ratio.known:
        return "observed / predicted cannot be told"
    return f"observed / predicted {_format_ratio(ratio)}"


def _format_ratio(ratio: Estimate) -> str:
    return f"{ratio.value:.2f}  [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio.known else "cannot be told"
