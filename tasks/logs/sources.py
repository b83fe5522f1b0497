"""Finds the Parquet files of a source; tables of a server are exported to Parquet once per session.

::

    a path, a glob, a Delta table     the existing files
    postgresql://NAME/schema.table    <session's folder>/<table>/part-0.parquet
    spark://database.table            <session's folder>/<table>/part-*.parquet          spark.py

Checks, profile, quarantine and digests therefore read only Parquet, whatever the source is. Exported files
are removed with the session's folder. A relative source must stay inside the logs folder, also through
symbolic links. The logs folder may be a prefix of an object store.

A PostgreSQL table is copied in Arrow batches through ADBC, with bounded memory.

::

    postgresql://warehouse/public.events     in surface.yaml: a name
    EQUIPOISE_POSTGRESQL_<NAME>              in the environment: address, user and password in libpq's format

The whole table is read, including its few rows after the as-of, which are only counted. libpq's message about
a failed connection may repeat parts of the password and is never passed on. The server's message about a
query does not and is passed on.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from pyarrow import types
from sqlglot import exp

from tasks.contracts.surface import NEEDS_SPARK, Engine, PostgresTable, SparkTable, parse_source
from tasks.errors import ContractError, DataError, StoreError, unknown
from tasks.logs import spark
from tasks.logs.parquet_footer import is_hidden, named_as_parquet, parquet_below, refuse_irregular
from tasks.settings import Settings
from tasks.sql import expressions as x
from tasks.stores.location import Location, files_below, folders_below, locate, relative_path, storage_options

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection, Cursor


_LOG = logging.getLogger("equipoise")
_PARQUET = ".parquet"
_DELTA_LOG = "_delta_log"

_MAPPING, _MAPPING_MODE = "columnMapping", "delta.columnMapping.mode"
_PLAIN_FEATURES = frozenset({"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"})
"""Delta table features under which the rows are exactly those of the files in the log."""

_NEWEST_PROTOCOL = 3


def find_source_files(
    source: str, *, table: str, logs: Location, engine: Engine, folder: Path
) -> tuple[tuple[Location, ...], Location]:
    """Find the Parquet files of a source, or export them.

    Also returns the root folder below which folder names may be columns.
    """
    try:
        parsed = parse_source(source)
    except ValueError as error:
        raise ContractError(f"surface.yaml sources.{table}: {error}") from None
    copy = folder / table
    match parsed:
        case PostgresTable():
            copy.mkdir()
            copy_table(parsed, copy / "part-0.parquet", table=table)
        case SparkTable():
            if engine.name != "spark":
                raise ContractError(f"surface.yaml sources.{table} = '{source}' {NEEDS_SPARK}")
            spark.copy_table(parsed, copy, table=table, engine=engine)
        case str():
            return resolve_path(parsed, logs=logs, table=table), logs
    return tuple(sorted(copy.glob("*.parquet"))), copy


def resolve_path(source: str, *, logs: Location, table: str) -> tuple[Location, ...]:
    """Return the Parquet files of a path, a glob or a Delta table, sorted."""
    if Path(source).is_absolute() or ".." in Path(source).parts:
        raise ContractError(
            f"surface.yaml sources.{table} = '{source}' must stay inside the logs folder {logs}: "
            "a relative path without '..'"
        )
    try:
        files = tuple(sorted(_files(logs, source, table), key=str))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"No {table}: '{source[:100]}' cannot be looked for below {logs}: {error}") from error
    if not files:
        raise DataError(
            f"No {table}: '{source}' matches no Parquet file below {logs}.{_nearby(logs, source)}"
        )
    _check_links(logs, files, table)
    return files


def _check_links(logs: Location, files: tuple[Location, ...], table: str) -> None:
    if not isinstance(logs, Path):
        return
    root, known = logs.resolve(), dict[Path, Location]()
    for file in files:
        if not isinstance(file, Path):
            continue
        target = file.resolve()
        if not target.is_relative_to(root):
            raise ContractError(
                f"surface.yaml sources.{table}: {file} is a link to {target}, outside the logs folder"
            )
        if target in known:
            raise DataError(
                f"{table}: {known[target]} and {file} are one file, and its rows would count twice: "
                "remove the link"
            )
        known[target] = file


def _files(logs: Location, source: str, table: str) -> list[Location]:
    path = logs / source
    if (path / _DELTA_LOG).is_dir():
        return _delta_files(path, table)
    files = _plain_files(logs, source, table)
    refuse_irregular(table, files)
    _refuse_parts_of_delta(logs, files, table)
    return files


def _plain_files(logs: Location, source: str, table: str) -> list[Location]:
    path = logs / source
    if path.is_file():
        return [path]
    if path.is_dir():
        _refuse_linked_folders(path)
        return parquet_below(path, table=table)
    if "**" in (names := source.split("/")):
        _refuse_linked_folders(logs / "/".join(names[: names.index("**")]))
    found = dict.fromkeys([*files_below(logs, source), *_files_of_folders(logs, source, table)])
    files = [f for f in found if not is_hidden(relative_path(logs, f))]
    _warn_of_folders(logs, source, table, files)
    return files


def _warn_of_folders(logs: Location, pattern: str, table: str, files: Sequence[Location]) -> None:
    """Warn of folders that match a pattern together with files: only the files are read."""
    read = frozenset(files)
    inside = (
        relative_path(logs, file)
        for folder in (folders_below(logs, pattern) if files else ())
        for file in files_below(folder, "**/*")
        if file not in read
    )
    unread = sorted({str(path) for path in inside if named_as_parquet(path) and not is_hidden(path)})
    if unread:
        _LOG.warning(
            "%s: '%s' matches folders too, and %d Parquet file(s) in them are not read, the first is %s",
            *(table, pattern, len(unread), unread[0]),
        )


def _refuse_linked_folders(folder: Location) -> None:
    """Refuse a link to a folder whose files lie nowhere else, because recursive searches do not follow it."""
    if not isinstance(folder, Path):
        return
    searched = folder.resolve()
    links = (Path(at, name) for at, names, _ in os.walk(folder) for name in names)
    for link in (one for one in links if one.is_symlink() and not is_hidden(relative_path(folder, one))):
        if not link.resolve().is_relative_to(searched) and any(map(named_as_parquet, link.glob("**/*"))):
            raise DataError(
                f"{link} is a link to the folder {link.resolve()}, which is not followed, so its "
                "files would be left out: move them here, or name the link in the source, as feed/*/*.parquet"
            )


def _files_of_folders(logs: Location, pattern: str, table: str) -> Iterator[Location]:
    """Yield the files of matching folders that are named like files, as Spark's output folders are."""
    if pattern.endswith(_PARQUET):
        for folder in folders_below(logs, pattern):
            yield from parquet_below(folder, table=table)


