"""Estimators of slates: the weights of a slot's reward follow from the items that it may depend on.

With w_l the weight of the item in slot l given those above it, the mean over slates of

============ ================================================= ===========================================
SIPS         (w_1 ... w_L) x sum of r_l                        on every item of the slate
IIPS         sum of w_l r_l                                    on its own item
RIPS         sum of (w_1 ... w_l) r_l                          on its own item and those above
cascade-DR   sum of (w_1 ... w_l) (r_l - Q_l) + (w_1 ... w_l-1) E_l    as RIPS
adaptive IPS sum of (product of w_m over m in c_l) r_l         on the slots c_l, which may differ by slate
============ ================================================= ===========================================

Q_l is the expected reward of slot l and all slots below if the target continues after the logged items, E_l
the same before the item in slot l is drawn. If the logging policy draws an item depending on the items above,
IIPS is unbiased only for a target that does not.

A policy that always shows one ranking has probability 1 for its items::

    log        a (1/2)   b (1/3)   c (1)         in parentheses: propensity given the items above
    ranking    a         c         b
    prefix     2         0         0             product of 1 / propensity while the log agrees from the top
    place      2         1         0             1 / propensity at the ranking's own place; 1 above it

========  ========================================================  ===============================
weights   of an item that the ranking places in slot l              an outcome may depend on
========  ========================================================  ===============================
prefix    1 / (p_1 ... p_l) if slots 1 to l were logged so          its item and those above (RIPS)
place     1 / p_l if it was logged at l, 1 if above l               its item and place (IIPS)
========  ========================================================  ===============================

Each weight has a mean of 1 over the log's draws. A propensity is conditional on the items above, so an item
that was already placed above could not be drawn at l, and 1 / p_l alone ignores this. In that case the
outcome above has weight 1, converted to slot l by the examination of both places.

The estimators take rewards and weights [n, L] of n slates of at most L slots. A weight is target probability
over propensity of the item given those above it; a missing slot has reward 0 and weight 1.

References
----------
SIPS, IIPS, RIPS: McInerney et al. (2020), "Counterfactual Evaluation of Slate Recommendations with
Sequential Reward Interactions"; cascade-DR: Kiyohara et al. (2022), "Doubly Robust Off-Policy Evaluation for
Ranking Policies under the Cascade Behavior Model"; adaptive IPS: Kiyohara et al. (2023), "Off-Policy
Evaluation of Ranking Policies under Diverse User Behavior".
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from tasks.arrays import Flags, Floats, Indices, Integers

INDEPENDENT: Final = "independent"
CASCADE: Final = "cascade"
STANDARD: Final = "standard"
BEHAVIORS: Final = (INDEPENDENT, CASCADE, STANDARD)
"""Items that a reward depends on: its own, also those above it, or the whole slate."""


def sips_terms(reward: Floats, weight: Floats) -> Floats:
    """Return each slate's term, [n].

    Examples
    --------
    >>> sips_terms(np.array([[1.0, 1.0]]), np.array([[0.5, 3.0]])).tolist()
    [3.0]
    """
    return weight.prod(axis=1) * reward.sum(axis=1)


def iips_terms(reward: Floats, weight: Floats) -> Floats:
    """Return each slate's term, [n].

    Examples
    --------
    >>> iips_terms(np.array([[1.0, 1.0]]), np.array([[0.5, 3.0]])).tolist()
    [3.5]
    """
    return (weight * reward).sum(axis=1)


def rips_terms(reward: Floats, weight: Floats) -> Floats:
    """Return each slate's term, [n].

    Examples
    --------
    >>> rips_terms(np.array([[1.0, 1.0]]), np.array([[0.5, 3.0]])).tolist()
    [2.0]
    """
    return (weight.cumprod(axis=1) * reward).sum(axis=1)


def cascade_dr_terms(reward: Floats, weight: Floats, predicted: Floats, expected: Floats) -> Floats:
    """Return each slate's term, [n].

    Parameters
    ----------
    predicted, expected : [n, L] the Q and E above; 0 for missing slots.

    Examples
    --------
    >>> figures = ([[1.0, 0.0]], [[0.5, 4.0]], [[0.5, 0.25]], [[0.75, 0.5]])
    >>> cascade_dr_terms(*map(np.array, figures)).tolist()
    [0.75]
    """
    upto = weight.cumprod(axis=1)
    above = np.hstack([np.ones((len(upto), 1)), upto[:, :-1]])
    return (upto * (reward - predicted) + above * expected).sum(axis=1)


def adaptive_terms(reward: Floats, weight: Floats, depends: Flags) -> Floats:
    """Return each slate's term, [n].

    Parameters
    ----------
    depends : [n, L, L] whether the reward of slot l depends on the item of slot m; see `behavior_matrices`.

    Examples
    --------
    >>> depends = np.array([[[True, False], [True, True]]])
    >>> adaptive_terms(np.array([[1.0, 1.0]]), np.array([[0.5, 3.0]]), depends).tolist()
    [2.0]
    """
    return (adaptive_weights(weight, depends) * reward).sum(axis=1)


def adaptive_weights(weight: Floats, depends: Flags) -> Floats:
    """Return the weight of each slot's reward, [n, L]: the product over the slots that it depends on."""
    slots = [np.where(depends[:, slot], weight, 1.0).prod(axis=1) for slot in range(weight.shape[1])]
    return np.column_stack(slots)


