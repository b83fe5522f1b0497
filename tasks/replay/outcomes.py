"""What the shown items of a log led to, along a task's chain, and how known outcomes stand for unknown ones.

::

    shown ---- label of the first link known (1 in v1) ---- 0: known to be 0
                                                       ---- 1: next link known (1 in v2) ---- 0 or 1

    weight     1 / (v1 x v2 ...) of the links that were reached where the outcome is known, else 0

``v`` is the share of rows reaching a link whose label is known there. Without it a chain reads too low: a
purchase that did not happen says that nothing was returned, one that did leaves the return to be learned.
Where an outcome is known only after an event (an answered survey) that event needed a look, so ``v`` falls
with the examination of the place, and the outcome itself is not divided by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.contracts.chains import join_outcomes
from tasks.evaluation.binary import Floats

Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class JointOutcome:
    """A task's joint outcome on the rows of a log.

    Attributes
    ----------
    value : [n], 0 where the outcome is unknown or the item was not shown.
    weight : [n], of known outcomes so that they stand for all shown rows; 0 where unknown.
    looked_at : whether the outcome takes a look, so that it is divided by the examination of its place.
    """

    value: Floats
    weight: Floats
    looked_at: bool = True

    @property
    def known(self) -> Rows:
        """Rows whose outcome is known, shape [n]."""
        return self.weight > 0


def joint_outcome(
    labels: Mapping[str, Floats],
    links: Sequence[str],
    *,
    shown: Rows,
    immature: Rows | None = None,
    answered_at: Floats | None = None,
) -> JointOutcome:
    """Return what is known of the last task of a chain.

    Parameters
    ----------
    labels : task -> its label where observed, else NaN, each of shape [n].
    links : root, ..., task.
    shown : rows that were shown.
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
    mature = shown if immature is None else shown & ~immature
    weight = _inverse_share(mature, shown, None)
    reached = mature
    for link in links:
        label = np.asarray(labels[link], dtype=np.float64)
        known = reached & np.isfinite(label)
        weight = np.where(reached, weight * _inverse_share(known, reached, answered_at), weight)
        reached = known & (label == 1.0)
    joint = join_outcomes(labels, links)
    return JointOutcome(np.where(weight > 0, joint, 0.0), weight, answered_at is None)


def _inverse_share(known: Rows, among: Rows, looks: Floats | None) -> Floats:
    """Return one over the share of rows that are known, on the known ones; 0 elsewhere."""
    each = np.ones(len(known)) if looks is None else looks
    total = each[among].sum()
    share = np.count_nonzero(known) / total if total else 0.0
    return np.divide(1.0, share * each, out=np.zeros(len(known)), where=known)
