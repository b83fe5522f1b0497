"""What policies are truly worth, since the world's own probabilities are known.

::

    rate of a task     sum over slots of examination x truth     / sum over slots of examination
    primary            sum over slots of examination x utility   / the same, with the baseline's weights and
                       the truth in place of predictions
    gain of a task     sum over slots of truth / log2(1 + slot)  / sum over slots of 1 / log2(1 + slot)

A release is harmful where its primary is truly lower by 8 %, or a cost is higher than one and a half times
what its guardrail allows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.contracts import Contracts
from tasks.datasets.world.entities import EXAMINATION

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Rows = npt.NDArray[np.bool_]

HARMFUL_PRIMARY: Final = -0.08
HARMFUL_COST: Final = 1.5


def looks(slot: npt.NDArray[np.integer]) -> Floats:
    """Return how much each row's slot is examined, 0 without one, shape [n].

    Examples
    --------
    >>> looks(np.array([0, 1, 3])).tolist()
    [0.0, 1.0, 0.84]
    """
    curve = np.asarray((0.0, *EXAMINATION))
    return curve[np.minimum(slot, len(EXAMINATION))]


def discounts(slot: Integers) -> Floats:
    """Return 1 / log2(1 + slot) of each row, 0 without a slot, shape [n].

    Examples
    --------
    >>> discounts(np.array([0, 1, 3])).tolist()
    [0.0, 1.0, 0.5]
    """
    return np.where(slot > 0, 1.0 / np.log2(1.0 + np.maximum(slot, 1)), 0.0)


def weighted_mean(values: Floats, weights: Floats, within: Rows | None = None) -> float:
    """Return the mean of what stands in the slots; NaN where nothing does.

    Parameters
    ----------
    values : [n]; what has no weight may be NaN.
    weights : [n] of 0 or more.
    within : [n] the rows of a segment; all by default.
    """
    rows = (weights > 0) if within is None else (weights > 0) & within
    total = weights[rows].sum()
    return float((weights[rows] * values[rows]).sum() / total) if total else float("nan")


def change(policy: float, baseline: float) -> float:
    """Return policy / baseline - 1; NaN where the baseline is not above 0.

    Examples
    --------
    >>> change(1.5, 1.0), change(1.0, 0.0)
    (0.5, nan)
    """
    return policy / baseline - 1 if baseline > 0 else float("nan")


@dataclass(frozen=True)
class TrueChange:
    """What a release truly changes against its baseline: the primary, and the rate of each task."""

    primary: float
    rates: Mapping[str, float]

    def harmful(self, bounds: Mapping[str, float]) -> bool:
        """Say whether it does harm; ``bounds`` are the rises that guardrails allow, by cost.

        Examples
        --------
        >>> TrueChange(-0.05, {"hide": 0.2}).harmful({"hide": 0.1})
        True
        """
        rises = (self.rates[task] > HARMFUL_COST * bound for task, bound in bounds.items())
        return self.primary <= HARMFUL_PRIMARY or any(rises)


def true_change(
    policy: Integers, baseline: Integers, truth: Mapping[str, Floats], utility: Floats
) -> TrueChange:
    """Compare two policies by the truth.

    Parameters
    ----------
    policy, baseline : [n] slots from 1, 0 without one.
    truth : [n] true probability at the first position, by task.
    utility : [n] true utility there under the weights of the baseline.

    Examples
    --------
    >>> swapped = true_change(np.array([2, 1]), np.array([1, 2]), {"buy": np.array([0.2, 0.1])}, np.ones(2))
    >>> round(swapped.rates["buy"], 4), swapped.primary
    (-0.0274, 0.0)
    """
    ours, theirs = looks(policy), looks(baseline)
    return TrueChange(
        primary=change(weighted_mean(utility, ours), weighted_mean(utility, theirs)),
        rates={
            task: change(weighted_mean(each, ours), weighted_mean(each, theirs))
            for task, each in truth.items()
        },
    )


def cost_bounds(contracts: Contracts) -> dict[str, float]:
    """Return the rise that guardrails allow of each cost whose rate they bound."""
    rises = {rail.metric: rail.relative_increase_max for rail in contracts.utility.guardrails}
    found = {task: rises.get(f"{task}_rate") for task in contracts.tasks.costs}
    return {task: rise for task, rise in found.items() if rise is not None}
