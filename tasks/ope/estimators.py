"""Every estimator that a log allows, as sums over its rows.

An estimate is a sum over rows divided by another: rows for a mean reward of a slot, requests for one of a
slate, weights for SNIPS. What a slate adds stands at its first row (`tasks.ope.slates`).

In one slot a reward depends on the item in the slot, and on nothing above or below it. With w = target
probability / propensity of the logged item, q its expected reward and e the sum over items of target
probability x expected reward, the mean over rows of

========== ================================== =========================================================
IPS        w r                                Horvitz and Thompson (1952)
SNIPS      w r / mean of w                    Swaminathan and Joachims (2015)
DM         e
DR         e + w (r - q)                      Dudik, Langford and Li (2011)
Switch-DR  DR with w = 0 where w > tau        Wang, Agarwal and Dudik (2017)
DRos       DR with lambda w / (w^2 + lambda)  Su, Dimakopoulou, Krishnamurthy and Dudik (2020)
========== ================================== =========================================================

IPS is unbiased where propensities are right and nothing that the target shows is impossible in the log; DR
is so too, or where q is right. Switch-DR and DRos take some bias for less variance: tau and lambda are
chosen where estimated bias^2 + variance is least (Su et al. 2020, section 5). The bias of weights w' in
place of w is the mean of (w' - w)(r - q); a square of a noisy mean is too large by its variance, which is
subtracted. Candidates are no limit, which is DR itself, and limits at quantiles of the weights; of equal
ones the loosest is taken.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from tasks.arrays import Floats
from tasks.ope import slates as of_slates
from tasks.ope.log_rows import LogRows
from tasks.ope.reward_model import ExpectedRewards
from tasks.ope.slates import LoggedSlates

Unit = Literal["slot", "request"]

IPS: Final = "ips"
SNIPS: Final = "snips"
DM: Final = "dm"
DR: Final = "dr"
SWITCH_DR: Final = "switch_dr"
DROS: Final = "dros"
SIPS: Final = "sips"
IIPS: Final = "iips"
RIPS: Final = "rips"
CASCADE_DR: Final = "cascade_dr"
ADAPTIVE_IPS: Final = "adaptive_ips"
OF_SLOTS: Final = (IPS, SNIPS, DM, DR, SWITCH_DR, DROS)
OF_SLATES: Final = (SIPS, IIPS, RIPS, CASCADE_DR, ADAPTIVE_IPS)
_QUANTILES: Final = (0.999, 0.99, 0.95, 0.9, 0.75)


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


@dataclass(frozen=True)
class LimitedWeights:
    """Weights [n] with the limit that made them; infinite where they are the rows' own."""

    weight: Floats
    limit: float


def tune_switch(slots: LoggedSlots) -> LimitedWeights:
    """Choose the threshold of Switch-DR.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> same = np.full(100, 0.5)
    >>> tune_switch(LoggedSlots(rng.binomial(1, 0.5, 100).astype(float), np.ones(100), same, same)).limit
    inf
    """
    return _least_error(slots, switched_weights, power=1)


def tune_shrinkage(slots: LoggedSlots) -> LimitedWeights:
    """Choose the strength lambda of DRos: the square of the weight that is halved.

    Examples
    --------
    >>> one_huge = np.array([1.0, 1.0, 1.0, 500.0])
    >>> rows = LoggedSlots(np.array([1.0, 0.0, 1.0, 0.0]), one_huge, np.full(4, 0.5), np.full(4, 0.5))
    >>> bool(tune_shrinkage(rows).limit < np.inf)
    True
    """
    return _least_error(slots, shrunk_weights, power=2)


def _least_error(
    slots: LoggedSlots, limited: Callable[[Floats, float], Floats], *, power: int
) -> LimitedWeights:
    limits = [math.inf, *(float(x) for x in np.quantile(slots.weight, _QUANTILES) ** power if x > 0)]
    candidates = [LimitedWeights(limited(slots.weight, limit), limit) for limit in limits]
    return min(candidates, key=lambda one: _squared_error(slots, one.weight))


def _squared_error(slots: LoggedSlots, weight: Floats) -> float:
    n, lost = len(weight), (weight - slots.weight) * (slots.reward - slots.predicted)
    squared_bias = max(lost.mean() ** 2 - lost.var() / n, 0.0)
    return float(squared_bias + dr_terms(slots, weight).var() / n)


