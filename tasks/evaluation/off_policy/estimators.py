"""Every estimator that a log allows, as sums over its rows.

An estimate is a sum over rows divided by another: rows for a mean reward of a slot, requests for one of a
slate, weights for SNIPS. What a slate adds stands at its first row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from tasks.evaluation.binary import Floats
from tasks.evaluation.off_policy import slates as of_slates
from tasks.evaluation.off_policy import slots as of_slots
from tasks.evaluation.off_policy.log_rows import LogRows
from tasks.evaluation.off_policy.reward_model import ExpectedRewards
from tasks.evaluation.off_policy.slates import LoggedSlates
from tasks.evaluation.off_policy.slots import LoggedSlots
from tasks.evaluation.off_policy.tuning import tune_shrinkage, tune_switch

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


@dataclass(frozen=True)
class EstimatorSums:
    """One estimator's sums, each of shape [n] over the log's rows.

    Attributes
    ----------
    name, per : of the estimator, and what its value is a mean over.
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
        IPS: (of_slots.ips_terms(rows), once, rows.weight, None),
        SNIPS: (of_slots.ips_terms(rows), rows.weight, rows.weight, None),
        DM: (of_slots.dm_terms(rows), once, rows.weight, None),
        DR: (of_slots.dr_terms(rows), once, rows.weight, None),
        SWITCH_DR: (of_slots.dr_terms(rows, switched.weight), once, switched.weight, switched.limit),
        DROS: (of_slots.dr_terms(rows, shrunk.weight), once, shrunk.weight, shrunk.limit),
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
