"""The change of a rate on a log that the loop wrote itself: constraints, and one drawn slot.

::

    champion   ranks by a noisy chance of a click; a hard constraint, two of a category, five certain slots
    log        its slates, and a sixth slot drawn among the best twenty that the rules allow
    release    another noisy chance under the same rules, drawing anew
    truth      the change of the rate, from the chances by which the clicks were drawn
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.covering.interval import Interval
from tasks import columns as c
from tasks.contracts import SlateSpec, UtilitySpec
from tasks.contracts.metrics import Metric, MetricKind
from tasks.ranking.decide import Decision, decide
from tasks.replay.log import PolicySlates
from tasks.replay.read_log import LogReading, candidate_log
from tasks.replay.replay_policies import Replay
from tasks.replay.slates import with_fresh_draws

Floats = npt.NDArray[np.float64]

LOOKS = np.array([1.0, 0.8, 0.65, 0.55, 0.5, 0.45])
CANDIDATES = 30
_NAMED = {"policy": "p", "version": 1, "owner": "o", "approvals": ["product"]}
_PERMITTED = {"name": "permitted", "keep_when": {"column": "permitted", "equals": True}}
UTILITY = UtilitySpec.model_validate({**_NAMED, "weights": {"click": 1.0}, "hard_constraints": [_PERMITTED]})
SLATE = SlateSpec.model_validate(
    {
        "policy": "s",
        "version": 1,
        "length": len(LOOKS),
        "max_per": {"category": 2},
        "exploration": {"slots": 1, "among": 20, "salt": "covering"},
    }
)


@dataclass(frozen=True)
class World:
    """What a champion logged, the true chance of a click per look [n], and two rankers under its rules."""

    log: pd.DataFrame
    chance: Floats
    release: PolicySlates
    champion: PolicySlates

    def measure(self, log: pd.DataFrame | None = None) -> Replay:
        """Return the replay of the log, or of one that says something else."""
        reading = LogReading({"click": ("click",)}, examination=LOOKS)
        return Replay(candidate_log(self.log if log is None else log, reading), self.release)

    def truth(self, slates: PolicySlates) -> float:
        """Return what a look of some slots leads to."""
        looks = np.where(slates.slot > 0, LOOKS[np.maximum(slates.slot, 1) - 1], 0.0)
        return float((looks * self.chance).sum() / looks.sum())


def world(seed: int, *, requests: int = 800, slate: SlateSpec = SLATE, rare: float = 0.0) -> World:
    """Let a champion serve some days, and another ranker decide on the same candidates.

    ``rare``: how much lower the log-odds of a click are.
    """
    rng = np.random.default_rng(seed)
    n = requests * CANDIDATES
    items = rng.permuted(np.tile(np.arange(200), (requests, 1)), axis=1)[:, :CANDIDATES].ravel()
    signal = 0.6 * rng.normal(size=200)[items] + 0.8 * rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "request_id": np.repeat(np.arange(requests), CANDIDATES),
            "user_id": np.repeat(rng.integers(0, requests // 2, requests), CANDIDATES),
            "item_id": items,
            "shown_at": pd.Timestamp("2026-03-01T09:00:00Z")
            + pd.to_timedelta(np.repeat(np.arange(requests) * 7 // requests, CANDIDATES), unit="D"),
            "category": items % 8,
            "permitted": rng.random(n) < 0.9,
        }
    )
    ours, theirs = (_chance(signal + 0.4 * rng.normal(size=n) - rare) for _ in range(2))
    served = _decide(frame, theirs, slate)
    shown, chance = served.slate_position > 0, _chance(signal - rare)
    looks = LOOKS[np.maximum(served.slate_position, 1) - 1]
    log = frame.assign(
        shown=shown,
        position=np.where(shown, served.slate_position, np.nan),
        click=np.where(shown, rng.random(n) < chance * looks, np.nan),
        **{c.PROPENSITY: served.propensity, c.DRAWABLE: served.drawable},
    )
    anew = with_fresh_draws(log)
    release, champion = (
        PolicySlates(name, _decide(anew, each, slate).slate_position.astype(np.int64), said, said)
        for name, each in (("release", ours), ("champion", theirs))
        for said in ({"click": each},)
    )
    return World(log, chance, release, champion)


def own_exploration(runs: int, *, rare: float = 0.0) -> Iterator[Interval]:
    """Yield the interval of the change of the click rate, and the true change."""
    for seed in range(runs):
        made = world(seed, rare=rare)
        rate = Metric(MetricKind.RATE, "click")
        (measured,) = made.measure().measure(rate, made.release, made.champion, ())
        true = made.truth(made.release) / made.truth(made.champion) - 1
        if measured.relative is not None and not measured.reason:
            yield Interval(measured.relative.low, measured.relative.high, true)


def _chance(signal: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(1.5 - signal)))


def _decide(frame: pd.DataFrame, chance: Floats, slate: SlateSpec) -> Decision:
    return decide(frame, {c.probability("click"): chance}, UTILITY, slate)
