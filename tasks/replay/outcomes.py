"""What the shown items of a log led to, along a task's chain, and how known outcomes stand for unknown ones.

::

    shown ---- label of the first link known (1 in v1) ---- 0: known to be 0
                                                       ---- 1: next link known (1 in v2) ---- 0 or 1

    weight     1 / (v1 x v2 ...) of the links that were reached where the outcome is known, else 0

``v`` is the share of the rows reaching a link at a logged position whose label is known there. Where labels
fade down the page, one share for all positions would let a known label at the top stand for too many.
Neighbouring positions are pooled until at least 50 rows reach the link. Where ``v`` is below .05 a position
is *unseen*: its outcomes are not used, and looks that rest on them count as unsupported (``inclusion.py``).
Without ``v`` a chain reads too low: a purchase that did not happen says that nothing was returned, one that
did leaves the return to be learned.

Where an outcome is known only after an event (an answered survey) that event needed a look, so ``v`` falls
with the examination of the place, and the outcome itself is not divided by it. A position that stands alone
has its own share, whatever the curve; inside a pool the curve tells how the shares of its positions differ.
Answers are few everywhere, so there a position is unseen below .05 of the greatest share of any position.
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
"""Rows of a position below which it is pooled with its neighbours."""


@dataclass(frozen=True)
class JointOutcome:
    """A task's joint outcome on the rows of a log.

    Attributes
    ----------
    value : [n], 0 where the outcome is unknown or the item was not shown.
    weight : [n], of known outcomes so that they stand for all shown rows; 0 where unknown.
    by_examination : whether the outcome takes a look, so that it is divided by the examination of its place.
    unseen : [n] rows shown at positions where hardly any label is known; None where there are none.
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
    """Return what is known of the last task of a chain.

    Parameters
    ----------
    labels : task -> its label where observed, else NaN, each of shape [n].
    links : root, ..., task.
    shown : rows that were shown.
    positions : [n] where they were shown; None where no position is logged.
    immature : rows on which the last link is not mature; its outcome is unknown there, whatever its parents.
    answered_at : examination of the place of each row, where the outcome is known only after an event.

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
    """Return, by row's place, the share of the marked rows that are known, and whether it is too small."""
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
    """Return the first place of each pool of neighbouring places with enough rows, in order."""
    first: list[float] = []
    rows = _LEAST_ROWS
    for place, count in zip(*np.unique(places, return_counts=True), strict=True):
        if rows >= _LEAST_ROWS:
            first.append(place)
            rows = 0
        rows += count
    return np.array(first[:-1] if len(first) > 1 and rows < _LEAST_ROWS else first)


def _inverse(share: Floats, known: Flags) -> Floats:
    """Return one over the share of known rows, on these; 0 elsewhere."""
    return np.divide(1.0, share, out=np.zeros(len(known)), where=known & (share > 0))
