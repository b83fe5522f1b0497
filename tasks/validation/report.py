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
from tasks.validation.pictures import DayFigure, draw_line, draw_statuses
from tasks.validation.suites import SuiteResult, severity_order

_MOST = 12
_DRAWN = {
    "expect_daily_volume_as_usual": "Rows by day",
    "expect_base_rates_as_usual": "Base rate by mature day",
    "expect_status_shares_as_usual": "Share of a status by mature day",
    "expect_null_shares_as_usual": "Share of nulls by day",
    "expect_distributions_to_stay": "Distance of a day's values from the days before, in bits",
}
_ALWAYS = frozenset({"expect_daily_volume_as_usual", "expect_base_rates_as_usual"})
"""Drawn with or without a finding; of the others only what failed."""


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
        failures=severity_order(failed),
        drawings=[drawn for result in results for drawn in _drawings(result)],
        statuses=list(_statuses(frames["labels"])) if "labels" in frames else [],
        status_names=list(Status),
        results=results,
        quarantined=[(name, rule) for name, of in frames.items() for rule in m.measured(of, m.QUARANTINED)],
    )


def _drawings(result: SuiteResult) -> Iterator[_Drawings]:
    """Draw the lines of a table, those with findings first."""
    for kind, title in _DRAWN.items():
        lines = [line for line in result.lines.get(kind, ()) if line.found or kind in _ALWAYS]
        if lines:
            lines.sort(key=lambda line: not line.found)
            figures = [draw_line(line) for line in lines[:_MOST]]
            yield _Drawings(title, result.suite, figures, len(lines) - len(figures))


def _statuses(frame: pd.DataFrame) -> Iterator[DayFigure]:
    """Draw the statuses of each task by day."""
    for task, counted in frame[frame["statistic"] == m.STATUS].groupby("subject"):
        wide = counted.pivot_table(index="day", columns="value", values="rows", aggfunc="sum", fill_value=0)
        shares = wide.reindex(columns=list(map(str, Status)), fill_value=0).div(wide.sum(axis=1), axis=0)
        yield draw_statuses(str(task), list(wide.index), {s: shares[s].tolist() for s in map(str, Status)})
