"""The reliability picture: what was predicted against what happened, before and after calibration.

Rows are cut where equal shares of the predicted sum have passed. A bin's point stands at its mean prediction
and its observed rate, with a bar for the user-clustered 95 % interval; on the diagonal predictions mean what
they say. The strip below shows where the predictions lie. Rare outcomes get logarithmic axes, since there a
factor matters.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tasks.evaluation.binary import Codes, Floats, checked, quotient
from tasks.evaluation.intervals import calibration_interval
from tasks.evaluation.resampling import Clusters, Resampler, clusters, sum_intervals
from tasks.evaluation.verdicts import Estimate

RARE: Final = 0.05
"""Base rate below which axes are logarithmic."""

MOST_BINS: Final = 12
BIN_POSITIVES: Final = 10
"""Positives that a bin should hold on average; fewer positives make fewer bins."""

_BEFORE, _AFTER, _QUIET = "#8a8f98", "#1f6feb", "#57606a"


def reliability_figure(
    raw: npt.ArrayLike,
    calibrated: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    *,
    title: str,
    users: npt.ArrayLike | None = None,
) -> Figure:
    """Draw reliability before and after calibration.

    Parameters
    ----------
    raw, calibrated : [n] probabilities.
    outcomes : [n] observed labels, 0 or 1, at least one row.
    title : what was calibrated, for instance the task.
    users : [n] ids to resample for the intervals; None resamples rows.

    Returns
    -------
    A figure of its own canvas: nothing global is touched, `savefig` writes it.
    """
    y, before, _ = checked(outcomes, raw)
    after = checked(outcomes, calibrated)[1]
    who = clusters(np.arange(y.size) if users is None else users)
    panels = [_panel(name, p, y, who) for name, p in (("before", before), ("after", after))]
    figure = Figure(figsize=(9.6, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{title}: {int(y.sum()):,} positives in {y.size:,} rows", x=0.01, ha="left", fontsize=12)
    axes = figure.subplots(2, 2, sharex="all", sharey="row", height_ratios=(4, 1))
    frame = _rare_frame(panels) if float(y.mean()) < RARE else _frame(panels)
    for column, (panel, colour) in enumerate(zip(panels, (_BEFORE, _AFTER), strict=True)):
        _draw_points(axes[0, column], panel, colour, frame)
        _draw_strip(axes[1, column], panel.predictions, colour, frame)
    axes[0, 0].set_ylabel("observed rate")
    axes[1, 0].set_ylabel("rows")
    return figure


@dataclass(frozen=True)
class _Panel:
    name: str
    predictions: Floats
    means: Floats
    rates: tuple[Estimate, ...]
    ratio: Estimate


def _panel(name: str, p: Floats, y: Floats, who: Clusters) -> _Panel:
    bins, count = _quantile_bins(p, int(y.sum()))
    resampler = Resampler(who.count, seed=0, replicates=200)
    ones = np.ones_like(y)
    rates = sum_intervals([y, ones], {"rate": quotient}, who.codes, resampler, groups=bins, count=count)[
        "rate"
    ]
    means = np.bincount(bins, p, minlength=count) / np.bincount(bins, minlength=count)
    return _Panel(name, p, means, tuple(rates), calibration_interval(y, p, who.codes, replicates=200))


def _quantile_bins(p: Floats, positives: int) -> tuple[Codes, int]:
    """Cut at quantiles of what is predicted, so that each bin expects equally many positives."""
    wanted = int(np.clip(positives // BIN_POSITIVES, 2, MOST_BINS))
    order = np.argsort(p, kind="stable")
    passed = np.cumsum(p[order])
    cuts = p[order][np.searchsorted(passed, np.arange(1, wanted) / wanted * passed[-1])]
    bins = np.searchsorted(np.unique(cuts), p, side="right")
    known, codes = np.unique(bins, return_inverse=True)
    return codes, known.size


@dataclass(frozen=True)
class _Frame:
    """Limits of both axes, and whether they are logarithmic."""

    x: tuple[float, float]
    y: tuple[float, float]
    rare: bool

    @property
    def edges(self) -> list[float]:
        return list(np.geomspace(*self.x, 61) if self.rare else np.linspace(*self.x, 61))


def _frame(panels: list[_Panel]) -> _Frame:
    marks = [m for panel in panels for m in (*panel.means, *(r.value for r in panel.rates))]
    span = (0.0, min(1.0, max(marks) * 1.1))
    return _Frame(span, span, rare=False)


def _rare_frame(panels: list[_Panel]) -> _Frame:
    """Hold every point, every bar but its thin ends, and all but the lowest predictions."""
    means = [float(m) for panel in panels for m in panel.means if m > 0]
    rates = [r.value for panel in panels for r in panel.rates if r.value > 0] or means
    tails = [float(max(np.quantile(panel.predictions, 0.02), 1e-9)) for panel in panels]
    top = min(1.0, 2 * max(*means, *rates))
    return _Frame((min(*means, *tails) / 1.5, top), (min(*rates, *means) / 2.5, top), rare=True)


def _draw_points(axes: Axes, panel: _Panel, colour: str, frame: _Frame) -> None:
    axes.axline((0.1, 0.1), (0.2, 0.2), color=_QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    value, low, high = (
        np.array([getattr(r, side) for r in panel.rates]) for side in ("value", "low", "high")
    )
    off = value < frame.y[0]
    axes.vlines(
        panel.means, np.maximum(low, frame.y[0]), high, color=colour, linewidth=2, alpha=0.45, zorder=2
    )
    axes.plot(panel.means[~off], value[~off], "o", color=colour, markersize=4.5, zorder=3)
    at_bottom = np.full(int(off.sum()), frame.y[0] * 1.15)
    axes.plot(panel.means[off], at_bottom, "v", color=colour, fillstyle="none", zorder=3)
    if frame.rare:
        axes.set(xscale="log", yscale="log")
    axes.set(xlim=frame.x, ylim=frame.y)
    axes.set_title(f"{panel.name}: {_told(panel.ratio)}", loc="left", fontsize=10, color=_QUIET)
    _dress(axes)


def _draw_strip(axes: Axes, p: Floats, colour: str, frame: _Frame) -> None:
    axes.hist(np.clip(p, *frame.x), bins=frame.edges, color=colour, alpha=0.7)
    axes.set_xlabel("predicted probability")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rows, _: f"{rows:,.0f}"))
    _dress(axes)


def _dress(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#d0d7de", linewidth=0.5)
    axes.set_axisbelow(True)


def _told(ratio: Estimate) -> str:
    if not ratio.known:
        return "observed / predicted cannot be told"
    return f"observed / predicted {ratio.value:.2f}  [{ratio.low:.2f}, {ratio.high:.2f}]"
