"""The validation report, and the calendar of labels that a dossier shows.

::

    What failed        every failure, the worst first
    Volume ...         charts by day:     [ band: the usual interval ]  ---- values ----o  o  a failing day
    impressions ...    every expectation of a table
    In quarantine      invalid rows by rule, with examples
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Final

import pandas as pd

from tasks.columns import Status
from tasks.evaluation.evidence import LabelCalendar, TaskDays
from tasks.reports import charts
from tasks.reports.numbers import format_number, format_share
from tasks.reports.render import render
from tasks.validation import measurements as m
from tasks.validation.findings import DayLine, SuiteResult, sort_by_severity
from tasks.validation.rules import RULES

_MOST = 12

MOST_DAYS: Final = 180
"""Maximum number of days in the calendar, the newest ones."""

_LABELS: Final = "labels"
_Counts = Mapping[tuple[str, str], Mapping[date, int]]
_WIDTH, _HEIGHT, _EDGE = 300, 76, 4


@dataclass(frozen=True)
class DayFigure:
    """A small chart by day, with its first and last day and the ends of its range."""

    drawing: charts.Drawing
    span: str
    low: str
    high: str


@dataclass(frozen=True)
class _Drawings:
    """The charts of one expectation: the first figures, and the number of further ones."""

    title: str
    table: str
    figures: Sequence[DayFigure]
    more: int


def validation_report(
    title: str,
    facts: Sequence[str],
    results: Sequence[SuiteResult],
    measured: Mapping[str, pd.DataFrame] | None = None,
) -> str:
    """Write the report as one self-contained page.

    Parameters
    ----------
    title : the page's heading.
    facts : lines below it: surface, snapshot, as-of.
    results : one section each.
    measured : by suite the evaluated frame, for statuses and quarantine.
    """
    frames = measured or {}
    failed = [finding for result in results for finding in result.findings if not finding.success]
    return render(
        "validation.html.j2",
        title=title,
        facts=facts,
        failures=sort_by_severity(failed),
        drawings=[drawn for result in results for drawn in _drawings(result)],
        statuses=list(_statuses(frames["labels"])) if "labels" in frames else [],
        status_names=list(Status),
        results=results,
        quarantined=[(name, rule) for name, of in frames.items() for rule in m.measured(of, m.QUARANTINED)],
    )


def _drawings(result: SuiteResult) -> Iterator[_Drawings]:
    """Draw the lines of a table, those with findings first."""
    for rule in RULES:
        lines = [line for line in result.lines.get(rule.name, ()) if line.odd or rule.always]
        if lines:
            lines.sort(key=lambda line: not line.odd)
            figures = [draw_line(line) for line in lines[:_MOST]]
            yield _Drawings(rule.drawing, result.suite, figures, len(lines) - len(figures))


def _statuses(frame: pd.DataFrame) -> Iterator[DayFigure]:
    """Draw the statuses of each task by day."""
    for task, counted in frame[frame["statistic"] == m.STATUS].groupby("subject"):
        wide = counted.pivot_table(index="day", columns="value", values="rows", aggfunc="sum", fill_value=0)
        shares = wide.reindex(columns=list(map(str, Status)), fill_value=0).div(wide.sum(axis=1), axis=0)
        yield draw_statuses(str(task), list(wide.index), {s: shares[s].tolist() for s in map(str, Status)})


def draw_line(line: DayLine) -> DayFigure:
    """Draw a figure by day, placed by date so that gaps are visible."""
    across, scale = _across(line.days), _scale(line)
    drawing = charts.Drawing(line.title, "", _WIDTH, _HEIGHT)
    usual = [
        (x, low, high)
        for x, low, high in zip(across, line.low, line.high, strict=True)
        if low is not None and high is not None
    ]
    if usual:
        xs, low, high = zip(*usual, strict=True)
        band = charts.join_points(xs + xs[::-1], scale.place(high + low[::-1]))
        drawing.add("path", tone="usual", d=f"{band}Z")
    for day, x in zip(line.days, across, strict=True):
        if day in line.events:
            drawing.add("path", f"{day}: {line.events[day]}", tone="event", d=f"M{x:g},0V{_HEIGHT}")
    known = [(day, x, y) for day, x, y in zip(line.days, across, line.figures, strict=True) if y is not None]
    values = [value for _, _, value in known] or [math.nan]
    heights = scale.place([value for _, _, value in known]).tolist()
    if known:
        drawing.add("path", tone="values", d=charts.join_points([x for _, x, _ in known], heights))
    for (day, x, value), y in zip(known, heights, strict=True):
        odd, words = day in line.odd, f"{day}: {_format(value, share=line.share)}"
        drawing.add("circle", words, tone="odd" if odd else "dot", cx=x, cy=y, r=3.5 if odd else 1.2)
    low_words, high_words = (_format(end(values), share=line.share) for end in (min, max))
    return DayFigure(drawing, _span(line.days), low_words, high_words)


def draw_statuses(task: str, days: Sequence[date], shares: Mapping[str, Sequence[float]]) -> DayFigure:
    """Draw the share of each status of a task: one stacked bar per day, in the statuses' order."""
    drawing, width = charts.Drawing(task, "", _WIDTH, _HEIGHT), _WIDTH / max(len(days), 1)
    for n in range(len(days)):
        top = float(_HEIGHT)
        for status in Status:
            height = _HEIGHT * shares[status][n]
            top -= height
            if height:
                x, y, wide, high = (round(side, 1) for side in (n * width, top, 0.9 * width, height))
                drawing.add("rect", tone=status, x=x, y=y, width=wide, height=high)
    return DayFigure(drawing, _span(days), "0%", "100%")


