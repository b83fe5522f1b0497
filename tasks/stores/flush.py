"""What is announced as done is on the disk: a power cut after it may not empty a file or lose its name.

::

    flush_files([a, b])     the bytes of files, then the folders that hold their names
    flush_tree(folder)      everything below a folder
    flush_uri(location)     likewise, where MLflow names a folder of this machine
    set_aside(file)         <name>.set-aside-<time>: kept for whoever looks into it, read by nobody
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlparse


def flush_files(files: Iterable[Path]) -> None:
    """Write the bytes and the names of files through to the disk."""
    folders: dict[Path, None] = {}
    for file in files:
        _flush(file)
        folders.setdefault(file.parent)
    for folder in folders:
        _flush(folder)


def flush_tree(folder: Path) -> None:
    """Write everything below a folder through to the disk, and the folder's own name."""
    for place, _, names in os.walk(folder):
        for name in names:
            _flush(Path(place, name))
        _flush(Path(place))
    _flush(folder.parent)


def flush_uri(location: str) -> None:
    """Write the artifacts at a location through to the disk, where that is a folder of this machine."""
    named = urlparse(location)
    folder = Path(unquote(named.path))
    if named.scheme in {"", "file"} and folder.is_dir():
        flush_tree(folder)


def set_aside(file: Path) -> Path:
    """Take a damaged file or folder out of use; return where it lies now."""
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
