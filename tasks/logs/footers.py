"""Parquet footers of a log table: rows, columns, kinds of values and time spans.

::

    File        rows, columns and folders, and the first and last instant of time columns (``TimeSpan``)
      Table     the files of one log table, with the kinds of values of each ``Column``
        View    the table under standard column names

A column's kind comes from the files in which it has values: writers give all-null columns any type.

A folder whose name is a column, as in ``<logs>/feed/source=ads/part-0.parquet``, gives the value for every
row below it. Either all files of a table lie in such folders, or none. DuckDB and Spark use the outermost
folder with a name anywhere in the path, in preference to a column of the file. A path with another result is
refused.

Infinite times and times outside the years 1 to 9999 are refused. They come from ``infinity`` in PostgreSQL,
or from a wrong unit. The statistics of the files show them; without statistics the rows are checked.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote

from tasks.columns import DAY
from tasks.errors import DataError
from tasks.logs import parquet_footer
from tasks.logs.parquet_footer import Chunk, Footer
from tasks.stores.location import Location, identity_of, relative_path

STRING, INTEGER, NUMBER, BOOLEAN = "string", "integer", "number", "boolean"
INSTANT, WITHOUT_ZONE, OTHER = "time with zone", "time without zone", "other type"
LIST = "list"
"""Kinds of values that a column may have."""

_SPACE = 32
_NULL = '"NULL"'
_NANOSECONDS = frozenset({"TIMESTAMP_NS", "TIMESTAMPTZ_NS"})
_DECIMAL = re.compile(r"DECIMAL\(\d+, ?\d+\)")
_KINDS = {
    STRING: {"VARCHAR", "JSON"},
    INTEGER: {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"},
    NUMBER: {"FLOAT", "DOUBLE"},
    BOOLEAN: {"BOOLEAN"},
    INSTANT: {"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"},
    WITHOUT_ZONE: {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"},
}
_OF_THE_CALENDAR = re.compile(r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9:.]+(\+00)?)?")


@dataclass(frozen=True)
class Column:
    """A column of a table's files: the kinds of its values, each with an example file.

    ``nanoseconds``: a file has times in nanoseconds, which readers round down to microseconds.
    """

    name: str
    kinds: Mapping[str, str] = field(default_factory=dict)
    nanoseconds: bool = False

    @property
    def absent(self) -> bool:
        """Whether no file contains a value."""
        return not self.kinds

    @property
    def kind(self) -> str:
        """The kind of the column's values; a mix of integers and numbers counts as numbers."""
        return NUMBER if self.kinds.keys() == {INTEGER, NUMBER} else next(iter(self.kinds))


@dataclass(frozen=True)
class TimeSpan:
    """First and last instant of a file's column, None without values, and whether the column has nulls."""

    first: datetime | None = None
    last: datetime | None = None
    nulls: bool = True


@dataclass(frozen=True)
class File:
    """A Parquet file of a log: its rows, names of columns and folders, and time spans.

    ``spans`` maps each time column of the file to its span, or to None without statistics. ``unbounded``
    lists the time columns whose statistics do not show whether all times are valid. ``identity`` changes when
    the file is rewritten.
    """

    path: Location
    rows: int
    columns: frozenset[str] = field(compare=False)
    spans: Mapping[str, TimeSpan | None] = field(compare=False)
    unbounded: tuple[str, ...] = field(compare=False)
    identity: str


@dataclass(frozen=True)
class Table:
    """The files of one log table and their columns, in order and under the files' own names.

    ``in_folders``: whether some columns are folders, as in ``source=ads/part.parquet``.
    """

    name: str
    files: tuple[File, ...]
    columns: Mapping[str, Column]
    in_folders: bool

    @property
    def rows(self) -> int:
        """Number of rows of all files."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True)
class View:
    """A table under standard names, each mapped to the files' column with its own name and kinds."""

    table: Table
    columns: Mapping[str, Column]


