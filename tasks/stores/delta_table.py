"""Opening a Delta table, also where its log was damaged.

::

    a commit is missing      StoreError, which says which and the way out
    a spoilt checkpoint      set aside by the first that opens the table; the commits are read instead
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePosixPath

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from tasks.errors import StoreError
from tasks.stores.delta_log import COMMITS, LOG, checkpoints_aside
from tasks.stores.location import Location, listing, storage_options

_UNREADABLE = (DeltaError, OSError, ValueError)


def table_exists(path: Location) -> bool:
    """Return whether there is a table.

    Raises
    ------
    StoreError
        The object store does not answer.
    """
    try:
        return bool(DeltaTable.is_deltatable(str(path), storage_options(path)))
    except OSError as error:
        raise StoreError(f"The store of {path} does not answer: {error}") from error


def open_table(path: Location, version: int | None = None) -> DeltaTable:
    """Open a table at a version, the newest by default.

    Raises
    ------
    StoreError
        There is no such table or version, or its log is damaged.
    """
    try:
        return _open(path, version)
    except TableNotFoundError as error:
        raise StoreError(f"No Delta table at {path}") from error
    except _UNREADABLE as error:
        commits = sorted(int(PurePosixPath(name).stem) for name in listing(path / LOG, COMMITS))
        gap = _describe_gap(commits)
        opened = _open_by_commits(path, version) if gap is None and version in {None, *commits} else None
        if opened is not None:
            return opened
        at = "" if version is None else f" at version {version}"
        raise StoreError(f"The Delta table {path}{at} cannot be read: {gap or error}") from error


def _open(path: Location, version: int | None) -> DeltaTable:
    """Open a table; a panic of Delta's engine, which is no Exception, becomes an OSError."""
    try:
        return DeltaTable(str(path), version=version, storage_options=storage_options(path))
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise OSError(f"Delta's engine failed: {error}") from error


def _open_by_commits(path: Location, version: int | None) -> DeltaTable | None:
    """Open a table without its checkpoints, which stay aside where that helped; None where it did not."""
    with checkpoints_aside(path) as aside, suppress(*_UNREADABLE):
        opened = _open(path, version)
        aside.keep()
        return opened
    return None


def _describe_gap(commits: Sequence[int]) -> str | None:
    """Say which version is missing from a log, and the way out; None where none is."""
    missing = sorted(set(range(commits[0], commits[-1])) - set(commits)) if commits else []
    if not missing:
        return None
    return (
        f"its log lacks version {missing[0]}, the file {missing[0]:020}.json. Bring it back from a backup; "
        f"snapshots before it can be read. Without a backup, move the table's folder away and build it again"
    )
