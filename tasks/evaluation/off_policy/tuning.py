"""How far weights are switched off or shrunk: where estimated bias^2 + variance is least.

Of weights w' in place of w the bias of DR is the mean of (w' - w)(r - q), and its variance that of the terms
over n. A square of a noisy mean is too large by its variance, which is taken off. Candidates are no limit,
which is DR itself, and limits at quantiles of the weights; of equal ones the loosest is taken. After Su et
al. (2020), section 5.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from tasks.evaluation.binary import Floats
from tasks.evaluation.off_policy.slots import LoggedSlots, dr_terms, shrunk_weights, switched_weights

_QUANTILES: Final = (0.999, 0.99, 0.95, 0.9, 0.75)


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
