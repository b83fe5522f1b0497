"""Searches utility weights with several objectives under bounds; the caller measures the figures.

::

    trial 0            the current weights
    odd trials         drawn along the front: a tree-structured Parzen estimator of all objectives
    even trials        drawn for the first objective alone, which the contract maximises
    excess > 0         a bound is exceeded: worse than every feasible trial

A trial depends only on the seed and the trials before it, so an interrupted search that is given its trials
continues with the same results.

The front of several objectives, all maximised, has a hypervolume and a knee::

    b |  o               x   dominated: another point is at least as good in all and better in one objective
      |     o  K         K   the knee: nearest to the ideal, each objective scaled to the front's range
      |   x    o         hypervolume: the volume dominated by the front above the reference r
    r +--------------- a

References
----------
Watanabe and Hutter (2023), "c-TPE"; Ozaki, Tanigaki, Watanabe and Onishi (2020), "Multiobjective
tree-structured Parzen estimator".
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tasks.arrays import Flags, Floats
from tasks.contracts import UtilitySpec
from tasks.contracts.utility import Weight
from tasks.errors import DataError
from tasks.progress import report

Weights = Mapping[str, float]

_LEAST_SHARE: Final = 1e-3
_DIGITS: Final = 4


@dataclass(frozen=True)
class WeightSpace:
    """Ranges of weights by term, and the policy with these weights.

    Attributes
    ----------
    policy : the policy; everything but the searched weights is unchanged.
    sizes : term -> smallest and greatest absolute weight, both above 0.
    """

    policy: UtilitySpec
    sizes: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, policy: UtilitySpec, ranges: Mapping[str, tuple[float, float]]) -> "WeightSpace":
        """Return the space of the given ranges, each of one sign.

        Examples
        --------
        >>> policy = UtilitySpec(policy="p", version=1, owner="o", approvals=["a"], weights={"hide": -3.0})
        >>> WeightSpace.of(policy, {"hide": (-20.0, 0.0)}).sizes
        {'hide': (0.02, 20.0)}
        """
        sizes = {}
        for term in sorted(ranges):
            low, high = sorted(map(abs, ranges[term]))
            sizes[term] = (max(low, high * _LEAST_SHARE), high)
        return cls(policy, sizes)

    @property
    def current(self) -> dict[str, float]:
        """The current weights of the searched terms."""
        return {term: self.policy.weights[term].weight for term in self.sizes}

    def clipped(self, weights: Weights) -> dict[str, float]:
        """Return the nearest weights in the space: absolute values inside the ranges."""
        return {term: min(max(abs(weights[term]), low), high) for term, (low, high) in self.sizes.items()}

    def signed(self, sizes: Weights) -> dict[str, float]:
        """Return weights with the policy's signs, rounded to four digits, inside their ranges.

        Examples
        --------
        >>> policy = UtilitySpec(policy="p", version=1, owner="o", approvals=["a"], weights={"hide": -3.0})
        >>> WeightSpace.of(policy, {"hide": (-20.0, 0.0)}).signed({"hide": 2.34567})
        {'hide': -2.346}
        """
        inside = self.clipped({term: float(f"{size:.{_DIGITS}g}") for term, size in sizes.items()})
        return {term: math.copysign(size, self.policy.weights[term].weight) for term, size in inside.items()}

    def policy_with(self, weights: Weights, *, version: int | None = None) -> UtilitySpec:
        """Return the policy with other weights; value columns and reasons of the terms are unchanged."""
        own = self.policy.weights
        changed: dict[str, Weight] = {
            term: own[term].model_copy(update={"weight": weight}) for term, weight in weights.items()
        }
        update: dict[str, object] = {"weights": {**own, **changed}}
        if version is not None:
            update["version"] = version
        return self.policy.model_copy(update=update)

    def moved(self, weights: Weights) -> float:
        """Return the distance to the current weights: the length of the change of their logarithms.

        Examples
        --------
        >>> policy = UtilitySpec(policy="p", version=1, owner="o", approvals=["a"], weights={"hide": -3.0})
        >>> WeightSpace.of(policy, {"hide": (-20.0, 0.0)}).moved({"hide": -3.0 * math.e}).__round__(9)
        1.0
        """
        return math.hypot(*(math.log(weights[term] / now) for term, now in self.current.items()))


_DRAWN_AT_RANDOM: Final = 16
"""Number of trials before the estimator is used: the current weights and random draws."""


@dataclass(frozen=True)
class WeightFigures:
    """Figures of a trial's weights.

    Attributes
    ----------
    objectives : greater is better; the first is the maximised metric.
    excess : by bound, the excess over it; 0 or less if the bound is met.
    """

    objectives: tuple[float, ...]
    excess: tuple[float, ...]

    @property
    def exceeded(self) -> float:
        """The sum of excesses over bounds; 0 if all are met."""
        return sum(max(each, 0.0) for each in self.excess)


@dataclass(frozen=True)
class WeightTrial:
    """One trial: its weights and their figures."""

    number: int
    weights: Weights
    figures: WeightFigures

    @property
    def feasible(self) -> bool:
        """Whether every bound is met."""
        return self.figures.exceeded == 0


Measure = Callable[[Weights], WeightFigures]


def search_weights(
    measure: Measure,
    space: WeightSpace,
    *,
    trials: int,
    seed: int = 0,
    before: Sequence[WeightTrial] = (),
    tell: Callable[[WeightTrial], None] = lambda tried: None,
) -> list[WeightTrial]:
    """Search until the number of trials is reached; return all of them in order.

    Parameters
    ----------
    measure : returns the figures of weights.
    before : the trials of an interrupted search with the same inputs.
    tell : called with each new trial when it is finished.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tried, proposer = _unbroken(before)[:trials], _Proposer(space, seed)
    while len(tried) < trials:
        number = len(tried)
        report("trial", f"{number + 1} of {trials}", done=number, of=trials)
        weights = space.signed(proposer.draw(tried)) if number else space.current
        tried.append(WeightTrial(number, weights, measure(weights)))
        tell(tried[-1])
    return tried


