"""How much each logged outcome says of a policy that always shows one ranking: its probability there is 1.

::

    log        a (1/2)   b (1/3)   c (1)         in brackets: propensity given the items above
    ranking    a         c         b
    prefix     2         0         0             product of 1 / propensity while the log agrees from the top
    place      2         1         0             1 / propensity at the ranking's own place; 1 above it

========  ========================================================  ===============================
weights   of an item that the ranking puts into slot l              an outcome may depend on
========  ========================================================  ===============================
prefix    1 / (p_1 ... p_l) where slots 1 to l were logged so       its item and those above (RIPS)
place     1 / p_l where it was logged at l, 1 where above l         its item and place (IIPS)
========  ========================================================  ===============================

Each has a mean of 1 over the log's draws. A propensity is given the items above, so an item that already
stood above could not be drawn at l: 1 / p_l alone leaves that chance out. There the outcome above counts
once, taken to slot l by the examination of both places.

References
----------
RIPS, IIPS: McInerney et al. (2020), "Counterfactual Evaluation of Slate Recommendations with Sequential
Reward Interactions".
"""

from dataclasses import dataclass

import numpy as np

from tasks.arrays import Floats, Indices, Integers


@dataclass(frozen=True)
class LoggedPlaces:
    """n candidates and where they were shown.

    Attributes
    ----------
    requests : [n] codes.
    positions : [n] from 1; NaN where the item was not shown.
    propensity : [n] above 0 to 1, of the item at its position given those above it; any number elsewhere.
    """

    requests: Indices
    positions: Floats
    propensity: Floats


@np.errstate(over="ignore")
def prefix_weights(log: LoggedPlaces, slot: Integers) -> Floats:
    """Return the weight of each candidate's outcome where the log agrees with a ranking from the top, [n].

    Parameters
    ----------
    slot : [n] place in the ranking from 1, 0 where the candidate has none.

    Examples
    --------
    >>> log = LoggedPlaces(np.zeros(3, int), np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.25, 1.0]))
    >>> prefix_weights(log, np.array([1, 2, 0])).tolist(), prefix_weights(log, np.array([2, 1, 3])).tolist()
    ([2.0, 8.0, 0.0], [0.0, 0.0, 0.0])
    """
    shown = np.flatnonzero(np.isfinite(log.positions))
    rows = shown[np.lexsort((log.positions[shown], log.requests[shown]))]
    rank = _rank_in_runs(log.requests[rows])
    position = log.positions[rows]
    fits = (slot[rows] == position) & (position == rank)  # a place that is missing above ends what is known
    product = np.divide(1.0, log.propensity[rows], out=np.zeros(len(rows)), where=fits)
    for place in range(2, int(rank.max(initial=0)) + 1):
        at = np.flatnonzero(rank == place)
        product[at] *= product[at - 1]
    weights = np.zeros(len(slot))
    weights[rows] = product
    return weights


def place_weights(log: LoggedPlaces, slot: Integers) -> Floats:
    """Return the weight of each candidate's outcome by its own place in a ranking and in the log, [n].

    Examples
    --------
    >>> log = LoggedPlaces(np.zeros(3, int), np.array([1.0, 2.0, np.nan]), np.array([0.5, 0.25, np.nan]))
    >>> place_weights(log, np.array([2, 1, 3])).tolist(), place_weights(log, np.array([1, 0, 2])).tolist()
    ([1.0, 0.0, 0.0], [2.0, 0.0, 0.0])
    """
    shown = np.isfinite(log.positions)
    drawn = np.divide(1.0, log.propensity, out=np.zeros(len(slot)), where=shown & (log.positions == slot))
    return drawn + (shown & (log.positions < slot))


def _rank_in_runs(codes: Indices) -> Indices:
    """Count from 1 within each run of equal codes."""
    places = np.arange(len(codes))
    starts = np.r_[True, codes[1:] != codes[:-1]][: len(codes)]
    return places - np.maximum.accumulate(np.where(starts, places, 0)) + 1
