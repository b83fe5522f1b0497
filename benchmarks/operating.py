"""How often the gate promotes what is equal, better or harmful: ``python -m benchmarks.operating``.

Worlds are simulated whose every candidate's truth is known (``benchmarks/operating_worlds``). In each, two
retrains make a champion and a challenger, and releases are put before the whole gate: the challenger itself,
one with better heads, and harmful ones; once against the champion, once as a first release against the log,
once against the champion with an examination curve that is estimated instead of known. Printed are, for each
size, how often each was promoted and why it was held, beside what it truly changes; and of all printed
intervals of a change how many hold the truth.

A world is made once and its results are kept in ``--folder``: a run that was ended goes on where it was, and
``--again`` judges the same worlds by a gate that has changed.
"""

import argparse
import contextlib
from pathlib import Path

from benchmarks.operating_worlds import trials
from benchmarks.operating_worlds.past_gains import PastGains, measure_gains, past_gains
from benchmarks.operating_worlds.settings import SETTINGS
from benchmarks.operating_worlds.surface import TASKS
from benchmarks.operating_worlds.table import tables
from benchmarks.operating_worlds.worlds import Size, World
from tasks.errors import ImmatureLabels


def main() -> None:
    """Judge the worlds that are asked for and print the tables of all that the folder holds."""
    asked = _parse()
    learned = (("train", f"P{asked.train_days}D"), ("calibrate", f"P{asked.calibrate_days}D"))
    size = Size(asked.requests_per_day, asked.test_days, tuple(asked.tasks), learned)
    seeds = asked.seeds or range(1, asked.worlds + 1)
    worlds = [World(size, seed, asked.folder / size.name / str(seed)) for seed in seeds]
    for world in worlds:
        with contextlib.suppress(ImmatureLabels):
            measure_gains(world, asked.settings)
    for world in worlds:
        judged = _judge(world, asked, past_gains(world, worlds, asked.settings))
        print(f"{size.name}, world {world.seed}: {judged}", flush=True)
    for line in tables(asked.folder):
        print(line)


def _judge(world: World, asked: argparse.Namespace, past: PastGains) -> str:
    """Judge every release of a world; say how many were promoted, or why there is none."""
    try:
        judged = trials.run(world, asked.settings, again=asked.again, releases=asked.releases, past=past)
    except ImmatureLabels as error:
        return f"no release. {error}"
    counts = (
        f"{sum(trial.promoted for trial in of)} of {len(of)} promoted ({setting})"
        for setting, of in judged.items()
    )
    return ", ".join(counts)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests-per-day", type=int, default=400)
    parser.add_argument("--test-days", type=int, default=14)
    parser.add_argument("--train-days", type=int, default=28)
    parser.add_argument(
        "--calibrate-days",
        type=int,
        default=14,
        help="reports come 1 in 7,000: a week of 400 requests a day may hold none",
    )
    parser.add_argument("--worlds", type=int, default=1, help="how many, with the seeds from 1 on")
    parser.add_argument("--seeds", type=int, nargs="+", help="these seeds instead")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=[*SETTINGS])
    parser.add_argument("--releases", nargs="+", help="these alone, by the names that the tables have")
    parser.add_argument(
        "--tasks", nargs="+", default=list(TASKS), help="tasks of home_feed to have heads for"
    )
    parser.add_argument("--folder", type=Path, default=Path(".equipoise/operating"))
    parser.add_argument("--again", action="store_true", help="judge worlds anew that were judged before")
    return parser.parse_args()


if __name__ == "__main__":
    main()
