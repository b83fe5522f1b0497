"""Processes that outlive their starter: know them again, and leave none behind.

A process number alone says little, since numbers are used again: a record keeps the moment of its start too.
And every part hands down a mark in its environment, by which orphans of a crashed part are found (on Linux).
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
_GONE = 10.0  # seconds that killed processes are given to be gone


def started_at(pid: int) -> str | None:
    """Return what tells a process from a later one with the same number, or None where it has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    if (_PROC / "self" / "stat").exists():
        return _started_by_proc(pid)
    ps = shutil.which("ps") or "/bin/ps"
    answer = subprocess.run(
        [ps, "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def marked(mark: str, value: str) -> set[int]:
    """Return the processes whose environment says `mark=value`; none where /proc is missing."""
    wanted = f"{mark}={value}".encode()
    found = set()
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(folder.name)
            if wanted in (folder / "environ").read_bytes().split(b"\0") and pid != os.getpid():
                found.add(pid)
    return {pid for pid in found if started_at(pid) is not None}


def end_groups(
    living: Iterable[int], crashed: Iterable[int], mark: tuple[str, str], *, patience: float
) -> None:
    """End process groups, and whatever else is marked.

    Parameters
    ----------
    living : leaders that run; their groups are asked first and given `patience` seconds.
    crashed : leaders that have ended; what is left of their groups has nobody to report to.
    mark : name and value in the environment of everything that belongs to them.
    """
    asked, groups = set(living), {*living, *crashed}
    for group in asked:
        _signal_group(group, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and any(map(_group_lives, asked)):
        time.sleep(0.1)
    deadline = time.monotonic() + _GONE
    while time.monotonic() < deadline and (any(map(_group_lives, groups)) or marked(*mark)):
        for group in groups:
            _signal_group(group, signal.SIGKILL)
        for pid in marked(*mark):
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


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _group_lives(group: int) -> bool:
    started_at(group)
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
