"""The gain of tuned weights on the confirming half of the users, by which `equipoise tune` decides.

Requests have twelve candidates, of which a random ranker shows six and logs its propensities; places further
down are looked at less. Heads predict clicks and hides with noise. Weights are searched by predicted clicks
on one half of the users, who come twice; the interval is that of the doubly robust click rate on the other
half. The truth is the change of the true click rate in 40,000 other requests.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from benchmarks.covering.interval import Interval
from tasks.contracts import UtilitySpec
from tasks.contracts.metrics import Metric, MetricKind
from tasks.datasets.world.feed import place
from tasks.replay.log import PolicySlates
from tasks.replay.read_log import LogReading, candidate_log
from tasks.replay.replay_policies import Replay
from tasks.tuning.goal import Axis, ReplayedWeights, WeightGoal, Weights
from tasks.tuning.search import WeightSpace, best_trial, search_weights

Floats = npt.NDArray[np.float64]

SIZE: Final = 12
SLOTS: Final = 4
CURVE: Final = np.array([1.0, 0.8, 0.65, 0.5, 0.4, 0.35])
REQUESTS: Final = 1_000
FRESH: Final = 40_000
TRIALS: Final = 12
DAYS: Final = 14
_POLICY: Final = UtilitySpec.model_validate(
    {
        "policy": "p",
        "version": 1,
        "owner": "o",
        "approvals": ["a"],
        "weights": {"click": 1.0, "hide": -1.0},
    }
)
SPACE: Final = WeightSpace.of(_POLICY, {"click": (0.1, 10.0), "hide": (-10.0, -0.1)})


@dataclass(frozen=True)
class _Candidates:
    """Candidates of whole requests, [n]: predictions, true chances of a click, scores of the logger."""

    click: Floats
    hide: Floats
    clicks: Floats
    logger: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, requests: int) -> "_Candidates":
        n = requests * SIZE
        interest, annoyance = rng.normal(-1.5, 1.0, n), rng.normal(-2.5, 1.0, n)
        signals = (interest + 0.5 * annoyance, annoyance + 0.3 * interest)
        click, hide = (np.asarray(expit(each + rng.normal(0, 0.7, n))) for each in signals)
        return cls(click, hide, np.asarray(expit(signals[0])), 0.5 * interest + rng.normal(0, 0.5, n))

    def slots(self, weights: Weights) -> npt.NDArray[np.int64]:
        scores = weights["click"] * self.click + weights["hide"] * self.hide
        rank = np.argsort(np.argsort(-scores.reshape(-1, SIZE), axis=1), axis=1) + 1
        return np.where(rank <= SLOTS, rank, 0).ravel()

    def true_rate(self, weights: Weights) -> float:
        slot = self.slots(weights)
        looks = np.where(slot > 0, CURVE[np.maximum(slot, 1) - 1], 0.0)
        return float((looks * self.clicks).sum() / looks.sum())


def confirmed_gain(runs: int) -> Iterator[Interval]:
    """Yield the interval of the confirmed gain, where the search found other weights."""
    fresh = _Candidates.draw(np.random.default_rng(10**6), FRESH)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        search, confirm = (_measured(rng) for _ in range(2))
        best = best_trial(search_weights(search.figures, SPACE, trials=TRIALS, seed=seed))
        if best.number:
            gain = confirm.gain(best.weights, SPACE.current).relative
            truth = fresh.true_rate(best.weights) / fresh.true_rate(SPACE.current) - 1
            if gain is not None:
                yield Interval(gain.low, gain.high, truth)


def _measured(rng: np.random.Generator) -> ReplayedWeights:
    candidates = _Candidates.draw(rng, REQUESTS)
    log = candidate_log(_frame(candidates, rng), LogReading({"click": ("click",)}, examination=CURVE))
    predictions = {"click": candidates.click, "hide": candidates.hide}

    def slates(weights: Weights) -> PolicySlates:
        return PolicySlates("weights", candidates.slots(weights), predictions)

    current = slates(SPACE.current)
    goal = WeightGoal((Axis(Metric(MetricKind.PREDICTED, "click"), 1, None),), ())
    return ReplayedWeights(Replay(log, current, compared_at_once=1), current, goal, slates)


def _frame(candidates: _Candidates, rng: np.random.Generator) -> pd.DataFrame:
    placed = place(candidates.logger.reshape(-1, SIZE), len(CURVE), rng)
    rows = (np.arange(REQUESTS)[:, None] * SIZE + placed.order).ravel()
    n, slots = REQUESTS * SIZE, np.tile(np.arange(1, len(CURVE) + 1), REQUESTS)
    position, propensity, click = (np.full(n, np.nan) for _ in range(3))
    position[rows], propensity[rows] = slots, placed.propensity.ravel()
    click[rows] = rng.binomial(1, candidates.clicks[rows] * CURVE[slots - 1])
    request = np.repeat(np.arange(REQUESTS), SIZE)
    return pd.DataFrame(
        {
            "request_id": request,
            "user_id": request // 2,
            "item_id": rng.integers(500, size=n),
            "shown_at": pd.Timestamp("2026-03-02T09:00:00Z") + pd.to_timedelta(request % DAYS, unit="D"),
            "shown": np.isfinite(position),
            "position": position,
            "propensity": propensity,
            "click": click,
        }
    )
