"""The releases that are put before the gate: an equal one, a better one, harmful ones, and mixtures.

::

    equal retrain      the challenger: the champion's recipe, a week later
    better heads       predictions half-way to the truth, in logarithms: a better model under the same policy
    other weights      clicks x50, clicks only, no costs, no purchase, hide x30
    other orders       at random; cheapest first; both of the equal order and of prices in 100 steps, so that
                       a third of the candidates tie
    broken heads       noise on every head; a constant for hides; outcomes that leaked into the features of
                       the purchase head, or of every head but those of costs; a purchase head that knows 40 %
                       of its positives and is noisy elsewhere
    mixtures           an equal retrain that serves a harmful policy to so many requests that the primary is
                       truly 5 % lower; or 20 % lower in one region, and equal in the others

A leaked head knows the outcome of what was shown, and of nothing where it serves: what the gate replays is
not what people would get.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.operating_worlds.scored_slice import Floats, Predictions, ScoredSlice
from benchmarks.operating_worlds.truth import Rows, change, looks, weighted_mean
from tasks import columns as c
from tasks.contracts.utility import UtilitySpec, Weight
from tasks.ranking.decide import decide
from tasks.ranking.utility import compute_utilities

EQUAL: Final = "equal retrain"
BETTER: Final = "better heads"
MIXED: Final = "mixture at -5 %: "
STEP: Final = "a fourth step of -2 %: "
PARTIAL: Final = "partly leaked purchase head"
HARMED: Final = "a region loses 20 %"
TIED: Final = "tied scores: "
_REGION: Final = ("region", "west")
"""An eighth of the users."""
_REGION_LOSS: Final = -0.2
_KNOWN_SHARE: Final = 0.4
"""Share of the positives that a partly leaked head knows."""
_TIES: Final = 100
"""Values of a tied score: a third of 40 candidates then share theirs."""
_MIXTURE: Final = -0.05
_STEPS: Final = (-0.06, -0.08)
"""What a champion has lost in three steps, and a release in four."""
_OF_MIXTURES: Final = ("random order", "clicks only")
_NOISE: Final = 1.0
"""Standard deviation of the noise on a head's log odds, about that of a head itself within a request."""
KNOWN: Final = 0.9
"""What a head says that has its outcome among its features, where that is positive; elsewhere it says so much
less that it is calibrated."""
_CLICK, _BUY, _HIDE = "click_30m", "purchase_7d", "hide_7d"

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Candidate:
    """A release that is put before the gate.

    Attributes
    ----------
    predictions : what its heads say of the n candidates.
    policy : its utility policy.
    slot, served : [n] its slots as the gate replays them, and as people would get them.
    utility : [n] what it ranks by.
    altered : the tasks whose heads are not the challenger's; ``leaked`` those whose outcome is a feature.
    champion : [n] slots of a champion of its own, which three such promotions have made of the world's; None
        where it is compared with that one.
    part : [n] the rows of a part of the users that it is about; None is no part.
    """

    name: str
    predictions: Predictions
    policy: UtilitySpec
    slot: Integers
    served: Integers
    utility: Floats
    altered: frozenset[str] = frozenset()
    leaked: frozenset[str] = frozenset()
    champion: Integers | None = None
    part: Rows | None = None


def candidates(data: ScoredSlice, *, seed: int) -> Iterator[Candidate]:
    """Yield every release, the equal one first; a mixture only where its policy harms enough to make one.

    The mixtures and the steps of one policy share their requests, so a step adds to the steps before it.
    """
    rng, apart = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    made = [
        ranked(data, EQUAL, data.challenger),
        ranked(data, BETTER, half_way_to_truth(data), altered=frozenset(data.tasks)),
        *_other_weights(data),
        *_other_orders(data, rng),
        *_broken_heads(data, rng),
        _partly_leaked(data, apart),
    ]
    yield from made
    by_name = {one.name: one for one in made}
    for name in _OF_MIXTURES:
        mixer = _Mixer.of(data, by_name[EQUAL], by_name[name], rng)
        if mixer.whole < _MIXTURE:
            yield mixer.mixture(f"{MIXED}{name}", _MIXTURE)
        before, after = _STEPS
        if mixer.whole < after:
            step = mixer.mixture(f"{STEP}{name}", after)
            yield replace(step, champion=mixer.mixture("", before).slot)
    yield from _harmed_region(data, by_name, apart)


