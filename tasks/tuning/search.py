"""Searches utility weights with several objectives under bounds, and restores bounds that are exceeded.

::

    trial 0            the current weights
    odd trials         drawn along the front: a tree-structured Parzen estimator of all objectives
    even trials        drawn for the first objective alone, which the contract maximises
    excess > 0         a bound is exceeded: worse than every feasible trial

    searching half     trials -> the front, the best feasible trial (chosen), the knee
    confirming half    the same weights measured again, which removes the selection bias of the search
    proposed           the gain by outcomes on the confirming half is above 0: its one-sided 95 % bound

A trial depends only on the seed and the trials before it, so an interrupted search that is given its trials
continues with the same results.

A maximised prediction is trusted during the search, but its model may be wrong at the new weights. It is
therefore confirmed by the doubly robust rate of the outcomes that it predicts.
The best of 200 equal policies is overestimated by 2.7 standard errors on the searching half, and is unbiased
on the confirming half.

References
----------
Watanabe and Hutter (2023), "c-TPE"; Ozaki, Tanigaki, Watanabe and Onishi (2020), "Multiobjective
tree-structured Parzen estimator".
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from scipy.optimize import LinearConstraint, minimize

from tasks.arrays import Floats
from tasks.contracts import UtilitySpec
from tasks.contracts.metrics import MetricKind
from tasks.evaluation.evidence import Measured
from tasks.evaluation.verdicts import Estimate
from tasks.progress import report
from tasks.replay.guardrails import one_sided
from tasks.tuning.evidence import Ending, FrontPoint, Objective
from tasks.tuning.front import find_front, find_knee
from tasks.tuning.goal import ReplayedWeights, WeightFigures, Weights

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

    def policy_with(self, weights: Weights) -> UtilitySpec:
        """Return the policy with other weights; value columns and reasons of the terms are unchanged."""
        own = self.policy.weights
        changed = {term: own[term].model_copy(update={"weight": each}) for term, each in weights.items()}
        return self.policy.model_copy(update={"weights": {**own, **changed}})

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
    by_number, proposer = {one.number: one for one in before}, _Proposer(space, seed)
    # a trial depends on all before it, so none after the first missing one counts
    tried = [by_number[n] for n in takewhile(by_number.__contains__, range(trials))]
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
            if objectives not in self.studies:
                self.studies[objectives] = optuna.create_study(directions=["maximize"] * objectives)
            study = self.studies[objectives]
            study.sampler = optuna.samplers.TPESampler(
                seed=self.seed + len(tried), n_startup_trials=_DRAWN_AT_RANDOM, multivariate=True
            )
            fresh = [
                create_trial(
                    state=TrialState.COMPLETE,
                    values=list(one.figures.objectives[:objectives]),
                    params=self.space.clipped(one.weights),
                    distributions=self.ranges,
                    constraints={str(i): each for i, each in enumerate(one.figures.excess)},
                )
                for one in tried[self.known.get(objectives, 0) :]
            ]
            study.add_trials(fresh)
            self.known[objectives] = len(tried)
            asked = study.ask(self.ranges)
            # its result is added with the next draw, as after an interrupted search
            study.tell(asked, state=TrialState.FAIL)
        return dict(asked.params)


_ROUNDS: Final = 3
_STEP: Final = 0.15
"""Slopes use differences over changes of 15 %: smaller changes swap too few items."""
_ALONG: Final = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
"""Tried shares of the step towards the solution of the linearised bounds."""
_OUTWARDS: Final = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Tried shares of the step to an end of one weight's range."""
_HALVINGS: Final = 5

Excess = Callable[[Weights], tuple[float, ...]]


@dataclass
class _Walk:
    """Measures points of the space, each once."""

    excess: Excess
    space: WeightSpace
    seen: dict[tuple[float, ...], Floats] = field(default_factory=dict)

    @property
    def box(self) -> list[tuple[float, float]]:
        """Smallest and greatest change of each logarithm; 0 is always inside."""
        now = self.space.current
        ends = (
            (math.log(low / abs(now[t])), math.log(high / abs(now[t])))
            for t, (low, high) in self.space.sizes.items()
        )
        return [(min(low, 0.0), max(high, 0.0)) for low, high in ends]

    def weights(self, point: Floats) -> dict[str, float]:
        """Return the weights of a point; unchanged weights are not rounded."""
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
        """Whether every bound is met."""
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


