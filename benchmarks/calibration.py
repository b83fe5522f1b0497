"""Calibration by segment against MCGrad and isotonic regression: ``python -m benchmarks.calibration``.

Each way is fitted to the calibrate rows of a data set and predicts fresh rows. Printed are its
multicalibration error (tasks/evaluation/calibration_error.py; below the least detectable one nothing can be
told), normalized entropy, and what the fit took (ours with its choice on held-out users) by the wall and by
the processor. The error looks at three segments crossed, one more than ours has effects for.

Fits are compared by the processor's seconds; the ratio by the wall is printed beside it. Both are true on a
quiet machine alone: on a busy one threads that wait for one another burn the processor too, MCGrad's more
than ours, whose algebra has one.

A seed draws a distortion's effects, calibrate rows and test rows anew. What was tuned while looking at some
seeds is judged on others: ``--seeds 101 102 103 104 105``. MCGrad runs on the first of them, with
``--mcgrad every`` on each; ``--rows 1000000`` takes it some eight minutes for each distortion.
KuaiRand-Pure is looked for in the folder that ``EQUIPOISE_SHARED_DATA`` names, else in ../shared/data beside
the repository.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.calibrating.contests import Contest, summary
from benchmarks.calibrating.logged import SHARED, logged, shared_data
from benchmarks.calibrating.peers import PEERS, Seconds, installed, warm, words
from benchmarks.calibrating.rows import DISTORTIONS, Case, simulated
from tasks.evaluation.binary import check_binary, normalized_entropy
from tasks.evaluation.calibration_error import Multicalibration, SortedRows
from tasks.evaluation.observations import Grouping
from tasks.evaluation.subjects import Segment

CONTEST = ("kuairand", *DISTORTIONS)
DEPTH = 3
OURS_ALONE = ("home_feed", "weekly_circular")
"""Surfaces where ours is held against isotonic regression alone: MCGrad would take minutes for each."""


@dataclass(frozen=True)
class Measured:
    """What one way did on the test rows of a case."""

    entropy: float
    error: Multicalibration
    seconds: Seconds
    told: str


def main() -> None:
    """Print a table for each data set and seed, and what was won, tied and lost."""
    asked = _asked()
    peers = [peer for peer in PEERS if peer not in asked.without and installed(peer)]
    if "MCGrad" not in peers and "MCGrad" not in asked.without:
        print("MCGrad is not installed (requirements.mcgrad.lock); it is left out")
    warm(peers)
    contests = []
    for case, seed in _cases(asked):
        judged = case.name in CONTEST and (asked.mcgrad == "every" or seed in {None, asked.seeds[0]})
        found = measured(case, [peer for peer in peers if peer != "MCGrad" or judged])
        contest = _contest(case, found)
        _print(case, seed, found, contest)
        contests.append(contest)
    print(*summary(contests), sep="\n")


def _asked() -> argparse.Namespace:
    every = [*CONTEST, *OURS_ALONE]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000, help="calibrate rows of each distortion")
    parser.add_argument("--sets", nargs="+", default=every, choices=every)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="worlds of each distortion")
    parser.add_argument("--mcgrad", choices=["first", "every"], default="first", help="of the seeds")
    parser.add_argument("--without", nargs="*", default=[], choices=list(PEERS), help="leave these out")
    return parser.parse_args()


def _cases(asked: argparse.Namespace) -> Iterator[tuple[Case, int | None]]:
    """Yield the data sets; a distortion once for each seed."""
    for name in asked.sets:
        if name in DISTORTIONS:
            yield from ((simulated(name, asked.rows, seed=seed), seed) for seed in asked.seeds)
        elif name == "kuairand" and not (shared_data() / "KuaiRand-Pure").is_dir():
            print(f"kuairand is left out: no KuaiRand-Pure in {shared_data()}. Name its folder in {SHARED}")
        else:
            yield logged(name), None


def measured(case: Case, peers: Sequence[str]) -> dict[str, Measured]:
    """Fit and measure each way, and the scores as they are."""
    fresh = words(case, case.test)
    segments = [_grouping(fresh[name]) for name in fresh]

    def of(predictions: npt.NDArray[np.float64], seconds: Seconds, told: str) -> Measured:
        rows = SortedRows.of(*check_binary(case.test.outcomes, predictions))
        error = rows.worst(segments, depth=DEPTH)
        return Measured(normalized_entropy(case.test.outcomes, predictions), error, seconds, told)

    made = {"scores as they are": of(case.test.scores, Seconds(0.0, 0.0), "")}
    return made | {peer: of(*PEERS[peer](case)) for peer in peers}


def _grouping(values: "pd.Series[str]") -> Grouping:
    codes, names = pd.factorize(values, sort=True)
    return Grouping(tuple(Segment(str(values.name), str(name)) for name in names), codes)


def _contest(case: Case, found: dict[str, Measured]) -> Contest:
    """Hold ours against one isotonic regression and MCGrad, where they ran."""
    we, one, they = (found.get(name) for name in ("ours", "one isotonic", "MCGrad"))
    return Contest(
        case.name,
        over_isotonic=we.entropy / one.entropy if we and one else None,
        entropy=we.entropy / they.entropy if we and they else None,
        error=we.error.error / they.error.error if we and they else None,
        processor=they.seconds.processor / we.seconds.processor if we and they else None,
        wall=they.seconds.wall / we.seconds.wall if we and they else None,
    )


def _print(case: Case, seed: int | None, found: dict[str, Measured], contest: Contest) -> None:
    least = next(iter(found.values())).error.detectable
    print(
        f"{case.name}{'' if seed is None else f', seed {seed}'}: {len(case.calibrate):,} rows to calibrate "
        f"on, {len(case.test):,} to test on, base rate {case.test.outcomes.mean():.4f}, "
        f"{len(case.segments)} segments\n"
        f"  {'':<20}{'multicalibration':>17}{'sigma':>8}{'norm. entropy':>15}{'wall, s':>10}"
        f"{'processor, s':>14}   (least detectable {least:.4f})"
    )
    for name, it in found.items():
        print(
            f"  {name:<20}{it.error.error:>17.5f}{it.error.sigma:>8.1f}{it.entropy:>15.5f}"
            f"{it.seconds.wall:>10.2f}{it.seconds.processor:>14.2f}   {it.told}"
        )
    print(*(f"  {line}" for line in contest.lines()), sep="\n", flush=True)


if __name__ == "__main__":
    main()
