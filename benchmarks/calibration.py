"""Calibration by segment against MCGrad and isotonic regression: ``python -m benchmarks.calibration``.

Each way is fitted to the calibrate rows of a data set and predicts fresh rows. Printed are its
multicalibration error (tasks/evaluation/multicalibration.py; below the least detectable one nothing can be
told), normalized entropy, and seconds of processor time for the fit (ours with its choice on held-out users).

``--rows 1000000`` takes MCGrad some eight minutes for each distortion. KuaiRand-Pure is looked for in the
folder that ``EQUIPOISE_SHARED_DATA`` names, else in ../shared/data beside the repository.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.calibrating.logged import SHARED, logged, shared_data
from benchmarks.calibrating.peers import PEERS, installed, words
from benchmarks.calibrating.rows import DISTORTIONS, Case, simulated
from tasks.evaluation.binary import normalized_entropy
from tasks.evaluation.multicalibration import Grouping, Multicalibration, multicalibration

LEAST_SPEEDUP = 10.0
MOST_OVER_ISOTONIC = 1.001
CONTEST = ("kuairand", *DISTORTIONS)
OURS_ALONE = ("home_feed", "weekly_circular")
"""Surfaces where ours is held against isotonic regression alone: MCGrad would take minutes for each."""


@dataclass(frozen=True)
class Measured:
    """What one way did on the test rows of a case."""

    entropy: float
    error: Multicalibration
    seconds: float
    told: str


def main() -> None:
    """Print a table for each data set, and what was won, tied and lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="calibrate rows of each distortion")
    parser.add_argument("--sets", nargs="+", default=[*CONTEST, *OURS_ALONE], choices=[*CONTEST, *OURS_ALONE])
    parser.add_argument("--without", nargs="*", default=[], choices=list(PEERS), help="leave these out")
    asked = parser.parse_args()
    peers = [peer for peer in PEERS if peer not in asked.without and installed(peer)]
    if "MCGrad" not in peers and "MCGrad" not in asked.without:
        print("MCGrad is not installed (requirements.mcgrad.lock); it is left out")
    contests = []
    for name in asked.sets:
        if name == "kuairand" and not (shared_data() / "KuaiRand-Pure").is_dir():
            print(f"kuairand is left out: no KuaiRand-Pure in {shared_data()}. Name its folder in {SHARED}")
            continue
        case = simulated(name, asked.rows) if name in DISTORTIONS else logged(name)
        against = [peer for peer in peers if peer != "MCGrad" or name in CONTEST]
        found = measured(case, against)
        _print(case, found)
        if "MCGrad" in found and "ours" in found:
            contests.append(_against(found))
    if contests:
        both = sum(entropy <= 1 and error <= 1 for entropy, error, _ in contests)
        fast = min(speed for *_, speed in contests)
        print(
            f"at or below MCGrad's in both figures: {both} of {len(contests)} (asked: 3 of 4); "
            f"fit {fast:.0f} times faster at least (asked: {LEAST_SPEEDUP:.0f})"
        )


def measured(case: Case, peers: Sequence[str]) -> dict[str, Measured]:
    """Fit and measure each way, and the scores as they are."""
    fresh = words(case, case.test)
    segments = [_grouping(fresh[name]) for name in fresh]

    def of(predictions: npt.NDArray[np.float64], seconds: float, told: str) -> Measured:
        error = multicalibration(case.test.outcomes, predictions, segments)
        return Measured(normalized_entropy(case.test.outcomes, predictions), error, seconds, told)

    made = {"scores as they are": of(case.test.scores, 0.0, "")}
    return made | {peer: of(*PEERS[peer](case)) for peer in peers}


def _grouping(values: "pd.Series[str]") -> Grouping:
    codes, names = pd.factorize(values, sort=True)
    return Grouping(tuple(names), codes)


def _print(case: Case, found: dict[str, Measured]) -> None:
    least = next(iter(found.values())).error.detectable
    print(
        f"{case.name}: {len(case.calibrate):,} rows to calibrate on, {len(case.test):,} to test on, "
        f"base rate {case.test.outcomes.mean():.4f}, {len(case.segments)} segments\n"
        f"  {'':<20}{'multicalibration':>17}{'sigma':>8}{'norm. entropy':>15}{'fit, s':>9}"
        f"   (least detectable {least:.4f})"
    )
    for name, it in found.items():
        print(
            f"  {name:<20}{it.error.error:>17.5f}{it.error.sigma:>8.1f}{it.entropy:>15.5f}"
            f"{it.seconds:>9.2f}   {it.told}"
        )
    if {"ours", "one isotonic"} <= set(found):
        ratio = found["ours"].entropy / found["one isotonic"].entropy
        print(f"  ours / one isotonic: entropy {ratio:.4f} (at most {MOST_OVER_ISOTONIC})")
    if {"ours", "MCGrad"} <= set(found):
        entropy, error, speed = _against(found)
        print(
            f"  ours / MCGrad: entropy {entropy:.4f} ({_verdict(entropy)}), multicalibration error "
            f"{error:.2f} ({_verdict(error)}), fit {speed:.0f} times faster"
        )


def _against(found: dict[str, Measured]) -> tuple[float, float, float]:
    """Return ours over MCGrad in entropy and multicalibration error, and how much faster the fit is."""
    we, they = found["ours"], found["MCGrad"]
    return we.entropy / they.entropy, we.error.error / they.error.error, they.seconds / we.seconds


def _verdict(ratio: float) -> str:
    return "tied" if ratio == 1 else "won" if ratio < 1 else "lost"


if __name__ == "__main__":
    main()
