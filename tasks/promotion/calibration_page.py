"""The dossier's part on calibration: ratios, errors, segments, and what the utility makes of them.

::

    ratios_picture   every judged ratio with its interval, on a log scale from 1/2 to 2
    errors           by task: the ratio of all shown items, of those in the slots, and the calibration errors
    segments         by task, folded: rows, positives and figures of each segment value
    amplification    by term of the utility: what its calibration error does to a slot's utility and the order
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from tasks.evaluation.evidence import TaskEvidence
from tasks.evaluation.metric_rows import WHOLE
from tasks.evaluation.resampling import UNKNOWN
from tasks.evaluation.verdicts import Estimate, Verdict
from tasks.release.sensitivity import AMPLIFIED, Sensitivity, error_bar
from tasks.reports.page import figure, table

_MEANS: Final = frozenset({"binary", "value"})
"""Kinds of heads that claim a mean, which can be calibrated."""
_ERRORS: Final = (
    "smooth_ece",
    "debiased_ece",
    "multicalibration_error",
    "multicalibration_sigma",
    "multicalibration_detectable",
)
_OF_A_SEGMENT: Final = (
    "mean_prediction",
    "calibration_ratio",
    "normalized_entropy",
    "cumulative_error",
    "cumulative_sigma",
)
_WITHOUT_INTERVAL: Final = frozenset({*_ERRORS, "cumulative_error", "cumulative_sigma"})
_DIGITS: Final = 3
"""Of a figure and its interval."""
_LINE: Final = 24
"""Height of a line of a picture."""
_MIDDLE, _HALF = 610, 250
"""Where a picture's scale has its middle, and how far it reaches to both sides, of 900."""


def ratios_picture(verdicts: Sequence[Verdict]) -> str:
    """Draw each calibration ratio with its interval beside the allowed band, on a log scale from 1/2 to 2."""
    shown = [(v, v.observed) for v in verdicts if v.gate == "calibration" and v.observed and v.observed.known]
    if not shown:
        return ""
    low, high = (float(edge) for edge in shown[0][0].threshold.split(" to "))
    height = _LINE * len(shown) + 30
    lines = "".join(_ratio(verdict, seen, _LINE * i + 18) for i, (verdict, seen) in enumerate(shown))
    band = f"<rect x={_x(low):.1f} y=0 width={_x(high) - _x(low):.1f} height={height - 22} fill=#2e7d3222 />"
    ticks = "".join(
        f"<text x={_x(t):.1f} y={height - 6} text-anchor=middle>{t:g}</text>" for t in (0.5, 0.8, 1, 1.25, 2)
    )
    return (
        f"<h2>Calibration ratios</h2><figure>{_svg(height, band + lines + ticks)}"
        "<figcaption>observed over predicted, 95 % intervals that resample users; "
        "the band is what the surface allows</figcaption></figure>"
    )


def errors(tasks: Sequence[TaskEvidence], slots: Mapping[str, Estimate]) -> str:
    """Tabulate the calibration of each task, on all shown items and on those in the release's slots."""
    rows = [
        (
            task.task,
            _told(_of(task, "calibration_ratio")),
            _told(slots.get(task.task, UNKNOWN)),
            *(_figure(task, name) for name in _ERRORS),
        )
        for task in tasks
        if task.kind in _MEANS
    ]
    if not rows:
        return ""
    head = ("task", "ratio", "ratio in the slots", *(_words(name) for name in _ERRORS))
    return (
        f"<h2>Calibration</h2>{table(head, rows, numbers=range(1, len(head)))}"
        "<p class=facts>Ratio: observed over predicted. An error is in units of probability; a "
        "multicalibration error below what is detectable cannot be told from noise, and sigma takes rows as "
        "independent.</p>"
    )


def segments(tasks: Sequence[TaskEvidence], verdicts: Sequence[Verdict]) -> str:
    """Tabulate every segment of each task, folded away."""
    judged = {(v.subject, v.segment): v.outcome.value for v in verdicts if v.gate == "calibration"}
    return "".join(_segments(task, judged) for task in tasks if task.kind in _MEANS and len(task.counts) > 1)


def _segments(task: TaskEvidence, judged: Mapping[tuple[str, str], str]) -> str:
    shown = [name for name in _OF_A_SEGMENT if (name, WHOLE) in task.figures]
    rows = [
        (
            segment,
            f"{counts.rows:,}",
            f"{counts.positives:,}",
            *(_figure(task, name, segment) for name in shown),
            judged.get((f"{task.task}.calibration_ratio", segment), "not gated"),
        )
        for segment, counts in task.counts.items()
    ]
    head = ("segment", "rows", "positives", *map(_words, shown), "verdict")
    title = f"{escape(task.task)}: {len(rows) - 1} segment values"
    written = table(head, rows, numbers=range(1, len(head) - 1))
    return f"<details><summary>{title}</summary>{written}</details>"


