"""How often 95 % intervals contain the truth: ``python -m benchmarks.coverage --runs 200``.

Every definition is tried on simulated data whose truth is known (one module each in
``benchmarks/covering``). Printed is the share of intervals that contain the truth next to the range
.93 to .99, and the median width of an interval.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

import numpy as np

from benchmarks.covering import off_policy_days, tuned_gain
from benchmarks.covering.fading_visibility import fading_visibility
from benchmarks.covering.interval import Interval
from benchmarks.covering.own_exploration import own_exploration

DEFINITIONS: Final[Mapping[str, Callable[[int], Iterator[Interval]]]] = {
    "fading visibility": fading_visibility,
    "own exploration log, rate change": own_exploration,
    "own exploration log, change of a rare rate": partial(own_exploration, rare=3.0),
    "tuned gain on the confirming half": tuned_gain.confirmed_gain,
    "ope with days that move the level by 10 %": off_policy_days.ten_per_cent,
    "ope with days that move the level by 20 %": off_policy_days.twenty_per_cent,
}
"""Name of a definition -> a function that yields one interval per run, seeded by the number of the run."""
RANGE: Final = (0.93, 0.99)


def main() -> None:
    """Print the coverage of every definition that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--definitions", nargs="+", choices=list(DEFINITIONS), default=list(DEFINITIONS))
    asked = parser.parse_args()
    print(f"| definition | intervals | contain the truth ({RANGE[0]} to {RANGE[1]}) | median width |")
    print("| --- | --- | --- | --- |")
    for name in asked.definitions:
        print(row(name, list(DEFINITIONS[name](asked.runs))), flush=True)


def row(name: str, intervals: list[Interval]) -> str:
    """Return a row of the table.

    Examples
    --------
    >>> row("a mean", [Interval(0.0, 2.0, 1.0), Interval(0.0, 1.0, 1.5)])
    '| a mean | 2 | 0.500 | 1.5 |'
    """
    covered = np.mean([each.low <= each.truth <= each.high for each in intervals])
    width = np.median([each.high - each.low for each in intervals])
    return f"| {name} | {len(intervals)} | {covered:.3f} | {width:.3g} |"


if __name__ == "__main__":
    main()
