"""The tuning report: the front as a picture whose points open their weights, and what is proposed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.evaluation.subjects import Subject
from tasks.evaluation.tuning_evidence import Ending, FrontPoint, Objective, TuningEvidence
from tasks.replay.guardrails import MODEL_JUDGED
from tasks.replay.tuning.figure import draw_fronts
from tasks.replay.tuning.search import WeightTrial
from tasks.reports.metric_words import say_meaning
from tasks.reports.numbers import format_counted
from tasks.reports.render import render
from tasks.reports.words import Vocabulary

_SAID: Mapping[Ending, str] = {
    "proposed": "Other weights are proposed. They change nothing until people approve them.",
    "nothing better": "No weights were found that keep every bound and are shown to be better than now.",
    "within bounds": "Every bound holds under the current weights: there is nothing to bring back.",
    "out of reach": "No weights of the ranges were found that keep every bound.",
}


@dataclass(frozen=True)
class MovedWeight:
    """One weight: what people did, what it is now, what it would be, and that as a multiple of now."""

    term: str
    did: str
    now: float
    then: float
    times: float


@dataclass(frozen=True)
class PointCard:
    """A point of the front with its weights, as its card shows it."""

    point: FrontPoint
    words: str
    weights: tuple[MovedWeight, ...]


def tuning_page(
    surface: str, evidence: TuningEvidence, trials: Sequence[WeightTrial], words: Vocabulary
) -> str:
    """Write the report as one self-contained page.

    Parameters
    ----------
    trials : every trial, as the searching half saw it; none of a restoration.
    words : of the surface's contracts.
    """
    charts = draw_fronts(evidence, trials)
    first, last = evidence.days
    searched, unseen = (format_counted(count, "request") for count in evidence.requests)
    own, ever = evidence.searched_policies
    tried = format_counted(own, "policy", "policies")
    confirmed, confirmed_ever = evidence.confirmed_policies
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
        charts=charts,
        gains=[_heading(one) for one in evidence.objectives],
        proposed=None if evidence.proposal is None else _moved(evidence, evidence.proposal.weights, words),
        cards=[
            PointCard(one, _standing(evidence, one), _moved(evidence, one.weights, words))
            for one in evidence.front
        ],
    )


def _heading(objective: Objective) -> str:
    named = objective.metric if objective.raised else f"fall of {objective.metric}"
    return f"{named}, {MODEL_JUDGED}" if objective.model_judged else named


def _meanings(evidence: TuningEvidence, words: Vocabulary) -> dict[str, str]:
    judged = evidence.proposal.verdicts if evidence.proposal else ()
    exceeded = (
        Subject.of(metric) for name in evidence.exceeded if (metric := words.metric(name)) is not None
    )
    return {
        str(one): say_meaning(one, words) for one in (*exceeded, *(verdict.subject for verdict in judged))
    }


def _moved(
    evidence: TuningEvidence, weights: Mapping[str, float], words: Vocabulary
) -> tuple[MovedWeight, ...]:
    now, known = evidence.current, words.tasks
    return tuple(
        MovedWeight(term, known[term].did if term in known else "", now[term], weight, weight / now[term])
        for term, weight in weights.items()
    )


def _standing(evidence: TuningEvidence, point: FrontPoint) -> str:
    """Say what a point is beside being on the front."""
    proposal = evidence.proposal
    named = {
        "proposed": proposal is not None and proposal.trial == point.trial,
        "knee": point.trial == evidence.knee,
        "current weights": point.trial == 0,
        "dominated by its interval": point.dominated,
    }
    return ", ".join(word for word, holds in named.items() if holds) or "on the front"
