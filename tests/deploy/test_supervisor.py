import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.layout import MARK, Layout
from deploy.services import Service
from deploy.supervisor import Record, end_sessions, marked, members, records, started_at, stop
from deploy.supervisor import start as start_service

TREE = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
OWN_GROUP = "import os, time; os.setpgid(0, 0) if os.fork() == 0 else None; time.sleep(60)"
RUNAWAY = "import os, time; os.setsid() if os.fork() == 0 else None; time.sleep(60)"
STARTED: list[subprocess.Popen[bytes]] = []
linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="orphans are found through /proc")


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    (tmp_path / "parts").mkdir()
    yield Layout(tmp_path, tmp_path)
    end_sessions([], [], Layout(tmp_path, tmp_path), patience=5)
    while STARTED:
        with STARTED.pop() as process:  # closes its pipe and waits
            process.kill()


def start(layout: Layout, script: str, name: str = "part") -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, MARK: str(layout.home)},
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    STARTED.append(process)
    record = {"name": name, "pid": process.pid, "started": started_at(process.pid)}
    write(layout, record)
    return process


def write(layout: Layout, record: dict[str, Any]) -> None:
    text = json.dumps(record | {"airflow_port": 1, "mlflow_port": 2})
    (layout.records / f"{record['name']}.json").write_text(text)


def wait_for(layout: Layout, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(marked(layout)) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(marked(layout)) == count


@linux
def test_stop_ends_a_part_with_its_children(layout: Layout) -> None:
    start(layout, TREE)
    wait_for(layout, 2)
    assert stop(layout) == ["part"]
    assert marked(layout) == set()
    assert records(layout) == []


@linux
def test_stop_ends_what_a_crashed_part_left_behind(layout: Layout) -> None:
    crashed = start(layout, TREE)
    wait_for(layout, 2)
    crashed.kill()
    crashed.wait()
    assert stop(layout) == []
    assert marked(layout) == set()


@linux
@pytest.mark.parametrize("crashed", [False, True])
def test_stop_ends_a_child_in_a_group_of_its_own_as_a_running_step_is(layout: Layout, crashed: bool) -> None:
    part = start(layout, OWN_GROUP)
    wait_for(layout, 2)
    if crashed:
        part.kill()
        part.wait()
    stop(layout)
    assert marked(layout) == set()


@linux
def test_stop_ends_a_child_that_overwrote_its_mark(layout: Layout) -> None:
    part = start(
        layout, "import os, time; os.fork() or os.execve('/bin/sleep', ['sleep', '60'], {}); time.sleep(60)"
    )
    deadline = time.monotonic() + 20
    while len(members([part.pid])) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    stop(layout)
    assert members([part.pid]) == set()


@linux
def test_stop_ends_a_child_that_went_into_a_session_of_its_own(layout: Layout) -> None:
    start(layout, RUNAWAY)
    wait_for(layout, 2)
    stop(layout)
    assert marked(layout) == set()


@linux
def test_stop_ends_a_part_that_does_not_listen(layout: Layout) -> None:
    deaf = start(layout, DEAF)
    assert deaf.stdout is not None
    assert deaf.stdout.readline() == b"deaf\n"
    assert stop(layout, patience=0.5) == ["part"]
    assert marked(layout) == set()


@linux
def test_stop_ends_parts_whose_records_are_lost(layout: Layout) -> None:
    start(layout, TREE)
    wait_for(layout, 2)
    (layout.home / "parts" / "part.json").unlink()
    stop(layout)
    assert marked(layout) == set()


def test_stop_spares_a_stranger_that_got_the_number_of_a_part(layout: Layout) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        write(layout, {"name": "part", "pid": stranger.pid, "started": 1.0})
        assert stop(layout) == []
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_is_told_from_a_later_one_by_its_start() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        found = Record("part", process.pid, started_at(process.pid) or 0.0, 1, 2)
        assert found.lives
        assert not Record("part", process.pid, 1.0, 1, 2).lives
        process.kill()
    assert not found.lives


@linux
def test_a_process_is_known_again_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        found = Record("part", process.pid, started_at(process.pid) or 0.0, 1, 2)
        set_clock = psutil.boot_time() + 3600
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda: set_clock)
        assert found.lives
        process.kill()


def test_what_a_part_writes_is_not_readable_by_everybody(tmp_path: Path) -> None:
    """Airflow's parts run the steps, and MLflow's server keeps what they log."""
    before = os.umask(0o022)
    try:
        command = ("touch", str(tmp_path / "written"))
        start_service(Layout(tmp_path, tmp_path), Service("part", command, dict(os.environ))).wait()
    finally:
        os.umask(before)
    assert (tmp_path / "written").stat().st_mode & 0o777 == 0o640


def test_an_ended_child_that_nobody_waited_for_has_ended() -> None:
    with subprocess.Popen(["true"]) as process:
        deadline = time.monotonic() + 10
        while started_at(process.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert started_at(process.pid) is None
