"""Estimators of one slot: a reward depends on the item in the slot, and on nothing above or below it.

With w = target probability / propensity of the logged item, q its expected reward and e the sum over items
of target probability x expected reward, the mean over rows of

========== ================================== =========================================================
IPS        w r                                Horvitz and Thompson (1952)
SNIPS      w r / mean of w                    Swaminathan and Joachims (2015)
DM         e
DR         e + w (r - q)                      Dudik, Langford and Li (2011)
Switch-DR  DR with w = 0 where w > tau        Wang, Agarwal and Dudik (2017)
DRos       DR with lambda w / (w^2 + lambda)  Su, Dimakopoulou, Krishnamurthy and Dudik (2020)
========== ================================== =========================================================

IPS is unbiased where propensities are right and nothing that the target shows is impossible in the log; DR
is so too, or where q is right. Switch-DR and DRos take some bias for less variance.
"""

import math
from dataclasses import dataclass

import numpy as np

from tasks.evaluation.binary import Floats


@dataclass(frozen=True)
class LoggedSlots:
    """Shown items, each of shape [n].

    Attributes
    ----------
    reward : what came of it.
    weight : target probability over propensity, 0 or more.
    predicted : reward that a model expects of the logged item.
    expected : of an item drawn by the target policy for this slot.
    """

    reward: Floats
    weight: Floats
    predicted: Floats
    expected: Floats


def ips_terms(slots: LoggedSlots) -> Floats:
    """Return w r, [n].

    Examples
    --------
    >>> rows = LoggedSlots(*(np.array(x) for x in ([1.0, 0.0], [0.5, 2.0], [0.4, 0.4], [0.3, 0.3])))
    >>> ips_terms(rows).tolist()
    [0.5, 0.0]
    """
    return slots.weight * slots.reward


def snips_terms(slots: LoggedSlots) -> Floats:
    """Return w r over the mean of w, [n]; NaN where every weight is 0.

    Examples
    --------
    >>> rows = LoggedSlots(*(np.array(x) for x in ([1.0, 0.0], [0.5, 1.5], [0.4, 0.4], [0.3, 0.3])))
    >>> snips_terms(rows).tolist()
    [0.5, 0.0]
    """
    mean = slots.weight.mean() if len(slots.weight) else 0.0
    return ips_terms(slots) / (mean if mean > 0 else math.nan)


def dm_terms(slots: LoggedSlots) -> Floats:
    """Return e, [n]: the model alone."""
    return slots.expected


def dr_terms(slots: LoggedSlots, weight: Floats | None = None) -> Floats:
    """Return e + w (r - q), [n].

    Parameters
    ----------
    weight : [n] in place of the rows' own, as of `switched_weights` or `shrunk_weights`.

    Examples
    --------
    >>> rows = LoggedSlots(*(np.array(x) for x in ([1.0, 0.0], [0.5, 2.0], [0.5, 0.25], [0.25, 0.25])))
    >>> dr_terms(rows).tolist(), dr_terms(rows, switched_weights(rows.weight, 1.0)).tolist()
    ([0.5, -0.25], [0.5, 0.25])
    """
    return slots.expected + (slots.weight if weight is None else weight) * (slots.reward - slots.predicted)


def switched_weights(weight: Floats, threshold: float) -> Floats:
    """Return the weights of Switch-DR: 0 above the threshold tau."""
    return np.where(weight <= threshold, weight, 0.0)


def shrunk_weights(weight: Floats, strength: float) -> Floats:
    """Return the weights of DRos, lambda w / (w^2 + lambda): nearly w far below sqrt(lambda), falling above.

    Examples
    --------
    >>> shrunk_weights(np.array([1.0, 3.0]), 3.0).tolist(), shrunk_weights(np.array([3.0]), np.inf).tolist()
    ([0.75, 0.75], [3.0])
    """
    if math.isinf(strength):
        return weight
    bottom = weight**2 + strength
    return np.divide(strength * weight, bottom, out=np.zeros(len(weight)), where=bottom > 0)
