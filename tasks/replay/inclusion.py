"""Inclusion weights from logged propensities: shown items represent all candidates; and a test of them.

The logging policy fills positions one after the other; ``p_l`` is the probability of an item at position l
given those above it. An item shown at position j gets the weight ::

    w = a_j / p_j + sum over l > j of a_l       a_l = examination of l / examination of all positions

The weights of an item average 1 over the log's draws: at each position l it is either drawn (1 / p_l), or
was placed above it (1), or was passed over. Unlike 1 / p_j they stay small: an item drawn at a late position
could have been drawn before. With ``propensity_kind: inclusion`` the propensity is the probability of being
on the page at any position, and w = 1 / propensity.

Items that are placed with certainty above the first randomized position represent themselves (w = 1), and
their positions are left out of ``a``: the last slots of a slate, drawn at random, represent all other items.

The propensities are tested on rows that can be shown::

    excess     mean of (w - 1), 0 over the log's draws; standard error by request; refused at 3 of them
    marked     over all rows that were shown or could have been drawn (``CandidateLog.possible``); other items
               in a policy's slots count as unsupported
    unmarked   over the slots of a policy that does not depend on the log's draws. Above 0 the propensities
               are too small. Below 0 they are too large, or the slots contain items that the log never shows
               because of constraints, caps and floors. The unsupported share of exposure is limited

A policy close to the logging policy has few slots with drawn items, and by chance none of these may have been
shown. The standard error is then at least what the variance of all weights implies for that many slots.

Outcomes along a task's chain have weights as well, so that known outcomes represent unknown ones.

::

    shown ---- label of the first link known (1 in v1) ---- 0: known to be 0
                                                       ---- 1: next link known (1 in v2) ---- 0 or 1

    weight     1 / (v1 x v2 ...) of the reached links if the outcome is known, else 0

``v`` is the share of the rows reaching a link at a logged position whose label is known there. Where labels
get rarer down the page, one share for all positions would give known labels at the top too much weight.
Neighbouring positions are pooled until at least 50 rows reach the link. If ``v`` is below .05 a position is
*unseen*: its outcomes are not used, and exposure that depends on them counts as unsupported. Without ``v`` a
chain's estimate is too low: if no purchase happened, the return is known to be 0, but after a purchase it is
often still unknown.

If an outcome is known only after an event (an answered survey), the event requires examination, so ``v``
decreases with the examination of the position, and the outcome itself is not divided by it. A position
outside a pool has its own share; within a pool the curve determines how the shares of its positions differ.
Answers are rare everywhere, so such a position is unseen below .05 of the largest share of any position.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tasks.arrays import Flags, Floats, Indices
from tasks.contracts.tasks import join_outcomes
from tasks.evaluation.resampling import LEAST_CLUSTERS

LEAST_INCLUSION: Final = 0.02
"""Inclusion probability below which one outcome would represent too many items that were not shown."""
MOST_UNSUPPORTED: Final = 0.05
"""Largest share of exposure on such items."""
_TESTED_ERRORS: Final = 3.0
_SHARE_ERRORS: Final = 2.0
_ROUNDING: Final = 1e-6
"""Relative error of a propensity stored as a 32-bit float."""


def sequential_weights(requests: Indices, positions: Floats, propensity: Floats, examined: Floats) -> Floats:
    """Return the weight of each shown item, 0 where none was shown, shape [n].

    Parameters
    ----------
    requests : [n] codes.
    positions : [n] from 1; NaN where the item was not shown.
    propensity : [n] of the item at its position given those above it; NaN where it was not shown.
    examined : [n] examination of each row's position; ignored where the item was not shown.

    Examples
    --------
    >>> places, chance = np.array([1.0, 2.0, np.nan]), np.array([0.5, 0.5, np.nan])
    >>> sequential_weights(np.zeros(3, dtype=int), places, chance, np.array([3.0, 1.0, 0.0])).tolist()
    [1.75, 0.5, 0.0]
    """
    shown = np.isfinite(positions)
    order = np.lexsort((np.where(shown, positions, np.inf), requests))
    random = shown & ~(propensity >= 1)
    certain = shown & (_sum_upto(requests, order, random.astype(np.float64)) == 0)
    drawn_anew = np.where(shown & ~certain, examined, 0.0)
    total = np.bincount(requests, drawn_anew)[requests]
    upto = _sum_upto(requests, order, drawn_anew)
    share = np.divide(drawn_anew, total, out=np.zeros(len(requests)), where=total > 0)
    later = np.divide(total - upto, total, out=np.zeros(len(requests)), where=total > 0)
    drawn = np.divide(share, propensity, out=np.zeros(len(requests)), where=shown & (propensity > 0))
    return np.where(certain, 1.0, np.where(shown, drawn + later, 0.0))


def _sum_upto(requests: Indices, order: Indices, values: Floats) -> Floats:
    """Return the running sum of values within each request, up to and including each row, shape [n]."""
    running = np.cumsum(values[order])
    before = np.r_[0.0, running[:-1]]
    starts = np.r_[True, np.diff(requests[order]) != 0]
    upto = np.empty(len(requests))
    upto[order] = running - np.maximum.accumulate(np.where(starts, before, 0.0))
    return upto


def inclusion_weights(propensity: Floats, shown: Flags) -> Floats:
    """Return the inverse probability of being on the page, 0 where an item was not shown, shape [n].

    Examples
    --------
    >>> inclusion_weights(np.array([0.5, np.nan]), np.array([True, False])).tolist()
    [2.0, 0.0]
    """
    return np.divide(1.0, propensity, out=np.zeros(len(propensity)), where=shown & (propensity > 0))


def refuse_slot_weights(
    requests: Indices,
    examined: Floats,
    weights: Floats,
    possible: Flags | None = None,
    unseen: Flags | None = None,
) -> str:
    """Return why the weights of a policy's slots cannot be used, or an empty string.

    Parameters
    ----------
    requests : [n] codes.
    examined : [n] of the policy's slots, 0 elsewhere.
    weights : [n] of the shown items, 0 elsewhere.
    possible : [n] rows that were shown or could have been drawn; None where the log does not mark them.
    unseen : [n] rows shown at positions where hardly any label of the task is known; None for no such rows.

    Examples
    --------
    >>> refuse_slot_weights(np.repeat(np.arange(30), 2), np.ones(60), np.ones(60))
    ''
    """
    tested, drawn = examined > 0 if possible is None else possible, weights != 1
    spread = max(float(np.mean(np.square(weights[drawn]))) - 1.0, 0.0) if drawn.any() else 0.0
    excess, error = mean_excess(requests[tested], weights[tested])
    if possible is None:
        error = max(error, _least_error(tested.astype(np.float64), drawn, spread))
    if abs(excess) > _TESTED_ERRORS * error + _ROUNDING and (excess > 0 or possible is not None):
        return (
            f"the logged propensities are wrong: the mean weight is {1 + excess:.3g} (standard error "
            f"{error:.2g}) where it should be 1"
        )
    share, error = unsupported_share(examined, weights, possible, unseen)
    if possible is None:
        error = max(error, _least_error(examined, drawn, spread))
    if share - _SHARE_ERRORS * error <= MOST_UNSUPPORTED:
        return ""
    hidden = "" if unseen is None else ", or at positions where hardly any label is known"
    unless = "" if possible is not None else ", unless the logged propensities are wrong"
    return (
        f"{share:.0%} of its exposure falls on items that the log shows with a probability below "
        f"{LEAST_INCLUSION:g}{hidden}{unless}"
    )


def _least_error(examined: Floats, drawn: Flags, spread: float) -> float:
    """Return the standard error of the mean weight if drawn items' weights vary as in the whole log."""
    total = examined.sum()
    return float(np.sqrt(spread * np.square(examined[drawn]).sum()) / total) if total else 0.0


