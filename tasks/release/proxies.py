"""The proxies of a release: what is told of each declared pair, its verdict, and its picture in the dossier.

::

    gap of the top tenth      all above 0    pass
                              all below 0    warn: the best of the proxy is worse than the rest (R23, F10)
                              across         warn: it cannot be told

A proxy in doubt holds no release: it is nobody's bound, but what people are to know before they weigh it.
"""

from collections.abc import Iterator, Sequence
from html import escape

from tasks.evaluation.evidence import ProxyEvidence
from tasks.evaluation.segments import ALL
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict, judge
from tasks.reports.numbers import format_estimate

_WIDTH, _HEIGHT, _LEFT, _TOP = 560, 200, 60, 16


def judge_proxies(found: Sequence[ProxyEvidence], *, run: str) -> Iterator[Verdict]:
    """Judge each pair by the gap of its top tenth."""
    for one in found:
        outcome, reason = _judged(one.gap, worst=one.worst_at_top)
        yield Verdict(
            gate="proxies",
            subject=f"{one.fast} for {one.slow}",
            segment=ALL,
            outcome=outcome,
            threshold="top tenth >= the rest",
            observed=one.gap,
            reason=reason,
            evidence=run,
        )


def _judged(gap: Estimate, *, worst: bool) -> tuple[Outcome, str]:
    match judge(gap, low=0.0, action="warn"):
        case Outcome.WARN:
            where = "the worst of all tenths" if worst else "worse than the rest"
            return Outcome.WARN, f"the top tenth of the proxy is {where}"
        case Outcome.CANNOT_TELL:
            return Outcome.WARN, "too little data to tell whether the top tenth of the proxy is better"
        case outcome:
            return outcome, ""


def proxies_section(found: Sequence[ProxyEvidence]) -> str:
    """Draw each pair for the dossier, as HTML; nothing where no pair is declared."""
    if not found:
        return ""
    return f"<h2>Proxies</h2>{''.join(_pair(one) for one in found)}"


def _pair(one: ProxyEvidence) -> str:
    fast, slow = escape(one.fast), escape(one.slow)
    rows, positives = (sum(getattr(tenth, n) for tenth in one.tenths) for n in ("rows", "positives"))
    if not one.tenths:
        return f"<p>{slow} along {fast}: no row where both are known.</p>"
    gap = format_estimate(one.gap)
    kind = "a cost, less is better" if one.cost else "more is better"
    seen = f" The model of {fast} learned from some of these days." if one.learned else ""
    return (
        f"<figure>{_picture(one)}<figcaption>mean {slow} ({kind}) along the tenths of {fast}'s prediction, "
        f"with 95 % intervals that resample users; dashed: the mean of all {rows:,} rows ({positives:,} not "
        f"0) from {one.days[0]} to {one.days[1]}. Top tenth better than the rest by {gap}.{seen}"
        "</figcaption></figure>"
    )


def _picture(one: ProxyEvidence) -> str:
    tenths = [(tenth.predicted, tenth.outcome) for tenth in one.tenths]
    ceiling = max(max(e.value, e.high if e.known else 0.0) for _, e in tenths) or 1.0
    outcome, _ = _judged(one.gap, worst=one.worst_at_top)
    step = (_WIDTH - _LEFT) / len(tenths)
    marks = "".join(
        _mark(_LEFT + (i + 0.5) * step, predicted, e, ceiling, outcome.value if i == len(tenths) - 1 else "")
        for i, (predicted, e) in enumerate(tenths)
    )
    mean = _y(one.mean.value, ceiling)
    lines = _across(_TOP + _HEIGHT, "opacity=.4") + _across(mean, "stroke-dasharray='4 4' opacity=.6")
    axis = "".join(
        f"<text x={_LEFT - 8} y={_y(value, ceiling) + 4:.1f} text-anchor=end>{value:.3g}</text>"
        for value in (0.0, ceiling)
    )
    below = f"mean prediction of {escape(one.fast)}"
    return (
        f"<svg viewBox='0 0 {_WIDTH} {_TOP + _HEIGHT + 40}' width={_WIDTH} font-size=12 fill=currentColor "
        f"font-family=system-ui role=img aria-label='{escape(one.slow, quote=True)} by tenths'>"
        f"{lines}{axis}{marks}"
        f"<text x={(_LEFT + _WIDTH) / 2:.0f} y={_TOP + _HEIGHT + 36} text-anchor=middle>{below}</text></svg>"
    )


def _across(y: float, style: str) -> str:
    return f"<line x1={_LEFT} x2={_WIDTH} y1={y:.1f} y2={y:.1f} stroke=currentColor {style} />"


def _mark(x: float, predicted: float, outcome: Estimate, ceiling: float, verdict: str) -> str:
    """Draw one tenth: its interval, its mean, its prediction below."""
    bar = (
        f"<line x1={x:.1f} x2={x:.1f} y1={_y(outcome.low, ceiling):.1f} y2={_y(outcome.high, ceiling):.1f} "
        "stroke=currentColor stroke-width=2 />"
        if outcome.known
        else ""
    )
    return (
        f"<g class='{verdict}' style='fill: currentColor'>{bar}<circle cx={x:.1f} "
        f"cy={_y(outcome.value, ceiling):.1f} r=5 /></g>"
        f"<text x={x:.1f} y={_TOP + _HEIGHT + 16} text-anchor=middle>{predicted:.2g}</text>"
    )


def _y(value: float, ceiling: float) -> float:
    return _TOP + _HEIGHT * (1 - value / ceiling)
