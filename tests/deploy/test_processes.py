import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.deploy.parts import Record, records, stop
from tasks.deploy.processes import end_sessions, marked, members, started_at
from tasks.deploy.settings import MARK, Settings

TREE = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
OWN_GROUP = "import os, time; os.setpgid(0, 0) if os.fork() == 0 else None; time.sleep(60)"
RUNAWAY = "import os, time; os.setsid() if os.fork() == 0 else None; time.sleep(60)"
STARTED: list[subprocess.Popen[bytes]] = []
linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="orphans are found through /proc")


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    (tmp_path / "parts").mkdir()
    yield Settings(tmp_path, tmp_path)
    end_sessions([], [], (MARK, str(tmp_path)), patience=5)
    while STARTED:
        with STARTED.pop() as process:  # closes its pipe and waits
            process.kill()


def start(settings: Settings, script: str, name: str = "part") -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, MARK: str(settings.home)},
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    STARTED.append(process)
    record = f'{{"name": "{name}", "pid": {process.pid}, "started": "{started_at(process.pid)}", '
    ports = '"airflow_port": 1, "mlflow_port": 2}'
    (settings.home / "parts" / f"{name}.json").write_text(record + ports)
    return process


def mine(settings: Settings) -> set[int]:
    return marked(MARK, str(settings.home))


def wait_for(settings: Settings, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(mine(settings)) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(mine(settings)) == count


@linux
def test_stop_ends_a_part_with_its_children(settings: Settings) -> None:
    start(settings, TREE)
    wait_for(settings, 2)
    assert stop(settings) == ["part"]
    assert mine(settings) == set()
    assert records(settings) == []


@linux
def test_stop_ends_what_a_crashed_part_left_behind(settings: Settings) -> None:
    crashed = start(settings, TREE)
    wait_for(settings, 2)
    crashed.kill()
    crashed.wait()
    assert stop(settings) == []
    assert mine(settings) == set()


@linux
@pytest.mark.parametrize("crashed", [False, True])
def test_stop_ends_a_child_in_a_group_of_its_own_as_a_running_step_is(
    settings: Settings, crashed: bool
) -> None:
    part = start(settings, OWN_GROUP)
    wait_for(settings, 2)
    if crashed:
        part.kill()
        part.wait()
    stop(settings)
    assert mine(settings) == set()


@linux
def test_stop_ends_a_child_that_overwrote_its_mark(settings: Settings) -> None:
    part = start(
        settings, "import os, time; os.fork() or os.execve('/bin/sleep', ['sleep', '60'], {}); time.sleep(60)"
    )
    deadline = time.monotonic() + 20
    while len(members([part.pid])) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    stop(settings)
    assert members([part.pid]) == set()


@linux
def test_stop_ends_a_child_that_went_into_a_session_of_its_own(settings: Settings) -> None:
    start(settings, RUNAWAY)
    wait_for(settings, 2)
    stop(settings)
    assert mine(settings) == set()


@linux
def test_stop_ends_a_part_that_does_not_listen(settings: Settings) -> None:
    deaf = start(settings, DEAF)
    assert deaf.stdout is not None
    assert deaf.stdout.readline() == b"deaf\n"
    assert stop(settings, patience=0.5) == ["part"]
    assert mine(settings) == set()


@linux
def test_stop_ends_parts_whose_records_are_lost(settings: Settings) -> None:
    start(settings, TREE)
    wait_for(settings, 2)
    (settings.home / "parts" / "part.json").unlink()
    stop(settings)
    assert mine(settings) == set()


def test_stop_spares_a_stranger_that_got_the_number_of_a_part(settings: Settings) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        record = '{"name": "part", "pid": %d, "started": "long ago", "airflow_port": 1, "mlflow_port": 2}'
        (settings.home / "parts" / "part.json").write_text(record % stranger.pid)
        assert stop(settings) == []
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_is_told_from_a_later_one_by_its_start() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        found = Record("part", process.pid, started_at(process.pid) or "", 1, 2)
        assert found.lives
        assert not Record("part", process.pid, "another moment", 1, 2).lives
        process.kill()
    assert not found.lives


def test_an_ended_child_that_nobody_asked_after_has_ended() -> None:
    with subprocess.Popen(["true"]) as process:
        deadline = time.monotonic() + 10
        while started_at(process.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert started_at(process.pid) is None