def mean_excess(requests: Indices, weights: Floats) -> tuple[float, float]:
    """Return the mean of (w - 1) over rows and its standard error by request, infinite below 20 requests.

    Parameters
    ----------
    requests, weights : [m].

    Examples
    --------
    >>> mean_excess(np.arange(100) // 2, np.tile([2.0, 0.0], 50))
    (0.0, 0.0)
    """
    if not len(weights):
        return 0.0, np.inf
    request = np.unique(requests, return_inverse=True)[1]
    slots, excess = np.bincount(request), np.bincount(request, weights - 1.0)
    mean, count = float(excess.sum() / slots.sum()), len(slots)
    if count < LEAST_CLUSTERS:
        return mean, np.inf
    squares = np.square(excess - mean * slots).sum() * count / (count - 1)
    return mean, float(np.sqrt(squares) / slots.sum())


def unsupported_share(
    examined: Floats, weights: Floats, possible: Flags | None = None, unseen: Flags | None = None
) -> tuple[float, float]:
    """Return the share of exposure on items that the log seldom or never shows, and its standard error.

    Parameters
    ----------
    examined, weights, possible, unseen : as in `refuse_slot_weights`.

    Examples
    --------
    >>> examined, weights = np.array([1.0, 1.0]), np.array([1.0, 100.0])
    >>> unsupported_share(examined, weights)[0], unsupported_share(examined, np.ones(2), examined < 1)[0]
    (0.5, 1.0)
    """
    total = examined.sum()
    if not total:
        return 0.0, 0.0
    seldom = weights > (1 + _ROUNDING) / LEAST_INCLUSION
    if unseen is not None:
        seldom = seldom | unseen
    if possible is None:
        unsupported = examined * (1.0 - np.where(seldom, 0.0, weights))
    else:
        unsupported = examined * np.where(possible, np.where(seldom, weights, 0.0), 1.0)
    share = unsupported.sum() / total
    return float(share), float(np.sqrt(np.square(unsupported - examined * share).sum()) / total)


