"""A surface's source resolved to the files that hold it: a file, a folder, a glob, or a Delta table.

A relative source stays inside the logs folder, also through symbolic links. The logs folder may be a prefix
of an object store.
"""

from pathlib import Path, PurePosixPath

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from tasks.errors import ContractError, DataError
from tasks.stores.location import Location, files_below, locate, storage_options, way

_PARQUET = ".parquet"


def resolve(source: str, *, logs: Location, table: str) -> tuple[Location, ...]:
    """Return the Parquet files of a source, sorted.

    Raises
    ------
    ContractError
        The source leaves the logs folder.
    DataError
        No file is there.
    """
    if Path(source).is_absolute() or ".." in Path(source).parts:
        raise ContractError(
            f"surface.yaml sources.{table} = '{source}' must stay inside the logs folder {logs}: "
            "a relative path without '..'"
        )
    files = tuple(sorted(_files(logs, source, table), key=str))
    if not files:
        raise DataError(
            f"No {table}: '{source}' matches no Parquet file below {logs}.{_nearby(logs, source)}"
        )
    _check_links(logs, files, table)
    return files


def _check_links(logs: Location, files: tuple[Location, ...], table: str) -> None:
    if not isinstance(logs, Path):
        return
    root = logs.resolve()
    for file in files:
        if isinstance(file, Path) and not file.resolve().is_relative_to(root):
            raise ContractError(
                f"surface.yaml sources.{table}: {file} is a link to {file.resolve()}, outside the logs folder"
            )


def _files(logs: Location, source: str, table: str) -> list[Location]:
    path = logs / source
    if path.is_file():
        return [path]
    if (path / "_delta_log").is_dir():
        return _delta_files(path, table)
    if path.is_dir():
        return [f for f in files_below(path, f"**/*{_PARQUET}") if not _hidden(way(path, f))]
    return [f for f in files_below(logs, source) if not _hidden(way(logs, f))]


def _delta_files(path: Location, table: str) -> list[Location]:
    try:
        opened = DeltaTable(str(path), storage_options=storage_options(path))
        return [locate(uri) for uri in opened.file_uris()]
    except DeltaError as error:
        raise DataError(f"The Delta table of {table} at {path} cannot be read: {error}") from error


def _hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(("_", ".")) for part in path.parts)


def _nearby(logs: Location, source: str) -> str:
    """Say what is there instead."""
    if not logs.is_dir():
        return f" The logs folder does not exist; set EQUIPOISE_LOGS or bring the logs to {logs}"
    folder = logs / Path(source).parts[0]
    here = folder if folder.is_dir() else logs
    names = sorted(p.name for p in here.iterdir())[:10]
    return f" {here} holds: {', '.join(names) or 'nothing'}"
