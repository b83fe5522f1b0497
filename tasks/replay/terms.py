"""What each term of the utility adds to the slots, and how far it moves candidates of one request apart.

::

    contribution   mean over slots of weight x prediction [x value column]
    spread         root mean square over candidates of (contribution - its request's mean): what orders them

An error of a share e in a task's predictions moves a slot's utility by e x contribution, and candidates of
one request against one another by e x spread.
"""

from collections.abc import Mapping

import numpy as np

from tasks.contracts.utility import Weight
from tasks.evaluation.binary import divide
from tasks.evaluation.replay_evidence import TermShare, UtilityComposition
from tasks.replay.log import CandidateLog, Floats, PolicySlates
from tasks.replay.metrics import Rows, within_request


def composition(
    log: CandidateLog, slates: PolicySlates, weights: Mapping[str, Weight]
) -> UtilityComposition | None:
    """Take a policy's utility apart; None where it has none.

    Parameters
    ----------
    log : n candidates.
    slates : the policy's slots, utility and contributions, each of shape (n,).
    weights : the terms of the utility, by task.
    """
    if slates.utility is None:
        return None
    scored = np.isfinite(slates.utility)
    placed = scored & (slates.slot > 0)
    terms = []
    for task in sorted(slates.contributions):
        contribution = np.nan_to_num(slates.contributions[task])
        prediction = slates.predictions.get(task, np.full(len(placed), np.nan))
        term = weights.get(task)
        terms.append(
            TermShare(
                task=task,
                prediction=_mean(prediction, placed),
                contribution=_mean(contribution, placed),
                spread=_spread(log, contribution, scored),
                weight=0.0 if term is None else term.weight,
                times=None if term is None else term.column,
            )
        )
    return UtilityComposition(
        utility=_mean(slates.total, placed), spread=_spread(log, slates.total, scored), terms=tuple(terms)
    )


def _mean(values: Floats, rows: Rows) -> float:
    return float(divide(np.sum(values, where=rows), np.count_nonzero(rows)))


def _spread(log: CandidateLog, values: Floats, rows: Rows) -> float:
    moved = within_request(log, np.where(rows, values, 0.0), rows)
    return float(np.sqrt(divide((moved**2).sum(), np.count_nonzero(rows))))
