"""Where a release's weights stand on the front that a tuning found: on it, below it, or where nobody looked.

::

    no front of the release's or the champion's models    no_rule
    weights of a point of the front                       pass; warn where a confirmed point is better
    the weights that the search began with, below it      warn where a gain was confirmed, else no_rule
    other weights                                         no_rule: the search says nothing of them

A front is of one half of the users and confirmed on the other; it was searched on days that no gate reads.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.reports.numbers import format_estimate
from tasks.tuning.evidence import TuningEvidence

_SUBJECT = Subject("front")
_THRESHOLD = Threshold(words="no confirmed point is better")


@dataclass(frozen=True)
class SearchedFront:
    """A tuning, and the MLflow run that it came from."""

    tuning: TuningEvidence
    run: str


def judge_front(weights: Mapping[str, float], front: SearchedFront | None, *, run: str) -> Verdict:
    """Judge where weights stand on a front.

    Parameters
    ----------
    weights : of the release's policy, by task.
    front : the newest that was searched with the models of the release or of the champion; None without one.
    run : the MLflow run of the replay, which the row names where there is no front.
    """
    if front is None or not front.tuning.front:
        reason = "no front was searched with these models or the champion's (equipoise tune)"
        return Verdict("decision", _SUBJECT, ALL, Outcome.NO_RULE, _THRESHOLD, None, reason, run)
    outcome, reason = _position(weights, front.tuning)
    days = front.tuning.days
    searched = f"searched with release {front.tuning.release} on {days[0]} to {days[1]}"
    return Verdict("decision", _SUBJECT, ALL, outcome, _THRESHOLD, None, f"{reason}; {searched}", front.run)


def _position(weights: Mapping[str, float], tuning: TuningEvidence) -> tuple[Outcome, str]:
    size, proposal = len(tuning.front), tuning.proposal
    point = next((point for point in tuning.front if _weighs(point.weights, weights)), None)
    if point is not None:
        of = f"trial {point.trial} of a front of {size}"
        if not point.dominated:
            return Outcome.PASS, of
        return Outcome.WARN, f"{of}; another point is better in one objective and worse in none"
    if not _weighs(tuning.current, weights):
        return Outcome.NO_RULE, f"these weights are none of a front of {size}, nor where its search began"
    if proposal is not None and proposal.gain is not None and proposal.gain.low > 0:
        gain = f"{proposal.gain_metric} {format_estimate(proposal.gain, relative=True)}"
        return Outcome.WARN, f"below a front of {size}: trial {proposal.trial} was confirmed to gain {gain}"
    return Outcome.NO_RULE, f"below a front of {size} where it was searched; no gain was confirmed"


def _weighs(found: Mapping[str, float], weights: Mapping[str, float]) -> bool:
    """Whether weights are those that a tuning names; it may leave out what it could not move."""
    return all(math.isclose(value, weights.get(task, 0.0), rel_tol=1e-9) for task, value in found.items())
