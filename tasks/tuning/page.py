"""The tuning report: the front as a chart whose points open their weights, and the proposal."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from tasks.evaluation.subjects import Subject
from tasks.evaluation.verdicts import Estimate
from tasks.replay import guardrails
from tasks.reports import charts
from tasks.reports.numbers import format_counted
from tasks.reports.phrases import Vocabulary, describe_subject
from tasks.reports.render import render
from tasks.tuning.evidence import Ending, FrontPoint, Objective, TuningEvidence
from tasks.tuning.search import WeightTrial

WIDTH: Final = 760
HEIGHT: Final = 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 16, 40
_APART: Final = 80
_MARGIN: Final = 0.06


def _draw(evidence: TuningEvidence, trials: Sequence[WeightTrial], other: int) -> charts.Drawing:
    pairs = [(one.confirmed[0], one.confirmed[other]) for one in evidence.front]
    feasible = [one.figures.objectives for one in trials if one.feasible]
    x = _scale([p[0] for p in pairs], [o[0] for o in feasible], _LEFT, WIDTH - _RIGHT)
    y = _scale([p[1] for p in pairs], [o[other] for o in feasible], HEIGHT - _BOTTOM, _TOP)
    first, second = evidence.objectives[0], evidence.objectives[other]
    title = f"{first.metric} and {second.metric}"
    drawing = charts.Drawing(title, "", WIDTH, HEIGHT, style="chart front")
    across, up = (scale.ticks(_APART, charts.write_percent) for scale in (x, y))
    drawing.axes(x, y, across, up)
    drawing.label_x(across, y.start + 16)
    drawing.label_y(up, x.start - 8)
    zero = f"M{_at(x, 0.0):g},{y.end}V{y.start}M{x.start},{_at(y, 0.0):g}H{x.end}"
    drawing.add("path", tone="zero", d=zero)
    for one in trials:
        a, b = one.figures.objectives[0], one.figures.objectives[other]
        if x.shows(a) and y.shows(b):
            tone = "tried" if one.feasible else "tried exceeding"
            drawing.add("circle", tone=tone, cx=_at(x, a), cy=_at(y, b), r=2.5)
    for point, (across_change, up_change) in zip(evidence.front, pairs, strict=True):
        at_x, at_y = _at(x, across_change.value), _at(y, up_change.value)
        (left, right), (low, high) = _ends(across_change, x), _ends(up_change, y)
        tone = f"mark {_tone(evidence, point.trial, dominated=point.dominated)}"
        drawing.add("path", tone=tone, d=f"M{left:g},{at_y:g}H{right:g}M{at_x:g},{low:g}V{high:g}")
        words, link = f"trial {point.trial}, {_place_on_front(evidence, point)}", f"#trial-{point.trial}"
        drawing.add("circle", words, tone=tone, link=link, cx=at_x, cy=at_y, r=6)
    drawing.add("text", _axis(first), tone="middle", x=(x.start + x.end) / 2, y=HEIGHT - 6)
    words = _axis(second) + ("" if second.raised else ", a fall upwards")
    drawing.name_upright(words, 12, (y.start + y.end) / 2)
    return drawing


def _at(scale: charts.Scale, value: float) -> float:
    return float(scale.place([value])[0])


def _axis(objective: Objective) -> str:
    return f"change of {objective.metric}" + (
        f", {guardrails.MODEL_JUDGED}" if objective.model_judged else ""
    )


def _scale(
    confirmed: Sequence[Estimate], searched: Sequence[float], first: float, last: float
) -> charts.Scale:
    """Return a scale that contains zero change, the front's intervals and the feasible trials."""
    ends = [end for one in confirmed for end in (one.low, one.value, one.high) if math.isfinite(end)]
    values = [0.0, *ends, *searched]
    low, high = min(values), max(values)
    margin = _MARGIN * (high - low) or 0.01
    return charts.Scale(low - margin, high + margin, first, last)


def _ends(estimate: Estimate, scale: charts.Scale) -> tuple[float, float]:
    low, high = (end if math.isfinite(end) else estimate.value for end in (estimate.low, estimate.high))
    return _at(scale, low), _at(scale, high)


def _tone(evidence: TuningEvidence, trial: int, *, dominated: bool) -> str:
    if evidence.proposal is not None and trial == evidence.proposal.trial:
        return "proposed"
    if trial == evidence.knee:
        return "knee"
    return "dominated" if dominated else "held"


_SAID: Mapping[Ending, str] = {
    "proposed": "Other weights are proposed. They change nothing until people approve them.",
    "nothing better": "No weights within every bound improve significantly on the current ones.",
    "within bounds": "Every bound holds under the current weights: there is nothing to restore.",
    "out of reach": "No weights in the ranges are within every bound.",
}


def tuning_page(
    surface: str, evidence: TuningEvidence, trials: Sequence[WeightTrial], words: Vocabulary
) -> str:
    """Render the report as one self-contained page."""
    first, last = evidence.days
    searched, unseen = (format_counted(count, "request") for count in evidence.requests)
    own, ever = evidence.searched_policies
    tried = format_counted(own, "policy", "policies")
    confirmed, confirmed_ever = evidence.confirmed_policies
    others = range(1, len(evidence.objectives)) if evidence.front else ()
    facts = [
        f"release {evidence.release} against {evidence.baseline}",
        f"candidates from {first} to {last}, which the gate never reads",
        f"searched on {searched} of half of the users: {tried}, {ever} so far",
        f"confirmed on {unseen} of the others: {confirmed}, {confirmed_ever} so far",
        _SAID[evidence.ending],
    ]
    return render(
        "tuning.html.j2",
        title=f"{surface} release {evidence.release}: weights tuned",
        facts=facts,
        evidence=evidence,
        meanings=_meanings(evidence, words),
        charts=[_draw(evidence, trials, other) for other in others],
        gains=[_heading(one) for one in evidence.objectives],
        described={name: task.did for name, task in words.tasks.items()},
        places={one.trial: _place_on_front(evidence, one) for one in evidence.front},
    )


def _heading(objective: Objective) -> str:
    named = objective.metric if objective.raised else f"fall of {objective.metric}"
    return f"{named}, {guardrails.MODEL_JUDGED}" if objective.model_judged else named


def _meanings(evidence: TuningEvidence, words: Vocabulary) -> dict[str, str]:
    proposal_verdicts = evidence.proposal.verdicts if evidence.proposal else ()
    exceeded = (
        Subject.of(metric) for name in evidence.exceeded if (metric := words.metric(name)) is not None
    )
    return {
        str(one): describe_subject(one, words)
        for one in (*exceeded, *(verdict.subject for verdict in proposal_verdicts))
    }


def _place_on_front(evidence: TuningEvidence, point: FrontPoint) -> str:
    """Return the special roles of a point on the front."""
    proposal = evidence.proposal
    named = {
        "proposed": proposal is not None and proposal.trial == point.trial,
        "knee": point.trial == evidence.knee,
        "current weights": point.trial == 0,
        "dominated by its interval": point.dominated,
    }
    return ", ".join(word for word, holds in named.items() if holds) or "on the front"
