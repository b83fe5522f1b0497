"""Who judges what a release costs: its head, its baseline's, or both: ``python -m benchmarks.both_heads``.

Arrays are drawn in which every candidate's true chances of a click and of a hide are known. Heads of the
hides are its log odds with noise, part of it the same for both, shrunk as a calibrated head is. Each policy
fills ten slots of 40 candidates by clicks less eight hides; the log is the baseline's slots. Printed are the
true change of hides, what each judge says of it, and in how many worlds it exceeds a bound of 10 %: by the
truth, by the worse of the two heads, and by both together (``tasks.replay.rates``).
"""

import argparse
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import expit

from tasks.arrays import Flags, Floats, Integers
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.rates import by_both
from tasks.replay.read_log import LogReading, candidate_log

REQUESTS, CANDIDATES, SLOTS, BOUND = 1750, 40, 10, 0.1


@dataclass(frozen=True)
class Setting:
    """The noise of both heads, the part of its variance that they share, and how the release ranks."""

    release: float = 0.5
    baseline: float = 0.5
    shared: float = 0.2
    weight: float = -8.0
    disorder: float = 0.0
    name: str = field(default="", compare=False)


SETTINGS: Final = (
    Setting(name="equal heads"),
    Setting(0.8, 0.8, name="equal heads, more noise"),
    Setting(0.8, 0.8, shared=0.6, name="equal heads, shared noise"),
    Setting(0.4, 0.8, name="a better head"),
    Setting(1.2, 0.5, name="a worse head"),
    Setting(weight=-6.0, name="hides weigh 6 in place of 8"),
    Setting(weight=-4.0, name="hides weigh 4 in place of 8"),
    Setting(disorder=1.0, name="an order with noise"),
)


def judged(seed: int, setting: Setting) -> Floats:
    """Return the change of hides: the true one, by the release, by its baseline, by both."""
    rng = np.random.default_rng(seed)
    shape = REQUESTS, CANDIDATES
    clicks = rng.normal(-2.2, 0.8, shape)
    hides = rng.normal(-4.6, 1.0, shape) + 0.3 * (clicks + 2.2)
    common = rng.normal(size=shape)
    release, baseline = (
        _head(rng, hides, common, noise, setting.shared) for noise in (setting.release, setting.baseline)
    )
    ours, theirs = expit(clicks) + setting.weight * release, expit(clicks) - 8.0 * baseline
    ours = ours + setting.disorder * ours.std() * rng.normal(size=shape)
    truth = np.asarray(expit(hides))
    first, second = (
        PolicySlates(name, _slots(order).ravel(), predictions={"hide": head.ravel()})
        for name, order, head in (("release 2", ours, release), ("release 1", theirs, baseline))
    )
    log = _log(second.slot, rng.random(truth.size) < truth.ravel())
    both = by_both(log, first, second, "hide")
    heads = [release, baseline, release if both is None else both.predictions["hide"]]
    return np.array([_change(first.slot, second.slot, of.ravel()) for of in (truth, *heads)])


def _head(rng: np.random.Generator, odds: Floats, common: Floats, noise: float, shared: float) -> Floats:
    """Return chances whose log odds have noise, shrunk by what noise takes from their spread."""
    drawn = odds + noise * (shared**0.5 * common + (1 - shared) ** 0.5 * rng.normal(size=odds.shape))
    chances = expit(odds.mean() + (drawn - odds.mean()) / (1 + noise**2))
    return np.asarray(chances * expit(odds).mean() / chances.mean())


def _slots(order: Floats) -> Integers:
    rank = (-order).argsort(axis=1).argsort(axis=1) + 1
    return np.where(rank <= SLOTS, rank, 0).astype(np.int64)


def _log(slot: Integers, hidden: Flags) -> CandidateLog:
    shown = slot > 0
    rows = np.arange(len(slot))
    frame = pd.DataFrame(
        {
            "request_id": (rows // CANDIDATES).astype(str),
            "user_id": (rows // CANDIDATES).astype(str),
            "item_id": rows.astype(str),
            "shown_at": pd.Timestamp("2026-03-01T09:00:00Z"),
            "position": np.where(shown, slot, np.nan),
            "shown": shown,
            "hide": np.where(shown, hidden, np.nan),
        }
    )
    return candidate_log(frame, LogReading({"hide": ("hide",)}, segments={}, examination=None, complete=True))


def _change(ours: Integers, theirs: Integers, chances: Floats) -> float:
    return float(chances[ours > 0].mean() / chances[theirs > 0].mean() - 1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=60)
    worlds = parser.parse_args().worlds
    print(f"{'':30}    truth  release baseline  both (sd)        beyond 10 %: truth  worse  both")
    for setting in SETTINGS:
        found = np.array([judged(seed, setting) for seed in range(worlds)])
        true, release, baseline, both = found.T
        beyond = [float((of > BOUND).mean()) for of in (true, np.maximum(release, baseline), both)]
        means = " ".join(f"{of.mean():+8.1%}" for of in (true, release, baseline, both))
        print(f"{setting.name:30} {means} ({both.std():.1%})  " + "  ".join(f"{one:.2f}" for one in beyond))


if __name__ == "__main__":
    main()
