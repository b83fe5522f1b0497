"""The page of a read-out: decision, sample ratio, forest plot, cumulative effects, segments."""

import math
from collections.abc import Callable, Sequence
from datetime import date
from itertools import accumulate
from typing import Final

from tasks.evaluation.subjects import Subject
from tasks.experiments.always_valid import ALARM
from tasks.experiments.evidence import ExperimentReadout, MetricReadout, SampleRatio
from tasks.reports import charts
from tasks.reports.numbers import format_counted, format_share
from tasks.reports.phrases import Vocabulary, describe_subject
from tasks.reports.render import render

_WIDTH, _HEIGHT = 640.0, 200.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 24.0, 12.0, 34.0
_APART: Final = 46.0
_MOST: Final = 2.0
"""Relative change at which intervals are cut off in charts, because early intervals are wide."""


def readout_page(surface: str, seen: ExperimentReadout, words: Vocabulary) -> str:
    """Write the read-out as one self-contained page."""
    arms = ", ".join(f"{arm} is release {release}" for arm, release in seen.arms.items())
    facts = [
        f"as of {seen.as_of:%Y-%m-%d %H:%M} UTC, from {seen.starts} to {seen.ends}; {arms}",
        f"version {seen.experiment_version}, digest {seen.digest[:12]}, planned in run {seen.plan_run}",
    ]
    verdicts = [verdict for one in seen.metrics for verdict in one.verdicts]
    return render(
        "experiment.html.j2",
        title=f"{surface}: experiment {seen.experiment}",
        facts=facts,
        seen=seen,
        control=next(iter(seen.arms)),
        ratio=_say_ratio(seen.sample_ratio),
        triggered=_say_ratio(seen.triggered),
        sizes=_draw_sizes(seen),
        rails=charts.draw_rails(verdicts, words),
        meanings={
            one.metric: describe_subject(Subject.of(metric), words)
            for one in seen.metrics
            if (metric := words.metric(one.metric)) is not None
        },
        charts=[_draw_effect(one) for one in seen.metrics if len(one.cumulative) > 1],
        segments=[(one.metric, verdict) for one in seen.metrics for verdict in one.segments],
    )


def _say_ratio(ratio: SampleRatio | None) -> list[str]:
    if ratio is None:
        return []
    total = max(1, sum(ratio.users.values()))
    counts = [
        f"{arm}: {format_counted(users, 'user')}, {format_share(users / total)} "
        f"(declared {format_share(ratio.shares[arm])})"
        for arm, users in ratio.users.items()
    ]
    e_value = math.exp(min(ratio.log_e_value, 700))
    since = "" if ratio.alarmed_on is None else f", reached on {ratio.alarmed_on}"
    return [*counts, f"e-value {e_value:.3g}, alarm at {ALARM:g}{since}"]


def _draw_effect(one: MetricReadout) -> charts.Drawing:
    """Draw the change up to each day with its interval."""
    changes = [point.change for point in one.cumulative]
    low = min(0.0, *(max(change.low, -_MOST) for change in changes))
    high = max(0.0, *(min(change.high, _MOST) for change in changes))
    y = charts.Scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    drawing, x = _draw_axes(one.metric, [point.day for point in one.cumulative], y, charts.write_percent)
    across = x.place(range(len(changes)))
    ends = [*(change.high for change in changes), *(change.low for change in reversed(changes))]
    band = charts.join_points([*across, *across[::-1]], y.place(ends))
    drawing.add("path", tone="after band", d=f"{band}Z")
    return _add_line(drawing, x, y, [change.value for change in changes], 0.0)


def _draw_sizes(seen: ExperimentReadout) -> charts.Drawing | None:
    """Draw the cumulative share of users in the treatment, and the declared share."""
    ratio = seen.sample_ratio
    if ratio is None or len(ratio.days) < 2:
        return None
    sums = list(accumulate(ratio.by_day, lambda one, other: (one[0] + other[0], one[1] + other[1])))
    shares = [treated / (control + treated) if control + treated else 0.0 for control, treated in sums]
    declared = list(ratio.shares.values())[1]
    low, high = min(*shares, declared), max(*shares, declared)
    y = charts.Scale(max(0.0, low - 0.02), min(1.0, high + 0.02), _HEIGHT - _BOTTOM, _TOP)
    title = "share of users in the treatment"
    drawing, x = _draw_axes(title, ratio.days, y, lambda share: f"{100 * share:.4g} %")
    return _add_line(drawing, x, y, shares, declared)


def _draw_axes(
    title: str, days: Sequence[date], y: charts.Scale, write: Callable[[float], str]
) -> tuple[charts.Drawing, charts.Scale]:
    """Draw the grid of a chart by day; return the drawing and its horizontal axis."""
    drawing = charts.Drawing(title, "", _WIDTH, _HEIGHT)
    x = charts.Scale(0.0, float(len(days) - 1), _LEFT, _WIDTH - _RIGHT)
    levels = y.ticks(28, write)
    drawing.axes(x, y, up=levels)
    drawing.label_y(levels, _LEFT - 6)
    step = max(1, math.ceil(len(days) * _APART / (_WIDTH - _LEFT - _RIGHT)))
    named = zip(x.place(range(0, len(days), step)).tolist(), days[::step], strict=True)
    drawing.label_x([charts.Tick(at, f"{day:%m-%d}") for at, day in named], y.start + 16)
    return drawing, x


def _add_line(
    drawing: charts.Drawing, x: charts.Scale, y: charts.Scale, values: Sequence[float], expected: float
) -> charts.Drawing:
    """Draw a value for each day, and the expected one as a dashed line."""
    path = charts.join_points(x.place(range(len(values))), y.place(values))
    drawing.add("path", tone="after", stroke_width=2, d=path)
    drawing.add("path", tone="diagonal", d=f"M{x.start:g},{y.place(expected):g}H{x.end:g}")
    return drawing
