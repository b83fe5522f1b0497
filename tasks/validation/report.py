"""The validation report: what failed; figures by day; then every expectation of each table.

::

    What failed        every failure, the worst first
    Volume ...         drawings by day: the values, and the interval that was usual
    impressions ...    every expectation of a table
    In quarantine      rows that take no part in any build, by rule, with examples
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from tasks.columns import Status
from tasks.reports.render import render
from tasks.validation import measurements as m
from tasks.validation.findings import SuiteResult, sort_by_severity
from tasks.validation.pictures import DayFigure, draw_line, draw_statuses
from tasks.validation.rules import RULES

_MOST = 12


@dataclass(frozen=True)
class _Drawings:
    """What one expectation looked at by day: the first figures, and how many more there are."""

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
    measured : by suite the frame that it judged, for statuses and quarantine.
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
