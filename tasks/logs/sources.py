"""Finds the Parquet files of a source; tables of a server are exported to Parquet once per session.

::

    a path, a glob, a Delta table     the existing files
    postgresql://NAME/schema.table    <session's folder>/<table>/part-0.parquet          postgresql.py
    spark://database.table            <session's folder>/<table>/part-*.parquet          spark.py

Checks, profile, quarantine and digests therefore read only Parquet, whatever the source is. Exported files
are removed with the session's folder. A relative source must stay inside the logs folder, also through
symbolic links. The logs folder may be a prefix of an object store.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from tasks.contracts.surface import NEEDS_SPARK, Engine, PostgresTable, SparkTable, parse_source
from tasks.errors import ContractError, DataError
from tasks.logs import postgresql, spark
from tasks.logs.parquet_footer import is_hidden, named_as_parquet, parquet_below, refuse_irregular
from tasks.stores.location import Location, files_below, folders_below, locate, relative_path, storage_options

_LOG = logging.getLogger("equipoise")
_PARQUET = ".parquet"
_DELTA_LOG = "_delta_log"

_MAPPING, _MAPPING_MODE = "columnMapping", "delta.columnMapping.mode"
_PLAIN_FEATURES = frozenset({"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"})
"""Delta table features under which the rows are exactly those of the files in the log."""

_NEWEST_PROTOCOL = 3


@dataclass(frozen=True)
class SourceFiles:
    """The Parquet files of a source, and the root folder below which folder names may be columns."""

    files: tuple[Location, ...]
    below: Location


def find_source_files(
    source: str, *, table: str, logs: Location, engine: Engine, folder: Path
) -> SourceFiles:
    """Find the files of a source, or export them."""
    try:
        parsed = parse_source(source)
    except ValueError as error:
        raise ContractError(f"surface.yaml sources.{table}: {error}") from None
    copy = folder / table
    match parsed:
        case PostgresTable():
            copy.mkdir()
            postgresql.copy_table(parsed, copy / "part-0.parquet", table=table)
        case SparkTable():
            if engine.name != "spark":
                raise ContractError(f"surface.yaml sources.{table} = '{source}' {NEEDS_SPARK}")
            spark.copy_table(parsed, copy, table=table, engine=engine)
        case str():
            return SourceFiles(resolve_path(parsed, logs=logs, table=table), logs)
    return SourceFiles(tuple(sorted(copy.glob("*.parquet"))), copy)


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
