"""A first build of labels against a hand-written statement and pandas: ``python -m benchmarks.label_build``.

Five million impressions and half as many events of 14 days (benchmarks/feed/log.py has the contract):

- ``click_30m``, observed where the impression was visible;
- ``purchase_7d``, credited to the last touch, without what was out of stock or people who could not buy;
- ``hide_7d``.

Ours reads Parquet, looks for what is bad, labels, and commits a Delta table with its digests. The statement
and pandas write the same rows as plain Parquet by day; pandas merges the frames as they are, and then once
more no columns but those that each merge needs. Each runs in a process of its own, in turn; the least of
several runs counts, and that the rows are equal is checked.

A plain join of impressions and events (benchmarks/feed/by_join.sql) shows what the meaning of a label costs:
the statement's seconds above the join's are statuses, credit, exclusions and repeated rows; ours above the
statement's are the profile of the log, quarantine, digests and the commit, less what a better plan saves.
"""

import argparse
import tempfile
from pathlib import Path

import duckdb

from benchmarks.feed.log import make
from benchmarks.feed.measure import Measured, least, measured, written

IMPRESSIONS = 5_000_000
RUNS = 3
LEAST_THROUGHPUT = 0.8
LEAST_OVER_PANDAS = 10.0
MOST_MEMORY = 2.0
WAYS = ("by_hand", "ours")
JOIN = "by_join"
PANDAS = {"by_pandas": "plain merges of pandas", "by_narrow_pandas": "narrow merges of pandas"}


def main() -> None:
    """Measure in turn, compare the rows, print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--impressions", type=int, default=IMPRESSIONS)
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        make(home, impressions=given.impressions)
        runs: dict[str, list[Measured]] = {way: [] for way in (JOIN, *WAYS)}
        for _ in range(given.runs):
            for way, found in runs.items():
                found.append(measured(way, home))
        pandas = {way: measured(way, home) for way in PANDAS}
        rows = _compare(home)
    join, hand, ours = (least(runs[way]) for way in (JOIN, *WAYS))
    print(f"label build: {rows:,} impressions, three tasks, the same rows from all")
    named = {"plain join": join, "one statement": hand, "ours": ours}
    for words, best in (named | {words: pandas[way] for way, words in PANDAS.items()}).items():
        print(f"  {words:24} {best}")
    print(
        f"  throughput, ratio to the statement's: {hand.seconds / ours.seconds:.2f} by the clock, "
        f"{hand.busy / ours.busy:.2f} by processors (at least {LEAST_THROUGHPUT})"
    )
    meaning, overhead = hand.busy - join.busy, ours.busy - hand.busy
    print(f"  processors, ratio of a plain join to ours: {join.busy / ours.busy:.2f}")
    print(f"  of the seconds above the join's {meaning / (meaning + overhead):.0%} are the meaning of labels")
    for way, by_pandas in pandas.items():
        ratio = by_pandas.seconds / ours.seconds
        print(f"  throughput, ratio to {PANDAS[way]}: {ratio:.1f} (at least {LEAST_OVER_PANDAS})")
    print(f"  peak memory, ratio to the allowed {MOST_MEMORY} GB: {ours.peak / MOST_MEMORY:.2f}")


def _compare(home: Path) -> int:
    """Return how many rows there are; every way must have written the same labels."""
    parts = ("", "__status", "__at")
    names = [f"{task}{part}" for task in ("click_30m", "purchase_7d", "hide_7d") for part in parts]
    columns = ", ".join(("request_id", "item_id", "shown_at", *names))
    with duckdb.connect() as connection:
        found = {
            way: connection.sql(f"SELECT {columns} FROM '{written(way, home)}'")  # noqa: S608 - our own files
            for way in (*WAYS, *PANDAS)
        }
        ours = found.pop("ours")
        rows = len(ours)
        for way, other in found.items():
            if len(other) != rows or len(ours.except_(other)):
                raise SystemExit(f"{way} has other rows than ours")
    return rows


if __name__ == "__main__":
    main()
