"""All estimators that a log allows, as sums over its rows, and the expected rewards that they need.

An estimate is a sum over rows divided by another: rows for the mean reward of a slot, requests for that of a
slate, weights for SNIPS. A slate's term is stored in its first row (`tasks.ope.slates`).

For a single slot a reward depends on the item in the slot, and not on items above or below. With w = target
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

IPS is unbiased if propensities are correct and every item of the target can occur in the log; DR is unbiased
under the same conditions, or if q is correct. Switch-DR and DRos trade bias for variance: tau and lambda
minimise the estimated bias^2 + variance (Su et al. 2020, section 5). The bias of weights w' in place of w is
the mean of (w' - w)(r - q); the square of a noisy mean is too large by its variance, which is subtracted.
Candidates are no limit, which is DR itself, and limits at quantiles of the weights; the loosest is chosen in
case of a tie.

Expected rewards are means by item and position, each row's mean fitted on users of other folds::

    q of item and position = (sum of rewards + PRIOR x mean at the position) / (rows + PRIOR)

A model fitted on a row's own reward would explain it, and DR would underestimate its noise. Users are
therefore split into folds, and a row's means come from the other folds. A target may supply a better model in
a column ``q``, trained on rows other than these.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from tasks.arrays import Floats, Indices
from tasks.evaluation.binary import divide
from tasks.ope import slates as of_slates
from tasks.ope.log_rows import LogRows, TargetRows

FOLDS: Final = 5
PRIOR: Final = 10.0
"""Rows at the position's mean added to each item: an item with few rows is shrunk towards the average."""
MEANS: Final = "means by item and position, cross-fitted"
BROUGHT: Final = "the target's column q"


@dataclass(frozen=True)
class ExpectedRewards:
    """Expected reward of each logged row, and its source.

    Attributes
    ----------
    predicted, expected : [n] for the logged item, and for an item drawn by the target for its place.
    model : source of the rewards, in words.
    target : the target whose pairs of item and position have fitted means; None if it supplied a model.
    """

    predicted: Floats
    expected: Floats
    model: str
    target: TargetRows | None = None

    def fit_noise(self, reward: Floats, weight: Floats) -> Floats:
        """Return each row's contribution to a DR estimate through the means, [n]; about 0 in sum.

        It is the row's residual times the derivative of the sum of DR's terms by it through its pair's mean,
        which is about 0 for weights without limits: they count a pair as often as the target shows it.

        Parameters
        ----------
        reward, weight : [n] rewards, and weights of their residuals in the estimate.
        """
        if self.target is None:
            return np.zeros(len(reward))
        pairs, count = self.target.logged_pairs, self.target.pair_count
        rows, counted = np.bincount(pairs, minlength=count), np.bincount(pairs, weight, count)
        leverage = (self.target.count_shown() - counted) / (rows + PRIOR)
        return leverage[pairs] * (reward - self.predicted)


def expect_rewards(log: LogRows, target: TargetRows) -> ExpectedRewards:
    """Use the target's own model, or fit means by item and position."""
    if target.predicted is not None:
        predicted = target.of_logged(target.predicted)
        return ExpectedRewards(predicted, target.expect(target.predicted), BROUGHT)
    folds = log.clusters.codes % FOLDS
    means = fold_means(log, target, folds)
    predicted = means[folds, target.logged_pairs]
    each = np.array([target.expect(of_fold[target.pairs]) for of_fold in means])
    return ExpectedRewards(predicted, each[folds, np.arange(len(folds))], MEANS, target)


def fold_means(log: LogRows, target: TargetRows, folds: Indices) -> Floats:
    """Return the means [folds, pairs] over rows of other folds, shrunk towards the position's mean."""
    count = target.pair_count
    positions = np.unique(log.positions, return_inverse=True)[1]
    at = _position_of_pairs(target, positions, count)
    rewards, rows = (_of_other_folds(target.logged_pairs, x, folds, count) for x in _sums(log))
    sums, sizes = (_of_other_folds(positions, x, folds, int(positions.max()) + 1) for x in _sums(log))
    average = np.nan_to_num(divide(sums, sizes))[:, at]
    return (rewards + PRIOR * average) / (rows + PRIOR)


