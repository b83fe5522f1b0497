"""The validation report: one self-contained HTML page, no network, readable at three in the morning."""

from collections.abc import Sequence
from html import escape

from tasks.validation.suites import Finding, SuiteResult

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c62828; --doubt: #b26a00; --good: #2e7d32; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .2rem 0; } .facts { color: #8889; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .4rem .6rem; text-align: left;
border-bottom: 1px solid var(--line); vertical-align: top; } td.observed { overflow-wrap: anywhere; }
.pass { color: var(--good); } .critical { color: var(--bad); font-weight: 600; }
.warning, .info { color: var(--doubt); font-weight: 600; }
"""


def validation_report(title: str, facts: Sequence[str], results: Sequence[SuiteResult]) -> str:
    """Write the report.

    Parameters
    ----------
    title : the page's heading.
    facts : lines below it: surface, snapshot, as-of.
    results : one section each; failures come first in it.
    """
    sections = "".join(_section(result) for result in results)
    lines = "".join(f"<p class=facts>{escape(fact)}</p>" for fact in facts)
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{lines}{sections}</body></html>\n"
    )


def _section(result: SuiteResult) -> str:
    ordered = sorted(result.findings, key=lambda f: f.success)
    rows = "".join(_row(finding) for finding in ordered)
    passed = sum(f.success for f in result.findings)
    return (
        f"<h2>{escape(result.suite)}</h2>"
        f"<p>{passed} of {len(result.findings)} expectations hold on {result.rows:,} rows.</p>"
        f"<table><tr><th>verdict<th>expectation<th>of<th>observed<th>why it is asked</tr>{rows}</table>"
    )


def _row(finding: Finding) -> str:
    verdict = "pass" if finding.success else finding.severity
    name = finding.expectation.removeprefix("expect_").replace("_", " ")
    return (
        f"<tr><td class={verdict}>{verdict}<td>{escape(name)}<td>{escape(finding.subject)}"
        f"<td class=observed>{escape(finding.observed)}<td>{escape(finding.why)}</tr>"
    )
