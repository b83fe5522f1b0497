"""Memory of a simulation of five million candidates: ``python -m benchmarks.replay_memory``.

A small feed is retrained. The candidates of its release's test days are then written again and again, each
time of other requests and users, until there are five million; what was shown of the copies has no label. A
process of its own simulates the release against itself as its champion: two releases score and decide on each
block, and every metric is measured on the whole and in segments. Printed is that process's greatest resident
memory, and as a share of the limit.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks import columns as c
from tasks.datasets.world.generate import generate
from tasks.replay import simulate
from tasks.stores import releases
from tasks.stores.workspace import Workspace
from tests.feeds import mini

MOST: Final = 4.0
USERS: Final = 500
"""Copies of one user that are told apart."""


def main() -> None:
    """Make the home, simulate in a process of its own, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=5_000_000)
    parser.add_argument("--from", dest="source", type=Path, help="simulate in this folder and report as JSON")
    asked = parser.parse_args()
    if asked.source is not None:
        print(json.dumps(simulated(asked.source)))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = enlarge(make_home(Path(folder)), asked.candidates)
        command = [sys.executable, "-m", "benchmarks.replay_memory", "--from", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    print(f"replay: {rows:,} candidates, a release beside another, {figures['metrics']:.0f} figures")
    peak = figures["peak"]
    print(f"  greatest resident memory {peak:6.2f} GB, {peak / MOST:.2f} of the limit of {MOST:g} GB")
    print(f"  before anything was read {figures['idle']:6.2f} GB")
    print(f"  {figures['seconds']:.0f} s, of processors {figures['busy']:.0f} s")


def make_home(folder: Path) -> Workspace:
    """Retrain a small feed below a folder."""
    generate(days=mini.DAYS, requests_per_day=mini.REQUESTS_PER_DAY, seed=mini.SEED, out=folder / "world")
    workspace = mini.with_log(mini.write_contracts(folder / "surfaces"), folder / "world", folder)
    mini.Retrained.run(workspace, as_of=mini.AS_OF)
    return workspace


def enlarge(workspace: Workspace, candidates: int) -> int:
    """Write the candidates of a release's test days again and again; return how many there are then."""
    first, last = releases.release_manifest(workspace, 1).test
    days = list((workspace.home / "logs" / mini.NAME / "candidates").glob("*.parquet"))
    tested = {file: pq.read_table(file) for file in days if _within(file, str(first), str(last))}
    copies = -(-candidates // sum(table.num_rows for table in tested.values()))
    for file, table in tested.items():
        with pq.ParquetWriter(file, table.schema) as writer:
            for copy in range(copies):
                writer.write_table(copied(table, copy))
    return copies * sum(table.num_rows for table in tested.values())


def _within(file: Path, first: str, last: str) -> bool:
    days = pq.read_table(file, columns=[c.SHOWN_AT])[c.SHOWN_AT]
    return first <= str(pc.min(days).as_py())[:10] <= last


def copied(table: pa.Table, copy: int) -> pa.Table:
    """Return candidates as those of other requests and users; the first copy is what was logged."""
    if not copy:
        return table
    for name, number in ((c.REQUEST_ID, copy), (c.USER_ID, copy % USERS)):
        place, values = table.schema.get_field_index(name), table[name].cast(pa.string())
        renamed = pc.binary_join_element_wise(values, f"copy{number}", "-")
        table = table.set_column(place, table.schema.field(name), renamed.cast(table.schema.field(name).type))
    return table


def simulated(folder: Path) -> dict[str, float]:
    """Simulate the release against itself; return gigabytes and seconds."""
    workspace = Workspace.open(mini.NAME, surfaces=folder / "surfaces", home=folder / "home")
    idle, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, time.perf_counter()
    result = simulate.run(workspace, release=1, baseline="1")
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "metrics": len(result.headline),
        "idle": idle,
        "peak": used.ru_maxrss / 1e6,
        "seconds": time.perf_counter() - began,
        "busy": used.ru_utime + used.ru_stime,
    }


if __name__ == "__main__":
    main()
