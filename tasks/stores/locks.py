"""One process of this machine at a time: a lock that a killed process leaves behind is free.

::

    home/locks/<name>      held while the body runs; the file says nothing and stays

It holds no one back on another machine: there a Delta commit is refused instead, and the loser begins again.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOG = logging.getLogger("equipoise")


@contextmanager
def alone(home: Path, name: str, *, doing: str) -> Iterator[None]:
    """Wait until no other process is in a body of this name, and keep the others out while ours runs.

    Parameters
    ----------
    doing : what the others are at, for the line that says why this process waits.
    """
    file = home / "locks" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _LOG.info("Another process is %s: this one waits for its end", doing)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