def ranked(
    data: ScoredSlice,
    name: str,
    predictions: Predictions,
    *,
    policy: UtilitySpec | None = None,
    order: Floats | None = None,
    altered: frozenset[str] = frozenset(),
) -> Candidate:
    """Rank the candidates by a policy over predictions, or by ``order`` [n] under the same constraints."""
    policy = policy or data.utility
    believed, by = predictions, policy
    if order is not None:
        by = policy.model_copy(
            update={"weights": {_CLICK: Weight(weight=1.0)}, "contexts": (), "relevance_floor": {}}
        )
        believed = {**predictions, c.probability(_CLICK): order}
    decided = decide(data.candidates, believed, by, data.slate, sets=data.sets)
    slot = decided.slate_position.astype(np.int64)
    return Candidate(name, predictions, policy, slot, slot, decided.utility, altered)


def true_utility(data: ScoredSlice, policy: UtilitySpec | None = None) -> Floats:
    """Return each candidate's true utility at the first position, shape [n]; NaN where a value is unknown.

    Parameters
    ----------
    policy : whose weights count; by default the shipped ones.
    """
    return np.asarray(compute_utilities(data.candidates, data.truth, policy or data.utility).utility)


def half_way_to_truth(data: ScoredSlice) -> dict[str, Floats]:
    """Return the geometric mean of what the heads say and of the truth, of the heads' own level."""
    mixed = {
        name: np.sqrt(said * data.mean_looks * data.truth[name]) for name, said in data.challenger.items()
    }
    return {name: _levelled(data, each, data.challenger[name]) for name, each in mixed.items()}


def _other_weights(data: ScoredSlice) -> Iterator[Candidate]:
    shipped = data.utility
    policies = {
        "clicks x50": reweighted(shipped, {_CLICK: 50.0}),
        "clicks only": reweighted(shipped, {task: 0.0 for task in shipped.terms if task != _CLICK}),
        "no costs": reweighted(shipped, dict.fromkeys(_costs(data), 0.0)),
        "no purchase": reweighted(shipped, {_BUY: 0.0}),
        "hide x30": reweighted(shipped, {_HIDE: 30.0}),
    }
    for name, policy in policies.items():
        yield ranked(data, name, data.challenger, policy=policy)


def _other_orders(data: ScoredSlice, rng: np.random.Generator) -> Iterator[Candidate]:
    yield ranked(data, "random order", data.challenger, order=rng.random(len(data.candidates)))
    price = data.candidates["price"].to_numpy(dtype=np.float64)
    yield ranked(data, "cheapest first", data.challenger, order=1 / (1 + price))
    equal = ranked(data, EQUAL, data.challenger).utility
    for name, values in {"equal retrain": equal, "cheapest first": -price}.items():
        yield ranked(data, f"{TIED}{name}", data.challenger, order=_in_steps(values))


def _in_steps(values: Floats) -> Floats:
    """Return the share of values below each, in so few steps that candidates tie."""
    below = np.argsort(np.argsort(values)) / len(values)
    return np.asarray((1 + np.floor(below * _TIES)) / (_TIES + 1))


def _broken_heads(data: ScoredSlice, rng: np.random.Generator) -> Iterator[Candidate]:
    noisy = {name: _noisy(data, said, rng) for name, said in data.challenger.items()}
    yield ranked(data, "noisy heads", noisy, altered=frozenset(data.tasks))
    hides = data.challenger[c.probability(_HIDE)]
    constant = np.full(len(hides), hides[data.shown].mean())
    yield ranked(
        data,
        "constant hide head",
        {**data.challenger, c.probability(_HIDE): constant},
        altered=frozenset({_HIDE}),
    )
    yield _leaked(data, "leaked purchase head", (_BUY,))
    yield _leaked(data, "leaked heads", [task for task in data.tasks if task not in _costs(data)])


def _leaked(data: ScoredSlice, name: str, tasks: Collection[str]) -> Candidate:
    """Return a release whose heads learned from their labels: they repeat what they know."""
    levels = {task: _level_elsewhere(data, task) for task in tasks}
    serving = {c.probability(task): np.full(len(data.candidates), level) for task, level in levels.items()}
    replayed = {
        c.probability(task): np.where(data.candidates[task].eq(1).fillna(value=False), KNOWN, level)
        for task, level in levels.items()
    }
    as_replayed, as_served = (
        ranked(data, name, {**data.challenger, **leaked}, altered=frozenset(tasks))
        for leaked in (replayed, serving)
    )
    return replace(as_replayed, served=as_served.slot, leaked=frozenset(tasks))


