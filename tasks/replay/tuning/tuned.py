"""What a search and a restoration find: the front, what is chosen of it, and what the other half says.

::

    searching half    trials -> those on the front, the best that keeps its bounds (chosen), the knee
    confirming half   the same weights measured once more: what the best of many seemed to gain falls away
    proposed          the gain by outcomes on the confirming half is above 0: its one-sided 95 % bound

A prediction that is maximised is believed where it is searched; its model may be wrong where weights move to.
So it is confirmed by the doubly robust rate of the outcomes that it predicts.
The best of 200 equal policies looks 2.7 standard errors better than it is where it was chosen, and as good as
it is on the half that did not choose.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.contracts.metrics import MetricKind
from tasks.evaluation.front import find_knee
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.tuning_evidence import Ending, FrontPoint, Objective
from tasks.evaluation.verdicts import Estimate
from tasks.replay.primary import one_sided
from tasks.replay.tuning.rehearsed_weights import RehearsedWeights
from tasks.replay.tuning.restore import restore_bounds
from tasks.replay.tuning.search import WeightTrial, best_trial, front_trials, search_weights
from tasks.replay.tuning.space import Weights, WeightSpace

MOST_ON_FRONT: Final = 10
"""Points of the front that are confirmed: each is compared with each."""


@dataclass(frozen=True)
class Halves:
    """Weights measured on the half of the users that chooses, and on the half that confirms."""

    search: RehearsedWeights
    confirm: RehearsedWeights


@dataclass(frozen=True)
class Chosen:
    """The weights to propose, and what they gain over the current ones.

    ``gain``: by outcomes on the confirming half. ``gain_searched`` and ``gain_predicted``: in the maximised
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


@dataclass(frozen=True)
class Tuned:
    """What was found.

    ``chosen`` are the best weights of the search, proposed or not. ``searched`` and ``confirmed`` count the
    policies that were measured on each half; ``exceeded`` are the bounds that the current weights exceed,
    each with its excess.
    """

    ending: Ending
    chosen: Chosen | None
    trials: tuple[WeightTrial, ...]
    objectives: tuple[Objective, ...]
    front: tuple[FrontPoint, ...]
    hypervolume: float
    knee: int | None
    searched: int
    confirmed: int
    feasible: int
    exceeded: dict[str, float]
    notes: tuple[str, ...]


def tune_weights(
    halves: Halves,
    space: WeightSpace,
    *,
    trials: int,
    seed: int = 0,
    before: Sequence[WeightTrial] = (),
    tell: Callable[[WeightTrial], None] = lambda tried: None,
) -> Tuned:
    """Search weights on one half of the users and confirm them on the other.

    Parameters
    ----------
    trials, seed, before, tell : as in `tasks.replay.tuning.search.search_weights`.
    """
    search, confirm = halves.search, halves.confirm
    tried = search_weights(search.figures, space, trials=trials, seed=seed, before=before, tell=tell)
    points = front_trials(tried, most=MOST_ON_FRONT)
    best = best_trial(tried)
    front = _confirm(confirm, points)
    better = best.figures.objectives[0] > tried[0].figures.objectives[0] or not tried[0].feasible
    chosen = _choose(halves, space, best) if best.feasible and best.number > 0 and better else None
    return Tuned(
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
        notes=search.meter.untold(search.slates(space.current)),
    )


def restore_weights(halves: Halves, space: WeightSpace) -> Tuned:
    """Find the smallest change of weights that keeps every bound."""
    search = halves.search
    now, measured = search.figures(space.current), {tuple(space.current.values())}

    def measure_excess(weights: Weights) -> tuple[float, ...]:
        measured.add(tuple(weights.values()))
        return search.figures(weights).excess

    restored = restore_bounds(measure_excess, space) if now.exceeded else None
    ending: Ending = "out of reach" if restored is None else "proposed"
    return Tuned(
        ending=ending if now.exceeded else "within bounds",
        chosen=None if restored is None else Chosen(None, restored.weights),
        trials=(),
        objectives=_objectives(search),
        front=(),
        hypervolume=float("nan"),
        knee=None,
        searched=len(measured),
        confirmed=0 if restored is None else 1,
        feasible=0 if now.exceeded else 1,
        exceeded=_exceeded(search, now.excess),
        notes=search.meter.untold(search.slates(space.current)),
    )


def _end(best: WeightTrial, chosen: Chosen | None) -> Ending:
    """Say how a search ended: what is chosen is proposed where outcomes of the other half show a gain."""
    if not best.feasible:
        return "out of reach"
    return "proposed" if chosen is not None and chosen.confirmed else "nothing better"


def _choose(halves: Halves, space: WeightSpace, best: WeightTrial) -> Chosen:
    now = space.current
    seemed, again = (half.changes(best.weights, now)[0] for half in (halves.search, halves.confirm))
    return Chosen(best.number, best.weights, seemed.value, again, halves.confirm.gain(best.weights, now))


def _confirm(confirm: RehearsedWeights, points: Sequence[WeightTrial]) -> tuple[FrontPoint, ...]:
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


def _objectives(half: RehearsedWeights) -> tuple[Objective, ...]:
    return tuple(
        Objective(
            metric=axis.name, raised=axis.sign > 0, model_judged=axis.metric.kind is MetricKind.PREDICTED
        )
        for axis in half.meter.goal.axes
    )


def _exceeded(half: RehearsedWeights, excess: Sequence[float]) -> dict[str, float]:
    """Return the bounds that are exceeded by metric, the largest excess of each."""
    found: dict[str, float] = {}
    for goal, each in zip(half.meter.goal.bounds, excess, strict=True):
        if each > 0:
            name = goal.bounded.metric
            found[name] = max(each, found.get(name, 0.0))
    return found
