"""Which files of a folder hold a table's rows, so that none is left out for its name in silence.

::

    part-0.parquet  part-0.pq  PART-0.PARQ    read, whatever they hold
    000000_0                                  read where it begins as Parquet does: Hive names its files so
    part-0.parquet.bak  part-0.gz             refused where it is Parquet from end to end
    part-1.csv  part-1.json.gz  notes.md      counted in one warning: rows of other formats are not read
    _SUCCESS  .part-0.crc  part-0.crc         not looked at, nor anything in a folder that is named so
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Final

from tasks.errors import DataError
from tasks.stores.location import Location, files_below, relative_path

_LOG = logging.getLogger("equipoise")
_SUFFIXES: Final = frozenset({".parquet", ".pq", ".parq"})
_CHECKSUM: Final = ".crc"
_MAGIC: Final = b"PAR1"
_EXAMPLES: Final = 3


def parquet_below(folder: Location, *, table: str) -> list[Location]:
    """Return the Parquet files of a folder, at any depth; other files are counted in a warning."""
    files, others = list[Location](), list[PurePath]()
    for file in files_below(folder, "**/*"):
        path = relative_path(folder, file)
        if is_hidden(path):
            continue
        if named_as_parquet(path) or (not path.suffix and _has_magic(file)):
            files.append(file)
        elif path.suffix and _has_magic(file, at_end=True):
            raise DataError(
                f"{table}: {file} is a Parquet file by another name, and its rows would be left out: "
                f"let its name end in .parquet, or move it out of {folder}"
            )
        else:
            others.append(path)
    _warn_of_others(table, folder, others)
    return files


def _warn_of_others(table: str, folder: Location, others: Sequence[PurePath]) -> None:
    """Say which files of a folder are not read."""
    if others:
        named = ", ".join(sorted(map(str, others))[:_EXAMPLES])
        _LOG.warning(
            "%s: %d file(s) of %s are not Parquet and are not read: %s%s",
            *(table, len(others), folder, named, ", ..." if len(others) > _EXAMPLES else ""),
        )


def named_as_parquet(path: PurePath) -> bool:
    """Return whether a file's name says that it is Parquet.

    Examples
    --------
    >>> [named_as_parquet(PurePath(name)) for name in ("a.parquet", "a.PQ", "a.parquet.bak", "000000_0")]
    [True, True, False, False]
    """
    return path.suffix.lower() in _SUFFIXES


def is_hidden(path: PurePath) -> bool:
    """Return whether a file, or a folder that it is in, is set aside by its name, as engines set them aside.

    Examples
    --------
    >>> is_hidden(PurePath("day=1/_SUCCESS")), is_hidden(PurePath("day=1/part-0.parquet"))
    (True, False)
    """
    return path.suffix == _CHECKSUM or any(part.startswith(("_", ".")) for part in path.parts)


def _has_magic(file: Location, *, at_end: bool = False) -> bool:
    """Return whether a file begins as Parquet does, and ends so too where that is asked."""
    with file.open("rb") if isinstance(file, Path) else file.open() as opened:
        if opened.read(len(_MAGIC)) != _MAGIC:
            return False
        if not at_end:
            return True
        opened.seek(-len(_MAGIC), os.SEEK_END)
        return bool(opened.read() == _MAGIC)
