"""The sqlite database of a home's MLflow; only this module reads or writes MLflow's tables.

::

    home/mlflow/.making-*/mlflow.db    under construction by the process with the lock; later removed
    home/mlflow/format                 version of the home's format, written before the database
    home/mlflow/mlflow.db              moved here once it is complete and durable

MLflow stores absolute locations of artifacts. If the home was moved or copied, they are rewritten when the
database is opened, so the former folder is neither read nor written. This requires SQL: MLflow sets the
location of an experiment, run, logged model or version at creation, and no public interface changes it later.

A user with read-only access opens the database so that sqlite creates no file next to it.
"""

import logging
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlparse

from tasks.errors import StoreError
from tasks.stores.files import flush_files
from tasks.stores.store import FORMAT, format_file

_LOG: Final = logging.getLogger("equipoise")
_ASIDE: Final = ".making-"
_BELOW: Final = "/mlflow/artifacts"
_LASTING: Final = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_LOCATIONS: Final = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


_Stamp = tuple[int, int, int, int] | None
_FOLLOWED: Final[dict[Path, tuple[_Stamp, ...]]] = {}
"""Databases whose locations this process has checked, with their state at that time."""


def is_passing(error: BaseException) -> bool:
    """Whether an error of the database may be temporary; missing permission and a full disk are not."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, sqlite3.Error):
        cause = cause.__cause__
    return cause is None or getattr(cause, "sqlite_errorcode", 0) & 0xFF not in _LASTING


def database_of(home: Path) -> Path:
    """Return the path of a home's database."""
    return home.absolute() / "mlflow" / "mlflow.db"


def artifacts_of(home: Path) -> str:
    """Return the URI of the folder with a home's artifacts."""
    return (home.absolute() / "mlflow" / "artifacts").as_uri()


def address_of(home: Path) -> str:
    """Return the URI by which MLflow opens a home's database; read-only without write permission."""
    database = database_of(home)
    if _is_writable(database):
        return f"sqlite:///{database}"
    # with the driver's name: for plain "sqlite:///" MLflow creates the folder "file:" in the current one
    return f"sqlite+pysqlite:///file:{database}?{_reading(database)}&uri=true"


def is_made(home: Path) -> bool:
    """Whether the database is complete, so that it can be opened without waiting for others."""
    database = database_of(home)
    return database.exists() and format_file(home).exists()


def make_database(home: Path) -> None:
    """Create the database if it is missing; the caller keeps other processes out."""
    if is_made(home):  # created by the previous holder of the lock
        return
    database, marker = database_of(home), format_file(home)
    for left in database.parent.glob(f"{_ASIDE}*"):
        shutil.rmtree(left, ignore_errors=True)
    if marker.exists():
        _LOG.warning(
            "The MLflow database %s is missing; an empty one is created. If that is not intended, restore a "
            "copy",
            database,
        )
    marker.write_text(f"{FORMAT}\n", encoding="utf-8")
    _make(database, artifacts_of(home))
    flush_files([marker])


def follow_home(home: Path) -> None:
    """Rewrite the locations of artifacts if the home was moved or copied."""
    root, database = artifacts_of(home), database_of(home)
    # the state changes when the database is written or replaced
    state = _stamp(database), _stamp(database.with_name(f"{database.name}-wal"))
    if _FOLLOWED.get(database) == state:
        return
    with closing(_open(database, "ro")) as connection:
        found = connection.execute("SELECT artifact_location FROM experiments").fetchall()
    bases = {
        str(place).rpartition(f"{_BELOW}/")[0] + _BELOW for (place,) in found if f"{_BELOW}/" in str(place)
    }
    moved = sorted(base for base in bases if base != root and not _is_same(base, home))
    if not moved:
        _FOLLOWED[database] = state
        return
    try:
        with closing(_open(database, "rw")) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            for base in moved:
                _rewrite(connection, base, root)
    except sqlite3.Error as error:
        raise StoreError(
            f"The home {home} was moved or copied from elsewhere, and its MLflow database cannot be updated: "
            f"{error}. Run one command as its owner first."
        ) from error
    _LOG.warning("This home was moved or copied: its artifacts are now looked for below %s", root)


def _make(database: Path, artifacts: str) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # not needed with a server

    with tempfile.TemporaryDirectory(prefix=_ASIDE, dir=database.parent, ignore_cleanup_errors=True) as aside:
        whole = Path(aside) / database.name
        SqlAlchemyStore(f"sqlite:///{whole}", artifacts).engine.dispose()
        with closing(sqlite3.connect(whole)) as connection:  # readers and a writer do not block each other
            connection.execute("PRAGMA journal_mode=WAL")
        flush_files([whole])
        whole.replace(database)
    flush_files([database])


def _stamp(file: Path) -> _Stamp:
    try:
        of = file.stat()
    except FileNotFoundError:
        return None
    return of.st_dev, of.st_ino, of.st_size, of.st_mtime_ns


def _open(database: Path, mode: str) -> sqlite3.Connection:
    how = f"mode={mode}" if mode != "ro" or _is_writable(database) else _reading(database)
    return sqlite3.connect(f"file:{quote(str(database))}?{how}", uri=True, timeout=60)


def _is_writable(database: Path) -> bool:
    """Whether this user may write the database and sqlite's files next to it."""
    return all(os.access(place, os.W_OK) for place in (database, database.parent))


def _reading(database: Path) -> str:
    """Return how to open a database that this user may only read.

    Without a write-ahead log the database is complete, and sqlite need not create files next to it.
    """
    return "mode=ro" if database.with_name(f"{database.name}-wal").exists() else "mode=ro&immutable=1"


def _is_same(base: str, home: Path) -> bool:
    """Whether a location is this home under another name, such as a link."""
    place = Path(unquote(urlparse(base).path)).parent
    return place.exists() and place.samefile(home / "mlflow")


def _rewrite(connection: sqlite3.Connection, base: str, root: str) -> None:
    for table, column in _LOCATIONS:
        connection.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - fixed names
            f"WHERE substr({column}, 1, ?) = ?",
            (root, len(base) + 1, len(base) + 1, f"{base}/"),
        )
