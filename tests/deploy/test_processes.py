"""Processes are known again by their start, their session and a mark in their environment."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.processes import end_sessions, marked, members, started_at

linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="orphans are found through /proc")


@linux
def test_a_mark_and_a_session_name_the_same_process_until_both_are_ended(tmp_path: Path) -> None:
    mark = ("EQUIPOISE_PARTS_OF", str(tmp_path))
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    with subprocess.Popen(
        command, env=dict([mark]), start_new_session=True, stdout=subprocess.PIPE
    ) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        assert marked(*mark) == members([leader.pid]) == {leader.pid}
        end_sessions([leader.pid], [], mark, patience=5)
        assert marked(*mark) == members([leader.pid]) == set()
        assert started_at(leader.pid) is None


def test_an_ended_child_that_nobody_asked_after_has_ended() -> None:
    with subprocess.Popen(["true"]) as process:
        deadline = time.monotonic() + 10
        while started_at(process.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert started_at(process.pid) is None
