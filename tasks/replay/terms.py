"""What each term of the utility adds to the slots, and how far it moves candidates of one request apart.

::

    contribution   mean over slots of weight x prediction [x value column]
    spread         root mean square over candidates of (contribution - its request's mean): what orders them

An error of a share e in a task's predictions moves a slot's utility by e x contribution, and candidates of
one request against one another by e x spread.
"""

from dataclasses import dataclass

import numpy as np

from tasks.evaluation.binary import divide
from tasks.replay.log import CandidateLog, Floats, PolicySlates
from tasks.replay.metrics import Rows, within_request


@dataclass(frozen=True)
class TermContribution:
    """One task's part of the utility; ``prediction`` is its mean over the slots, NaN where there is none."""

    task: str
    prediction: float
    contribution: float
    spread: float


@dataclass(frozen=True)
class Composition:
    """Mean utility of a slot, its spread within requests, and the terms that make it."""

    utility: float
    spread: float
    terms: tuple[TermContribution, ...]


def composition(log: CandidateLog, slates: PolicySlates) -> Composition | None:
    """Take a policy's utility apart; None where it has none.

    Parameters
    ----------
    log : n candidates.
    slates : the policy's slots, utility and contributions, each of shape (n,).
    """
    if slates.utility is None:
        return None
    scored = np.isfinite(slates.utility)
    placed = scored & (slates.slot > 0)
    terms = (_term(log, slates, task, scored, placed) for task in sorted(slates.contributions))
    return Composition(_mean(slates.total, placed), _spread(log, slates.total, scored), tuple(terms))


def _term(log: CandidateLog, slates: PolicySlates, task: str, scored: Rows, placed: Rows) -> TermContribution:
    contribution = np.nan_to_num(slates.contributions[task])
    prediction = slates.predictions.get(task, np.full(len(placed), np.nan))
    return TermContribution(
        task, _mean(prediction, placed), _mean(contribution, placed), _spread(log, contribution, scored)
    )


def _mean(values: Floats, rows: Rows) -> float:
    return float(divide(np.sum(values, where=rows), np.count_nonzero(rows)))


def _spread(log: CandidateLog, values: Floats, rows: Rows) -> float:
    moved = within_request(log, np.where(rows, values, 0.0), rows)
    return float(np.sqrt(divide((moved**2).sum(), np.count_nonzero(rows))))
