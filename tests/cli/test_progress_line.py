"""The line of progress: on a terminal, after two seconds, and nowhere else."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.cli import progress_line as line
from tasks.progress import report

_RUN = """
import logging, sys, time
from tasks.cli import progress_line as line
from tasks.progress import report
line._QUIET_SECONDS = 0.05
log = logging.getLogger("equipoise")
logging.basicConfig(handlers=[line.StderrHandler()], force=True)
with line.progress_line("retrain", shown=True):
    report("train", "click", done=1, of=4)
    time.sleep(0.6)
    log.warning("a warning above the line")
    report("gate", done=3, of=4)
    time.sleep(0.6)
print("release 1")
"""


def on_a_terminal(code: str) -> str:
    """Run Python on a pseudo-terminal; return what was written there."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    written = b""
    while True:
        try:
            written += (read := os.read(ours, 65_536))
        except OSError:  # Linux's end of a terminal
            break
        if not read:
            break
    os.close(ours)
    assert done.wait() == 0
    return written.decode()


def test_a_terminal_shows_step_share_time_and_estimate_and_the_line_is_gone_at_the_end() -> None:
    written = on_a_terminal(_RUN)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert re.search(r"train click .* 25% 0:00:00 about \d+ s left", plain)
    assert re.search(r"gate .* 75% ", plain)
    assert "a warning above the line\r\n" in plain
    assert written.endswith("\x1b[2Krelease 1\r\n")


@pytest.mark.parametrize("shown", [True, False])
def test_nothing_is_written_off_a_terminal(
    shown: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(line, "_QUIET_SECONDS", 0.0)
    with line.progress_line("plan", shown=shown):
        report("log", done=0, of=2)
    assert capfd.readouterr() == ("", "")


def test_a_document_on_a_terminal_comes_without_a_line(tmp_path: Path) -> None:
    code = (
        "from tasks.cli import main, progress_line as line\nline._QUIET_SECONDS = 0.0\n"
        f"main(['check', '--json', '--surfaces', {str(tmp_path)!r}, '--home', {str(tmp_path)!r}])"
    )
    assert on_a_terminal(code).startswith("{")