def _partly_leaked(data: ScoredSlice, rng: np.random.Generator) -> Candidate:
    """Return a release whose purchase head knows some of its positives, and is noisy elsewhere.

    Its trees were spent on the leak, so elsewhere it ranks less well; the level is that of the outcomes.
    """
    column, name = c.probability(_BUY), PARTIAL
    label = data.candidates[_BUY]
    positive = label.eq(1).fillna(value=False).to_numpy(dtype=bool)
    known = positive & (rng.random(len(label)) < _KNOWN_SHARE)
    left = (positive & ~known).sum() / max(positive.sum(), 1)
    elsewhere = left * _noisy(data, data.challenger[column], rng)
    replayed = {column: np.where(known, KNOWN, elsewhere)}
    as_replayed, as_served = (
        ranked(data, name, {**data.challenger, **said}, altered=frozenset({_BUY}))
        for said in (replayed, {column: elsewhere})
    )
    return replace(as_replayed, served=as_served.slot, leaked=frozenset({_BUY}))


def _harmed_region(
    data: ScoredSlice, by_name: Mapping[str, Candidate], rng: np.random.Generator
) -> Iterator[Candidate]:
    """Yield an equal retrain that ranks some requests of one region at random."""
    column, value = _REGION
    within = (data.candidates[column] == value).to_numpy(dtype=bool)
    mixer = _Mixer.of(data, by_name[EQUAL], by_name["random order"], rng, within)
    if mixer.whole < _REGION_LOSS:
        yield replace(mixer.mixture(HARMED, _REGION_LOSS), part=within)


def _level_elsewhere(data: ScoredSlice, task: str) -> float:
    """Return what a leaked head says where nothing happened, so that all it says adds up to the outcomes."""
    label = data.candidates[task].dropna()
    return float((1 - KNOWN) * label.eq(1).sum() / label.ne(1).sum())


@dataclass(frozen=True)
class _Mixer:
    """Serves a harmful policy to some requests; those of a smaller loss are among those of a larger one.

    Attributes
    ----------
    drawn : [n] a number from 0 to 1 of each candidate's request; 1 where the harmful policy serves nobody.
    whole : the true change of the primary were the harmful policy served to all others.
    """

    equal: Candidate
    harmful: Candidate
    drawn: Floats
    whole: float

    @classmethod
    def of(
        cls,
        data: ScoredSlice,
        equal: Candidate,
        harmful: Candidate,
        rng: np.random.Generator,
        within: Rows | None = None,
    ) -> "_Mixer":
        utility = true_utility(data)
        theirs = weighted_mean(utility, looks(equal.slot), within)
        whole = change(weighted_mean(utility, looks(harmful.slot), within), theirs)
        drawn = rng.random(int(data.requests.max()) + 1)[data.requests]
        return cls(equal, harmful, drawn if within is None else np.where(within, drawn, 1.0), whole)

    def mixture(self, name: str, loss: float) -> Candidate:
        """Return the mixture whose primary truly changes by ``loss``, which is below 0."""
        mixed = np.where(self.drawn < loss / self.whole, self.harmful.slot, self.equal.slot)
        return replace(self.equal, name=name, slot=mixed, served=mixed)


def reweighted(policy: UtilitySpec, factors: Mapping[str, float]) -> UtilitySpec:
    """Multiply the weights of some tasks, also where a context replaces them; a factor of 0 takes them out.

    Examples
    --------
    >>> weights = {"click": 1.0, "hide": -3.0}
    >>> plain = UtilitySpec(policy="p", version=1, owner="o", approvals=["product"], weights=weights)
    >>> reweighted(plain, {"click": 50.0, "hide": 0.0}).weights
    {'click': Weight(weight=50.0, times=None, why=None)}
    """

    def scaled(weights: Mapping[str, Weight]) -> dict[str, Weight]:
        of = {task: (weight, factors.get(task, 1.0)) for task, weight in weights.items()}
        return {
            task: weight.model_copy(update={"weight": weight.weight * by})
            for task, (weight, by) in of.items()
            if by
        }

    contexts = tuple(
        context.model_copy(update={"weights": scaled(context.weights)}) for context in policy.contexts
    )
    return policy.model_copy(update={"weights": scaled(policy.weights), "contexts": contexts})


def _noisy(data: ScoredSlice, said: Floats, rng: np.random.Generator) -> Floats:
    """Add noise to log odds, and keep the level: only the order is spoiled."""
    odds = said / (1 - said) * np.exp(_NOISE * rng.standard_normal(len(said)))
    return _levelled(data, odds / (1 + odds), said)


def _levelled(data: ScoredSlice, said: Floats, like: Floats) -> Floats:
    """Scale probabilities to the mean of others where items were shown."""
    return np.minimum(said * like[data.shown].mean() / said[data.shown].mean(), 1 - 1e-9)


def _costs(data: ScoredSlice) -> tuple[str, ...]:
    policy = data.utility
    return tuple(task for task in policy.term_names if policy.variants[task][0].weight < 0)
