"""Slates of an order that is not a release's: what stands in for a champion.

::

    logged order, or that of a column  ->  floors, constraints and slate rules of the release under test
                                       ->  slates
"""

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.errors import DataError, unknown
from tasks.ranking.candidates import read_numbers
from tasks.ranking.decide import decide
from tasks.ranking.policy import Weight
from tasks.replay.log import Slates
from tasks.replay.scored import Scored
from tasks.replay.slates import TestSlice

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LOGGED: Final = "logged"
"""The baseline that is the logged order."""
_ORDER: Final = "__order"
"""The term by which an order is ranked; no task may be named so."""


def baseline_order(test: TestSlice, scored: Scored, order: str | None = None) -> Slates:
    """Return the slates of an order that is no release's: by default what stands in for a champion.

    The logged order, or that of a column, is ranked through the floors, constraints and slate rules of
    the release under test: a column by itself would put into its slots what no policy may.

    Parameters
    ----------
    order : ``logged`` or a column of the candidates; by default ``gates.decision.first``.

    Raises
    ------
    DataError
        The candidates have no such column, it is not numeric, or no logged order is logged.
    """
    first = test.contracts.surface.gates.decision.first
    declared = LOGGED if first == LOGGED else first.column
    named_by = "the baseline" if order else "gates.decision.first"
    order = order or declared
    if order == LOGGED:
        return _logged_order(test, scored)
    if order not in test.candidates:
        known = map(str, test.candidates.columns)
        raise DataError(unknown("column", order, known, where=f"the candidates ({named_by})"))
    values = read_numbers(test.candidates, order, named_by)
    everything = np.ones(len(values), dtype=bool)
    return Slates(f"order of {order}", _ranked_by(values, everything, test, scored, test.drawn_anew))


def _logged_order(test: TestSlice, scored: Scored) -> Slates:
    if not test.log.positions_logged:
        raise DataError(
            "The log carries no position, so there is no logged order to compare with. "
            "Name a column: gates.decision.first: {column: ...}"
        )
    shown = test.log.shown & np.isfinite(test.log.logged_position)
    slot = _ranked_by(-test.log.logged_position, shown, test, scored, test.candidates)
    return Slates("logged order", slot, follows_log=True)


def _ranked_by(
    values: Floats, rows: npt.NDArray[np.bool_], test: TestSlice, scored: Scored, candidates: pd.DataFrame
) -> Integers:
    """Return the slots that an order gets under the release's constraints and slate rules, shape (n,)."""
    utility = rank_as(values[rows], like=scored.slates.utility, among=rows, requests=test.log.requests)
    contexts = tuple(replace(one, weights={}, multipliers=()) for one in scored.policy.contexts)
    order = replace(
        scored.policy,
        weights={_ORDER: Weight(1.0)},
        contexts=contexts,
        tiers=(),
        offset=None,
        multipliers=(),
    )
    predictions = {name: each[rows] for name, each in scored.predictions.items()}
    predictions[c.expected_value(_ORDER)] = utility
    decided = decide(candidates[rows], predictions, order, test.slate)
    slot = np.zeros(len(rows), dtype=np.int64)
    slot[rows] = decided.slate_position
    return slot


def rank_as(
    values: Floats, *, like: Floats | None, among: npt.NDArray[np.bool_], requests: Integers
) -> Floats:
    """Return utilities in the order of a column: its best row of a request gets the request's best utility.

    So what a slate rule subtracts in utility units acts on the order as it does on the release's own.

    Parameters
    ----------
    values : [m] of the marked rows, the greatest first; those that are NaN come last.
    like : [n] utilities; without them, and where one is NaN, the request's order alone counts.
    among : [n] the m marked rows.
    requests : [n] codes.

    Examples
    --------
    >>> rows, requests = np.ones(3, dtype=bool), np.zeros(3, dtype=int)
    >>> rank_as(np.array([1.0, 9.0, 5.0]), like=np.array([0.3, 0.1, 0.2]), among=rows, requests=requests)
    array([0.1, 0.3, 0.2])
    """
    request = requests[among]
    utility = -values if like is None else like[among]
    utility = np.where(np.isfinite(utility), utility, np.nanmin(utility, initial=0.0))
    best = np.lexsort((-utility, request))
    order = np.lexsort((np.where(np.isfinite(values), -values, np.inf), request))
    ranked = np.empty(len(values))
    ranked[order] = utility[best]
    return ranked