def behavior_matrices(behaviors: Indices, length: int) -> Flags:
    """Return the slots that each slot's reward depends on, [n, length, length].

    Parameters
    ----------
    behaviors : [n] indices in `BEHAVIORS`.

    Examples
    --------
    >>> behavior_matrices(np.array([1]), 2).tolist()
    [[[True, False], [True, True]]]
    """
    shape = (length, length)
    kinds = np.array([np.eye(length), np.tril(np.ones(shape)), np.ones(shape)], dtype=bool)
    return kinds[behaviors]


@dataclass(frozen=True)
class LoggedPlaces:
    """n candidates and their logged positions.

    Attributes
    ----------
    requests : [n] codes.
    positions : [n] from 1; NaN where the item was not shown.
    propensity : [n] above 0 to 1, of the item at its position given those above it; ignored elsewhere.
    """

    requests: Indices
    positions: Floats
    propensity: Floats


@np.errstate(over="ignore")
def prefix_weights(log: LoggedPlaces, slot: Integers) -> Floats:
    """Return the weight of each candidate's outcome if the log agrees with a ranking from the top, [n].

    Parameters
    ----------
    slot : [n] position in the ranking from 1, 0 if the candidate has none.

    Examples
    --------
    >>> log = LoggedPlaces(np.zeros(3, int), np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.25, 1.0]))
    >>> prefix_weights(log, np.array([1, 2, 0])).tolist(), prefix_weights(log, np.array([2, 1, 3])).tolist()
    ([2.0, 8.0, 0.0], [0.0, 0.0, 0.0])
    """
    shown = np.flatnonzero(np.isfinite(log.positions))
    rows = shown[np.lexsort((log.positions[shown], log.requests[shown]))]
    requests, places = log.requests[rows], np.arange(len(rows))
    starts = np.r_[True, requests[1:] != requests[:-1]][: len(rows)]
    rank = places - np.maximum.accumulate(np.where(starts, places, 0)) + 1
    position = log.positions[rows]
    fits = (slot[rows] == position) & (position == rank)  # a missing place above ends the prefix
    product = np.divide(1.0, log.propensity[rows], out=np.zeros(len(rows)), where=fits)
    for place in range(2, int(rank.max(initial=0)) + 1):
        at = np.flatnonzero(rank == place)
        product[at] *= product[at - 1]
    weights = np.zeros(len(slot))
    weights[rows] = product
    return weights


def place_weights(log: LoggedPlaces, slot: Integers) -> Floats:
    """Return the weight of each candidate's outcome by its own position in a ranking and in the log, [n].

    Examples
    --------
    >>> log = LoggedPlaces(np.zeros(3, int), np.array([1.0, 2.0, np.nan]), np.array([0.5, 0.25, np.nan]))
    >>> place_weights(log, np.array([2, 1, 3])).tolist(), place_weights(log, np.array([1, 0, 2])).tolist()
    ([1.0, 0.0, 0.0], [2.0, 0.0, 0.0])
    """
    shown = np.isfinite(log.positions)
    drawn = np.divide(1.0, log.propensity, out=np.zeros(len(slot)), where=shown & (log.positions == slot))
    return drawn + (shown & (log.positions < slot))
