"""The validation report: what failed; how the days went; then all that was asked of each table.

::

    What failed        every failure, the worst first
    Volume ...         pictures of days: the figure, and the interval that was usual
    impressions ...    every expectation of a table
    In quarantine      rows that take no part in any build, by rule, with examples
"""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape

import pandas as pd

from tasks.columns import Status
from tasks.reports.page import page, table
from tasks.validation import measurements as m
from tasks.validation.judged import Line
from tasks.validation.pictures import STYLE, lines_pictured, statuses_pictured
from tasks.validation.suites import Finding, SuiteResult, severity_order

_HEAD = ("verdict", "expectation", "of", "observed", "why it is asked")
_MOST = 12
_PICTURED = {
    "expect_daily_volume_as_usual": "Rows by day",
    "expect_base_rates_as_usual": "Base rate by mature day",
    "expect_status_shares_as_usual": "Share of a status by mature day",
    "expect_null_shares_as_usual": "Share of nulls by day",
    "expect_distributions_to_stay": "Distance of a day's values from the days before, in bits",
}
_ALWAYS = frozenset({"expect_daily_volume_as_usual", "expect_base_rates_as_usual"})
"""Pictured with or without a finding; of the others only what failed."""


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
    pictures = "".join(_pictures(result) for result in results)
    body = (_failures(results), pictures, _statuses(frames), *map(_section, results), _quarantine(frames))
    return page(title, facts, STYLE + "".join(body))


def _failures(results: Sequence[SuiteResult]) -> str:
    failed = [finding for result in results for finding in result.findings if not finding.success]
    if not failed:
        return "<h2>Nothing failed</h2>"
    rows = [(f.severity, f.suite, *_row(f)[1:]) for f in severity_order(failed)]
    return f"<h2>What failed</h2>{table((_HEAD[0], 'table', *_HEAD[1:]), rows)}"


def _pictures(result: SuiteResult) -> str:
    drawn = []
    for kind, title in _PICTURED.items():
        every = result.lines.get(kind, ())
        lines = every if kind in _ALWAYS else [line for line in every if line.found]
        if lines:
            drawn.append(f"<h2>{title}: {escape(result.suite)}</h2>{_some(lines)}")
    return "".join(drawn)


def _some(lines: Sequence[Line]) -> str:
    first = sorted(lines, key=lambda line: not line.found)[:_MOST]
    more = len(lines) - len(first)
    return lines_pictured(first) + (f"<p class=facts>and {more} more without a picture</p>" if more else "")


def _statuses(frames: Mapping[str, pd.DataFrame]) -> str:
    if "labels" not in frames:
        return ""
    counted = frames["labels"]
    counted = counted[counted["statistic"] == m.STATUS]
    shares = {str(task): _shares(of) for task, of in counted.groupby("subject")}
    return f"<h2>Status of the labels by day</h2>{statuses_pictured(shares)}" if shares else ""


def _shares(counted: pd.DataFrame) -> tuple[list[date], dict[str, list[float]]]:
    wide = counted.pivot_table(index="day", columns="value", values="rows", aggfunc="sum", fill_value=0)
    of = wide.sum(axis=1)
    return list(wide.index), {
        s: (wide[s] / of).tolist() if s in wide else [0.0] * len(wide) for s in map(str, Status)
    }


def _section(result: SuiteResult) -> str:
    ordered = sorted(result.findings, key=lambda f: f.success)
    passed = sum(f.success for f in result.findings)
    return (
        f"<h2>{escape(result.suite)}</h2>"
        f"<p>{passed} of {len(result.findings)} expectations hold on {result.rows:,} rows.</p>"
        f"{table(_HEAD, [_row(finding) for finding in ordered])}"
    )


def _row(finding: Finding) -> tuple[str, ...]:
    verdict = "pass" if finding.success else finding.severity
    name = finding.expectation.removeprefix("expect_").replace("_", " ")
    return verdict, name, finding.subject, finding.observed, finding.why


def _quarantine(frames: Mapping[str, pd.DataFrame]) -> str:
    rows = [
        (name, one.subject, f"{one.rows:,}", one.value, one.examples)
        for name, frame in frames.items()
        for one in m.measured(frame, m.QUARANTINED)
    ]
    if not rows:
        return ""
    head = ("table", "rule", "rows", "reason", "for example")
    return f"<h2>In quarantine</h2><div class=rows>{table(head, rows, numbers=(2,))}</div>"
