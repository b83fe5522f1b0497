"""What a step writes on its way: a folder or a file that goes when its owner ends, however it ends.

::

    <folder>/<prefix>*/.owner     locked for as long as the owner lives; without a living one it is swept
    .<name>.<pid>.part            a file on its way; swept after an hour when its process is gone
"""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tasks.errors import StoreError

_OWNER: Final = ".owner"
_NEW: Final = ".new-"
_OLD_FOLDER, _OLD_PART = 24 * 3600, 3600
"""Seconds after which a folder without an owner's file, or a part of a process that is gone, is swept."""


def scratch_folder(home: Path) -> Path:
    """Return where scratch lies: in the home, or where that may only be read, in a folder of this user's.

    Raises
    ------
    StoreError
        Somebody else made that folder, or may write there.
    """
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
    """Whether it is a folder, no link to one, that this user made and nobody else may write."""
    found = folder.lstat()
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return own and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@contextmanager
def scratch(folder: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder below ``folder``, removed at the end; those that killed processes left go first."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in (*folder.glob(f"{prefix}*"), *folder.glob(f"{_NEW}*")):
        if _is_left_behind(left):
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=_NEW, dir=folder))
    with (made / _OWNER).open("w") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        place = made.rename(folder / f"{prefix}{made.name.removeprefix(_NEW)}")  # seen only with its owner
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def sweep_parts(folder: Path) -> None:
    """Remove the files on their way whose process is gone."""
    for part in folder.glob(".*.part"):
        pid = part.name.split(".")[-2]
        with suppress(OSError):
            if pid.isdecimal() and not Path("/proc", pid).exists() and _age(part) > _OLD_PART:
                part.unlink()


def _is_left_behind(place: Path) -> bool:
    try:
        with (place / _OWNER).open() as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        with suppress(OSError):
            return _age(place) > _OLD_FOLDER
        return False
    except OSError:  # its owner lives, or it is not ours to look at
        return False
    return True


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime
