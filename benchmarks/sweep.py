"""What a daily build of labels costs over a store of 90 days: ``python -m benchmarks.sweep``.

The store is built as of day 88, then of day 89 and day 90. Each sweep rewrites the days that are new, on
which a task matured, or on which an event bears that arrived after midnight. It should cost what it
rewrites: its seconds a row are compared with those of the first build, which writes every row. What a build
costs that has nothing to do is printed too.
"""

import argparse
import logging
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.feed.log import START, Feed, make
from tasks.labels import build as labels

DAYS = 90
IMPRESSIONS = 18_000_000
ALLOWED = 1.2


def main() -> None:
    """Build, sweep twice, rest once; print seconds for a million rows and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--impressions", type=int, default=IMPRESSIONS)
    wanted = parser.parse_args().impressions
    logging.getLogger("equipoise").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        feed = make(Path(folder), impressions=wanted, days=DAYS)
        first = _build(feed, DAYS - 2, "first build")
        for day in (DAYS - 1, DAYS):
            ratio = _build(feed, day, "daily sweep") / first
            print(f"  ratio of seconds a row to the first build: {ratio:.2f} (allowed {ALLOWED})")
        _build(feed, DAYS, "nothing new")


def _build(feed: Feed, day: int, what: str) -> float:
    """Return the seconds for a million rows that were written."""
    began, busy = time.perf_counter(), time.process_time()
    built = labels.run(feed.workspace, as_of=START + timedelta(days=day))
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    each = seconds / max(built.rows_written, 1) * 1e6
    print(
        f"sweep: {what}: {built.rows_written:,} of {built.rows:,} rows, {built.partitions_written} day(s), "
        f"in {seconds:.2f} s ({busy:.2f} s of processor time)"
        + (f", {each:.2f} s a million" if built.rows_written else "")
    )
    return each


if __name__ == "__main__":
    main()
