"""Connections to DuckDB: times in UTC, and one in-memory database per process for short reads.

::

    with connect() as connection:        a cursor of the process's database; its temporary views end with it
        connection.sql(...)

Opening a database takes much longer than opening a cursor. Sessions that spill to a folder have databases of
their own (`session.py`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import duckdb

from tasks.stores.location import has_objects, register_objects

_CONFIG: Final = {"autoinstall_known_extensions": "false", "enable_external_file_cache": "false"}
"""Files may be replaced in place, so none is cached."""
_DATABASES: Final[dict[str, duckdb.DuckDBPyConnection]] = {}
"""The open databases of this process by memory limit."""

os.register_at_fork(before=_DATABASES.clear)  # a database has threads, which do not survive a fork


@contextmanager
def connect(memory_limit: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection to the in-memory database of this process.

    After an error in the body the next connection opens a new database, since an internal error of DuckDB
    makes its database unusable. With an object store each connection has a database of its own, since the
    client that is registered with a database remembers the sizes of objects.

    Parameters
    ----------
    memory_limit : bytes with a unit, such as ``2GB``; empty is DuckDB's default, 80 % of the memory.
    """
    if has_objects():
        with _open(memory_limit) as connection:
            register_objects(connection)
            yield connection
        return
    database = _DATABASES.get(memory_limit)
    if database is None:
        database = _DATABASES[memory_limit] = _open(memory_limit)
    try:
        with database.cursor() as connection:
            configure(connection)
            yield connection
    except Exception:
        _DATABASES.pop(memory_limit, None)
        raise


def _open(memory_limit: str) -> duckdb.DuckDBPyConnection:
    limit = {"memory_limit": memory_limit} if memory_limit else {}
    connection = duckdb.connect(config=_CONFIG | limit)
    configure(connection)
    return connection


def configure(connection: duckdb.DuckDBPyConnection) -> None:
    """Set a connection to UTC, and prevent it from reading Python variables and from printing progress bars.

    A slow query prints a bar to standard output where the process has no script, as under ``python -c``.
    """
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_progress_bar = false")
