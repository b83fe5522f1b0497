"""Reads the footers of Parquet files with DuckDB, because some damaged footers crash pyarrow's process.

::

    parquet_file_metadata   rows of the file
    parquet_schema          columns and their fields, depth first     -> FooterColumn
    parquet_metadata        statistics of each row group and leaf     -> Chunk

A separate connection reads them, so that a damaged footer cannot affect other queries.

These rules decide which files of a folder belong to a table; none is skipped silently because of its name::

    part-0.parquet  part-0.pq  PART-0.PARQ    read
    000000_0                                  read if it begins with Parquet's magic bytes, as Hive's files do
    part-0.parquet.bak  part-0.gz             refused if it has Parquet's magic bytes at both ends
    part-1.csv  part-1.json.gz  notes.md      counted in one warning: other formats are not read
    _SUCCESS  .part-0.crc  part-0.crc         ignored, as are all files in folders with such names
"""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

import duckdb

from tasks.errors import DataError
from tasks.logs.connections import connect
from tasks.sql import expressions as x
from tasks.stores.location import Location, files_below, relative_path

_ROWS = "SELECT file_name, num_rows FROM parquet_file_metadata($files)"
_FIELDS = """
    SELECT file_name, name, coalesce(num_children, 0), duckdb_type, repetition_type
    FROM parquet_schema($files)
"""
_CHUNKS = """
    SELECT file_name, row_group_id, column_id, row_group_num_rows, num_values, stats_null_count,
           coalesce(stats_min_value, stats_min), coalesce(stats_max_value, stats_max)
    FROM parquet_metadata($files) ORDER BY ALL
"""
_MEMORY = "2GB"
"""Most that reading a damaged footer may take."""
_DECEIT = "its footer contradicts itself"
_SPOILT = (duckdb.Error, OSError, ValueError, LookupError, TypeError, MemoryError)
"""Errors that reading a damaged footer may raise."""
_LONGEST = 300


_LOG = logging.getLogger("equipoise")
_SUFFIXES: Final = frozenset({".parquet", ".pq", ".parq"})
_CHECKSUM: Final = ".crc"
_MAGIC: Final = b"PAR1"
_EXAMPLES: Final = 3


@dataclass(frozen=True)
class Chunk:
    """A column's part of a row group: values including nulls, minimum and maximum in DuckDB's text format.

    ``nulls``, ``least`` and ``greatest`` are None without such statistics.
    """

    values: int
    nulls: int | None
    least: str | None
    greatest: str | None


@dataclass(frozen=True)
class FooterColumn:
    """A column of a file: DuckDB's type for it, whether it has fields, and the row-group parts of its leaves.

    ``siblings`` contains one tuple of field names for each field that has children.
    """

    name: str
    type: str
    nested: bool
    siblings: tuple[tuple[str, ...], ...]
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Footer:
    """Rows and columns of a file."""

    rows: int
    columns: tuple[FooterColumn, ...]


@dataclass(frozen=True)
class _Field:
    name: str
    children: int
    type: str
    repetition: str | None


def read(table: str, files: Sequence[Location]) -> list[Footer]:
    """Read the footers of a log table's files."""
    if not files:
        return []
    refuse_irregular(table, files)
    with connect(_MEMORY) as connection:
        try:
            return _read(connection, files)
        except _SPOILT as error:
            for file in files:
                _try_alone(connection, table, file)
            raise DataError(
                f"{table} cannot be read: {_words(error)}. Each of its files can: was one written meanwhile? "
                "Run the command again"
            ) from error


def refuse_irregular(table: str, files: Sequence[Location]) -> None:
    """Refuse pipes and devices, which would block the reader, and broken links."""
    for file in files:
        if isinstance(file, Path) and os.path.lexists(file) and not file.is_file():
            raise unreadable(table, file, ValueError("it is a folder, a pipe, a device or a link to nothing"))


def unreadable(table: str, file: Location, error: Exception) -> DataError:
    """Return the error for a file of a log table that cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> str(unreadable("events", Path("a.parquet"), ValueError("no magic bytes")))
    'events cannot be read: a.parquet: no magic bytes. Deliver the file again'
    """
    path = PurePath(str(file))
    foreign = path.suffix and not named_as_parquet(path)
    again = "Logs are Parquet files: convert it first" if foreign else "Deliver the file again"
    return DataError(f"{table} cannot be read: {file}: {_words(error)}. {again}")


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST]


def _try_alone(connection: duckdb.DuckDBPyConnection, table: str, file: Location) -> None:
    """Convert any failure on a damaged footer to one message, since any of its bytes may be wrong."""
    try:
        _read(connection, [file])
    except _SPOILT as error:
        raise unreadable(table, file, error) from error


