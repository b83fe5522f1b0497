"""Releases of a closed loop: a head stands for a trained one, the policy and the decision are the product's.

::

    log odds    truth when it was trained + noise by item, shrunk as a fit would shrink it
    noise       less of an item that was looked at more: s x sqrt(k / (k + looks))
    level       predicted sums to observed on the log of the calibrate days

So a release knows little of what its champions never showed, and its level is that of what they did show.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.operating_worlds.policies import reweighted
from tasks import columns as c
from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import UtilitySpec
from tasks.datasets.world.loop import Served, serve_decision
from tasks.ranking.decide import Decision, decide

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Truth = Mapping[str, Floats]

EQUAL: Final = "equal retrain"
BETTER: Final = "better heads"
NO_COSTS: Final = "no costs"
NOISY: Final = "noisy heads"
LOST_COSTS: Final = "costs lost in serving"
SHUFFLED: Final = "a third served at random"
KINDS: Final = (EQUAL, NO_COSTS, LOST_COSTS, BETTER, EQUAL, SHUFFLED, NOISY)
"""What retrains are, in turn. `LOST_COSTS` and `SHUFFLED` harm in serving alone: offline they are equal."""
COSTS: Final = ("hide_7d", "report_7d")

_NOISE: Final = 0.6
_FACTORS: Final = {BETTER: 0.8, NOISY: 3.0}
_OWN: Final = 0.2
"""Share of a head's variance that is its own; the rest it shares with all retrains: they read one log."""
_LOOKS: Final = 50.0
"""Looks at an item that halve the variance of its noise."""
_VARIANCE: Final = 0.6
"""Of the true log odds of candidates."""


@dataclass(frozen=True)
class Head:
    """A task's head: noise by item, and what its log odds are centred on and levelled by."""

    noise: Floats
    shrink: Floats
    centre: float
    level: float = 1.0

    def predict(self, truth: Floats, item: Integers) -> Floats:
        """Predict candidates from their truth as it was when the head was trained, [n]."""
        odds = np.log(truth / (1 - truth)) - self.centre
        mixed = self.centre + self.shrink[item] * (odds + self.noise[item])
        return np.minimum(self.level / (1 + np.exp(-mixed)), 1 - 1e-9)


@dataclass(frozen=True)
class Release:
    """A release as it is evaluated and as it serves.

    Attributes
    ----------
    drifted : whether it was trained on a log of the drifted world.
    """

    version: int
    kind: str
    heads: Mapping[str, Head]
    utility: UtilitySpec
    slate: SlateSpec
    drifted: bool

    def predict(self, truth: Truth, item: Integers) -> dict[str, Floats]:
        """Return its predictions by column, as they are evaluated."""
        return {c.probability(task): head.predict(truth[task], item) for task, head in self.heads.items()}

    def serve(self, candidates: pd.DataFrame, truth: Truth, item: Integers, **names: str) -> Served:
        """Decide on candidates as people get it."""
        predictions = self.predict(truth, item)
        return serve_decision(
            self.decide(candidates, predictions), predictions, release=str(self.version), **names
        )

    def decide(self, candidates: pd.DataFrame, predictions: Mapping[str, Floats]) -> Decision:
        """Decide on candidates; what breaks in serving breaks here."""
        used = dict(predictions)
        if self.kind == LOST_COSTS:
            used |= {c.probability(task): np.full(len(candidates), 1e-6) for task in COSTS}
        if self.kind == SHUFFLED:
            request = pd.factorize(candidates[c.REQUEST_ID])[0]
            rng = np.random.default_rng([self.version, len(request)])
            random = (rng.random(int(request.max()) + 1) < 1 / 3)[request]
            used |= {name: np.where(random, rng.permutation(of), of) for name, of in used.items()}
        return decide(candidates, used, self.utility, self.slate)


def train(
    version: int, kind: str, *, looks: Floats, log: Truth, seed: int, policies: tuple[UtilitySpec, SlateSpec]
) -> Release:
    """Return a retrain of a kind.

    Parameters
    ----------
    looks : by item, before it is trained.
    log : true probabilities of some candidates, by task.
    policies : of utility and slate.
    """
    rng, common, utility = np.random.default_rng([seed, version]), np.random.default_rng(seed), policies[0]
    spread = _NOISE * _FACTORS.get(kind, 1.0) * np.sqrt(_LOOKS / (_LOOKS + looks))
    shrink = _VARIANCE / (_VARIANCE + spread**2)
    heads = {
        task: Head(spread * (shared + own), shrink, float(np.mean(np.log(p / (1 - p)))))
        for task, p in log.items()
        for shared in [np.sqrt(1 - _OWN) * common.standard_normal(len(looks))]
        for own in [np.sqrt(_OWN) * rng.standard_normal(len(looks))]
    }
    weights = reweighted(utility, dict.fromkeys(COSTS, 0.0)) if kind == NO_COSTS else utility
    return Release(version, kind, heads, weights, policies[1], drifted=False)


def levelled(release: Release, *, shown: Truth, item: Integers, outcomes: Truth) -> Release:
    """Return the release with levels at which predictions of shown rows sum to their outcomes."""
    heads = {}
    for task, head in release.heads.items():
        known = np.isfinite(outcomes[task])
        predicted = head.predict(shown[task][known], item[known]).sum()
        heads[task] = replace(head, level=max(float(outcomes[task][known].sum()), 1.0) / float(predicted))
    return replace(release, heads=heads)