def _sums(log: LogRows) -> tuple[Floats, Floats]:
    return log.reward, np.ones(len(log.reward))


def _of_other_folds(codes: Indices, values: Floats, folds: Indices, count: int) -> Floats:
    own = np.bincount(folds * np.intp(count) + codes, values, FOLDS * count).reshape(FOLDS, count)
    return own.sum(axis=0) - own


def _position_of_pairs(target: TargetRows, positions: Indices, count: int) -> Indices:
    """Return the log's code of each pair's position, [pairs].

    A pair that was never logged has the position of its place, where another item was logged.
    """
    of_place = np.zeros(int(max(target.places.max(), target.logged_places.max())) + 1, dtype=np.intp)
    of_place[target.logged_places] = positions
    at = np.zeros(count, dtype=np.intp)
    at[target.pairs] = of_place[target.places]
    at[target.logged_pairs] = positions
    return at


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
    reward : observed reward.
    weight : target probability over propensity, 0 or more.
    predicted : expected reward of the logged item by a model.
    expected : expected reward of an item drawn by the target policy for this slot.
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
    weight : [n] replaces the rows' own weights, such as `switched_weights` or `shrunk_weights`.

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
    """Return the weights of DRos, lambda w / (w^2 + lambda): near w far below sqrt(lambda), falling above.

    Examples
    --------
    >>> shrunk_weights(np.array([1.0, 3.0]), 3.0).tolist(), shrunk_weights(np.array([3.0]), np.inf).tolist()
    ([0.75, 0.75], [3.0])
    """
    if math.isinf(strength):
        return weight
    bottom = weight**2 + strength
    return np.divide(strength * weight, bottom, out=np.zeros(len(weight)), where=bottom > 0)


def tune_switch(slots: LoggedSlots) -> tuple[Floats, float]:
    """Return the weights of Switch-DR [n] and the chosen threshold, infinite for the rows' own weights.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> same = np.full(100, 0.5)
    >>> tune_switch(LoggedSlots(rng.binomial(1, 0.5, 100).astype(float), np.ones(100), same, same))[1]
    inf
    """
    return _least_error(slots, switched_weights, power=1)


def tune_shrinkage(slots: LoggedSlots) -> tuple[Floats, float]:
    """Return the weights of DRos [n] and the chosen strength lambda: the square of the weight that is halved.

    Lambda is infinite for the rows' own weights.

    Examples
    --------
    >>> one_huge = np.array([1.0, 1.0, 1.0, 500.0])
    >>> rows = LoggedSlots(np.array([1.0, 0.0, 1.0, 0.0]), one_huge, np.full(4, 0.5), np.full(4, 0.5))
    >>> tune_shrinkage(rows)[1] < np.inf
    True
    """
    return _least_error(slots, shrunk_weights, power=2)


def _least_error(
    slots: LoggedSlots, limited: Callable[[Floats, float], Floats], *, power: int
) -> tuple[Floats, float]:
    limits = [math.inf, *(float(x) for x in np.quantile(slots.weight, _QUANTILES) ** power if x > 0)]
    candidates = [(limited(slots.weight, limit), limit) for limit in limits]
    return min(candidates, key=lambda one: _squared_error(slots, one[0]))


def _squared_error(slots: LoggedSlots, weight: Floats) -> float:
    n, lost = len(weight), (weight - slots.weight) * (slots.reward - slots.predicted)
    squared_bias = max(lost.mean() ** 2 - lost.var() / n, 0.0)
    return float(squared_bias + dr_terms(slots, weight).var() / n)


