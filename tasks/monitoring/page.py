"""The page of a surface's series: alarms first, then small charts by day, segments and weeks.

::

    [ band: 95 % interval of the week ]  ---- figure of each day ----o  o  a day that raised an alarm

The newest weekly level is above each chart. Segments are listed if the newest week's calibration interval
excludes 1, those with the most events first. Weeks are listed newest first.

The newest levels and alarms are also written for the textfile collector of Prometheus' node exporter::

    equipoise_calibration_ratio{surface="home_feed",task="click_30m"} 1.03      newest level of all traffic
    equipoise_alarm{surface="home_feed",series="...",critical="true"} 1         a current alarm
    equipoise_history_days{surface="home_feed"} 131                             days of the longest series

Names and labels are stable; unknown figures are left out.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby, islice
from typing import Any, Final

import numpy as np
import pandas as pd

from tasks.evaluation.subjects import Segment, Subject
from tasks.evaluation.verdicts import Estimate
from tasks.monitoring.alarms import OF_SHARES, AlarmReading, SeriesAlarm, split_series
from tasks.monitoring.decisions import EXPOSURE_RATIO
from tasks.monitoring.early import EarlyLevel
from tasks.monitoring.levels import BY_TENTH
from tasks.monitoring.series import EVENT, SeriesLevel
from tasks.monitoring.serving import FEATURE_DISTANCE
from tasks.monitoring.units import ReviewedUnit, SourceValue
from tasks.reports.charts import IntervalChart, draw_intervals
from tasks.reports.numbers import format_counted, format_estimate, format_number, format_share, spoken
from tasks.reports.render import render
from tasks.validation.findings import DayLine
from tasks.validation.report import DayFigure, draw_line

_DAYS: Final = 180
"""Number of newest days in charts."""
_WEEKS: Final = 12
_SEGMENTS: Final = 20
_FEATURES: Final = 24
_EVENTS: Final = 12
_SOURCES: Final = 10
"""Number of units of each column whose value and cost are listed."""
_CALIBRATION: Final = "calibration_ratio"
_WIDEST: Final = 10.0
"""Ratio at which the axis of ratio charts ends."""
_DRAWN: Final = (
    _CALIBRATION,
    "mean_prediction",
    "rate",
    "rows",
    "share",
    "dropped_share",
    "unmet_share",
    FEATURE_DISTANCE,
    "served_difference",
    "contribution_share",
    EXPOSURE_RATIO,
    "arrived_share",
    "returned_share",
    "return_days",
    "auc_by_request",
    "normalized_entropy",
    "coverage",
)
"""Metrics with charts, in the order of the page."""
_HEADINGS: Final = {
    "rate": "Observed rate of tasks that are never trained",
    "rows": "Impressions a day",
    "share": "Shares of segments",
    "dropped_share": "Share of candidates that are dropped",
    "unmet_share": "Share of slates that fall short of a rule",
    "contribution_share": "Share of each term in the utility",
    FEATURE_DISTANCE: "Distance of features from the champion's training",
    "served_difference": "Share of served predictions that the release does not give again",
    EXPOSURE_RATIO: "Share of exposure over share of merit",
    "arrived_share": "Share of events that arrived by the end of a day",
    "returned_share": "Share of users who are back within seven days",
    "return_days": "Days until users are back, at most seven",
}


@dataclass(frozen=True)
class _EarlyChart:
    """Estimates of one task's days before maturity; ``shaken``: whether its delays have changed."""

    task: str
    chart: IntervalChart | None
    without: Sequence[EarlyLevel]
    held: str
    shaken: bool


@dataclass(frozen=True)
class SeriesPage:
    """Content of the page besides the series."""

    surface: str
    as_of: str
    alarms: AlarmReading
    early: Sequence[EarlyLevel]
    queue: Sequence[ReviewedUnit]
    sources: Sequence[SourceValue]
    notes: Sequence[str]


def write_page(page: SeriesPage, series: pd.DataFrame) -> str:
    """Write the page.

    Parameters
    ----------
    series : the rows of the table of series.
    """
    whole = series[series["release"].isna() & (series["segment"] == "")]
    happened = series[series["metric"] == EVENT].sort_values(["day", "value"])
    events = dict[date, str]()
    for day, kind, words in happened[["day", "column", "value_of"]].itertuples(index=False):
        events[day] = "; ".join(filter(None, (events.get(day), f"{kind}: {words}")))
    return render(
        "monitor.html.j2",
        title=f"{page.surface}: what is served",
        facts=[f"as of {page.as_of}"],
        page=page,
        drawings=[
            (_head(metric), figures) for metric, figures in _drawings(whole, page.alarms, events) if figures
        ],
        events=sorted(events.items(), reverse=True)[:_EVENTS],
        early=list(_early(page)),
        tenths=list(_tenths(whole)),
        sources=[
            (one, _interval_of("value", one), _interval_of("cost", one))
            for _, of_column in groupby(page.sources, key=lambda one: one["column"])
            for one in islice(of_column, _SOURCES)
        ],
        segments=list(_segments(series)),
        weeks=list(_weeks(whole)),
        tasks=sorted(whole.loc[whole["metric"] == _CALIBRATION, "task"].unique()),
    )