def best_trial(trials: Sequence[WeightTrial]) -> WeightTrial:
    """Return the feasible trial with the highest first objective, else the one with the smallest excess."""
    return min(trials, key=lambda one: (one.figures.exceeded, -one.figures.objectives[0]))


def front_trials(trials: Sequence[WeightTrial], *, most: int) -> list[WeightTrial]:
    """Return the trials on the front of feasible trials, best first by the first objective.

    If there are more than ``most``, they are thinned evenly along the first objective, keeping both ends.
    """
    feasible = [one for one in trials if one.feasible]
    if not feasible:
        return []
    on_front = find_front([one.figures.objectives for one in feasible])
    distinct = {one.figures.objectives: one for one, on in zip(feasible, on_front, strict=True) if on}
    ordered = sorted(distinct.values(), key=lambda one: -one.figures.objectives[0])
    places = np.unique(np.linspace(0, len(ordered) - 1, min(most, len(ordered))).round().astype(int))
    return [ordered[place] for place in places]


def _unbroken(before: Sequence[WeightTrial]) -> list[WeightTrial]:
    """Return trials 0, 1, 2, ... up to the first missing one: later trials depend on it."""
    by_number = {one.number: one for one in before}
    unbroken: list[WeightTrial] = []
    while len(unbroken) in by_number:
        unbroken.append(by_number[len(unbroken)])
    return unbroken


