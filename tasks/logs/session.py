"""The embedded engine: a DuckDB session with bounds on its memory, which spills to a folder of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from tasks.errors import DataError, StoreError
from tasks.logs.limits import limits
from tasks.stores.location import register_objects
from tasks.stores.workspace import Workspace


@contextmanager
def session(
    home: Path, *, threads: int | None = None, memory: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session that spills to a folder of its own below ``home``, which goes when it ends.

    Parameters
    ----------
    threads, memory
        What surface.yaml says, if anything: see ``limits``.

    Raises
    ------
    DataError
        A value of the log cannot be read as its column's type.
    StoreError
        Memory or disk are at an end, or a file cannot be read.
    """
    size = limits(threads, memory)
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    spill = Path(tempfile.mkdtemp(prefix="duckdb-", dir=home / "tmp"))
    config = {
        "threads": str(size.threads),
        "memory_limit": size.memory,
        "temp_directory": str(spill),
        "preserve_insertion_order": "false",
        "autoinstall_known_extensions": "false",
        "partitioned_write_max_open_files": "1000",
        "partitioned_write_flush_threshold": "65536",
        "parquet_metadata_cache": "true",
    }
    try:
        with duckdb.connect(config=config) as connection:
            set_up(connection)
            register_objects(connection)
            yield connection
    except duckdb.OutOfMemoryException as error:
        raise StoreError(
            f"Out of memory at {config['memory_limit']}: set EQUIPOISE_MEMORY higher ({error})"
        ) from error
    except duckdb.IOException as error:
        raise StoreError(f"A file cannot be read or written: {error}") from error
    except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
        raise DataError(f"The log holds what cannot be read: {error}") from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


@contextmanager
def open_session(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session with the threads and the memory that a workspace's surface gives it."""
    size = workspace.contracts.surface.engine
    with session(workspace.home, threads=size.threads, memory=size.memory) as connection:
        yield connection


def set_up(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a connection reckon in UTC, and see no variable of Python."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET python_enable_replacements = false")


def folder_of(connection: duckdb.DuckDBPyConnection) -> Path:
    """Return a session's own folder, which goes when it ends."""
    ((folder,),) = connection.sql("SELECT current_setting('temp_directory')").fetchall()
    return Path(folder)
