"""Builds of one surface at the same time: the labels run, a retrain and a backfill may overlap in their days."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace, format_instant
from tests.feeds.days_of_logs import NAME, Logs, at, day

Process = subprocess.Popen[str]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Logs.random(tmp_path, seed=5).write()


def start(workspace: Workspace, *words: str, **environment: str) -> Process:
    """Start `equipoise labels build` as of the log's end."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tasks.cli", "labels", "build", NAME, "--as-of", format_instant(at(11))),
            *("--surfaces", str(workspace.surfaces), "--home", str(workspace.home), *words),
        ],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def read_until(process: Process, words: str) -> None:
    """Wait until a process says these words."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended without saying '{words}'")


def end(process: Process) -> str:
    """Wait for a process that ends well; return what else it said."""
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    return said


def content(home: Path) -> pa.Table:
    """Return every row of a store in order."""
    store = LabelStore(Store.open(home), NAME)
    last = store.last()
    assert last is not None
    found: pa.Table = last.read(["request_id", "item_id", *last.tasks()])
    return found


def test_builds_of_overlapping_days_go_one_after_the_other_and_end_as_one_would(
    workspace: Workspace, tmp_path: Path
) -> None:
    with workspace.store.alone(f"{NAME}.labels", doing="a test"):
        both = [start(workspace), start(workspace, "--from", "2024-03-02", "--to", "2024-03-06")]
        for process in both:
            read_until(process, "Another process is building labels of days_of_logs")
        assert LabelStore(workspace.store, NAME).last() is None
    for process in both:
        end(process)
    alone_there = Workspace(NAME, workspace.surfaces, Store.open(tmp_path / "other"))
    (alone_there.home).mkdir()
    (alone_there.home / "logs").symlink_to(workspace.home / "logs")
    labels.run(alone_there, as_of=at(11))
    assert content(workspace.home).equals(content(alone_there.home))


def test_a_killed_build_holds_no_one_back(workspace: Workspace) -> None:
    with ExitStack() as stack:
        killed = stack.enter_context(start(workspace))
        read_until(killed, "labels: impressions")
        killed.send_signal(signal.SIGKILL)
    end(start(workspace))
    assert content(workspace.home).num_rows == labels.run(workspace, as_of=at(11)).rows


def test_machines_that_know_nothing_of_each_others_locks_build_again_on_what_was_committed(
    workspace: Workspace, tmp_path: Path
) -> None:
    labels.run(workspace, as_of=at(11), first_day=day(1), last_day=day(1))
    machines = []
    for n in range(3):
        home = tmp_path / f"machine-{n}"
        home.mkdir()
        (home / "logs").symlink_to(workspace.home / "logs")
        there = Workspace(NAME, workspace.surfaces, Store.open(home))
        only = (f"2024-03-0{n + 2}",) * 2
        store = str(workspace.home)
        machines.append(start(there, "--from", only[0], "--to", only[1], EQUIPOISE_STORE=store))
    for machine in machines:
        end(machine)
    last = LabelStore(workspace.store, NAME).last()
    assert last is not None
    assert list(last.build().days) == [day(n) for n in (1, 2, 3, 4)]
    assert content(workspace.home).num_rows == sum(stored.rows for stored in last.build().days.values())