def _read(connection: duckdb.DuckDBPyConnection, files: Sequence[Location]) -> list[Footer]:
    named = x.file_names(files)
    rows, fields, chunks = (_by_file(connection, query, named) for query in (_ROWS, _FIELDS, _CHUNKS))
    return [_footer(rows[str(file)], fields[str(file)], chunks.get(str(file), [])) for file in files]


def _by_file(connection: duckdb.DuckDBPyConnection, query: str, files: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for file, *row in connection.sql(x.fill(query, files=files)).fetchall():
        found.setdefault(file, []).append(row)
    return found


def _footer(rows: list[Any], fields: list[Any], chunks: list[Any]) -> Footer:
    ((number,),) = rows
    groups = {group: of_group for group, _, of_group, *_ in chunks}
    if sum(groups.values()) != number:
        raise ValueError(f"{_DECEIT}: {number} rows, and {sum(groups.values())} in its row groups")
    leaves: dict[int, list[Chunk]] = {}
    for _, leaf, _, values, nulls, least, greatest in chunks:
        leaves.setdefault(leaf, []).append(Chunk(values, nulls, least, greatest))
    tree = [_Field(*row) for row in fields]
    return Footer(number, tuple(_columns(tree, leaves, list(groups.values()))))


def _columns(
    tree: Sequence[_Field], leaves: dict[int, list[Chunk]], groups: Sequence[int]
) -> Iterator[FooterColumn]:
    """Yield the columns below the root, each with all its descendants."""
    place, leaf = 1, 0
    for _ in range(tree[0].children):
        end = _end(tree, place)
        below = tree[place:end]
        own = range(leaf, leaf + sum(not field.children for field in below))
        chunks = [chunk for n in own for chunk in (leaves[n] if groups else [])]
        flat = len(below) == 1 and below[0].repetition != "REPEATED"
        if len(chunks) != len(own) * len(groups) or (flat and [c.values for c in chunks] != list(groups)):
            raise ValueError(f"{_DECEIT}: column {ascii(tree[place].name)[:80]} has other rows than the file")
        siblings = tuple(_siblings(tree, place, end))
        yield FooterColumn(below[0].name, below[0].type, not flat, siblings, tuple(chunks))
        place, leaf = end, own.stop
    if place != len(tree):
        raise ValueError(f"{_DECEIT}: fields that belong to no column")


def _end(tree: Sequence[_Field], place: int) -> int:
    """Return the index after the last descendant of a field."""
    end = place + 1
    for _ in range(tree[place].children):
        end = _end(tree, end)
    return end


def _siblings(tree: Sequence[_Field], place: int, end: int) -> Iterator[tuple[str, ...]]:
    for parent in range(place, end):
        names, child = [], parent + 1
        for _ in range(tree[parent].children):
            names.append(tree[child].name)
            child = _end(tree, child)
        if names:
            yield tuple(names)


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
    """Warn of files of a folder that are not read."""
    if others:
        named = ", ".join(sorted(map(str, others))[:_EXAMPLES])
        _LOG.warning(
            "%s: %d file(s) of %s are not Parquet and are not read: %s%s",
            *(table, len(others), folder, named, ", ..." if len(others) > _EXAMPLES else ""),
        )


def named_as_parquet(path: PurePath) -> bool:
    """Return whether a file has a Parquet file name.

    Examples
    --------
    >>> [named_as_parquet(PurePath(name)) for name in ("a.parquet", "a.PQ", "a.parquet.bak", "000000_0")]
    [True, True, False, False]
    """
    return path.suffix.lower() in _SUFFIXES


def is_hidden(path: PurePath) -> bool:
    """Return whether engines ignore a file because of its name or the name of a folder that contains it.

    Examples
    --------
    >>> is_hidden(PurePath("day=1/_SUCCESS")), is_hidden(PurePath("day=1/part-0.parquet"))
    (True, False)
    """
    return path.suffix == _CHECKSUM or any(part.startswith(("_", ".")) for part in path.parts)


def _has_magic(file: Location, *, at_end: bool = False) -> bool:
    """Return whether a file begins, and optionally also ends, with Parquet's magic bytes."""
    if isinstance(file, Path) and not file.is_file():
        return False
    with file.open("rb") if isinstance(file, Path) else file.open() as opened:
        if opened.read(len(_MAGIC)) != _MAGIC:
            return False
        if not at_end:
            return True
        opened.seek(-len(_MAGIC), os.SEEK_END)
        return bool(opened.read() == _MAGIC)