def _early(page: SeriesPage) -> Iterator[_EarlyChart]:
    """Draw each task's estimates on a logarithmic scale, newest day first."""
    shaken = {alarm.subject.task for alarm in page.alarms.current if alarm.subject.metric == "arrived_share"}
    for task, found in groupby(page.early, key=lambda one: one["task"]):
        levels = list(found)
        known = [one for one in levels if math.isfinite(one["low"])]
        chart = _draw_ratios(
            (f"{one['day']}, {format_counted(one['age'] + 1, 'day')}", _interval(one)) for one in known
        )
        reconciled = sum(one["reconciled"] for one in known)
        held = sum(one["held"] * one["reconciled"] for one in known if one["reconciled"])
        words = (
            f"{format_share(held / reconciled)} of {reconciled:,} earlier intervals held what matured"
            if reconciled
            else ""
        )
        yield _EarlyChart(task, chart, [o for o in levels if o not in known], words, task in shaken)


def _draw_ratios(named: Iterable[tuple[str, Estimate]]) -> IntervalChart | None:
    """Draw ratios with their intervals on a logarithmic scale around 1."""
    rows = [(name, "doubt", seen) for name, seen in named]
    ends = [end for *_, seen in rows for end in (seen.low, seen.high) if end > 0]
    reach = max((abs(math.log(end)) for end in ends), default=1.0)
    reach = min(max(reach, math.log(1.25)), math.log(_WIDEST))

    def place(value: float) -> float:
        return min(max(math.log(max(value, 1e-9)) / reach, -1.0), 1.0)

    ticks = [(end, format_number(end, 2)) for end in (math.exp(-reach), 1.0, math.exp(reach))]
    return draw_intervals(rows, place, ticks=ticks, band=(1.0, 1.0))


def _tenths(whole: pd.DataFrame) -> Iterator[tuple[str, IntervalChart | None]]:
    """Draw the calibration of ten equal shares of the sum of predictions, in each task's newest week."""
    own = whole[whole["metric"] == BY_TENTH]
    for task, of_task in own[own["day"] == own.groupby("task")["day"].transform("max")].groupby("task"):
        rows = of_task.sort_values("value_of", key=lambda numbers: numbers.astype(int))
        columns = [rows[name] for name in ("value_of", "value", "low", "high", "n")]
        named = [(f"tenth {number}", Estimate(*ends)) for number, *ends in zip(*columns, strict=True)]
        chart = _draw_ratios((name, seen) for name, seen in named if seen.known)
        yield f"{task}, week to {rows['day'].iloc[0]}", chart


def _interval(one: EarlyLevel) -> Estimate:
    return Estimate(one["value"], one["low"], one["high"], 0)


def _interval_of(name: str, one: Mapping[str, Any]) -> str:
    return format_estimate(Estimate(one[name], one[f"{name}_low"], one[f"{name}_high"], 0))


def _head(metric: str) -> str:
    """Return the heading of a metric's charts.

    Examples
    --------
    >>> _head("auc_by_request"), _head("rows")
    ('AUC within requests', 'Impressions a day')
    """
    named = _HEADINGS.get(metric) or spoken(metric)
    return named[:1].upper() + named[1:]


def _drawings(
    whole: pd.DataFrame, alarms: AlarmReading, events: Mapping[date, str]
) -> Iterator[tuple[str, list[DayFigure]]]:
    newest = whole["day"].max()
    shown = whole[whole["day"] > newest - pd.Timedelta(days=_DAYS)] if len(whole) else whole
    by_subject = split_series(shown)
    for metric in _DRAWN:
        own = [subject for subject in by_subject if subject.metric == metric]
        own = [one for one in own if metric != "rows" or not one.task]
        own.sort(key=lambda subject: (subject not in alarms.raised, bool(subject.feature), subject))
        own = own[:_FEATURES] if metric == FEATURE_DISTANCE else own
        yield metric, [_draw(one, by_subject[one], alarms.raised.get(one, ()), events) for one in own]


