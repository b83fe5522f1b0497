"""Rows to calibrate on and fresh ones to test on: four simulated distortions.

::

    additive      truth = F(score + main effects + effects of pairs), in the logit
    interacting   every source and device its own slope, every category its own share of chance clicks,
                  effects of three segments together, new items wrong at high scores alone
    drifting      additive, but the test rows have other shares of segments, moved effects and a higher level
    unfriendly    effects of three segments together of which no pair carries any, and on one device the truth
                  falls while the score rises: what a map by segments and pairs, rising in each, cannot say

A seed draws all anew: effects, rows to calibrate on and rows to test on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.contracts.surface import SegmentSpec
from tasks.ranking.maps import expit

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

LEVELS: Final[Mapping[str, int]] = {"source": 4, "category": 12, "device": 3, "region": 8, "age": 3}
SEGMENTS: Final = (
    *(SegmentSpec.model_validate({"name": name, "from": name}) for name in ("source", "category")),
    *(SegmentSpec.model_validate({"name": name, "from": name}) for name in ("device", "region")),
    SegmentSpec.model_validate({"name": "age", "from": "age_days", "bins": [7, 30]}),
)
_AGE_DAYS: Final = np.array([2.0, 15.0, 90.0])


@dataclass(frozen=True)
class Rows:
    """Scores, outcomes and the columns of the segments; ``user`` says what belongs together."""

    frame: pd.DataFrame
    scores: Floats
    outcomes: Floats

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Case:
    """One data set: what to calibrate on, what to test on, and the segments of its surface."""

    name: str
    calibrate: Rows
    test: Rows
    segments: tuple[SegmentSpec, ...]


def simulated(name: str, rows: int, *, test_rows: int = 200_000, seed: int = 1) -> Case:
    """Simulate a distortion of ``DISTORTIONS``."""
    effects, later, known, fresh = np.random.default_rng(seed).spawn(4)
    truth, world = DISTORTIONS[name], _Effects.drawn(effects)
    moved = world.moved(later) if name == "drifting" else world
    return Case(name, _drawn(truth, world, rows, known), _drawn(truth, moved, test_rows, fresh), SEGMENTS)


@dataclass(frozen=True)
class _Effects:
    """What the segments do to the truth, in the logit, and how many rows each value has."""

    shares: Mapping[str, Floats]
    mains: Mapping[str, Floats]
    pairs: Mapping[tuple[str, str], Floats]
    triple: Floats
    slopes: Floats
    chance: Floats
    crossing: Floats
    level: float = 0.0

    @classmethod
    def drawn(cls, random: np.random.Generator) -> "_Effects":
        names = list(LEVELS)
        pairs = [(one, other) for i, one in enumerate(names) for other in names[i + 1 :]]
        shares = {name: random.dirichlet(np.full(size, 1.5)) for name, size in LEVELS.items()}
        return cls(
            shares,
            {name: random.normal(0, 0.35, size) for name, size in LEVELS.items()},
            {pair: random.normal(0, 0.15, (LEVELS[pair[0]], LEVELS[pair[1]])) for pair in pairs},
            random.normal(0, 0.25, (LEVELS["source"], LEVELS["category"], LEVELS["region"])),
            random.uniform(0.5, 1.3, (LEVELS["source"], LEVELS["device"])),
            random.uniform(0, 0.03, LEVELS["category"]),
            _crossing(*(_centred(random, shares[name]) for name in ("source", "device", "region"))),
        )

    def moved(self, random: np.random.Generator) -> "_Effects":
        """Return what they are some weeks later."""
        return replace(
            self,
            shares={name: random.dirichlet(60 * share + 0.5) for name, share in self.shares.items()},
            mains={name: main + random.normal(0, 0.1, main.shape) for name, main in self.mains.items()},
            pairs={name: pair + random.normal(0, 0.05, pair.shape) for name, pair in self.pairs.items()},
            level=0.1,
        )

    def additive(self, codes: Mapping[str, Codes]) -> Floats:
        mains = sum(main[codes[name]] for name, main in self.mains.items())
        pairs = sum(pair[codes[one], codes[other]] for (one, other), pair in self.pairs.items())
        return np.asarray(mains + pairs, dtype=np.float64)


def _centred(random: np.random.Generator, share: Floats) -> Floats:
    """Draw a figure for each value whose mean over the rows is 0."""
    drawn = random.uniform(-1, 1, share.size)
    return drawn - share @ drawn


def _crossing(source: Floats, device: Floats, region: Floats) -> Floats:
    """Multiply centred figures: averaged over any of the three, nothing is left of them."""
    return 3 * source[:, None, None] * device[None, :, None] * region[None, None, :]


def _additive(logits: Floats, codes: Mapping[str, Codes], effects: _Effects) -> Floats:
    moved = logits + effects.additive(codes) + effects.level
    return expit(0.8 * moved - 0.5 + 0.4 * np.tanh(moved + 2.5))


def _interacting(logits: Floats, codes: Mapping[str, Codes], effects: _Effects) -> Floats:
    slope = effects.slopes[codes["source"], codes["device"]]
    triple = effects.triple[codes["source"], codes["category"], codes["region"]]
    new = 0.8 * (codes["age"] == 0) * np.maximum(logits + 2.5, 0)
    chance = effects.chance[codes["category"]]
    return chance + (1 - chance) * expit(slope * (logits + 3) - 3 + triple - new)


def _unfriendly(logits: Floats, codes: Mapping[str, Codes], effects: _Effects) -> Floats:
    folded = 2 * (codes["device"] == 0) * np.clip(logits + 3.5, 0, 1)
    return expit(logits - folded + effects.crossing[codes["source"], codes["device"], codes["region"]])


DISTORTIONS: Final[Mapping[str, Callable[[Floats, Mapping[str, Codes], _Effects], Floats]]] = {
    "additive": _additive,
    "interacting": _interacting,
    "drifting": _additive,
    "unfriendly": _unfriendly,
}


def _drawn(
    truth: Callable[[Floats, Mapping[str, Codes], _Effects], Floats],
    effects: _Effects,
    rows: int,
    random: np.random.Generator,
) -> Rows:
    codes = {name: random.choice(len(share), rows, p=share) for name, share in effects.shares.items()}
    logits = random.normal(-3, 1.2, rows) + 0.3 * (codes["source"] == 0)
    words = {name: np.array([f"{name}_{i}" for i in range(size)]) for name, size in LEVELS.items()}
    frame = pd.DataFrame(
        {name: words[name][codes[name]] for name in ("source", "category", "device", "region")}
    )
    frame["age_days"] = _AGE_DAYS[codes["age"]]
    frame["user"] = random.integers(0, max(rows // 20, 2), rows)
    return Rows(
        frame, expit(logits), (random.random(rows) < truth(logits, codes, effects)).astype(np.float64)
    )
