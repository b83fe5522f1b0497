"""What the Parquet files say of each column: its kind of values, file by file, and whether it holds any.

A column is judged by the files in which it has a value: writers give an all-null column any type.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from tasks.errors import DataError

STRING, INTEGER, NUMBER, BOOLEAN = "string", "integer", "number", "boolean"
INSTANT, WITHOUT_ZONE, OTHER, NULL = "time with zone", "time without zone", "other", "null"


@dataclass(frozen=True)
class Column:
    """One column of a table's files: the kinds that its values have, each with a file that has it."""

    name: str
    kinds: Mapping[str, str] = field(default_factory=dict)

    @property
    def absent(self) -> bool:
        """Whether no file holds a value."""
        return not self.kinds

    @property
    def kind(self) -> str:
        """The one kind of the column's values; null where it has none."""
        return next(iter(self.kinds), NULL)


@dataclass(frozen=True)
class Table:
    """The files of one log table and their columns, under the files' own names."""

    name: str
    files: tuple[Path, ...]
    rows: int
    columns: Mapping[str, Column]


def inspect(connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[Path]) -> Table:
    """Read the files' footers.

    Raises
    ------
    DataError
        A file is no Parquet file, or the table has no row.
    """
    paths = [str(f) for f in files]
    try:
        (rows,) = _all(connection, "SELECT sum(num_rows) FROM parquet_file_metadata($files)", paths)[0]
        schema = _all(connection, _SCHEMA, paths)
        filled = dict(_all(connection, _FILLED, paths))
    except duckdb.Error as error:
        raise DataError(f"{name} cannot be read: {error}. Deliver the file again") from error
    if not rows:
        raise DataError(f"{name} is empty: {len(files)} file(s) without a row, the first is {files[0]}")
    columns: dict[str, dict[str, str]] = {}
    for file, column, kind in ((f, c, _kind(p, lg)) for f, c, p, lg in schema):
        kinds = columns.setdefault(column, {})
        if kind != NULL and filled.get((file, column), True):
            kinds.setdefault(kind, file)
    return Table(name, tuple(files), int(rows), {n: Column(n, kinds) for n, kinds in columns.items()})


_SCHEMA = """
    SELECT file_name, name, min(type), min(coalesce(logical_type, converted_type::VARCHAR, ''))
    FROM parquet_schema($files)
    WHERE type IS NOT NULL
    GROUP BY file_name, name
    ORDER BY file_name
"""
"""Leaves of the schemas; the parts of a nested column have names that no contract uses."""

_FILLED = """
    SELECT (file_name, path_in_schema), bool_or(stats_null_count IS NULL OR stats_null_count < num_values)
    FROM parquet_metadata($files)
    GROUP BY file_name, path_in_schema
"""


def _all(connection: duckdb.DuckDBPyConnection, query: str, files: Iterable[str]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = connection.execute(query, {"files": list(files)}).fetchall()
    return found


_LOGICAL = {
    "NullType": NULL,
    "StringType": STRING,
    "UTF8": STRING,
    "EnumType": STRING,
    "IntType": INTEGER,
    "INT_": INTEGER,
    "UINT_": INTEGER,
    "DecimalType": NUMBER,
    "DECIMAL": NUMBER,
    "TimestampType(isAdjustedToUTC=0": WITHOUT_ZONE,
    "Timestamp": INSTANT,
    "TIMESTAMP": INSTANT,
}
_PHYSICAL = {
    "BOOLEAN": BOOLEAN,
    "INT32": INTEGER,
    "INT64": INTEGER,
    "FLOAT": NUMBER,
    "DOUBLE": NUMBER,
    "INT96": WITHOUT_ZONE,
}


def _kind(physical: str, logical: str) -> str:
    if not logical:
        return _PHYSICAL.get(physical, OTHER)
    return next((kind for start, kind in _LOGICAL.items() if logical.startswith(start)), OTHER)