def _draw(
    subject: Subject, rows: pd.DataFrame, raised: Sequence[date], events: Mapping[date, str]
) -> DayFigure:
    """Draw a series by day within its weekly intervals."""
    daily = rows[rows["days"] == 1].sort_values("day")
    weekly = rows[rows["days"] > 1].sort_values("day")
    ends = weekly["day"].to_numpy(dtype="datetime64[D]")
    days = daily["day"].to_numpy(dtype="datetime64[D]")
    week = np.searchsorted(ends, days)
    inside = week < len(ends)
    low, high = (np.full(len(days), np.nan) for _ in range(2))
    for band, name in ((low, "low"), (high, "high")):
        band[inside] = weekly[name].to_numpy()[week[inside]]
    column = str(Segment(subject.column, subject.value)) if subject.column else ""
    of = ", ".join(filter(None, (subject.feature, subject.task, subject.constraint, column)))
    level = f": {_level(weekly.iloc[-1])}, week to {weekly['day'].iloc[-1]}" if len(weekly) else ""
    if subject.metric == FEATURE_DISTANCE:
        low, high, newest = np.zeros(len(days)), daily["high"].to_numpy(), daily.iloc[-1]
        level = f": {format_number(newest['value'])} bits, usual up to {format_number(newest['high'])}"
    return draw_line(
        DayLine(
            subject=f"{of or 'all traffic'}{level}",
            days=daily["day"].tolist(),
            figures=_known(daily["value"].to_numpy()),
            low=_known(low),
            high=_known(high),
            share=subject.metric in OF_SHARES,
            odd=raised,
            events=events,
        )
    )


def _known(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _level(row: "pd.Series[float]") -> str:
    return format_estimate(Estimate(row["value"], row["low"], row["high"], int(row["n"])))


def _segments(series: pd.DataFrame) -> Iterator[tuple[str, str, str, int]]:
    """Yield task, name, level and events of the newest week's segments whose interval excludes 1."""
    weekly = series[(series["days"] > 1) & series["release"].isna() & (series["metric"] == _CALIBRATION)]
    newest = weekly[weekly["day"] == weekly.groupby("task")["day"].transform("max")]
    off = newest[(newest["segment"] != "") & ((newest["low"] > 1) | (newest["high"] < 1))]
    for _, row in off.sort_values("events", ascending=False).head(_SEGMENTS).iterrows():
        yield row["task"], f"{row['segment']}={row['segment_value']}", _level(row), int(row["events"])


def _weeks(whole: pd.DataFrame) -> Iterator[tuple[date, Mapping[str, str]]]:
    """Yield the calibration of each task by week, newest first."""
    weekly = whole[(whole["days"] > 1) & (whole["metric"] == _CALIBRATION)]
    for day in sorted(weekly["day"].unique(), reverse=True)[:_WEEKS]:
        yield day, {row["task"]: _level(row) for _, row in weekly[weekly["day"] == day].iterrows()}


_HELP = {
    "alarm": "A current alarm.",
    "history_days": "Days of the longest series.",
    "review_units": "Units of the review queue.",
}


def write_textfile(
    surface: str,
    levels: Iterable[SeriesLevel],
    alarms: Iterable[SeriesAlarm],
    *,
    history: int,
    review_units: int,
) -> str:
    r"""Write the metrics for Prometheus, sorted by name.

    Examples
    --------
    >>> print(write_textfile("feed", [], [], history=3, review_units=0), end="")
    # HELP equipoise_history_days Days of the longest series.
    # TYPE equipoise_history_days gauge
    equipoise_history_days{surface="feed"} 3
    # HELP equipoise_review_units Units of the review queue.
    # TYPE equipoise_review_units gauge
    equipoise_review_units{surface="feed"} 0
    """
    own = {"surface": surface}
    samples: dict[str, list[tuple[dict[str, str], float]]] = {}
    for level in levels:
        if math.isfinite(level["value"]):
            names = {
                "task": level["task"],
                "feature": level["feature"],
                "constraint": level["constraint"],
                "column": level["column"],
                "value": level["value_of"],
            }
            stated = {name: text for name, text in names.items() if text}
            samples.setdefault(level["metric"], []).append(({**own, **stated}, level["value"]))
    for alarm in alarms:
        labels = {**own, "series": alarm.name, "critical": str(alarm.critical).lower()}
        samples.setdefault("alarm", []).append((labels, 1))
    samples["history_days"] = [(own, history)]
    samples["review_units"] = [(own, review_units)]
    return "".join(_metric(name, samples[name]) for name in sorted(samples))


def _metric(name: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> str:
    full = f"equipoise_{name}"
    words = _HELP.get(name, f"Newest {name.replace('_', ' ')} of all traffic.")
    lines = [f"# HELP {full} {words}", f"# TYPE {full} gauge"]
    for labels, value in samples:
        stated = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
        lines.append(f"{full}{{{stated}}} {value:g}")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    r"""Escape a label value.

    Examples
    --------
    >>> _escape('a "b"\n')
    'a \\"b\\"\\n'
    """
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