def read_footers(name: str, files: Sequence[Location], *, below: Location) -> Table:
    """Read the footers of a log table's files."""
    columns: dict[str, dict[str, str]] = {}
    fine = set[str]()
    refuse_unlike_folders(name, files, below)
    identities = _identities(name, files)
    read, in_folders = list[File](), False
    for file, identity, footer in zip(files, identities, parquet_footer.read(name, files), strict=True):
        refuse_odd_names(name, [one.name for one in footer.columns])
        for one in footer.columns:
            for names in one.siblings:
                refuse_odd_names(f"{name}: in '{one.name}'", names)
        refuse_shadowed_columns(name, file, below, _texts(footer))
        folders = folder_columns(file, below)
        fine.update(column.name for column in footer.columns if column.type in _NANOSECONDS)
        own = [*_file_columns(footer), *((folder, STRING) for folder in folders)]
        read.append(_file(name, file, identity, footer, frozenset(column for column, _ in own)))
        in_folders = in_folders or bool(folders)
        for column, kind in own:
            kinds = columns.setdefault(column, {})
            if kind is not None:
                kinds.setdefault(kind, str(file))
    refuse_odd_names(name, columns)
    table = Table(
        name, tuple(read), {n: Column(n, kinds, n in fine) for n, kinds in columns.items()}, in_folders
    )
    if not table.rows:
        raise DataError(f"{name} is empty: {len(files)} file(s) without a row, the first is {files[0]}")
    return table


def _identities(table: str, files: Sequence[Location]) -> list[str]:
    """Return the identity of each file before its footer is read."""
    identities = []
    for file in files:
        try:
            identities.append(identity_of(file))
        except OSError as error:
            raise parquet_footer.unreadable(table, file, error) from error
    return identities


def _file(table: str, path: Location, identity: str, footer: Footer, names: frozenset[str]) -> File:
    unbounded = _find_unbounded(f"{table}: {path}", footer)
    instants = (column for column in footer.columns if _kind(column.type) == INSTANT)
    return File(
        path,
        rows=footer.rows,
        columns=names,
        spans={column.name: _span(column.chunks) for column in instants},
        unbounded=unbounded,
        identity=identity,
    )


def refuse_odd_names(table: str, names: Iterable[str]) -> None:
    """Refuse columns that an engine does not distinguish, and names that some engine does not accept."""
    known: dict[str, str] = {}
    for name in names:
        if not name.strip() or any(ord(sign) < _SPACE for sign in name):
            raise DataError(
                f"{table}: a column is named {ascii(name)[:80]}, which no engine reads: rename it"
            )
        if name.lower() in known:
            other = known[name.lower()]
            differ = "differ by case only, and engines take them" if other != name else "are two, and count"
            raise DataError(f"{table}: columns '{other}' and '{name}' {differ} for one: drop or rename one")
        known[name.lower()] = name


def _texts(footer: Footer) -> dict[str, tuple[Chunk, ...] | None]:
    """Return the columns of a file, with statistics for those that contain text."""
    return {one.name: one.chunks if _kind(one.type) == STRING else None for one in footer.columns}


def _file_columns(footer: Footer) -> Iterator[tuple[str, str | None]]:
    """Yield the columns of a file with the kind of their values, None without values."""
    for column in footer.columns:
        empty = column.type == _NULL or all(chunk.nulls == chunk.values for chunk in column.chunks)
        yield column.name, None if empty and not column.nested else _kind(column.type)


def _find_unbounded(where: str, footer: Footer) -> tuple[str, ...]:
    """Return the time columns without conclusive statistics; refuse invalid times."""
    return tuple(
        column.name
        for column in footer.columns
        if is_time(column.type)
        and not refuse_impossible_times(f"{where}: column '{column.name}'", column.chunks)
    )


def _span(chunks: Sequence[Chunk]) -> TimeSpan | None:
    bounds, nulls = list[datetime](), False
    for chunk in chunks:
        if chunk.nulls is None:
            return None
        nulls = nulls or chunk.nulls > 0
        if chunk.least is not None and chunk.greatest is not None:
            bounds += [read_time(chunk.least), read_time(chunk.greatest)]
        elif chunk.nulls < chunk.values:
            return None
    return TimeSpan(min(bounds), max(bounds), nulls) if bounds else TimeSpan(nulls=nulls)


def _kind(kind: str) -> str:
    if _DECIMAL.fullmatch(kind):
        return NUMBER
    kinds = {of: name for name, types in _KINDS.items() for of in types}
    return LIST if kind.endswith("[]") and kind.removesuffix("[]") in kinds else kinds.get(kind, OTHER)


