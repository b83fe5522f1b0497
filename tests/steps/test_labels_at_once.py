"""Builds of one surface at the same time: the labels run, a retrain and a backfill may overlap in their days."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.steps import labels
from tasks.steps.context import Context, format_instant
from tasks.stores.label_store import LabelStore
from tasks.stores.locks import alone
from tests.steps.days_of_logs import NAME, Logs, at, day

Process = subprocess.Popen[str]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Logs.random(tmp_path, seed=5).write()


def start(context: Context, *words: str, **environment: str) -> Process:
    """Start `equipoise labels build` as of the log's end."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tasks.cli", "labels", "build", NAME, "--as-of", format_instant(at(11))),
            *("--surfaces", str(context.surfaces), "--home", str(context.home), *words),
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
    store = LabelStore(home, NAME)
    last = store.last()
    assert last is not None
    found: pa.Table = last.snapshot.read(["request_id", "item_id", *last.snapshot.tasks()])
    return found


def test_builds_of_overlapping_days_go_one_after_the_other_and_end_as_one_would(
    context: Context, tmp_path: Path
) -> None:
    with alone(context.home, f"{NAME}.labels", doing="a test"):
        both = [start(context), start(context, "--from", "2024-03-02", "--to", "2024-03-06")]
        for process in both:
            read_until(process, "Another process is building labels of days_of_logs")
        assert LabelStore(context.home, NAME).last() is None
    for process in both:
        end(process)
    alone_there = Context(NAME, context.surfaces, tmp_path / "other")
    (alone_there.home).mkdir()
    (alone_there.home / "logs").symlink_to(context.home / "logs")
    labels.run(alone_there, as_of=at(11))
    assert content(context.home).equals(content(alone_there.home))


def test_a_killed_build_holds_no_one_back(context: Context) -> None:
    with ExitStack() as stack:
        killed = stack.enter_context(start(context))
        read_until(killed, "labels: impressions")
        killed.send_signal(signal.SIGKILL)
    end(start(context))
    assert content(context.home).num_rows == labels.run(context, as_of=at(11)).rows


def test_machines_that_know_nothing_of_each_others_locks_build_again_on_what_was_committed(
    context: Context, tmp_path: Path
) -> None:
    labels.run(context, as_of=at(11), first_day=day(1), last_day=day(1))
    machines = []
    for n in range(3):
        home = tmp_path / f"machine-{n}"
        home.mkdir()
        (home / "logs").symlink_to(context.home / "logs")
        there = Context(NAME, context.surfaces, home)
        only = (f"2024-03-0{n + 2}",) * 2
        store = str(context.home)
        machines.append(start(there, "--from", only[0], "--to", only[1], EQUIPOISE_STORE=store))
    for machine in machines:
        end(machine)
    last = LabelStore(context.home, NAME).last()
    assert last is not None
    assert list(last.build.days) == [day(n) for n in (1, 2, 3, 4)]
    assert content(context.home).num_rows == sum(stored.rows for stored in last.build.days.values())