def amplification(terms: Sequence[Sensitivity], *, utility: float, spread: float) -> str:
    """Tabulate and draw what calibration errors do to the utility.

    Parameters
    ----------
    utility, spread : the mean utility of a slot, and how it differs within a request.
    """
    if not terms:
        return ""
    ordered = sorted(terms, key=lambda term: -term.share if math.isfinite(term.share) else 1.0)
    rows = [
        (
            term.task,
            f"{term.weight:g}{f' x {term.times}' if term.times else ''}",
            "" if math.isnan(term.prediction) else f"{term.prediction:.3g}",
            _told(term.slots if term.slots.known else term.whole),
            "slots" if term.slots.known else "all shown",
            f"{term.contribution:+.3g}",
            figure(term.error, digits=2),
            f"{term.share:.1%}" if math.isfinite(term.share) else "cannot tell",
        )
        for term in ordered
    ]
    head = (
        "term",
        "weight",
        "mean",
        "ratio",
        "of",
        "adds to a slot",
        "error of a slot",
        "of the spread",
    )
    return (
        f"<h2>What a calibration error does to the utility</h2>{_named(ordered)}"
        f"<p>A slot is worth {utility:.4g} on average, give or take {error_bar(terms):.2g} for the "
        f"calibration of its heads; candidates of one request lie {spread:.3g} apart.</p>"
        f"{table(head, rows, numbers=(1, 2, 3, 5, 6, 7))}{_bars(ordered)}"
    )


def _named(terms: Sequence[Sensitivity]) -> str:
    """Name the heads whose weight makes much of a small error, and those that cannot be told."""
    said = [
        f"{term.task}: a ratio of {_told(term.slots if term.slots.known else term.whole)} under a weight of "
        f"{term.weight:g} may move candidates by {term.share:.0%} of what lies between them"
        if math.isfinite(term.share)
        else f"{term.task}: its calibration cannot be told, nor what a weight of {term.weight:g} makes of it"
        for term in terms
        if term.amplified
    ]
    if not said:
        return f"<p>No calibration error moves candidates by {AMPLIFIED:.0%} of what lies between them.</p>"
    return f"<ul>{''.join(f'<li class=warn>{escape(line)}' for line in said)}</ul>"


def _bars(terms: Sequence[Sensitivity]) -> str:
    """Draw the interval of each term's error of a slot's utility around 0."""
    told = [term for term in terms if term.error.known and term.largest > 0]
    if not told:
        return ""
    widest = max(term.largest for term in told)
    height = _LINE * len(told) + 30
    lines = "".join(_bar(term, widest, _LINE * i + 18) for i, term in enumerate(told))
    zero = (
        f"<line x1={_MIDDLE} x2={_MIDDLE} y1=0 y2={height - 22} stroke=currentColor stroke-dasharray='3 3' />"
    )
    ticks = "".join(
        f"<text x={_MIDDLE + _HALF * t} y={height - 6} text-anchor=middle>{words}</text>"
        for t, words in ((-1, f"{-widest:.2g}"), (0, "0"), (1, f"+{widest:.2g}"))
    )
    return (
        f"<figure>{_svg(height, zero + lines + ticks)}<figcaption>error of a slot's utility that each head's "
        "calibration allows, with 95 % intervals</figcaption></figure>"
    )


def _bar(term: Sensitivity, widest: float, y: int) -> str:
    low, value, high = (
        _MIDDLE + _HALF * x / widest for x in (term.error.low, term.error.value, term.error.high)
    )
    return (
        f"<g class={'warn' if term.amplified else 'pass'}><text x=330 y={y + 4} text-anchor=end>"
        f"{escape(term.task)}</text><rect x={low:.1f} y={y - 5} width={max(high - low, 1):.1f} height=10 "
        f"fill=currentColor fill-opacity=.35 /><circle cx={value:.1f} cy={y} r=4 /></g>"
    )


def _ratio(verdict: Verdict, seen: Estimate, y: int) -> str:
    name = verdict.subject.removesuffix(".calibration_ratio")
    label = name if verdict.segment == WHOLE else f"{name} {verdict.segment}"
    return (
        f"<g class={verdict.outcome.value}><text x=330 y={y + 4} text-anchor=end>{escape(label)}</text>"
        f"<line x1={_x(seen.low):.1f} x2={_x(seen.high):.1f} y1={y} y2={y} stroke=currentColor "
        "stroke-width=2 />"
        f"<circle cx={_x(seen.value):.1f} cy={y} r=4 /></g>"
    )


def _svg(height: int, drawn: str) -> str:
    return (
        f"<svg viewBox='0 0 900 {height}' width=900 style='min-width: 44rem' font-size=13 fill=currentColor "
        "font-family=system-ui>"
        f"{drawn}</svg>"
    )


def _x(ratio: float) -> float:
    """Place a ratio between 1/2 (and below) and 2 (and above), on a log scale."""
    exponent = max(-1.0, min(1.0, math.log2(ratio) if ratio > 0 else -1.0))
    return _MIDDLE + _HALF * exponent


def _of(task: TaskEvidence, metric: str, segment: str = WHOLE) -> Estimate:
    return task.figures.get((metric, segment), UNKNOWN)


def _figure(task: TaskEvidence, metric: str, segment: str = WHOLE) -> str:
    """Write a figure, with its interval where the metric has one; empty where there is none."""
    estimate = _of(task, metric, segment)
    if metric in _WITHOUT_INTERVAL and not math.isnan(estimate.value):
        return f"{estimate.value:.{_DIGITS}g}"
    return figure(estimate, digits=_DIGITS)


def _told(ratio: Estimate) -> str:
    return figure(ratio, digits=_DIGITS) or "cannot tell"


def _words(metric: str) -> str:
    return metric.replace("_", " ").replace("ece", "ECE")
