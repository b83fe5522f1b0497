"""Weights on one half of the candidates: what they lead to, and which of several dominate by their intervals.

::

    points    a dominates b where it is better in one objective
    interval  ... where the 95 % interval of (a - b) lies above 0 in one objective, and below 0 in none
              and its point is not below 0 in any
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.evaluation.front import Flags, hypervolume
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.verdicts import Estimate
from tasks.replay.log import Slates
from tasks.replay.tuning.goal import GoalMeter
from tasks.replay.tuning.search import WeightFigures
from tasks.replay.tuning.space import Weights

Changes = tuple[Estimate, ...]


@dataclass(frozen=True)
class RehearsedWeights:
    """Weights measured on one half of the users."""

    meter: GoalMeter
    slates: Callable[[Weights], Slates]

    def figures(self, weights: Weights) -> WeightFigures:
        """Return objectives and excesses."""
        return self.meter.figures(self.slates(weights))

    def changes(self, weights: Weights, against: Weights | None = None) -> Changes:
        """Return each objective's change against the baseline or other weights, with its interval."""
        other = None if against is None else self.slates(against)
        return self.meter.changes(self.slates(weights), other)

    def gain(self, weights: Weights, against: Weights) -> Measured:
        """Return the change of what is maximised against other weights, by outcomes."""
        return self.meter.gain(self.slates(weights), self.slates(against))

    def find_dominated(self, candidates: Sequence[Weights]) -> Flags:
        """Return which weights others of them dominate by their intervals, shape [n]."""
        slates = [self.slates(weights) for weights in candidates]
        return np.array(
            [
                any(_dominates(self.meter.changes(other, one)) for other in slates if other is not one)
                for one in slates
            ],
            dtype=bool,
        )

    def volume(self, confirmed: Sequence[Changes]) -> float:
        """Return the hypervolume of confirmed changes above no gain and the bounds.

        Where a bound is no relative one its objective counts from the least of the points.
        """
        points = np.array([[one.value for one in changes] for changes in confirmed])
        if not len(points) or not np.isfinite(points).all():
            return float("nan")
        limits = [0.0, *(axis.limit for axis in self.meter.goal.axes[1:])]
        least = points.min(axis=0)
        reference = [low if limit is None else limit for limit, low in zip(limits, least, strict=True)]
        return hypervolume(points, reference)


def _dominates(changes: Changes) -> bool:
    """Return whether changes against another are better beyond chance in one objective and worse in none.

    Examples
    --------
    >>> better, equal = Estimate(0.2, 0.1, 0.3, 90), Estimate(0.0, -0.1, 0.1, 90)
    >>> _dominates((better, equal)), _dominates((equal, equal))
    (True, False)
    """
    return any(one.low > 0 for one in changes) and all(one.value >= 0 for one in changes)
