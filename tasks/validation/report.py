"""The validation report: what was asked of each table, what was found, and why it is asked."""

from collections.abc import Sequence
from html import escape

from tasks.release.page import page, table
from tasks.validation.suites import Finding, SuiteResult


def validation_report(title: str, facts: Sequence[str], results: Sequence[SuiteResult], measured=None) -> str:
    """Write the report as one self-contained page.

    Parameters
    ----------
    title : the page's heading.
    facts : lines below it: surface, snapshot, as-of.
    results : one section each; failures come first in it.
    """
    return page(title, facts, "".join(_section(result) for result in results))


def _section(result: SuiteResult) -> str:
    ordered = sorted(result.findings, key=lambda f: f.success)
    passed = sum(f.success for f in result.findings)
    head = ("verdict", "expectation", "of", "observed", "why it is asked")
    return (
        f"<h2>{escape(result.suite)}</h2>"
        f"<p>{passed} of {len(result.findings)} expectations hold on {result.rows:,} rows.</p>"
        f"{table(head, [_row(finding) for finding in ordered])}"
    )


def _row(finding: Finding) -> tuple[str, ...]:
    verdict = "pass" if finding.success else finding.severity
    name = finding.expectation.removeprefix("expect_").replace("_", " ")
    return verdict, name, finding.subject, finding.observed, finding.why