def folder_columns(file: Location, below: Location) -> tuple[str, ...]:
    """Return the columns that are given by folders between a file and a folder above it.

    Examples
    --------
    >>> from pathlib import Path
    >>> folder_columns(Path("/logs/feed/source=ads/n=1=2/part.parquet"), Path("/logs"))
    ('source',)
    """
    return tuple(name for name, _ in _columns(relative_path(below, file).parts[:-1]))


def refuse_unlike_folders(table: str, files: Iterable[Location], below: Location) -> None:
    """Refuse files in folders of different columns, or in two folders of the same column."""
    first: tuple[Location, frozenset[str]] | None = None
    for file in files:
        own = frozenset(folder_columns(file, below))
        everywhere = [name for name, _ in _columns(str(file).split("/")[:-1])]
        for name in own:
            if everywhere.count(name) > 1 or any(sign in name for sign in "'\""):
                raise DataError(
                    f"{table}: the folders of {file} name the column '{name}' "
                    f"{'with a quote' if everywhere.count(name) == 1 else 'twice'}: rename the folder"
                )
        first = first or (file, own)
        if own != first[1]:
            raise DataError(
                f"{table}: folders such as name=value are columns, and all files must lie in the same: "
                f"{first[0]} lies in {_list(first[1])}, {file} in {_list(own)}. Move the files, or "
                "rename the folders"
            )


def refuse_shadowed_columns(
    table: str, file: Location, below: Location, texts: Mapping[str, Iterable[Chunk] | None]
) -> None:
    """Refuse a file whose column differs from the folder of the same name, which engines prefer.

    The day column is exempt because it is computed from the instant.
    """
    if not (own := folder_columns(file, below)):
        return
    folders = {name.lower(): (name, unquote(value)) for name, value in _columns(str(file).split("/")[:-1])}
    for column, chunks in texts.items():
        name, value = folders.get(column.lower(), (DAY, ""))
        if name == DAY or (name in own and (chunks is None or _all_are(chunks, value))):
            continue
        raise DataError(
            f"{table}: {file} holds a column '{column}' and lies in a folder {name}={value[:100]}, which "
            f"would be read in its stead{'' if name in own else ', though it lies above the logs'}. Leave "
            "the column out of the files, or rename the folder"
        )


def _all_are(chunks: Iterable[Chunk], value: str) -> bool:
    """Return whether the statistics show that a column contains only one value."""
    return all(
        chunk.nulls == chunk.values or (chunk.nulls == 0 and chunk.least == chunk.greatest == value)
        for chunk in chunks
    )


def _columns(folders: Iterable[str]) -> Iterator[tuple[str, str]]:
    for folder in folders:
        name, equals, value = folder.partition("=")
        if name and equals and "=" not in value:
            yield name, value


def _list(names: frozenset[str]) -> str:
    return ", ".join(f"{name}=..." for name in sorted(names)) or "none"


FIRST, LAST = "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"
"""First and last valid instant, as an engine reads them in UTC."""


def is_time(kind: str) -> bool:
    """Return whether a DuckDB type contains instants or days.

    Examples
    --------
    >>> is_time("DATE"), is_time("TIMESTAMPTZ_NS"), is_time("TIME"), is_time("TIMESTAMP[]")
    (True, True, False, False)
    """
    return kind == "DATE" or (kind.startswith("TIMESTAMP") and not kind.endswith("]"))


def read_time(written: str) -> datetime:
    """Parse an instant in DuckDB's format, rounded down to whole microseconds.

    Examples
    --------
    >>> read_time("2024-03-02 00:00:00.000123999+00").isoformat()
    '2024-03-02T00:00:00.000123+00:00'
    """
    return datetime.fromisoformat(written).astimezone(UTC)


def refuse_impossible_times(where: str, chunks: Sequence[Chunk]) -> bool:
    """Refuse a column that contains an invalid time; return whether its statistics are conclusive."""
    for chunk in chunks:
        for end in (chunk.least, chunk.greatest):
            if end is not None and not _OF_THE_CALENDAR.fullmatch(end):
                raise impossible_time(where)
    return all(None not in (chunk.least, chunk.greatest) or chunk.nulls == chunk.values for chunk in chunks)


def impossible_time(where: str) -> DataError:
    """Return the error for an invalid time."""
    return DataError(
        f"{where} holds a time that is infinite or lies outside the years 1 to 9999: is it written in "
        "another unit? Leave such rows or the column out, or write null where there is no time"
    )