def restore_bounds(excess: Excess, space: WeightSpace) -> Weights | None:
    """Return the nearest weights found that exceed no bound; None if none were found.

    Examples
    --------
    >>> from tasks.contracts import UtilitySpec
    >>> policy = UtilitySpec(policy="p", version=1, owner="o", approvals=["a"], weights={"hide": -2.0})
    >>> space = WeightSpace.of(policy, {"hide": (-20.0, -1.0)})
    >>> restore_bounds(lambda weights: (4.0 + weights["hide"],), space)
    {'hide': -4.0}
    """
    walk = _Walk(excess, space)
    point = np.zeros(len(space.sizes))
    if walk.holds(point):
        return walk.weights(point)
    best = _nearest(_first_that_holds(walk, end, _OUTWARDS) for end in _ends_of_each(walk.box))
    point = point if best is None else best
    for _ in range(_ROUNDS):
        target = _nearest_allowed(walk, point)
        found = _first_that_holds(walk, target, _ALONG)
        point = target if found is None else found
        best = _nearest((best, found))
    return None if best is None else walk.weights(_without_idle_moves(walk, best))


def _nearest_allowed(walk: _Walk, point: Floats) -> Floats:
    """Return the point nearest to zero change at which the linearised bounds are all met."""
    level, slopes = walk.at(point), walk.slopes(point)
    start = point if point.any() else np.full(len(point), 1e-3)
    planes = LinearConstraint(slopes, -np.inf, slopes @ point - level)
    solved = minimize(lambda x: float(x @ x), start, bounds=walk.box, constraints=planes, method="SLSQP")
    if solved.success and np.isfinite(solved.x).all():
        return np.asarray(solved.x)
    downhill = -slopes[level > 0].sum(axis=0) if (level > 0).any() else np.zeros(len(point))
    low, high = np.array(walk.box).T
    size = np.linalg.norm(downhill)
    return np.clip(point + (downhill / size if size else 0.0), low, high)


def _nearest(points: Iterable[Floats | None]) -> Floats | None:
    """Return the point with the smallest change, None if there are no points."""
    found = [point for point in points if point is not None]
    return min(found, key=lambda point: float(np.linalg.norm(point)), default=None)


def _ends_of_each(box: Sequence[tuple[float, float]]) -> Iterator[Floats]:
    """Yield the points at which a single weight is at an end of its range."""
    for i, ends in enumerate(box):
        for end in ends:
            if end:
                yield np.where(np.arange(len(box)) == i, end, 0.0)


def _first_that_holds(walk: _Walk, target: Floats, shares: Sequence[float]) -> Floats | None:
    """Return the first point along the way to a target, and beyond, where every bound is met."""
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
    """Reset each weight whose change is not needed, smallest change first."""
    for i in np.argsort(np.abs(point)):
        left = point.copy()
        left[i] = 0.0
        if point[i] and walk.holds(left):
            point = left
    return point


MOST_ON_FRONT: Final = 10
"""Number of points of the front to confirm: each is compared with each."""


@dataclass(frozen=True)
class Chosen:
    """The weights to propose, and their gain over the current weights.

    ``gain``: by outcomes on the confirming half. ``gain_searched`` and ``gain_predicted``: of the maximised
    metric itself on the searching and the confirming half.
    """

    trial: int | None
    weights: Weights
    gain_searched: float | None = None
    gain_predicted: Estimate | None = None
    gain: Measured | None = None

    @property
    def confirmed(self) -> bool:
        """Whether outcomes show a gain: its one-sided 95 % bound is above 0."""
        if self.gain is None or self.gain.reason or self.gain.relative is None:
            return False
        return one_sided(self.gain.relative).low > 0


@dataclass(frozen=True, kw_only=True)
class WeightSearchResult:
    """Result of a search, or of a restoration, which has no trials and no front.

    ``chosen``: the best weights of the search, proposed or not. ``searched`` and ``confirmed``: number of
    policies measured on each half; ``exceeded``: bounds that the current weights exceed, each with its
    excess.
    """

    ending: Ending
    chosen: Chosen | None
    trials: tuple[WeightTrial, ...] = ()
    objectives: tuple[Objective, ...]
    front: tuple[FrontPoint, ...] = ()
    hypervolume: float = math.nan
    knee: int | None = None
    searched: int
    confirmed: int
    feasible: int
    exceeded: dict[str, float]
    notes: tuple[str, ...]


