"""A small log with predictions, and weights replayed on it, for tests of tuning."""

import zlib
from collections.abc import Callable

import numpy as np
import pandas as pd

from tasks.contracts import UtilitySpec
from tasks.contracts.metrics import Metric, MetricKind
from tasks.contracts.utility import Bounded
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.read_log import LogReading, candidate_log
from tasks.replay.replay_policies import Replay
from tasks.tuning.goal import Axis, GoalBound, ReplayedWeights, WeightGoal, Weights
from tasks.tuning.search import WeightSpace

SIZE = 6
SLOTS = 2
CLICKS, HIDES = Metric(MetricKind.PREDICTED, "click"), Metric(MetricKind.PREDICTED, "hide")


def policy(**weights: object) -> UtilitySpec:
    names = {"policy": "p", "version": 1, "owner": "o", "approvals": ["a"]}
    return UtilitySpec.model_validate({**names, "weights": weights})


POLICY = policy(click=1.0, hide=-1.5)
SPACE = WeightSpace.of(POLICY, {"click": (0.1, 10.0), "hide": (-10.0, -0.01)})
Place = Callable[["SmallLog", Weights], np.ndarray]


class SmallLog:
    """Requests of six candidates, of whom each user has one request; clicks and hides go together.

    ``deaf``: what is predicted has nothing to do with what people do.
    """

    def __init__(self, seed: int, requests: int = 300, *, deaf: bool = False) -> None:
        rng = np.random.default_rng(seed)
        n = requests * SIZE
        self.click = rng.beta(1, 8, n)
        self.hide = 0.5 * self.click + rng.beta(1, 15, n)
        request = np.repeat(np.arange(requests), SIZE)
        frame = pd.DataFrame(
            {
                "request_id": request,
                "user_id": request,
                "item_id": rng.integers(0, 200, n),
                "shown_at": pd.Timestamp("2026-03-01T09:00:00Z") + pd.to_timedelta(request % 7, unit="D"),
                "position": np.tile(np.arange(1, SIZE + 1), requests),
                "propensity": np.tile(1 / np.arange(SIZE, 0, -1), requests),  # the order is drawn by lot
                "click": rng.binomial(1, rng.permutation(self.click) if deaf else self.click).astype(float),
                "hide": rng.binomial(1, self.hide.clip(0, 1)).astype(float),
            }
        )
        links = {"click": ("click",), "hide": ("hide",)}
        self.log: CandidateLog = candidate_log(frame, LogReading(links, examination=np.ones(SIZE)))

    def slates(self, scores: np.ndarray, name: str) -> PolicySlates:
        order = np.argsort(-scores.reshape(-1, SIZE), axis=1)
        rank = np.argsort(order, axis=1) + 1
        predictions = {"click": self.click, "hide": self.hide}
        return PolicySlates(name, np.where(rank <= SLOTS, rank, 0).ravel(), predictions)


def weighted(small: SmallLog, weights: Weights) -> np.ndarray:
    """Score candidates by a weighted sum."""
    return weights["click"] * small.click + weights["hide"] * small.hide


def at_random(small: SmallLog, weights: Weights) -> np.ndarray:
    """Score candidates by lot, another lot for every weights: all policies are equally good."""
    seed = zlib.crc32(repr(sorted(weights.items())).encode())
    return np.random.default_rng(seed).random(len(small.click))


def replayed(
    seed: int,
    place: Place = weighted,
    *,
    rise: float = 0.3,
    requests: int = 300,
    deaf: bool = False,
) -> ReplayedWeights:
    """Replay weights on a log of a seed: clicks are maximised, hides may rise by some share."""
    small = SmallLog(seed, requests, deaf=deaf)
    bound = Bounded(metric="hide_predicted", relative_increase_max=rise)
    goal = WeightGoal((Axis(CLICKS, 1, None), Axis(HIDES, -1, -rise)), (GoalBound(bound, (HIDES,)),))
    baseline = small.slates(place(small, SPACE.current), "current")
    replay = Replay(small.log, baseline)
    return ReplayedWeights(
        replay, baseline, goal, lambda weights: small.slates(place(small, weights), "other")
    )
