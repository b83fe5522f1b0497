"""Outcomes of shown items along a task's chain, with weights so that known outcomes represent unknown ones.

::

    shown ---- label of the first link known (1 in v1) ---- 0: known to be 0
                                                       ---- 1: next link known (1 in v2) ---- 0 or 1

    weight     1 / (v1 x v2 ...) of the reached links if the outcome is known, else 0

``v`` is the share of the rows reaching a link at a logged position whose label is known there. Where labels
get rarer down the page, one share for all positions would give known labels at the top too much weight.
Neighbouring positions are pooled until at least 50 rows reach the link. If ``v`` is below .05 a position is
*unseen*: its outcomes are not used, and exposure that depends on them counts as unsupported
(``inclusion.py``). Without ``v`` a chain's estimate is too low: if no purchase happened, the return is known
to be 0, but after a purchase it is often still unknown.

If an outcome is known only after an event (an answered survey), the event requires examination, so ``v``
decreases with the examination of the position, and the outcome itself is not divided by it. A position
outside a pool has its own share; within a pool the curve determines how the shares of its positions differ.
Answers are rare everywhere, so such a position is unseen below .05 of the largest share of any position.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tasks.arrays import Flags, Floats
from tasks.contracts.tasks import join_outcomes

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