def tune_weights(
    halves: tuple[ReplayedWeights, ReplayedWeights],
    space: WeightSpace,
    *,
    trials: int,
    seed: int = 0,
    before: Sequence[WeightTrial] = (),
    tell: Callable[[WeightTrial], None] = lambda tried: None,
) -> WeightSearchResult:
    """Search weights on one half of the users and confirm them on the other.

    Parameters
    ----------
    halves : weights measured on the searching and on the confirming half.
    trials, seed, before, tell : as in `search_weights`.
    """
    search, confirm = halves
    tried = search_weights(search.figures, space, trials=trials, seed=seed, before=before, tell=tell)
    points = front_trials(tried, most=MOST_ON_FRONT)
    best = best_trial(tried)
    front = _confirm(confirm, points)
    better = best.figures.objectives[0] > tried[0].figures.objectives[0] or not tried[0].feasible
    chosen = _choose(search, confirm, space, best) if best.feasible and best.number > 0 and better else None
    return WeightSearchResult(
        ending=_end(best, chosen),
        chosen=chosen,
        trials=tuple(tried),
        objectives=_objectives(search),
        front=front,
        hypervolume=confirm.volume([point.confirmed for point in front]),
        knee=points[find_knee([one.figures.objectives for one in points])].number if points else None,
        searched=len(tried),
        confirmed=len({point.trial for point in front} | ({best.number} if chosen else set())),
        feasible=sum(one.feasible for one in tried),
        exceeded=_exceeded(search, tried[0].figures.excess),
        notes=search.unmeasured(space.current),
    )


def restore_weights(search: ReplayedWeights, space: WeightSpace) -> WeightSearchResult:
    """Find the smallest change of weights that meets every bound on the searching half."""
    now, measured = search.figures(space.current), {tuple(space.current.values())}

    def measure_excess(weights: Weights) -> tuple[float, ...]:
        measured.add(tuple(weights.values()))
        return search.figures(weights).excess

    restored = restore_bounds(measure_excess, space) if now.exceeded else None
    ending: Ending = "out of reach" if restored is None else "proposed"
    return WeightSearchResult(
        ending=ending if now.exceeded else "within bounds",
        chosen=None if restored is None else Chosen(None, restored),
        objectives=_objectives(search),
        searched=len(measured),
        confirmed=0 if restored is None else 1,
        feasible=0 if now.exceeded else 1,
        exceeded=_exceeded(search, now.excess),
        notes=search.unmeasured(space.current),
    )


def _end(best: WeightTrial, chosen: Chosen | None) -> Ending:
    """Return how a search ended: weights are proposed if outcomes of the confirming half show a gain."""
    if not best.feasible:
        return "out of reach"
    return "proposed" if chosen is not None and chosen.confirmed else "nothing better"


def _choose(
    search: ReplayedWeights, confirm: ReplayedWeights, space: WeightSpace, best: WeightTrial
) -> Chosen:
    now = space.current
    seemed, again = (half.changes(best.weights, now)[0] for half in (search, confirm))
    return Chosen(best.number, best.weights, seemed.value, again, confirm.gain(best.weights, now))


def _confirm(confirm: ReplayedWeights, points: Sequence[WeightTrial]) -> tuple[FrontPoint, ...]:
    dominated = confirm.find_dominated([one.weights for one in points])
    return tuple(
        FrontPoint(
            trial=one.number,
            weights=dict(one.weights),
            searched=one.figures.objectives,
            confirmed=confirm.changes(one.weights),
            dominated=bool(worse),
        )
        for one, worse in zip(points, dominated, strict=True)
    )


def _objectives(half: ReplayedWeights) -> tuple[Objective, ...]:
    return tuple(
        Objective(
            metric=axis.name, raised=axis.sign > 0, model_judged=axis.metric.kind is MetricKind.PREDICTED
        )
        for axis in half.goal.axes
    )


def _exceeded(half: ReplayedWeights, excess: Sequence[float]) -> dict[str, float]:
    """Return the exceeded bounds by metric, with the largest excess of each."""
    found: dict[str, float] = {}
    for goal, each in zip(half.goal.bounds, excess, strict=True):
        if each > 0:
            name = goal.bounded.metric
            found[name] = max(each, found.get(name, 0.0))
    return found
