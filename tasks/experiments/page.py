"""The page of a read-out: decision, sample ratio, forest plot, cumulative effects, segments."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from tasks.evaluation.subjects import Subject
from tasks.experiments.always_valid import ALARM
from tasks.experiments.evidence import CumulativeEffect, ExperimentReadout, MetricReadout, SampleRatio
from tasks.reports import charts
from tasks.reports.charts import draw_rails
from tasks.reports.numbers import format_change, format_counted, format_estimate, format_share
from tasks.reports.phrases import Vocabulary, describe_subject
from tasks.reports.render import render

_WIDTH, _HEIGHT = 640.0, 200.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 24.0, 12.0, 34.0
_APART: Final = 46.0
_MOST: Final = 2.0
"""Relative change at which intervals are cut off in charts, because early intervals are wide."""


@dataclass(frozen=True)
class LineChart:
    """A line over days with a band around it, in pixels; ``zero`` is the place of no change."""

    title: str
    line: str
    band: str
    zero: float | None
    x_ticks: tuple[charts.Tick, ...]
    y_ticks: tuple[charts.Tick, ...]
    width: float = _WIDTH
    height: float = _HEIGHT
    left: float = _LEFT
    right: float = _WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = _HEIGHT - _BOTTOM


@dataclass(frozen=True)
class MetricRow:
    """A row of the table of metrics."""

    metric: str
    meaning: str
    role: str
    levels: tuple[float, float] | None
    change: str
    interval: str
    detectable: str
    explained: str
    novelty: str


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
        rails=draw_rails(verdicts, words),
        rows=[_row(one, words) for one in seen.metrics],
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


def _row(one: MetricReadout, words: Vocabulary) -> MetricRow:
    metric, effect = words.metric(one.metric), one.effect
    role = "primary" if one.primary else "critical guardrail" if one.critical else "guardrail"
    interval = "95 % interval" if one.final else f"always-valid; final from {one.mature_on}"
    novelty = one.novelty
    return MetricRow(
        metric=one.metric,
        meaning="" if metric is None else describe_subject(Subject.of(metric), words),
        role=role,
        levels=None if effect is None else (effect.control, effect.treatment),
        change="" if one.change is None else format_estimate(one.change, relative=True),
        interval=interval,
        detectable=format_change(one.detectable) if math.isfinite(one.detectable) else "",
        explained="" if effect is None or not effect.known else format_share(effect.explained),
        novelty=""
        if novelty is None
        else f"{format_change(math.expm1(novelty.slope))} a day" + (": present" if novelty.present else ""),
    )


def _draw_effect(one: MetricReadout) -> LineChart:
    points = one.cumulative
    low = min(0.0, *(max(point.change.low, -_MOST) for point in points))
    high = max(0.0, *(min(point.change.high, _MOST) for point in points))
    y = charts.Scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    x = charts.Scale(0.0, float(len(points) - 1), _LEFT, _WIDTH - _RIGHT)
    across = x.place(range(len(points))).tolist()
    ends = [
        list(zip(across, y.place([getattr(p.change, end) for p in points]), strict=True))
        for end in ("low", "high")
    ]
    return LineChart(
        title=one.metric,
        line=_path(list(zip(across, y.place([p.change.value for p in points]).tolist(), strict=True))),
        band=_path([*ends[1], *reversed(ends[0])]) + "Z",
        zero=float(y.place([0.0])[0]),
        x_ticks=_days(points, across),
        y_ticks=y.ticks(28, charts.write_percent),
    )


def _days(points: Sequence[CumulativeEffect], across: Sequence[float]) -> tuple[charts.Tick, ...]:
    step = max(1, math.ceil(len(points) * _APART / (_WIDTH - _LEFT - _RIGHT)))
    named = list(zip(across, points, strict=True))[::step]
    return tuple(charts.Tick(at, f"{point.day:%m-%d}") for at, point in named)


def _draw_sizes(seen: ExperimentReadout) -> LineChart | None:
    """Draw the cumulative share of users in the treatment, and the declared share."""
    ratio = seen.sample_ratio
    if ratio is None or len(ratio.days) < 2:
        return None
    sums = list(accumulate(ratio.by_day, lambda one, other: (one[0] + other[0], one[1] + other[1])))
    shares = [treated / (control + treated) if control + treated else 0.0 for control, treated in sums]
    declared = list(ratio.shares.values())[1]
    low, high = min(*shares, declared), max(*shares, declared)
    y = charts.Scale(max(0.0, low - 0.02), min(1.0, high + 0.02), _HEIGHT - _BOTTOM, _TOP)
    across = (
        charts.Scale(0.0, float(len(shares) - 1), _LEFT, _WIDTH - _RIGHT).place(range(len(shares))).tolist()
    )
    step = max(1, math.ceil(len(shares) * _APART / (_WIDTH - _LEFT - _RIGHT)))
    return LineChart(
        title="share of users in the treatment",
        line=_path(list(zip(across, y.place(shares).tolist(), strict=True))),
        band="",
        zero=float(y.place([declared])[0]),
        x_ticks=tuple(
            charts.Tick(at, f"{day:%m-%d}") for at, day in list(zip(across, ratio.days, strict=True))[::step]
        ),
        y_ticks=y.ticks(28, lambda share: f"{100 * share:.4g} %"),
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)
