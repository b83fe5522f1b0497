"""Opens the log of a surface in DuckDB: a session with limited memory, and the checked tables.

::

    with open_log(workspace) as log:              session and tables
    with open_session(workspace) as connection:   session only
        log = open_tables(connection, logs, contracts)
    with share_log(workspace) as workspace:       a workspace whose steps share one open log

A session spills to its own folder, which is removed at the end.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from tasks.contracts import Contracts
from tasks.errors import DataError, StoreError
from tasks.logs.checks import check_columns, check_same_kinds, rename_columns
from tasks.logs.connections import configure
from tasks.logs.footers import FIRST, LAST, File, View, impossible_time, read_footers
from tasks.logs.rows import CANDIDATES, EVENTS, IMPRESSIONS
from tasks.logs.sources import find_source_files
from tasks.logs.tables import IDS, Log, LogTables, match_columns, read_types, session_folder
from tasks.settings import Limits, limits
from tasks.sql import expressions as x
from tasks.stores.files import scratch, scratch_folder
from tasks.stores.location import Location, identity_of, register_objects
from tasks.stores.workspace import Workspace

_UNBOUNDED = "unbounded_files"


@contextmanager
def session(
    home: Path, *, threads: int | None = None, memory: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session that spills to its own folder below ``home``."""
    size = limits(threads, memory)
    with (
        scratch(scratch_folder(home), "duckdb-") as spill,
        _translated(size.memory),
        duckdb.connect(config=_config(size, spill)) as connection,
    ):
        configure(connection)
        register_objects(connection)
        yield connection


def _config(size: Limits, spill: Path) -> dict[str, str]:
    return {
        "threads": str(size.threads),
        "memory_limit": size.memory,
        "temp_directory": str(spill),
        "preserve_insertion_order": "false",
        "autoinstall_known_extensions": "false",
        "partitioned_write_max_open_files": "1000",
        "partitioned_write_flush_threshold": "65536",
        "parquet_metadata_cache": "true",
    }


@contextmanager
def _translated(memory: str) -> Iterator[None]:
    """Convert DuckDB's errors to Equipoise's: damaged bytes may raise any error but a statement error."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise StoreError(f"Out of memory at {memory}: set EQUIPOISE_MEMORY higher ({error})") from error
    except duckdb.IOException as error:
        raise StoreError(f"A file cannot be read or written: {error}") from error
    except duckdb.Error as error:
        if isinstance(error, duckdb.ProgrammingError) and not isinstance(error, duckdb.InvalidInputException):
            raise
        message, _, _ = str(error).partition("\n\n")  # the statement follows
        if type(error) is duckdb.Error and message.startswith("Traceback"):  # raised by a Python file system
            cause = (re.findall(r"^[\w.]+: .+$", str(error), re.MULTILINE) or [message])[-1]
            raise StoreError(f"The object store refused a file: {cause}. Run the step again") from error
        raise DataError(f"The log holds a value that cannot be read: {message}") from error


@contextmanager
def open_session(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session with the threads and the memory of a workspace's surface."""
    size = workspace.contracts.surface.engine
    with session(workspace.home, threads=size.threads, memory=size.memory) as connection:
        yield connection


@contextmanager
def open_log(workspace: Workspace) -> Iterator[LogTables]:
    """Open a workspace's log tables in a new session, or in the shared one."""
    if workspace.shared_log is not None:
        with workspace.shared_log.tables(workspace) as log:
            yield log
        return
    with open_session(workspace) as connection:
        log = open_tables(connection, workspace.logs, workspace.contracts)
        with watched(log.views):
            yield log


@dataclass
class OpenedLog:
    """The log of a workspace, opened by the first step that needs it and shared by all.

    Each step has its own connection to the session, so its relations are dropped when it ends.
    """

    _session: ExitStack = field(default_factory=ExitStack, init=False)
    _tables: LogTables | None = field(default=None, init=False)

    @contextmanager
    def tables(self, workspace: Workspace) -> Iterator[LogTables]:
        """Yield the log tables for one step."""
        if self._tables is None:
            connection = self._session.enter_context(open_session(workspace))
            self._tables = open_tables(connection, workspace.logs, workspace.contracts)
        engine = workspace.contracts.surface.engine
        memory = limits(engine.threads, engine.memory).memory
        with _translated(memory), self._tables.beside() as log, watched(log.views):
            log.view_sources()
            yield log

    def close(self) -> None:
        """Close the session; the next step lists the files again."""
        self._tables = None
        self._session.close()


