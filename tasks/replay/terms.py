"""Contribution of each utility term to the slots, and its spread among candidates of one request.

::

    contribution   mean over slots of weight x prediction [x value column]
    spread         root mean square over candidates of (contribution - its request's mean): determines order

A relative error e in a task's predictions changes a slot's utility by e x contribution, and candidates of
one request relative to each other by e x spread.
"""

from collections.abc import Mapping

import numpy as np

from tasks.arrays import Flags, Floats
from tasks.contracts.utility import Term
from tasks.evaluation.binary import divide
from tasks.evaluation.evidence import TermShare, UtilityComposition
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.metrics import within_request


def composition(
    log: CandidateLog, slates: PolicySlates, declared: Mapping[str, Term]
) -> UtilityComposition | None:
    """Decompose a policy's utility; None if it has no utility.

    Parameters
    ----------
    log : n candidates.
    slates : the policy's slots, utility and contributions, each of shape (n,).
    declared : the terms of the utility by name, outside any context.
    """
    if slates.utility is None:
        return None
    scored = np.isfinite(slates.utility)
    placed = scored & (slates.slot > 0)
    terms = []
    for name, term in sorted(declared.items()):
        contribution = np.nan_to_num(slates.contributions[name])
        heads = [slates.predictions[task] for task in term.tasks if task in slates.predictions]
        prediction = np.max(heads, axis=0) if heads else np.full(len(placed), np.nan)
        terms.append(
            TermShare(
                task=name,
                heads=term.tasks,
                prediction=_mean(prediction, placed),
                contribution=_mean(contribution, placed),
                spread=_spread(log, contribution, scored),
                weight=term.weight,
                times=term.value_column,
            )
        )
    return UtilityComposition(
        utility=_mean(slates.total, placed), spread=_spread(log, slates.total, scored), terms=tuple(terms)
    )


def _mean(values: Floats, rows: Flags) -> float:
    return float(divide(np.sum(values, where=rows), np.count_nonzero(rows)))


def _spread(log: CandidateLog, values: Floats, rows: Flags) -> float:
    moved = within_request(log, np.where(rows, values, 0.0), rows)
    return float(np.sqrt(divide((moved**2).sum(), np.count_nonzero(rows))))
