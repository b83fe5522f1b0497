"""The one look of our reports: a self-contained HTML page, no network, light and dark."""

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from tasks.evaluation.verdicts import Estimate

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c62828; --doubt: #b26a00; --good: #2e7d32; }
@media (prefers-color-scheme: dark) { :root { --bad: #ef6c6c; --doubt: #e0a040; --good: #6fbf73; } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem;
overflow-wrap: break-word; }
h1 { font-size: 1.45rem; margin: 0 0 .2rem; } h2 { font-size: 1.12rem; margin: 2rem 0 .5rem; }
p { margin: .2rem 0; } .facts { opacity: .7; } ul { margin: .3rem 0; padding-left: 1.2rem; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; font-variant-numeric: tabular-nums; }
td, th { padding: .3rem .45rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td:last-child:not(.number, .verdict) { min-width: 11rem; }
.wide, figure { overflow-x: auto; } /* what is wider than a phone moves by itself, not with the page */
td.number, th.number { text-align: right; }
.pass, .no_rule, .promote { color: var(--good); }
.block, .critical, .metric_missing, .hold { color: var(--bad); }
.warn, .warning, .info, .cannot_tell { color: var(--doubt); }
.verdict { font-weight: 600; white-space: nowrap; } .verdict.gated { font-weight: 400; opacity: .6; }
details { margin: .4rem 0; } summary { cursor: pointer; }
img { background: #fff; border-radius: 6px; padding: 4px; } /* a picture brings its light ground */
img, svg { max-width: 100%; height: auto; } figure { margin: 1rem 0; } figcaption { opacity: .7; }
"""

_JOINED: Final = "\N{NO-BREAK SPACE}"


def page(title: str, facts: Sequence[str], body: str) -> str:
    """Write a page.

    Parameters
    ----------
    title : heading, as text.
    facts : lines below it, as text.
    body : the rest, as HTML whose texts the caller has escaped.
    """
    lines = "".join(f"<p class=facts>{escape(fact)}</p>" for fact in facts)
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{lines}{body}</body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """Write a table of texts; columns in ``numbers`` are aligned right and broken before intervals alone.

    A cell in the column ``verdict`` takes the colour of its verdict.
    """
    verdict = head.index("verdict") if "verdict" in head else -1
    header = "".join(f"<th{' class=number' if i in numbers else ''}>{escape(h)}" for i, h in enumerate(head))
    lines = "".join(
        "<tr>" + "".join(_cell(text, i == verdict, i in numbers) for i, text in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<div class=wide><table><tr>{header}</tr>{lines}</table></div>"


def _cell(text: str, verdict: bool, number: bool) -> str:
    if verdict:
        return f"<td class='verdict {escape(text)}'>{escape(text)}"
    if number:
        return f"<td class=number>{escape(text.replace(' ', _JOINED).replace(f'{_JOINED}[', ' ['))}"
    return f"<td>{escape(text)}"


def listed(title: str, lines: Sequence[str]) -> str:
    """Write a heading with a list of texts; nothing where there are none."""
    if not lines:
        return ""
    return f"<h2>{escape(title)}</h2><ul>{''.join(f'<li>{escape(line)}' for line in lines)}</ul>"


def figure(estimate: Estimate | None, *, percent: bool = False, digits: int = 4) -> str:
    """Write a figure with its interval; ``[?]`` where the interval is not known.

    Examples
    --------
    >>> figure(Estimate(0.8123456, 0.79, 0.83, 900)), figure(Estimate(0.05, 0.01, 0.09, 9), percent=True)
    ('0.8123 [0.79, 0.83]', '+5.0% [+1.0%, +9.0%]')
    """
    if estimate is None or math.isnan(estimate.value):
        return ""

    def written(number: float) -> str:
        if percent:
            return f"{number:+.1%}"
        return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.{digits}g}"

    if not estimate.known:
        return f"{written(estimate.value)} [?]"
    if estimate.low == estimate.value == estimate.high:
        return written(estimate.value)
    return f"{written(estimate.value)} [{written(estimate.low)}, {written(estimate.high)}]"
