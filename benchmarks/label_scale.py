"""Ten times the rows should cost ten times the seconds: ``python -m benchmarks.label_scale``, some minutes.

A first build over 5 and over 50 million impressions, with half as many events, of the same 14 days and tasks.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.feed.log import make
from benchmarks.feed.measure import Measured, least, measured

SMALL, LARGE = 5_000_000, 50_000_000
RUNS = 2
MOST_PER_ROW = 1.3
MOST_MEMORY = 6.0


def main() -> None:
    """Build both, print seconds for a million rows, their ratio, and the peak of memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=SMALL)
    parser.add_argument("--large", type=int, default=LARGE)
    given = parser.parse_args()
    small, large = (_built(rows, runs) for rows, runs in ((given.small, RUNS), (given.large, 1)))
    more = given.large / given.small
    by_clock, busy = large.seconds / small.seconds / more, large.busy / small.busy / more
    print(f"label scale: {given.small:,} and {given.large:,} impressions\n  small {small}\n  large {large}")
    print(
        f"  seconds a row, ratio of the large to the small: {by_clock:.2f} by the clock, {busy:.2f} by "
        f"processors (at most {MOST_PER_ROW})"
    )
    print(f"  peak memory, ratio to the allowed {MOST_MEMORY} GB: {large.peak / MOST_MEMORY:.2f}")


def _built(impressions: int, runs: int) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), impressions=impressions)
        return least([measured("ours", Path(folder)) for _ in range(runs)])


if __name__ == "__main__":
    main()
