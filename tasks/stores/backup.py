"""Backup of a home's state while it is in use, and restoration elsewhere, with every byte verified.

::

    <backup>/backup.json     files with sizes and sha256; written last and required for restoration
    <backup>/home/           the home without recreatable files and files of running processes

The copying order makes it consistent: the MLflow database at one moment, then the logs of the Delta tables
(the labels' last), then the files that both refer to. All these files exist, since they are written before
they are referred to, and none is rewritten. An alias and its audit row are updated under the same lock.
"""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tasks.errors import ContractError, StoreError
from tasks.settings import Settings
from tasks.stores.database import database_of, follow_home
from tasks.stores.files import PART, flush_tree, scratch
from tasks.stores.store import Store
from tasks.text_files import LARGEST_DOCUMENT, read_json

LEFT_OUT: Final = frozenset(
    {"airflow", "faults", "keys", "locks", "logs-of-parts", "parts", "production", "site", "tmp"}
)
"""Folders of a home that can be recreated, belong to running processes, or contain its key."""
_MANIFEST: Final = "backup.json"
_HOME: Final = "home"
_LOG: Final = "_delta_log"


@dataclass(frozen=True)
class CopyResult:
    """The result of a copy, and its location."""

    path: str
    files: int
    bytes: int


def back_up(home: Path, out: Path) -> CopyResult:
    """Copy a home's state to a new folder; the home may be in use meanwhile."""
    _require_state_in(home)
    _require_absent(out)
    if not database_of(home).exists():
        raise StoreError(
            f"There is no MLflow database in {home}, so there is nothing to back up. Is it a home?"
        )
    with _moved_in(out) as part:
        target = part / _HOME
        with Store.open(home).registry.exclusive():
            copied = database_of(target)
            copied.parent.mkdir(parents=True)
            with closing(sqlite3.connect(database_of(home))) as own, closing(sqlite3.connect(copied)) as copy:
                own.backup(copy)
            for log in _delta_logs(home):
                _copy_files(home, target, log)
        _copy_files(home, target, home)
        files = {name: _described(target / name) for name in _names(target)}
        manifest = {"version": 1, "made_at": datetime.now(UTC).isoformat(), "home": str(home), "files": files}
        (part / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return _result(out, files)


def restore(backup: Path, home: Path) -> CopyResult:
    """Restore a backup as a new home after verifying every byte."""
    _require_state_in(home)
    _require_absent(home)
    files = _read_manifest(backup)
    with _moved_in(home) as part:
        for name, described in files.items():
            _copy(backup / _HOME / name, part / name)
            if _described(part / name) != described:
                raise StoreError(
                    f"{backup / _HOME / name} is not the file that was backed up. Nothing was restored"
                )
    follow_home(home)
    return _result(home, files)


@contextmanager
def _moved_in(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill, which is moved to its place atomically and durably."""
    with scratch(path.parent, PART) as aside:
        part = aside / path.name
        part.mkdir(mode=0o700)
        yield part
        flush_tree(part)
        part.replace(path)  # replaces an empty folder of that name


def _require_state_in(home: Path) -> None:
    settings = Settings()
    own = f"sqlite:///{database_of(home)}"
    if settings.store or (settings.tracking_uri or own) != own:
        raise ContractError(
            "EQUIPOISE_STORE or MLFLOW_TRACKING_URI names another place than the home: back that place up "
            "with its own tools, the database first, then tables and artifacts; or leave both variables empty"
        )


def _require_absent(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ContractError(f"{path} is there already and is not empty. Name a folder that is not there yet")


def _delta_logs(home: Path) -> list[Path]:
    """Return the logs of the tables; the labels' last, because snapshots refer to their versions."""
    logs = [path for path in home.glob(f"*/**/{_LOG}") if path.relative_to(home).parts[0] not in LEFT_OUT]
    return sorted(logs, key=lambda log: (log.relative_to(home).parts[0] == "labels", str(log)))


def _copy_files(home: Path, target: Path, folder: Path) -> None:
    """Copy the files of a folder of the home that were not copied yet."""
    for place, folders, names in os.walk(folder):
        if Path(place) == home:
            folders[:] = [name for name in folders if name not in LEFT_OUT]
        folders[:] = [name for name in folders if name == _LOG or not name.startswith(".")]
        copied_before = Path(place).name == _LOG and folder == home
        for name in () if copied_before else names:
            source = Path(place, name)
            if _is_state(source, database_of(home)) and not (target / source.relative_to(home)).exists():
                _copy(source, target / source.relative_to(home))


def _is_state(file: Path, database: Path) -> bool:
    own = file.parent == database.parent and file.name.startswith((f"{database.name}-", ".lock"))
    return file.is_file() and not own and not file.name.endswith(".part")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise StoreError(f"{source} cannot be copied to {target}: {error}") from error


def _names(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())


def _described(file: Path) -> list[Any]:
    with file.open("rb") as opened:
        return [file.stat().st_size, hashlib.file_digest(opened, "sha256").hexdigest()]


def _read_manifest(backup: Path) -> Mapping[str, list[Any]]:
    try:
        manifest = read_json(backup / _MANIFEST, largest=LARGEST_DOCUMENT, error=StoreError)
        files: Mapping[str, list[Any]] = {str(name): list(found) for name, found in manifest["files"].items()}
    except (StoreError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{backup} is not a whole backup: its {_MANIFEST} cannot be read ({error})"
        ) from error
    for name in files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise StoreError(f"{backup} is not a backup: '{name}' leaves the home")
    return files


def _result(path: Path, files: Mapping[str, list[Any]]) -> CopyResult:
    return CopyResult(str(path), len(files), sum(int(size) for size, _ in files.values()))
