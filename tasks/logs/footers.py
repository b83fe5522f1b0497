"""Parquet footers of a log table: rows, columns, the kinds of their values and the spans of their times.

::

    File        rows, columns and folders, and per column of instants its first and last (a ``Span``)
      Table     the files of one log table, with the kinds of values of each ``Column``
        View    the table under our column names

A column is judged by the files in which it has a value: writers give an all-null column any type.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from tasks.errors import DataError
from tasks.stores.location import Location, identity_of, relative_path

STRING, INTEGER, NUMBER, BOOLEAN = "string", "integer", "number", "boolean"
INSTANT, WITHOUT_ZONE, OTHER = "time with zone", "time without zone", "other type"
"""The kinds of values that a column may have."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Column:
    """A column of a table's files: the kinds of its values, each with a file that has it."""

    name: str
    kinds: Mapping[str, str] = field(default_factory=dict)

    @property
    def absent(self) -> bool:
        """Whether no file holds a value."""
        return not self.kinds

    @property
    def kind(self) -> str:
        """The kind of the column's values: integers among numbers are numbers."""
        return NUMBER if self.kinds.keys() == {INTEGER, NUMBER} else next(iter(self.kinds))


@dataclass(frozen=True)
class Span:
    """The first and last instant of a file's column, None where it holds none, and whether it has nulls."""

    first: datetime | None = None
    last: datetime | None = None
    nulls: bool = True


@dataclass(frozen=True)
class File:
    """A Parquet file of a log: its rows, the names of its columns and folders, and the spans of its times.

    ``spans`` maps a column of instants to its span, or to None where the writer kept no statistics; a column
    that the file lacks is not in it.
    """

    path: Location
    rows: int
    columns: frozenset[str] = field(compare=False)
    spans: Mapping[str, Span | None] = field(compare=False)

    @cached_property
    def identity(self) -> str:
        """A text that changes when the file is written again; read once."""
        return identity_of(self.path)


@dataclass(frozen=True)
class Table:
    """The files of one log table and their columns, in order and under the files' own names.

    ``in_folders`` says that some columns are folders, as in ``source=ads/part.parquet``.
    """

    name: str
    files: tuple[File, ...]
    columns: Mapping[str, Column]
    in_folders: bool

    @property
    def rows(self) -> int:
        """The rows of all files."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True)
class View:
    """A table under our column names: each mapped to the files' column, which has its own name and kinds."""

    table: Table
    columns: Mapping[str, Column]


def read_footers(name: str, files: Sequence[Location], *, below: Location) -> Table:
    """Read the footers of a log table's files.

    Parameters
    ----------
    below
        The folder that holds the files; only folders inside it can be columns.

    Raises
    ------
    DataError
        A file is not a Parquet file, or the table has no row.
    """
    columns: dict[str, dict[str, str]] = {}
    read, in_folders = list[File](), False
    for file in files:
        footer = _footer(name, file)
        own = [*_file_columns(footer), *((folder, STRING) for folder in _folders(file, below))]
        read.append(File(file, footer.num_rows, frozenset(column for column, _ in own), _spans(footer)))
        in_folders = in_folders or any(_folders(file, below))
        for column, kind in own:
            kinds = columns.setdefault(column, {})
            if kind is not None:
                kinds.setdefault(kind, str(file))
    table = Table(name, tuple(read), {n: Column(n, kinds) for n, kinds in columns.items()}, in_folders)
    if not table.rows:
        raise DataError(f"{name} is empty: {len(files)} file(s) without a row, the first is {files[0]}")
    return table


def _footer(table: str, file: Location) -> pq.FileMetaData:
    try:
        if isinstance(file, Path):
            return pq.read_metadata(file)
        with file.open() as opened:
            return pq.read_metadata(opened)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{table} cannot be read: {file}: {error}. Deliver the file again") from error


def _file_columns(footer: pq.FileMetaData) -> Iterator[tuple[str, str | None]]:
    """Yield the columns of a file with the kind of their values, None where it holds none."""
    schema, filled = footer.schema.to_arrow_schema(), dict[str, bool]()
    for group in map(footer.row_group, range(footer.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            stats = chunk.statistics
            empty = stats is not None and stats.has_null_count and stats.null_count == chunk.num_values
            path = chunk.path_in_schema
            name = path if path in schema.names else path.split(".", maxsplit=1)[0]
            filled[name] = filled.get(name, False) or not empty
    for column in schema:
        has_value = filled.get(column.name, False) and not types.is_null(column.type)
        yield column.name, _kind(column.type) if has_value else None


def _spans(footer: pq.FileMetaData) -> dict[str, Span | None]:
    """Return the span of each column of instants, from the statistics of the row groups."""
    spans: dict[str, Span | None] = {}
    places = {footer.schema.column(n).path: n for n in range(footer.num_columns)}
    for column in footer.schema.to_arrow_schema():
        if _kind(column.type) == INSTANT:
            place, groups = places[column.name], range(footer.num_row_groups)
            unit = json.loads(footer.schema.column(place).logical_type.to_json()).get("timeUnit")
            statistics = [footer.row_group(n).column(place).statistics for n in groups]
            spans[column.name] = _span(statistics, _UNITS[unit]) if unit in _UNITS else None
    return spans


_UNITS = {"milliseconds": (1_000, 1), "microseconds": (1, 1), "nanoseconds": (1, 1_000)}
"""Microseconds in so many of a unit: whole numbers, as a double cannot hold nanoseconds."""


def _span(groups: Sequence[pq.Statistics | None], unit: tuple[int, int]) -> Span | None:
    bounds, nulls = list[int](), False
    for group in groups:
        if group is None or not group.has_null_count or not (group.has_min_max or not group.num_values):
            return None
        nulls = nulls or group.null_count > 0
        if group.has_min_max:
            bounds += [group.min_raw, group.max_raw]
    if not bounds:
        return Span(nulls=nulls)
    micros, units = unit
    first, last = (_EPOCH + timedelta(microseconds=n * micros // units) for n in (min(bounds), max(bounds)))
    return Span(first, last, nulls)


def _folders(file: Location, below: Location) -> Iterator[str]:
    for part in relative_path(below, file).parts[:-1]:
        name, equals, _ = part.partition("=")
        if equals:
            yield name


def _kind(kind: pa.DataType) -> str:
    if types.is_dictionary(kind):
        return _kind(kind.value_type)
    if types.is_timestamp(kind):
        return INSTANT if kind.tz else WITHOUT_ZONE
    return next((name for name, is_of in _KINDS.items() if any(test(kind) for test in is_of)), OTHER)


_KINDS = {
    STRING: (types.is_string, types.is_large_string, types.is_string_view),
    INTEGER: (types.is_integer,),
    NUMBER: (types.is_floating, types.is_decimal),
    BOOLEAN: (types.is_boolean,),
}