LEAST_KNOWN: Final = 0.05
"""Share of known labels at a position below which its outcomes are not used."""
_LEAST_ROWS: Final = 50
"""Number of rows below which a position is pooled with its neighbours."""


@dataclass(frozen=True)
class JointOutcome:
    """A task's joint outcome on the rows of a log.

    Attributes
    ----------
    value : [n], 0 where the outcome is unknown or the item was not shown.
    weight : [n] weight of known outcomes, so that they represent all shown rows; 0 where unknown.
    by_examination : whether the outcome requires examination, so that it is divided by the examination.
    unseen : [n] rows shown at positions where hardly any label is known; None if there are none.
    """

    value: Floats
    weight: Floats
    by_examination: bool = True
    unseen: Flags | None = None

    @property
    def known(self) -> Flags:
        """Rows whose outcome is known, shape [n]."""
        return self.weight > 0


def joint_outcome(
    labels: Mapping[str, Floats],
    links: Sequence[str],
    *,
    shown: Flags,
    positions: Floats | None = None,
    immature: Flags | None = None,
    answered_at: Floats | None = None,
) -> JointOutcome:
    """Return the known outcomes of the last task of a chain, with weights.

    Parameters
    ----------
    labels : task -> its label where observed, else NaN, each of shape [n].
    links : root, ..., task.
    shown : rows that were shown.
    positions : [n] position where each row was shown; None if no position is logged.
    immature : rows on which the last link is immature; its outcome is unknown there, whatever its parents.
    answered_at : examination of each row's position, if the outcome is known only after an event.

    Examples
    --------
    >>> bought = np.array([0.0, 0.0, 1.0, 1.0])
    >>> labels = {"bought": bought, "returned": np.array([np.nan, np.nan, 1.0, np.nan])}
    >>> outcome = joint_outcome(labels, ["bought", "returned"], shown=np.ones(4, dtype=bool))
    >>> outcome.value.tolist(), outcome.weight.tolist()
    ([0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 2.0, 0.0])
    """
    places = np.zeros(len(shown)) if positions is None else np.nan_to_num(positions, nan=np.inf)
    mature = shown if immature is None else shown & ~immature
    share, below = _known_shares(mature, shown, places, None)
    weight, unseen, reached = _inverse(share, mature), shown & below, mature
    for link in links:
        label = np.asarray(labels[link], dtype=np.float64)
        known = reached & np.isfinite(label)
        share, below = _known_shares(known, reached, places, answered_at)
        weight = np.where(reached, weight * _inverse(share, known), weight)
        unseen |= shown & below
        reached = known & (label == 1.0)
    weight = np.where(unseen, 0.0, weight)
    joint = join_outcomes(labels, links)
    value = np.where(weight > 0, joint, 0.0)
    return JointOutcome(value, weight, answered_at is None, unseen if unseen.any() else None)


def _known_shares(
    known: Flags, among: Flags, places: Floats, examined: Floats | None
) -> tuple[Floats, Flags]:
    """Return, for each row's position, the share of marked rows with known labels, and if it is too small."""
    first = _pools(places[among])
    if not len(first):
        return np.ones(len(known)), np.zeros(len(known), dtype=bool)
    pool = np.maximum(np.searchsorted(first, places, side="right") - 1, 0)
    each = np.ones(len(known)) if examined is None else examined
    found, count, total = (
        np.bincount(pool[rows], weights, len(first))
        for rows, weights in ((known, None), (among, None), (among, each[among]))
    )
    share = found / count
    least = LEAST_KNOWN * (1.0 if examined is None else share.max())
    per_examined = np.divide(found, total, out=np.zeros(len(first)), where=total > 0)
    return per_examined[pool] * each, (share < least)[pool]


def _pools(places: Floats) -> Floats:
    """Return the first position of each pool of neighbouring positions with enough rows, in order."""
    first: list[float] = []
    rows = _LEAST_ROWS
    for place, count in zip(*np.unique(places, return_counts=True), strict=True):
        if rows >= _LEAST_ROWS:
            first.append(place)
            rows = 0
        rows += count
    return np.array(first[:-1] if len(first) > 1 and rows < _LEAST_ROWS else first)


def _inverse(share: Floats, known: Flags) -> Floats:
    """Return the inverse of the share of known rows, on known rows; 0 elsewhere."""
    return np.divide(1.0, share, out=np.zeros(len(known)), where=known & (share > 0))
