"""Processes that outlive their starter: know them again, and leave none behind.

::

    part (leader of a session)          asked to end, with its group
      └── workers                       in its group
            └── a running step          in a group of its own, in the session still
                  └── what it launched  perhaps in a session of its own: found by a mark in its environment

A process number alone says little, since numbers are used again: a record keeps the moment of its start too.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

_PROC = Path("/proc")
_LINUX = (_PROC / "self" / "environ").exists()
_GONE = 10.0  # seconds within which killed processes must be gone


def started_at(pid: int) -> str | None:
    """Return what tells a process from a later one with the same number, or None where it has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    if _LINUX:
        return _started_by_proc(pid)
    state, _, started = _ps("-o", "stat=,lstart=", "-p", str(pid)).strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def marked(mark: str, value: str) -> set[int]:
    """Return the processes whose environment says `mark=value`: on Linux, unless they overwrote it."""
    entry = f"{mark}={value}".encode()
    pids = set()
    for pid in _everyone() if _LINUX else ():
        with contextlib.suppress(OSError):
            if entry in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                pids.add(pid)
    return {pid for pid in pids if started_at(pid) is not None}


def members(leaders: Iterable[int]) -> set[int]:
    """Return the processes in the sessions of these leaders, themselves included."""
    sessions, pids = set(leaders), set()
    for pid in _everyone() if sessions else ():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) in sessions:
                pids.add(pid)
    return {pid for pid in pids if started_at(pid) is not None}


def end_sessions(
    living: Iterable[int], crashed: Iterable[int], mark: tuple[str, str], *, patience: float
) -> None:
    """End whole sessions, and whatever else is marked.

    Parameters
    ----------
    living : leaders that run; they are asked first and have `patience` seconds.
    crashed : leaders that have ended; what is left of their sessions has nobody to report to.
    mark : name and value in the environment of everything that belongs to them.
    """
    asked, sessions = set(living), {*living, *crashed}
    for leader in asked:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and any(started_at(leader) for leader in asked):
        time.sleep(0.1)  # a leader takes its workers along; whom it leaves has nobody to report to
    deadline = time.monotonic() + _GONE
    while time.monotonic() < deadline and (left := members(sessions) | marked(*mark)):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let nobody interrupt the body: what is half stopped would be left behind."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _started_by_proc(pid: int) -> str | None:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _everyone() -> set[int]:
    if _LINUX:
        pids = {int(folder.name) for folder in _PROC.glob("[0-9]*")}
    else:
        pids = {int(line) for line in _ps("-A", "-o", "pid=").split()}
    return pids - {os.getpid()}


def _ps(*options: str) -> str:
    command = [shutil.which("ps") or "/bin/ps", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
