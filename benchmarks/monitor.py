"""Seconds and memory of the monitor: ``python -m benchmarks.monitor``.

A surface with ten tasks and five segments (of three values each) logs 1,500 impressions a day (``--requests``
of ten each) with served predictions. Printed: a recomputation of all days, the daily increment, and a run
that finds nothing new, each in a process of its own, with the most memory that it used.
Ten tasks have calibration, normalized entropy, AUC by request and mean prediction, for all traffic, the
release and each of fifteen values of segments: about 1,100 figures a day. Two of the tasks are negative and
mature in two days, so they have early estimates and a review queue.
"""

import argparse
import resource
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from tasks.labels import build as labels
from tasks.monitoring import monitor
from tasks.stores.workspace import Workspace

NAME: Final = "watched"
FIRST: Final = datetime(2025, 1, 6, tzinfo=UTC)
TASKS: Final = tuple(f"outcome_{n}" for n in range(10))
LATE: Final = TASKS[8:]
SEGMENTS: Final = tuple(f"kind_{n}" for n in range(5))
EACH: Final = 10


def write_log(home: Path, days: int, requests: int) -> None:
    """Write impressions and events of all days."""
    rng = np.random.default_rng(0)
    n = days * requests * EACH
    request = np.repeat(np.arange(days * requests), EACH)
    minutes = (request // requests) * 1440 + request % requests * (1350 / requests)
    rows = pd.DataFrame(
        {
            "request_id": [f"r{one}" for one in request],
            "user_id": [
                f"u{one}" for one in np.repeat(rng.integers(0, 20 * requests, days * requests), EACH)
            ],
            "item_id": [f"i{one}" for one in rng.integers(0, 300, n) * EACH + np.arange(n) % EACH],
            "shown_at": pd.Timestamp(FIRST) + pd.to_timedelta(minutes, unit="min"),
            "price": rng.random(n),
            **{segment: np.array(["a", "b", "c"])[rng.integers(0, 3, n)] for segment in SEGMENTS},
            "release": 1,
        }
    )
    events = []
    for task in TASKS:
        rows[f"served_p_{task}"] = 0.02 + 0.1 * rng.random(n)
        happened = rows[rng.random(n) < rows[f"served_p_{task}"]]
        keys = happened[["request_id", "user_id", "item_id"]]
        after = pd.to_timedelta(rng.integers(1, 40 * 60 if task in LATE else 5, len(happened)), unit="min")
        events.append(keys.assign(event=task, happened_at=happened["shown_at"] + after))
    for table, frame in (("impressions", rows), ("events", pd.concat(events))):
        place = home / "logs" / NAME / table
        place.mkdir(parents=True)
        instants = {name: "datetime64[us, UTC]" for name in ("shown_at", "happened_at") if name in frame}
        frame.astype(instants).to_parquet(place / "a.parquet", index=False)


def write_contracts(folder: Path) -> None:
    """Write the four files of the surface."""
    tasks = "".join(
        f"  {task}: {{family: {'negative' if task in LATE else 'engagement'}, "
        f"positive: {{event: {task}, within: {'P2D' if task in LATE else 'PT1H'}}}}}\n"
        for task in TASKS
    )
    weights = ", ".join(f"{task}: {-1.0 if task in LATE else 1.0}" for task in TASKS)
    guardrails = ", ".join(f"{{metric: {task}_rate, relative_increase_max: 0.1}}" for task in LATE)
    files = {
        "surface": f"surface: {NAME}\nversion: 1\nowner: benchmarks\nreviewers: {{product: [ana]}}\n"
        f"sources: {{impressions: {NAME}/impressions/*.parquet, events: {NAME}/events/*.parquet}}\n"
        f"features: {{numeric: [price]}}\nsegments: [{', '.join(SEGMENTS)}]\n"
        "split: {train: P7D, calibrate: P3D, test: P3D}\n",
        "tasks": f"contract: {NAME}-labels\nversion: 1\ntasks:\n{tasks}",
        "utility": f"policy: {NAME}-utility\nversion: 1\nowner: benchmarks\napprovals: [product]\n"
        f"weights: {{{weights}}}\n"
        f"guardrails: [{guardrails}]\n",
        "slate": f"{{policy: {NAME}-slate, version: 1, length: 5}}\n",
    }
    (folder / NAME).mkdir(parents=True)
    for kind, text in files.items():
        (folder / NAME / f"{kind}.yaml").write_text(text, encoding="utf-8")


def open_workspace(folder: Path) -> Workspace:
    """Open the surface of a folder."""
    return Workspace.open(NAME, surfaces=folder / "surfaces", home=folder / "home")


def measure(folder: Path, as_of: datetime) -> tuple[float, float, float]:
    """Run the monitor; return the seconds that it took and computed, and the most memory in MB."""
    workspace, began, worked = open_workspace(folder), time.perf_counter(), time.process_time()
    monitor.run(workspace, as_of=as_of)
    seconds = (time.perf_counter() - began, time.process_time() - worked)
    return *seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def print_run(what: str, folder: Path, as_of: datetime) -> None:
    """Print a run of the monitor in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        took, worked, memory = pool.submit(measure, folder, as_of).result()
    print(f"| {what} | {took:.1f} | {worked:.1f} | {memory:,.0f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--requests", type=int, default=150, help="a day, of ten impressions each")
    asked = parser.parse_args()
    days = asked.days
    folder = Path(tempfile.mkdtemp(prefix="equipoise-monitor-"))
    try:
        write_log(folder / "home", days, asked.requests)
        write_contracts(folder / "surfaces")
        workspace = open_workspace(folder)
        labels.run(workspace, as_of=FIRST + timedelta(days=days))
        workspace.releases.find("champion")  # makes the home's database, which is done once
        print("| run | seconds | of the processor | MB |\n| --- | --- | --- | --- |")
        days_of_tasks = f"{days - 1} days, {len(TASKS)} tasks, {len(SEGMENTS)} segments"
        print_run(days_of_tasks, folder, FIRST + timedelta(days=days - 1))
        print_run("one more day", folder, FIRST + timedelta(days=days))
        print_run("nothing new", folder, FIRST + timedelta(days=days))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
