"""What the Open Bandit Pipeline made of small arrays and of its own data; see `make_oracle`."""

import json
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from tasks.arrays import Floats, Indices
from tasks.ope.estimators import LoggedSlots


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
    return content


@dataclass(frozen=True)
class SlotOracle:
    """Rows of single slots, with the pipeline's limits and estimates."""

    rows: LoggedSlots
    tau: float
    shrinkage: float
    estimates: dict[str, float]


def slot_oracle() -> SlotOracle:
    found = read("slots.json")
    action, position, dist, q = (np.array(found[n]) for n in ("action", "position", "action_dist", "q_hat"))
    n = np.arange(len(action))
    rows = LoggedSlots(
        np.array(found["reward"]),
        dist[n, action, position] / np.array(found["pscore"]),
        q[n, action, position],
        (dist * q).sum(axis=1)[n, position],
    )
    return SlotOracle(rows, found["tau"], found["shrinkage"], found["estimates"])


@dataclass(frozen=True)
class SlateOracle:
    """Slates with expected rewards of each slot's item and of one that the target draws."""

    reward: Floats
    weight: Floats
    predicted: Floats
    expected: Floats
    estimates: dict[str, float]


def slate_oracle() -> SlateOracle:
    found = read("slates.json")
    action, target, q = (np.array(found[n]) for n in ("action", "target", "q_hat"))
    at = (np.arange(len(action))[:, None], np.arange(action.shape[1])[None, :], action)
    reward, weight = np.array(found["reward"]), target[at] / np.array(found["logging"])[at]
    return SlateOracle(reward, weight, q[at], (target * q).sum(axis=2), found["estimates"])


@dataclass(frozen=True)
class SlateNotebook:
    """The pipeline's own example of slates: what it drew evenly, and the policy that it calls optimal.

    Attributes
    ----------
    action, reward : [n, slots].
    chances : [n, items] of the target's first draw; it draws on among the items that are left.
    estimates : the pipeline's, by name.
    published : mean, low and high of its 1,000 resamples, which the notebook prints as its estimate.
    true_value : of the target.
    """

    action: Indices
    reward: Floats
    chances: Floats
    seed: int
    estimates: dict[str, float]
    published: dict[str, list[float]]
    true_value: float

    @property
    def propensity(self) -> Floats:
        """Return the log's probability of each slot given those above it, [slots]."""
        return 1.0 / (self.chances.shape[1] - np.arange(self.action.shape[1]))

    def in_view(self) -> Floats:
        """Weigh each item by its probabilities given those above it, as SIPS and RIPS ask."""
        taken = np.take_along_axis(self.chances, self.action, axis=1)
        left = 1.0 - np.hstack([np.zeros((len(taken), 1)), taken.cumsum(axis=1)[:, :-1]])
        return np.asarray(taken / left / self.propensity)

    def by_place(self) -> Floats:
        """Weigh each item by its probabilities at its slot, whatever stands above it, as IIPS asks there."""
        items, places = self.chances.shape[1], np.zeros((*self.action.shape, self.chances.shape[1]))
        for order in permutations(range(items), self.action.shape[1]):
            chance, left = np.ones(len(places)), np.ones(len(places))
            for item in order:
                chance, left = chance * self.chances[:, item] / left, left - self.chances[:, item]
            places[:, range(len(order)), order] += chance[:, None]
        probability = np.take_along_axis(places, self.action[:, :, None], axis=2)[:, :, 0]
        return np.asarray(probability * items)

    def resample(self, terms: Floats) -> Floats:
        """Return the means of 1,000 resamples of the slates' terms, drawn as the notebook draws them."""
        rng = np.random.RandomState(self.seed)
        return np.array([terms[rng.randint(0, len(terms), len(terms))].mean() for _ in range(1000)])


@cache
def slate_notebook() -> SlateNotebook:
    """Read what the notebook drew; its contexts are the seed's first numbers."""
    drawn = read("slate_notebook.json")
    action, reward = (
        np.frombuffer(drawn[name].encode(), dtype=np.uint8).reshape(-1, 3) - ord("0")
        for name in ("action", "reward")
    )
    context = np.random.RandomState(drawn["seed"]).normal(size=(len(action), 2))
    logits = np.column_stack([np.ones(len(action)), context]) @ np.array(drawn["coefficients"])
    return SlateNotebook(
        action.astype(np.intp),
        reward.astype(np.float64),
        softmax(3.0 * expit(logits), axis=1),
        *(drawn[name] for name in ("seed", "estimates", "published", "true_value")),
    )