def _delta_files(path: Location, table: str) -> list[Location]:
    try:
        opened = DeltaTable(str(path), storage_options=storage_options(path))
        if unread := sorted(_unread_features(opened)):
            raise DataError(
                f"The Delta table of {table} at {path} uses {', '.join(unread)}, which is not in its files "
                "and which nothing here reads: write the log as a table without, or as Parquet"
            )
        return [locate(uri) for uri in opened.file_uris()]
    except (DeltaError, OSError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise DataError(f"The Delta table of {table} at {path} cannot be read: {said}") from error


def _unread_features(opened: DeltaTable) -> Iterator[str]:
    """Yield the features of a table under which its rows are not exactly those of its files."""
    protocol, settings = opened.protocol(), opened.metadata().configuration
    if settings.get(_MAPPING_MODE, "none") != "none":
        yield _MAPPING
    yield from set(protocol.reader_features or ()) - _PLAIN_FEATURES - {_MAPPING}
    if protocol.min_reader_version > _NEWEST_PROTOCOL:
        yield f"reader version {protocol.min_reader_version}"


def _refuse_parts_of_delta(logs: Location, files: Sequence[Location], table: str) -> None:
    """Refuse single files of a Delta table, because only its log lists the valid ones."""
    for folder in {above for own in {file.parent for file in files} for above in _between(logs, own)}:
        if (folder / _DELTA_LOG).is_dir():
            raise DataError(
                f"{table}: files below {folder} are a Delta table's, and some may be removed from it: "
                "let the source be the table's folder"
            )


def _between(logs: Location, folder: Location) -> Iterator[Location]:
    yield logs
    names = relative_path(logs, folder).parts
    yield from (logs / "/".join(names[:n]) for n in range(1, len(names) + 1))


def _nearby(logs: Location, source: str) -> str:
    """Describe what the folder contains, in one sentence."""
    if not logs.is_dir():
        return f" The logs folder does not exist; set EQUIPOISE_LOGS or copy the logs to {logs}"
    folder = logs / Path(source).parts[0]
    here = folder if folder.is_dir() else logs
    names = sorted(p.name for p in here.iterdir())[:10]
    return f" {here} holds: {', '.join(names) or 'nothing'}"


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
        with cursor.fetch_record_batch() as batches, pq.ParquetWriter(to, batches.schema) as writer:
            for batch in batches:
                _check_times(batch, table)
                writer.write_batch(batch)


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
