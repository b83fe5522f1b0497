"""Pictures of the validation report as inline SVG: figures by day in what was usual, and statuses.

::

    [   band: what was usual   ]
    ---- line: what was found ---o      o  a finding

They take their colours from the page, so they are right on light and on dark.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from html import escape

from tasks.columns import Status
from tasks.validation.judged import Line

_WIDTH, _HEIGHT, _EDGE = 300, 76, 4

STYLE = """<style>
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .9rem 1.4rem;
margin: .8rem 0; }
.pictures figure { margin: 0; } .pictures svg { width: 100%; display: block; background: #8881; }
.pictures figcaption { opacity: 1; font-size: .86rem; overflow-wrap: anywhere; }
.pictures small { opacity: .7; display: flex; justify-content: space-between; white-space: nowrap;
font-size: .74rem; }
.usual { fill: #5b8def; opacity: .25; } .found { stroke: currentColor; fill: none; stroke-width: 1.5; }
.dot { fill: currentColor; } .odd { fill: var(--bad); }
.observed { fill: #4c9f70; } .immature { fill: #8889; }
.excluded { fill: #d08c2e; } .not_applicable { fill: #5b8def; }
.key span { margin-right: 1.2rem; white-space: nowrap; }
.key svg { width: .8rem; height: .8rem; margin-right: .3rem; }
.rows td:last-child { overflow-wrap: anywhere; min-width: 20rem; font-size: .8rem; }
</style>"""


def lines_pictured(lines: Sequence[Line]) -> str:
    """Draw each line small, those with findings first."""
    ordered = sorted(lines, key=lambda line: not line.found)
    return _grid([_figure(line.subject, line.days, _drawn(line), _ends(line)) for line in ordered])


def statuses_pictured(shares: Mapping[str, tuple[Sequence[date], Mapping[str, Sequence[float]]]]) -> str:
    """Draw the share of each status by task: one bar a day.

    Parameters
    ----------
    shares : by task its days, and by status the share of each day's labels.
    """
    key = "".join(
        f"<span><svg viewBox='0 0 1 1'><rect class='{s}' width=1 height=1 /></svg>{s}</span>" for s in Status
    )
    figures = [_figure(task, days, _stacked(of), ("0 %", "100 %")) for task, (days, of) in shares.items()]
    return f"<p class=key>{key}</p>{_grid(figures)}"


def _grid(figures: Sequence[str]) -> str:
    return f"<div class=pictures>{''.join(figures)}</div>"


def _figure(title: str, days: Sequence[date], drawn: str, ends: tuple[str, str]) -> str:
    span = f"{days[0]} to {days[-1]}" if days else "no day"
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role=img aria-label='{escape(title)}'>{drawn}</svg>"
        f"<small><span>{span}</span><span>{ends[0]} to {ends[1]}</span></small></figure>"
    )


def _drawn(line: Line) -> str:
    across, up = _across(line.days), _up(line)
    dots = "".join(
        f"<circle class='{'odd' if day in line.found else 'dot'}' cx={across[n]:.1f} cy={up(value):.1f} "
        f"r={3.5 if day in line.found else 1.2}><title>{day}: {_told(value, line.share)}</title></circle>"
        for n, (day, value) in enumerate(zip(line.days, line.values, strict=True))
        if value is not None
    )
    usual = [
        (place, up(low), up(high))
        for place, low, high in zip(across, line.low, line.high, strict=True)
        if low is not None and high is not None
    ]
    ends = [(place, high) for place, _, high in usual] + [(place, low) for place, low, _ in reversed(usual)]
    band = f"<polygon class=usual points='{_points(ends)}' />" if usual else ""
    path = [(across[n], up(value)) for n, value in enumerate(line.values) if value is not None]
    return f"{band}<polyline class=found points='{_points(path)}' />{dots}"


def _across(days: Sequence[date]) -> Sequence[float]:
    """Place days by their date, so that a gap is seen."""
    span = max((days[-1] - days[0]).days, 1) if days else 1
    return [_EDGE + (_WIDTH - 2 * _EDGE) * (day - days[0]).days / span for day in days]


def _up(line: Line) -> Callable[[float], float]:
    """Return the height of a figure; a band that reaches far beyond the figures is cut."""
    values = [value for value in line.values if value is not None] or [0.0]
    reach = max(values) - min(values) or abs(values[0]) or 1.0
    least, most = max(min(values) - reach, 0.0), max(values) + reach

    def up(value: float) -> float:
        inside = min(max(value, least), most)
        return _HEIGHT - _EDGE - (_HEIGHT - 2 * _EDGE) * (inside - least) / (most - least)

    return up


def _ends(line: Line) -> tuple[str, str]:
    values = [value for value in line.values if value is not None] or [math.nan]
    return _told(min(values), line.share), _told(max(values), line.share)


def _told(value: float, share: bool) -> str:
    if share:
        return f"{value:.2%}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{across:.1f},{up:.1f}" for across, up in places)


def _stacked(shares: Mapping[str, Sequence[float]]) -> str:
    """Draw one bar a day, the shares upon each other in the statuses' order from below."""
    count = max((len(of) for of in shares.values()), default=0)
    width, bars = _WIDTH / max(count, 1), []
    for n in range(count):
        top = float(_HEIGHT)
        for status in Status:
            height = _HEIGHT * shares[status][n]
            top -= height
            if height:
                place = f"x={n * width:.1f} y={top:.1f} width={width * 0.9:.1f} height={height:.1f}"
                bars.append(f"<rect class='{status}' {place} />")
    return "".join(bars)