@contextmanager
def share_log(workspace: Workspace) -> Iterator[Workspace]:
    """Yield a workspace whose steps share one open log, which is closed at the end.

    A workspace that already shares a log is yielded unchanged, and its log stays open.
    """
    if workspace.shared_log is not None:
        yield workspace
        return
    opened = OpenedLog()
    try:
        yield workspace.sharing(opened)
    finally:
        opened.close()


def renew_log(workspace: Workspace) -> None:
    """Make the next step list the files of a shared log again."""
    if workspace.shared_log is not None:
        workspace.shared_log.close()


def open_tables(connection: duckdb.DuckDBPyConnection, logs: Location, contracts: Contracts) -> LogTables:
    """Find a surface's files below ``logs``, check their columns and create the views."""
    surface, folder, views = contracts.surface, session_folder(connection), dict[str, View]()
    with watched(views):
        for table, source in surface.sources.model_dump(exclude_none=True).items():
            files, below = find_source_files(
                source, table=table, logs=logs, engine=surface.engine, folder=folder
            )
            view = rename_columns(read_footers(table, files, below=below), surface.columns)
            check_columns(view, contracts)
            views[table] = view
        shared = dict.fromkeys((*IDS, *match_columns(contracts.tasks)))
        check_same_kinds(views[IMPRESSIONS], views[EVENTS], shared)
        if CANDIDATES in views:
            check_same_kinds(views[IMPRESSIONS], views[CANDIDATES], IDS)
        types = {name: read_types(connection, view, shared) for name, view in views.items()}
        columns = {name: tuple(of_table) for name, of_table in types.items()}
        log = Log(columns[IMPRESSIONS], columns[EVENTS])
        tables = LogTables(connection, logs, contracts, log, columns.get(CANDIDATES, ()), views, types)
        _refuse_impossible_times(tables)
        tables.view_sources()
        return tables


def _refuse_impossible_times(log: LogTables) -> None:
    """Search for invalid times in files without conclusive statistics."""
    for table, view in log.views.items():
        name_here = {column.name: name for name, column in view.columns.items()}
        files = [file for file in view.table.files if file.unbounded]
        unbounded = {name for file in files for name in file.unbounded if name in name_here}
        name_in_log = sorted(name for name in unbounded if name_here[name] in log.types[table])
        if not name_in_log:
            continue
        log.view(_UNBOUNDED, table, files)
        for name in name_in_log:
            at = x.column(name_here[name])
            outside = x.any_of(x.lt(at, x.text(FIRST)), x.gt(at.copy(), x.text(LAST)))
            query = "SELECT count(*) FROM $files WHERE $outside"
            ((number,),) = log.fetch(query, files=x.table(_UNBOUNDED), outside=outside)
            if number:
                raise impossible_time(f"{table}: column '{name}'")


def refuse_replaced(views: Mapping[str, View]) -> None:
    """Refuse a log with files that were replaced after it was opened."""
    files = ((name, file) for name, view in views.items() for file in view.table.files)
    replaced = [(name, file) for name, file in files if _is_replaced(file)]
    if replaced:
        table, file = replaced[0]
        more = f" ({len(replaced) - 1} more)" if len(replaced) > 1 else ""
        raise DataError(
            f"{table}: {file.path} was written again or removed while it was read{more}. Run this again once "
            "no one writes to the log; deliver new files, and do not change those that are there"
        )


@contextmanager
def watched(views: Mapping[str, View]) -> Iterator[None]:
    """Report replaced files as the cause of read failures."""
    try:
        yield
    except (duckdb.Error, OSError, DataError, StoreError) as error:
        try:
            refuse_replaced(views)
        except DataError as said:
            raise said from error
        raise


def _is_replaced(file: File) -> bool:
    try:
        return identity_of(file.path) != file.identity
    except OSError:
        return True
