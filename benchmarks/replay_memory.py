"""Memory of a simulation and a tuning of five million candidates: ``python -m benchmarks.replay_memory``.

A small feed is retrained. The candidates of its release's test days, and of the days on which its weights are
tuned, are then written again and again, each time of other requests and users, until either are five million;
what was shown of the copies has no label. A process of its own simulates the release against itself as its
champion: two releases score and decide on each block, and every metric is measured on the whole and in
segments. Another tunes its weights beside itself in a few trials: each decides on all candidates of one half
of the users. Printed is each process's greatest resident memory, and as a share of the limit.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks import columns as c
from tasks.datasets.world.generate import generate
from tasks.replay import simulate
from tasks.stores.workspace import Workspace
from tasks.tuning import tune
from tasks.tuning.tune import TuneRequest
from tasks.tuning.tuning_slice import tuning_days
from tests.feeds import mini

MOST: Final = {"simulation": 2.0, "tuning": 2.5}
"""Gigabytes of five million candidates."""
USERS: Final = 500
"""Copies of one user that are told apart."""
TRIALS: Final = 4


def main() -> None:
    """Make the home, replay in processes of their own, print what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=5_000_000)
    parser.add_argument("--from", dest="source", type=Path, help="replay in this folder and report as JSON")
    parser.add_argument("--step", choices=STEPS, default="simulation")
    asked = parser.parse_args()
    if asked.source is not None:
        print(json.dumps(replayed(asked.source, STEPS[asked.step])))
        return
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_home(Path(folder))
        manifest = workspace.releases.manifest(1)
        days = {"simulation": manifest.test, "tuning": tuning_days(manifest)}
        for step in STEPS:
            rows = enlarge(workspace, days[step], asked.candidates)
            command = [sys.executable, "-m", "benchmarks.replay_memory", "--from", folder, "--step", step]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            report(step, rows, json.loads(done.stdout.splitlines()[-1]))


def report(step: str, rows: int, figures: Mapping[str, float]) -> None:
    """Print what a step took."""
    print(f"{step}: {rows:,} candidates, {figures['count']:.0f} {COUNTED[step]}")
    peak, most = figures["peak"], MOST[step]
    print(f"  greatest resident memory {peak:6.2f} GB, {peak / most:.2f} of the limit of {most:g} GB")
    print(f"  before anything was read {figures['idle']:6.2f} GB")
    print(f"  {figures['seconds']:.0f} s, of processors {figures['busy']:.0f} s")


def make_home(folder: Path) -> Workspace:
    """Retrain a small feed below a folder."""
    generate(days=mini.DAYS, requests_per_day=mini.REQUESTS_PER_DAY, seed=mini.SEED, out=folder / "world")
    surfaces = mini.write_contracts(folder / "surfaces")
    mini.rewrite(surfaces / mini.NAME / "utility.yaml", tuned_for)
    workspace = mini.with_log(surfaces, folder / "world", folder)
    mini.Retrained.run(workspace, as_of=mini.AS_OF)
    return workspace


def tuned_for(plain: dict[str, Any]) -> None:
    """Say what weights are tuned for."""
    plain["constrained"] = {
        "maximise": "purchase_2d_predicted",
        "subject_to": [{"metric": "hide_2d_predicted", "relative_increase_max": 0.3}],
        "ranges": {"click_30m": [0, 4], "purchase_2d": [1, 100], "hide_2d": [-50, 0]},
    }


def enlarge(workspace: Workspace, days: tuple[date, date], candidates: int) -> int:
    """Write the candidates of some days again and again; return how many there are then."""
    first, last = days
    files = (workspace.home / "logs" / mini.NAME / "candidates").glob("*.parquet")
    tested = {file: pq.read_table(file) for file in [*files] if _within(file, str(first), str(last))}
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


def simulate_release(workspace: Workspace) -> int:
    """Simulate the release against itself; return how many figures were made."""
    return len(simulate.run(workspace, release=1, baseline="1").measured)


def tune_release(workspace: Workspace) -> int:
    """Tune the release's weights beside itself; return how many policies were measured."""
    return tune.run(workspace, TuneRequest(1, trials=TRIALS, baseline="1")).evidence.searched_policies[0]


STEPS: Final = {"simulation": simulate_release, "tuning": tune_release}
COUNTED: Final = {"simulation": "figures of a release beside another", "tuning": "policies searched"}


def replayed(folder: Path, step: Callable[[Workspace], int]) -> dict[str, float]:
    """Run a step in a home; return gigabytes and seconds."""
    workspace = Workspace.open(mini.NAME, surfaces=folder / "surfaces", home=folder / "home")
    idle, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, time.perf_counter()
    count = step(workspace)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "count": count,
        "idle": idle,
        "peak": used.ru_maxrss / 1e6,
        "seconds": time.perf_counter() - began,
        "busy": used.ru_utime + used.ru_stime,
    }


if __name__ == "__main__":
    main()
