"""Locks between processes of one machine; a killed process releases its lock.

::

    home/locks/<name>      held while the body runs; contains the holder and the time, and is kept

A waiting process logs the holder, again every minute, and waits as long as the holder runs, or ten minutes if
the holder is stopped. The lock does not affect other machines: there a Delta commit is refused, and the
refused writer starts again.
"""

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

from tasks.errors import StoreError

_LOG = logging.getLogger("equipoise")
PATIENCE: Final = 600.0
"""Seconds to wait for a stopped holder."""
_REPEAT, _PAUSE = 60.0, 0.05


@dataclass(frozen=True)
class Holder:
    """The holder of a lock."""

    pid: int
    host: str
    since: str

    @property
    def is_stopped(self) -> bool:
        """Whether the holder is a process of this machine that was stopped by a signal."""
        with suppress(OSError, IndexError):
            state = Path("/proc", str(self.pid), "stat").read_text().rpartition(")")[2].split()[0]
            return self.host == socket.gethostname() and state in {"T", "t"}
        return False

    def __str__(self) -> str:
        stopped = (
            f"; it is stopped: `kill -CONT {self.pid}` lets it go on, `kill -KILL {self.pid}` ends it"
            if self.is_stopped
            else ""
        )
        return f" (process {self.pid} on {self.host}, since {self.since}{stopped})"


@contextmanager
def alone(home: Path, name: str, *, doing: str) -> Iterator[None]:
    """Wait for other processes with this name to finish, and keep them out while the body runs."""
    with hold(home / "locks" / name, doing=doing):
        yield


@contextmanager
def hold(file: Path, *, doing: str) -> Iterator[None]:
    """Hold a lock file; see `alone`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as handle:
        _wait_for(handle, doing)
        own = Holder(os.getpid(), socket.gethostname(), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        handle.truncate(0)
        handle.write(json.dumps(asdict(own)))
        handle.flush()
        yield


def _wait_for(handle: TextIO, doing: str) -> None:
    began, reported, stopped_since = time.monotonic(), -_REPEAT, None
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        now, holder = time.monotonic() - began, _read_holder(handle)
        if now - reported >= _REPEAT:
            reported = now
            _LOG.info("Another process is %s: this one waits for its end%s", doing, holder or "")
        if holder is None or not holder.is_stopped:
            stopped_since = None
        elif stopped_since is None:
            stopped_since = now
        elif now - stopped_since >= PATIENCE:
            raise StoreError(f"Another process is {doing}, and this one stops waiting for it{holder}")
        time.sleep(min(1.0, _PAUSE * (1 + now)))


def _read_holder(handle: TextIO) -> Holder | None:
    handle.seek(0)
    try:
        return Holder(**json.loads(handle.read()))
    except (ValueError, TypeError):  # it is being written
        return None
