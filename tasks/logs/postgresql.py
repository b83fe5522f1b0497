"""Copies a PostgreSQL table to Parquet in Arrow batches through ADBC, with bounded memory.

::

    postgresql://warehouse/public.events     in surface.yaml: a name
    EQUIPOISE_POSTGRESQL_<NAME>              in the environment: address, user and password in libpq's format

The whole table is read, including its few rows after the as-of, which are only counted. libpq's message about
a failed connection may repeat parts of the password and is never passed on. The server's message about a
query does not and is passed on.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types
from sqlglot import exp

from tasks.contracts.surface import PostgresTable
from tasks.errors import ContractError, DataError, StoreError, unknown
from tasks.settings import Settings
from tasks.sql import expressions as x

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection, Cursor

_AS_IT_IS = {"bool", "int2", "int4", "int8", "float4", "float8", "date", "timestamp", "timestamptz"}
_AS_TEXT = {"text", "varchar", "bpchar", "name", "citext", "uuid", "json", "jsonb"}
_AS_DOUBLE = {"numeric"}
_ENUM = "e"

_REASONS = (
    "Connection refused",
    "Connection timed out",
    "timeout expired",
    "could not translate host name",
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "too many clients",
    "starting up",
    "shutting down",
    "SSL",
)
"""Parts of libpq's messages that do not depend on the connection string and are safe to repeat."""

_COLUMNS = """
    SELECT a.attname, base.typname, base.typtype, format_type(a.atttypid, a.atttypmod)
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_type AS own ON own.oid = a.atttypid
    JOIN pg_type AS base ON base.oid = COALESCE(NULLIF(own.typbasetype, 0), own.oid)
    WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
_TABLES = """
    SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    ORDER BY n.nspname <> $1, 1, 2 LIMIT 20
"""

_INSTANT = pa.timestamp("us", "UTC")
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class _Column:
    """A column of the table: name and kind of its type, and the type in SQL."""

    name: str
    type: str
    kind: str
    written: str

    def cast(self) -> exp.Expr | None:
        """Return the column cast to a type that a log supports; None if there is none."""
        column = x.column(self.name)
        if self.type in _AS_IT_IS:
            return column
        if self.type in _AS_DOUBLE:
            return x.alias(x.cast(column, "DOUBLE"), self.name)
        if self.type in _AS_TEXT or self.kind == _ENUM:
            return x.alias(x.cast(column, "TEXT"), self.name)
        return None


def copy_table(source: PostgresTable, to: Path, *, table: str) -> None:
    """Write a table or view to a Parquet file."""
    with _connect(source.server) as connection, connection.cursor() as cursor:
        cursor.execute(_select(source, _columns(cursor, source, table), table))
        with cursor.fetch_record_batch() as batches:
            _write(batches, to, table)


@contextmanager
def _connect(server: str) -> Iterator["Connection"]:
    """Open a connection; failures raise a one-line StoreError."""
    try:
        from adbc_driver_manager import Error  # noqa: PLC0415 - optional dependency
        from adbc_driver_postgresql import dbapi  # noqa: PLC0415
    except ImportError:
        raise ContractError(
            "A source in PostgreSQL needs the extra `postgres`: pip install 'equipoise[postgres]'"
        ) from None
    addresses, variable = Settings().postgresql, f"EQUIPOISE_POSTGRESQL_{server.upper()}"
    address = addresses.get(server.upper())
    if address is None:
        known = ", ".join(f"EQUIPOISE_POSTGRESQL_{name}" for name in addresses)
        raise ContractError(
            f"The environment names no PostgreSQL '{server}': set {variable} to its connection string. "
            f"Set are: {known or 'none'}"
        )
    try:
        connection = dbapi.connect(address)
    except Error as error:
        message = str(error)
        reason = next((reason for reason in _REASONS if reason in message), "see the server's log")
        raise StoreError(f"PostgreSQL '{server}' ({variable}) cannot be reached: {reason}") from None
    try:
        with connection:
            yield connection
    except (Error, pa.ArrowException, OSError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise StoreError(f"Reading from PostgreSQL '{server}' failed: {first_line}") from error


def _columns(cursor: "Cursor", source: PostgresTable, table: str) -> list[_Column]:
    cursor.execute(_COLUMNS, (source.schema, source.table))
    columns = [_Column(*(_plain(value) for value in row)) for row in cursor.fetchall()]
    if not columns:
        cursor.execute(_TABLES, (source.schema,))
        known = [".".join(row) for row in cursor.fetchall()]
        name = f"{source.schema}.{source.table}"
        raise DataError(f"No {table}: {unknown('table', name, known, f'PostgreSQL {source.server!r}')}")
    return columns


def _plain(value: str | bytes) -> str:
    """Return a value of PostgreSQL's one-byte character type as text."""
    return value.decode() if isinstance(value, bytes) else value


def _select(source: PostgresTable, columns: Iterable[_Column], table: str) -> str:
    selected = {column: column.cast() for column in columns}
    if refused := [f"'{c.name}' ({c.written})" for c, expression in selected.items() if expression is None]:
        raise DataError(
            f"{table}: {source} has columns of types that a log cannot hold: {', '.join(refused)}. Name a "
            "view without them, or one that writes them as text or numbers"
        )
    of = exp.Table(this=x.name(source.table), db=x.name(source.schema))
    return x.select([e for e in selected.values() if e is not None], of).sql(
        dialect="postgres", identify=True
    )


def _write(batches: pa.RecordBatchReader, to: Path, table: str) -> None:
    with pq.ParquetWriter(to, batches.schema) as writer:
        for batch in batches:
            _check_times(batch, table)
            writer.write_batch(batch)


def _check_times(batch: pa.RecordBatch, table: str) -> None:
    """Refuse PostgreSQL's infinite times, which other engines lack."""
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if types.is_timestamp(field.type) or types.is_date(field.type):
            first, last = (pa.scalar(end, _INSTANT).cast(field.type) for end in (_FIRST, _LAST))
            outside = pc.or_(pc.less(column, first), pc.greater(column, last))
            if pc.any(outside).as_py():
                raise DataError(
                    f"{table}: column '{field.name}' holds 'infinity' or a time outside the years 1 to 9999: "
                    "write null, or a time"
                )
