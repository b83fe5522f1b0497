"""Local files: digests, durable writes, scratch folders that are removed with their owner, and locks.

::

    sha256, tree_digest           of one file, of a tree of files
    flush_files, flush_tree       flush to the disk
    set_aside                     renamed out of the way
    <folder>/<prefix>*/.owner     scratch: locked while its owner runs; removed later without one
    replaced(file)                written in scratch next to the file, then renamed: an atomic replacement
    home/locks/<name>             a lock, held while the body runs; contains the holder and the time; kept

A lock keeps other processes of one machine out; a killed process releases its lock. A waiting process logs
the holder, again every minute, and waits as long as the holder runs, or ten minutes if the holder is stopped.
The lock does not affect other machines: there a Delta commit is refused, and the refused writer starts again.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import unquote, urlparse

from tasks.errors import StoreError


def sha256(data: bytes) -> str:
    """Return the sha256 of bytes as hex digits."""
    return hashlib.sha256(data).hexdigest()


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files by relative path."""
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def tree_digest(files: Mapping[str, str]) -> str:
    r"""Return one digest for files given as ``{relative path: sha256}``.

    Examples
    --------
    >>> tree_digest({"b": "2", "a": "1"}) == sha256(b"a 1\nb 2\n")
    True
    """
    lines = (f"{path} {digest}\n" for path, digest in sorted(files.items()))
    return sha256("".join(lines).encode())


def flush_files(files: Iterable[Path]) -> None:
    """Flush the contents and the names of files to the disk."""
    folders: dict[Path, None] = {}
    for file in files:
        _flush(file)
        folders.setdefault(file.parent)
    for folder in folders:
        _flush(folder)


def flush_tree(folder: Path) -> None:
    """Flush everything in a folder to the disk, and the folder's own name."""
    for place, _, names in os.walk(folder):
        for name in names:
            _flush(Path(place, name))
        _flush(Path(place))
    _flush(folder.parent)


def flush_uri(location: str) -> None:
    """Flush the artifacts at a location to the disk if it is a local folder."""
    named = urlparse(location)
    folder = Path(unquote(named.path))
    if named.scheme in {"", "file"} and folder.is_dir():
        flush_tree(folder)


def set_aside(file: Path) -> Path:
    """Rename a damaged file or folder; return its new path."""
    aside = file.with_name(f"{file.name}.set-aside-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    file.rename(aside)
    _flush(aside.parent)
    return aside


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_OWNER: Final = ".owner"
_NEW: Final = ".new-"
PART: Final = ".part-"
"""Prefix of scratch for a file being written, in the file's own folder."""
_OLD_FOLDER: Final = 24 * 3600
"""Age in seconds from which a folder without an owner's file is removed."""


def scratch_folder(home: Path) -> Path:
    """Return the scratch folder: in the home, or for a read-only home in a private folder of the user."""
    place = home / "tmp"
    nearest = next(folder for folder in (place, *place.parents) if folder.exists())
    if os.access(nearest, os.W_OK):
        return place
    own = Path(tempfile.gettempdir(), f"equipoise-{os.getuid()}")
    own.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(own):
        raise StoreError(
            f"{own} is not this user's own: labels of the home {home}, which may only be read, would be seen "
            "there. Remove it, or name another folder in TMPDIR"
        )
    return own


def _is_private(folder: Path) -> bool:
    """Whether it is a folder, not a link, that belongs to this user and only this user may write."""
    found = folder.lstat()
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return own and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@contextmanager
def scratch(folder: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder in ``folder``, removed at the end; removes folders of killed processes first."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep_scratch(folder, prefix)
    made = Path(tempfile.mkdtemp(prefix=_NEW, dir=folder))
    with (made / _OWNER).open("w") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        place = made.rename(folder / f"{prefix}{made.name.removeprefix(_NEW)}")  # visible only with its owner
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def sweep_scratch(folder: Path, prefix: str) -> None:
    """Remove the scratch folders with a prefix that killed processes left in a folder."""
    for left in (*folder.glob(f"{prefix}*"), *folder.glob(f"{_NEW}*")):
        if _is_left_behind(left):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def replaced(file: Path) -> Iterator[Path]:
    """Yield a path to write, which finally replaces the file durably; a failure leaves the file as it was."""
    with scratch(file.parent, PART) as folder:
        yield folder / file.name
        flush_files([folder / file.name])
        (folder / file.name).replace(file)
    flush_files([file])


def _is_left_behind(place: Path) -> bool:
    try:
        with (place / _OWNER).open() as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        with suppress(OSError):
            return time.time() - place.stat().st_mtime > _OLD_FOLDER
        return False
    except OSError:  # its owner runs, or this user has no permission
        return False
    return True


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
def hold(file: Path, *, doing: str) -> Iterator[None]:
    """Wait for other processes that hold a lock file, and keep them out while the body runs."""
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