@dataclass(frozen=True)
class EstimatorSums:
    """One estimator's sums, each of shape [n] over the log's rows.

    Attributes
    ----------
    name, per : the estimator's name, and the unit that its value is a mean over.
    above, below : what each row adds; the estimate is sum of above / sum of below.
    weight : how much each row's reward counts, for SIPS a request's in its first row.
    outcome : weighted rewards, 0 where nothing came of a row.
    importance : weights before they were limited, whose mean over rows of ``counted`` is 1.
    counted : rows that have such a weight.
    limit : tau of Switch-DR, lambda of DRos; infinite where no limit is best, None for the others.
    noise : what each row adds by having moved a fitted reward model, about 0 in sum: part of intervals alone.
    """

    name: str
    per: Unit
    above: Floats
    below: Floats
    weight: Floats
    outcome: Floats
    importance: Floats
    counted: Floats
    limit: float | None = None
    noise: Floats | None = None

    @property
    def with_noise(self) -> Floats:
        """What each row adds with the part by which it moved the reward model, [n]."""
        return self.above if self.noise is None else self.above + self.noise


def slot_terms(log: LogRows, weight: Floats, rewards: ExpectedRewards) -> Iterator[EstimatorSums]:
    """Yield the estimators of one slot.

    Parameters
    ----------
    weight : [n] of each row's item.
    """
    rows = LoggedSlots(log.reward, weight, rewards.predicted, rewards.expected)
    once = np.ones(len(rows.reward))
    switched, shrunk = tune_switch(rows), tune_shrinkage(rows)
    sums = {
        IPS: (ips_terms(rows), once, rows.weight, None),
        SNIPS: (ips_terms(rows), rows.weight, rows.weight, None),
        DM: (rows.expected, once, rows.weight, None),
        DR: (dr_terms(rows), once, rows.weight, None),
        SWITCH_DR: (dr_terms(rows, switched.weight), once, switched.weight, switched.limit),
        DROS: (dr_terms(rows, shrunk.weight), once, shrunk.weight, shrunk.limit),
    }
    for name, (above, below, limited, limit) in sums.items():
        noise = rewards.fit_noise(log.reward, limited) if name in {DR, SWITCH_DR, DROS} else None
        outcome = limited * log.reward
        yield EstimatorSums(name, "slot", above, below, limited, outcome, weight, once, limit, noise)


def slate_terms(log: LogRows, weight: Floats, rewards: ExpectedRewards) -> Iterator[EstimatorSums]:
    """Yield the estimators of slates; adaptive IPS where the log says what rewards depend on.

    Parameters
    ----------
    weight : [n] of each row's item given those above it.
    """
    slates = LoggedSlates(log.as_slates(log.reward, missing=0.0), log.as_slates(weight, missing=1.0))
    first, once = (log.positions == 1).astype(np.float64), np.ones(len(weight))
    slots = (log.requests, log.positions - 1)
    upto = slates.weight.cumprod(axis=1)[slots]
    whole = np.where(first > 0, slates.weight.prod(axis=1)[log.requests], 0.0)
    estimators = {
        SIPS: (of_slates.sips_terms(slates), whole, first),
        IIPS: (of_slates.iips_terms(slates), weight, once),
        RIPS: (of_slates.rips_terms(slates), upto, once),
        CASCADE_DR: (_cascade_dr(log, slates, rewards), upto, once),
    }
    if log.behaviors is not None:
        depends = of_slates.behavior_matrices(log.behaviors, slates.reward.shape[1])
        weights = of_slates.adaptive_weights(slates.weight, depends)[slots]
        estimators[ADAPTIVE_IPS] = (of_slates.adaptive_terms(slates, depends), weights, once)
    for name, (terms, weights, counted) in estimators.items():
        above = np.where(first > 0, terms[log.requests], 0.0)
        outcome = above if name == SIPS else weights * log.reward
        yield EstimatorSums(name, "request", above, first, weights, outcome, weights, counted)


def _cascade_dr(log: LogRows, slates: LoggedSlates, rewards: ExpectedRewards) -> Floats:
    """Add to each slot's expected reward what the target earns in the slots below it, on average.

    What it would earn there after another item is not known of a target that depends on those above, so the
    mean over the log's slates stands for it: any number is right that the slot's own item has no part in.
    """
    predicted, expected = (log.as_slates(x, missing=0.0) for x in (rewards.predicted, rewards.expected))
    there = log.as_slates(np.ones(len(log.reward)), missing=0.0)
    usual = there * expected.sum(axis=0) / there.sum(axis=0)
    below = (usual[:, ::-1].cumsum(axis=1)[:, ::-1] - usual) * there
    return of_slates.cascade_dr_terms(slates, predicted + below, expected + below)
