"""One way of labelling the feed in a process of its own: ``python -m benchmarks.feed.measure ours HOME``.

::

    ours              Parquet to a committed Delta table: tasks.labels.build.run, nothing built before
    by_hand           the best statement of DuckDB that we could write, to plain Parquet
    by_join           a plain join of impressions and events, without status, credit and exclusion
    by_pandas         merges of pandas frames as they are, to plain Parquet
    by_narrow_pandas  the same merges of no more columns than each needs
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

from benchmarks.feed.log import AS_OF, Feed

_BUILT = ("labels", "summaries", "quarantine")


@dataclass(frozen=True)
class Measured:
    """Seconds on the clock and of the processors, and the peak of memory in gigabytes."""

    seconds: float
    busy: float
    peak: float

    def __str__(self) -> str:
        """Write the three."""
        return f"{self.seconds:6.2f} s, {self.busy:6.2f} s of processors, {self.peak:.2f} GB"


def measured(way: str, home: Path) -> Measured:
    """Run a way in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.feed.measure", way, str(home)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def least(runs: list[Measured]) -> Measured:
    """Return the least of each figure but memory, of which the greatest."""
    return Measured(min(r.seconds for r in runs), min(r.busy for r in runs), max(r.peak for r in runs))


def written(way: str, home: Path) -> str:
    """Return the glob of the files that a way writes."""
    return str(home / ("labels/feed" if way == "ours" else way) / "ds=*" / "*.parquet")


def _ours(feed: Feed) -> Callable[[], object]:
    from tasks.labels import build as labels  # noqa: PLC0415 - only what is measured is loaded

    workspace = feed.workspace
    assert workspace.contracts  # noqa: S101 - read before the clock starts
    return lambda: labels.run(workspace, as_of=AS_OF)


def _by_hand(feed: Feed) -> Callable[[], object]:
    return _statement(feed, "by_hand")


def _by_join(feed: Feed) -> Callable[[], object]:
    return _statement(feed, "by_join")


def _statement(feed: Feed, name: str) -> Callable[[], object]:
    import duckdb  # noqa: PLC0415 - only what is measured is loaded

    sql = Template(Path(__file__).with_name(f"{name}.sql").read_text()).substitute(
        as_of=f"TIMESTAMPTZ '{AS_OF.isoformat()}'",
        digest=feed.workspace.contracts.digests["tasks"],
        out=feed.home / name,
    )
    settings = {"preserve_insertion_order": "false", "partitioned_write_flush_threshold": "65536"}

    def copy() -> None:
        with duckdb.connect(config=settings) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for table in ("impressions", "events"):
                connection.execute(f"CREATE VIEW {table} AS FROM '{feed.files(table)}'")
            connection.execute(sql)

    return copy


def _by_pandas(feed: Feed) -> Callable[[], object]:
    from benchmarks.feed.by_pandas import label  # noqa: PLC0415 - only what is measured is loaded

    return lambda: label(feed, feed.home / "by_pandas", narrow=False)


def _by_narrow_pandas(feed: Feed) -> Callable[[], object]:
    from benchmarks.feed.by_pandas import label  # noqa: PLC0415 - only what is measured is loaded

    return lambda: label(feed, feed.home / "by_narrow_pandas", narrow=True)


_WAYS = {
    "ours": _ours,
    "by_hand": _by_hand,
    "by_join": _by_join,
    "by_pandas": _by_pandas,
    "by_narrow_pandas": _by_narrow_pandas,
}


def main(way: str, home: Path) -> None:
    """Measure a way in this process and print it as JSON."""
    for built in (*_BUILT, way) if way == "ours" else (way,):
        shutil.rmtree(home / built, ignore_errors=True)
    run = _WAYS[way](Feed(home))
    began, busy = time.perf_counter(), time.process_time()
    run()
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    unit = 1e9 if sys.platform == "darwin" else 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(json.dumps(asdict(Measured(seconds, busy, peak))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
    os._exit(0)  # what is measured is done: Arrow's threads have aborted a process while it went away