class _Proposer:
    """Draws weights from the figures of earlier trials; each draw has a new sampler, seeded by its number."""

    def __init__(self, space: WeightSpace, seed: int) -> None:
        self.space, self.seed = space, seed
        self.ranges: dict[str, BaseDistribution] = {
            term: FloatDistribution(low, high, log=True) for term, (low, high) in space.sizes.items()
        }
        self.studies: dict[int, optuna.Study] = {}
        self.known: dict[int, int] = {}

    def draw(self, tried: Sequence[WeightTrial]) -> dict[str, float]:
        """Draw the next absolute weights."""
        alone = len(tried) % 2 == 0
        objectives = 1 if alone else len(tried[0].figures.objectives)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = self._study(objectives)
            study.sampler = optuna.samplers.TPESampler(
                seed=self.seed + len(tried), n_startup_trials=_DRAWN_AT_RANDOM, multivariate=True
            )
            fresh = tried[self.known.get(objectives, 0) :]
            study.add_trials([_freeze(one, self.space, self.ranges, objectives) for one in fresh])
            self.known[objectives] = len(tried)
            asked = study.ask(self.ranges)
            # its result is added with the next draw, as after an interrupted search
            study.tell(asked, state=TrialState.FAIL)
        return dict(asked.params)

    def _study(self, objectives: int) -> optuna.Study:
        if objectives not in self.studies:
            self.studies[objectives] = optuna.create_study(directions=["maximize"] * objectives)
        return self.studies[objectives]


def _freeze(
    one: WeightTrial, space: WeightSpace, ranges: dict[str, BaseDistribution], objectives: int
) -> FrozenTrial:
    return create_trial(
        state=TrialState.COMPLETE,
        values=list(one.figures.objectives[:objectives]),
        params=space.clipped(one.weights),
        distributions=ranges,
        constraints={str(i): each for i, each in enumerate(one.figures.excess)},
    )


def find_front(points: npt.ArrayLike) -> Flags:
    """Return which points are not dominated, shape [n]; equal points are all kept.

    Parameters
    ----------
    points : [n, d], greater is better in each objective.

    Examples
    --------
    >>> find_front([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0]]).tolist()
    [True, True, False]
    """
    values = _checked(points)
    at_least = (values[:, None, :] >= values[None, :, :]).all(axis=2)
    better = (values[:, None, :] > values[None, :, :]).any(axis=2)
    return np.asarray(~(at_least & better).any(axis=0))


def hypervolume(points: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Return the volume between a reference and the points that it is dominated by.

    Each point adds the volume that later points do not cover (While, Bradstreet and Barone 2012); with two
    objectives it is a sum of rectangles.

    Parameters
    ----------
    points : [n, d]; points that do not exceed the reference in every objective add nothing.
    reference : [d].

    Examples
    --------
    >>> hypervolume([[1.0, 3.0], [2.0, 2.0]], [0.0, 0.0])
    5.0
    """
    above = _checked(points) - np.asarray(reference, dtype=np.float64)
    return _volume(above[(above > 0).all(axis=1)])


def find_knee(points: npt.ArrayLike) -> int:
    """Return the index of the front's knee: the point nearest to the ideal, the first in case of a tie.

    Objectives are scaled to their range among the points; constant objectives are left out.

    Examples
    --------
    >>> find_knee([[0.0, 1.0], [0.8, 0.8], [1.0, 0.0]])
    1
    """
    values = _checked(points)
    if not len(values):
        raise DataError("An empty front has no knee")
    low, high = values.min(axis=0), values.max(axis=0)
    moved = high > low
    scaled = (high - values)[:, moved] / (high - low)[moved]
    return int(np.argmin((scaled**2).sum(axis=1)))


def _volume(points: Floats) -> float:
    """Return the volume dominated by positive points."""
    if not len(points):
        return 0.0
    front = np.unique(points[find_front(points)], axis=0)[::-1]
    if front.shape[1] == 1:
        return float(front.max())
    if front.shape[1] == 2:
        return float((front[:, 0] * np.diff(front[:, 1], prepend=0.0)).sum())
    return sum(
        float(point.prod()) - _volume(np.minimum(front[i + 1 :], point)) for i, point in enumerate(front)
    )


def _checked(points: npt.ArrayLike) -> Floats:
    values = np.asarray(points, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise DataError("A front needs points of finite objectives, of shape [n, d]")
    return values
