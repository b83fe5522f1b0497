"""Parquet footers of a log table: rows, columns, the kinds of their values and the spans of their times.

::

    File        rows, columns and folders, and per column of instants its first and last (a ``Span``)
      Table     the files of one log table, with the kinds of values of each ``Column``
        View    the table under our column names

A column is judged by the files in which it has a value: writers give an all-null column any type.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from tasks.errors import DataError
from tasks.logs.folders import folder_columns, refuse_unlike_folders
from tasks.logs.times import is_time, refuse_impossible_times
from tasks.stores.location import Location, identity_of

STRING, INTEGER, NUMBER, BOOLEAN = "string", "integer", "number", "boolean"
INSTANT, WITHOUT_ZONE, OTHER = "time with zone", "time without zone", "other type"
"""The kinds of values that a column may have."""

_SPACE = 32
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
    that the file lacks is not in it. ``unbounded`` are the columns of times whose statistics do not tell
    whether the calendar has them. ``identity`` is another where the file was written again.
    """

    path: Location
    rows: int
    columns: frozenset[str] = field(compare=False)
    spans: Mapping[str, Span | None] = field(compare=False)
    unbounded: tuple[str, ...] = field(compare=False)
    identity: str


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
        A file is not a Parquet file, the table has no row, names of columns cannot be told apart, or the
        calendar has no such time.
    """
    columns: dict[str, dict[str, str]] = {}
    refuse_unlike_folders(name, files, below)
    read, in_folders = list[File](), False
    for file in files:
        with _readable(name, file):
            identity, footer = identity_of(file), _footer(file)
            _check_fields(name, footer.schema.to_arrow_schema())
            folders = folder_columns(file, below)
            own = [*_file_columns(footer), *((folder, STRING) for folder in folders)]
            unbounded = _find_unbounded(f"{name}: {file}", footer)
            names = frozenset(column for column, _ in own)
            read.append(File(file, footer.num_rows, names, _spans(footer), unbounded, identity))
        in_folders = in_folders or bool(folders)
        for column, kind in own:
            kinds = columns.setdefault(column, {})
            if kind is not None:
                kinds.setdefault(kind, str(file))
    refuse_odd_names(name, columns)
    table = Table(name, tuple(read), {n: Column(n, kinds) for n, kinds in columns.items()}, in_folders)
    if not table.rows:
        raise DataError(f"{name} is empty: {len(files)} file(s) without a row, the first is {files[0]}")
    return table


def refuse_odd_names(table: str, names: Iterable[str]) -> None:
    """Refuse columns that an engine does not tell apart, or whose names no engine takes.

    Raises
    ------
    DataError
        Two names differ by case only, or one is empty or holds a control character.
    """
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


@contextmanager
def _readable(table: str, file: Location) -> Iterator[None]:
    """Turn whatever a spoilt footer leads to into one message: any of its bytes may be another."""
    try:
        yield
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, ArithmeticError, TypeError) as error:
        said = " ".join(str(error).split())[:300]
        raise DataError(f"{table} cannot be read: {file}: {said}. Deliver the file again") from error


def _footer(file: Location) -> pq.FileMetaData:
    if isinstance(file, Path):
        return pq.read_metadata(file)
    with file.open() as opened:
        return pq.read_metadata(opened)


def _leaves(footer: pq.FileMetaData) -> Iterator[tuple[pa.Field, range]]:
    """Yield the columns of a file, each with the places of its parts: of its own where it has none."""
    place = 0
    for column in footer.schema.to_arrow_schema():
        number = _count_leaves(column.type)
        yield column, range(place, place + number)
        place += number


def _count_leaves(kind: pa.DataType) -> int:
    if types.is_dictionary(kind):
        return _count_leaves(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _count_leaves(kind.storage_type)
    fields = (kind.field(n) for n in range(kind.num_fields))
    return sum(_count_leaves(part.type) for part in fields) if kind.num_fields else 1


def _check_fields(where: str, kind: pa.Schema | pa.DataType) -> None:
    """Refuse odd names of a type's fields, at any depth."""
    if isinstance(kind, pa.Schema | pa.StructType):
        refuse_odd_names(where, kind.names)
    fields = kind if isinstance(kind, pa.Schema) else (kind.field(n) for n in range(kind.num_fields))
    for field_ in fields:
        _check_fields(f"{where}: in '{field_.name}'", field_.type)


def _statistics(footer: pq.FileMetaData, place: int) -> list[pq.Statistics | None]:
    return [footer.row_group(n).column(place).statistics for n in range(footer.num_row_groups)]


def _file_columns(footer: pq.FileMetaData) -> Iterator[tuple[str, str | None]]:
    """Yield the columns of a file with the kind of their values, None where it holds none."""
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    for column, places in _leaves(footer):
        chunks = (group.column(place) for group in groups for place in places)
        nested = column.type.num_fields > 0
        has_value = nested or not (types.is_null(column.type) or all(_is_empty(chunk) for chunk in chunks))
        yield column.name, _kind(column.type) if has_value else None


def _is_empty(chunk: pq.ColumnChunkMetaData) -> bool:
    stats = chunk.statistics
    return bool(stats is not None and stats.has_null_count and stats.null_count == chunk.num_values)


def _find_unbounded(where: str, footer: pq.FileMetaData) -> tuple[str, ...]:
    """Return the columns of times whose statistics do not tell; times of no calendar are refused."""
    times = ((column, places) for column, places in _leaves(footer) if is_time(column.type))
    return tuple(
        column.name
        for column, (place,) in times
        if not refuse_impossible_times(
            f"{where}: column '{column.name}'", column.type, _statistics(footer, place)
        )
    )


def _spans(footer: pq.FileMetaData) -> dict[str, Span | None]:
    """Return the span of each column of instants, from the statistics of the row groups."""
    spans: dict[str, Span | None] = {}
    for column, places in _leaves(footer):
        if _kind(column.type) == INSTANT:
            (place,) = places
            unit = json.loads(footer.schema.column(place).logical_type.to_json()).get("timeUnit")
            known = unit in _UNITS
            spans[column.name] = _span(_statistics(footer, place), _UNITS[unit]) if known else None
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
