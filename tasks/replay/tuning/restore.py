"""The smallest change of weights that brings exceeded bounds back.

::

    x          change of each weight's logarithm; its length is what is kept small
    e(x) <= 0  every bound holds; slates jump as items pass one another, so e is measured, never derived
    at first   each weight alone, further and further: far away slates move where they do not nearby
    a round    differences around the last point -> a plane for each bound -> the nearest point that all of
               them allow -> along the way to it, the first place where the bounds do hold
    at last    each weight that can be left alone is put back

Each round's plane is that of the last round's end, so it speaks of the slates there. (The idea is that of
Automated Constraint Targeting: Chang et al. 2025.)
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.optimize import LinearConstraint, minimize

from tasks.evaluation.binary import Floats
from tasks.replay.tuning.space import Weights, WeightSpace

_ROUNDS: Final = 3
_STEP: Final = 0.15
"""Differences are taken over changes of 15 %: less moves too few items past one another."""
_ALONG: Final = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
"""Shares of the way to the planes' point that are tried."""
_OUTWARDS: Final = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of the way to an end of one weight's range."""
_HALVINGS: Final = 5

Excess = Callable[[Weights], tuple[float, ...]]


@dataclass(frozen=True)
class Restored:
    """Weights that bring every bound back, and how far they moved."""

    weights: Weights
    moved: float


@dataclass
class _Walk:
    """Measures points of the space, each once."""

    excess: Excess
    space: WeightSpace
    seen: dict[tuple[float, ...], Floats] = field(default_factory=dict)

    @property
    def box(self) -> list[tuple[float, float]]:
        """Least and greatest change of each logarithm; 0 is always inside."""
        now = self.space.current
        ends = (
            (math.log(low / abs(now[t])), math.log(high / abs(now[t])))
            for t, (low, high) in self.space.sizes.items()
        )
        return [(min(low, 0.0), max(high, 0.0)) for low, high in ends]

    def weights(self, point: Floats) -> dict[str, float]:
        """Return the weights of a point; those that do not move are not rounded."""
        now = self.space.current
        moved = {t: abs(now[t]) * math.exp(x) for t, x in zip(now, point, strict=True)}
        rounded = self.space.signed(moved)
        return {t: rounded[t] if x else now[t] for t, x in zip(now, point, strict=True)}

    def at(self, point: Floats) -> Floats:
        """Return the excess of each bound."""
        weights = self.weights(point)
        key = tuple(weights.values())
        if key not in self.seen:
            self.seen[key] = np.array(self.excess(weights))
        return self.seen[key]

    def holds(self, point: Floats) -> bool:
        """Whether every bound holds."""
        return bool((self.at(point) <= 0).all())

    def slopes(self, point: Floats) -> Floats:
        """Return the change of each excess by each weight, shape [bounds, weights]."""
        slopes = []
        for i, (low, high) in enumerate(self.box):
            ends = [point.copy(), point.copy()]
            ends[0][i], ends[1][i] = max(point[i] - _STEP, low), min(point[i] + _STEP, high)
            width = ends[1][i] - ends[0][i]
            slopes.append((self.at(ends[1]) - self.at(ends[0])) / width if width else 0.0 * self.at(point))
        return np.array(slopes).T


def restore_bounds(excess: Excess, space: WeightSpace) -> Restored | None:
    """Return the nearest weights found that exceed no bound; None where none were found.

    Parameters
    ----------
    excess : how far each bound is exceeded under some weights; 0 or less where it holds.
    space : the current weights, and how far each may move.

    Examples
    --------
    >>> from tasks.contracts import UtilitySpec
    >>> policy = UtilitySpec(policy="p", version=1, owner="o", approvals=["a"], weights={"hide": -2.0})
    >>> space = WeightSpace.of(policy, {"hide": (-20.0, -1.0)})
    >>> restore_bounds(lambda weights: (4.0 + weights["hide"],), space).weights
    {'hide': -4.0}
    """
    walk = _Walk(excess, space)
    point = np.zeros(len(space.sizes))
    if walk.holds(point):
        return Restored(walk.weights(point), 0.0)
    best = _nearest(_first_that_holds(walk, end, _OUTWARDS) for end in _ends_of_each(walk.box))
    point = point if best is None else best
    for _ in range(_ROUNDS):
        target = _nearest_allowed(walk, point)
        found = _first_that_holds(walk, target, _ALONG)
        point = target if found is None else found
        best = _nearest((best, found))
    if best is None:
        return None
    weights = walk.weights(_without_idle_moves(walk, best))
    return Restored(weights, space.moved(weights))


def _nearest_allowed(walk: _Walk, point: Floats) -> Floats:
    """Return the point nearest to no change at which the planes through a point allow every bound."""
    level, slopes = walk.at(point), walk.slopes(point)
    start = point if point.any() else np.full(len(point), 1e-3)
    planes = LinearConstraint(slopes, -np.inf, slopes @ point - level)
    solved = minimize(_squared_length, start, bounds=walk.box, constraints=planes, method="SLSQP")
    if solved.success and np.isfinite(solved.x).all():
        return np.asarray(solved.x)
    downhill = -slopes[level > 0].sum(axis=0) if (level > 0).any() else np.zeros(len(point))
    low, high = np.array(walk.box).T
    size = np.linalg.norm(downhill)
    return np.clip(point + (downhill / size if size else 0.0), low, high)


def _squared_length(point: Floats) -> float:
    return float(point @ point)


def _nearest(points: Iterable[Floats | None]) -> Floats | None:
    """Return the point that moves least, None where there is none."""
    found = [point for point in points if point is not None]
    return min(found, key=lambda point: float(np.linalg.norm(point)), default=None)


def _ends_of_each(box: Sequence[tuple[float, float]]) -> Iterator[Floats]:
    """Yield the points at which one weight alone has moved to an end of its range."""
    for i, ends in enumerate(box):
        for end in ends:
            if end:
                yield np.where(np.arange(len(box)) == i, end, 0.0)


def _first_that_holds(walk: _Walk, target: Floats, shares: Sequence[float]) -> Floats | None:
    """Return the first point along the way to a target, and beyond, where every bound holds."""
    low, high = np.array(walk.box).T
    outside = 0.0
    for share in shares:
        if walk.holds(np.clip(share * target, low, high)):
            break
        outside = share
    else:
        return None
    inside = share
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        if walk.holds(np.clip(middle * target, low, high)):
            inside = middle
        else:
            outside = middle
    return np.clip(inside * target, low, high)


def _without_idle_moves(walk: _Walk, point: Floats) -> Floats:
    """Put back each weight, the least moved first, whose move is not needed."""
    for i in np.argsort(np.abs(point)):
        left = point.copy()
        left[i] = 0.0
        if point[i] and walk.holds(left):
            point = left
    return point