def _span(days: Sequence[date]) -> str:
    return f"{days[0]} to {days[-1]}" if days else "no day"


def _across(days: Sequence[date]) -> Sequence[float]:
    span = max((days[-1] - days[0]).days, 1) if days else 1
    places = charts.Scale(0, span, _EDGE, _WIDTH - _EDGE).place([(day - days[0]).days for day in days])
    return [float(x) for x in places]


def _scale(line: DayLine) -> charts.Scale:
    """Return the scale of a line's values; a band far beyond them is cut."""
    values = [value for value in line.figures if value is not None] or [0.0]
    reach = max(values) - min(values) or abs(values[0]) or 1.0
    return charts.Scale(max(min(values) - reach, 0.0), max(values) + reach, _HEIGHT - _EDGE, _EDGE)


def _format(value: float, *, share: bool) -> str:
    return format_share(value) if share else format_number(value)


def label_calendar(labels: pd.DataFrame, results: Iterable[SuiteResult]) -> LabelCalendar:
    """Count the labels of each day by task and status."""
    statuses, positives = m.measured(labels, m.STATUS), m.measured(labels, m.POSITIVES)
    days = sorted({one.day for one in statuses if one.day is not None})[-MOST_DAYS:]
    counts: dict[tuple[str, str], dict[date, int]] = defaultdict(dict)
    for one in (*statuses, *positives):
        if one.day is not None:
            counts[one.subject, one.value][one.day] = int(one.rows)
    failed = _failed_days(results)
    tasks = dict.fromkeys(one.subject for one in statuses)
    return LabelCalendar(
        days=tuple(days), tasks=tuple(_of_task(task, days, counts, failed.get(task, set())) for task in tasks)
    )


def _of_task(task: str, days: Sequence[date], counts: _Counts, failed: set[date]) -> TaskDays:
    def by_day(*values: str) -> tuple[int, ...]:
        return tuple(sum(counts.get((task, value), {}).get(day, 0) for value in values) for day in days)

    return TaskDays(
        task=task,
        observed=by_day(Status.OBSERVED),
        positive=by_day(""),
        immature=by_day(Status.IMMATURE),
        left_out=by_day(Status.EXCLUDED, Status.NOT_APPLICABLE),
        failed=tuple(day for day in days if day in failed),
    )


def _failed_days(results: Iterable[SuiteResult]) -> dict[str, set[date]]:
    """Return the days that failed a check of the labels, by task."""
    failed: dict[str, set[date]] = defaultdict(set)
    for result in results:
        for line in chain.from_iterable(result.lines.values() if result.suite == _LABELS else ()):
            failed[line.subject].update(line.odd)
    return failed