@dataclass(frozen=True)
class EstimatorSums:
    """Sums of one estimator, each of shape [n] over the log's rows.

    Attributes
    ----------
    name, per : the estimator's name, and the unit of its mean.
    above, below : contributions of each row; the estimate is sum of above / sum of below.
    weight : weight of each row's reward; for SIPS a request's weight in its first row.
    outcome : weighted rewards, 0 for rows without a reward.
    importance : weights before limits, whose mean over rows of ``counted`` is 1.
    counted : rows that have such a weight.
    limit : tau of Switch-DR, lambda of DRos; infinite if no limit is best, None for other estimators.
    noise : each row's contribution through the fitted reward model, about 0 in sum; used in intervals only.
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
        """The contribution of each row, including its effect on the reward model, [n]."""
        return self.above if self.noise is None else self.above + self.noise


def slot_terms(log: LogRows, weight: Floats, rewards: ExpectedRewards) -> Iterator[EstimatorSums]:
    """Yield the estimators of one slot.

    Parameters
    ----------
    weight : [n] weight of each row's item.
    """
    rows = LoggedSlots(log.reward, weight, rewards.predicted, rewards.expected)
    once = np.ones(len(rows.reward))
    (switched, threshold), (shrunk, strength) = tune_switch(rows), tune_shrinkage(rows)
    sums = {
        IPS: (ips_terms(rows), once, rows.weight, None),
        SNIPS: (ips_terms(rows), rows.weight, rows.weight, None),
        DM: (rows.expected, once, rows.weight, None),
        DR: (dr_terms(rows), once, rows.weight, None),
        SWITCH_DR: (dr_terms(rows, switched), once, switched, threshold),
        DROS: (dr_terms(rows, shrunk), once, shrunk, strength),
    }
    for name, (above, below, limited, limit) in sums.items():
        noise = rewards.fit_noise(log.reward, limited) if name in {DR, SWITCH_DR, DROS} else None
        outcome = limited * log.reward
        yield EstimatorSums(name, "slot", above, below, limited, outcome, weight, once, limit, noise)


def slate_terms(log: LogRows, weight: Floats, rewards: ExpectedRewards) -> Iterator[EstimatorSums]:
    """Yield the estimators of slates; adaptive IPS if the log contains user behaviors.

    Parameters
    ----------
    weight : [n] weight of each row's item given the items above it.
    """
    reward, of_slots = log.as_slates(log.reward, missing=0.0), log.as_slates(weight, missing=1.0)
    first, once = (log.positions == 1).astype(np.float64), np.ones(len(weight))
    slots = (log.requests, log.positions - 1)
    upto = of_slots.cumprod(axis=1)[slots]
    whole = np.where(first > 0, of_slots.prod(axis=1)[log.requests], 0.0)
    estimators = {
        SIPS: (of_slates.sips_terms(reward, of_slots), whole, first),
        IIPS: (of_slates.iips_terms(reward, of_slots), weight, once),
        RIPS: (of_slates.rips_terms(reward, of_slots), upto, once),
        CASCADE_DR: (of_slates.cascade_dr_terms(reward, of_slots, *_expect_below(log, rewards)), upto, once),
    }
    if log.behaviors is not None:
        depends = of_slates.behavior_matrices(log.behaviors, of_slots.shape[1])
        weights = of_slates.adaptive_weights(of_slots, depends)[slots]
        estimators[ADAPTIVE_IPS] = (of_slates.adaptive_terms(reward, of_slots, depends), weights, once)
    for name, (terms, weights, counted) in estimators.items():
        above = np.where(first > 0, terms[log.requests], 0.0)
        outcome = above if name == SIPS else weights * log.reward
        yield EstimatorSums(name, "request", above, first, weights, outcome, weights, counted)


def _expect_below(log: LogRows, rewards: ExpectedRewards) -> tuple[Floats, Floats]:
    """Add to each slot's expected reward the target's mean reward in the slots below.

    The reward after another item is unknown for a target that depends on the items above, so the mean over
    the log's slates is used: any number that is independent of the slot's own item is valid.
    """
    predicted, expected = (log.as_slates(x, missing=0.0) for x in (rewards.predicted, rewards.expected))
    there = log.as_slates(np.ones(len(log.reward)), missing=0.0)
    usual = there * expected.sum(axis=0) / there.sum(axis=0)
    below = (usual[:, ::-1].cumsum(axis=1)[:, ::-1] - usual) * there
    return predicted + below, expected + below
