"""What an installation holds and uses at the end of a day: bytes, processes, and files that nothing names."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from deploy.layout import Layout
from deploy.supervisor import members, records
from tasks.contracts import surface_names
from tasks.stores.removal import Inventory
from tasks.stores.store import Store

_DEEPER: Final = frozenset({"airflow", "mlflow"})
"""Folders of the home whose parts are listed one by one."""
_UNFINISHED: Final = frozenset({".draft", ".part"})
_PASSING: Final = 20.0
"""Seconds within which a process that parses a DAG file has ended; the files of younger ones do not count."""


@dataclass(frozen=True)
class Used:
    """What a service's processes use: own bytes, open files of those that last, processor seconds so far."""

    memory: int
    open_files: int
    processor_seconds: float


def sizes(home: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Return the bytes and the files of a home by kind, the feed's own log left out."""
    held, files = Counter[str](), Counter[str]()
    for path in home.rglob("*"):
        parts = path.relative_to(home).parts
        kind = "/".join(parts[: 1 + (parts[0] in _DEEPER)])
        with suppress(FileNotFoundError):
            if parts[0] != "logs" and path.is_file():
                held[kind] += path.stat().st_size
                files[kind] += 1
    return dict(held), dict(files)


def used(layout: Layout) -> dict[str, Used]:
    """Return what each service uses, with every process of its session; those that ended count as seconds."""
    return {record.name: _used(members([record.pid])) for record in records(layout)}


def orphans(layout: Layout) -> Iterator[str]:
    """Yield the files that nothing names: unfinished ones, artifacts of no run, label files of no commit."""
    home, known = layout.home, set[str]()
    for file in home.rglob("*"):
        if file.suffix in _UNFINISHED or (file.is_relative_to(home / "tmp") and file.is_file()):
            yield str(file)
    store = Store.open(home)
    for surface in surface_names(layout.surfaces):
        inventory = Inventory.read(store, surface)
        known |= inventory.runs.keys()
        artifacts = home / "mlflow" / "artifacts" / store.runs.experiment_id(surface)
        named = {*inventory.runs, "models"}
        yield from (str(folder) for folder in artifacts.glob("*") if folder.name not in named)
        held = inventory.models
        yield from (str(folder) for folder in artifacts.glob("models/*") if folder.name not in held)
        table = home / "labels" / surface
        added = {path for commit in (table / "_delta_log").glob("*.json") for path in _added(commit)}
        yield from (str(one) for one in table.rglob("*.parquet") if _is_row_file(one, table, added))
    yield from (str(folder) for folder in (home / "evidence").glob("*") if folder.name not in known)


def _is_row_file(file: Path, table: Path, added: set[str]) -> bool:
    name = file.relative_to(table)
    return name.parts[0] != "_delta_log" and name.as_posix() not in added


def _added(commit: Path) -> Iterator[str]:
    for line in commit.read_text(encoding="utf-8").splitlines():
        if (added := json.loads(line).get("add")) is not None:
            yield added["path"]


def _used(pids: set[int]) -> Used:
    memory, open_files, seconds = 0, 0, 0.0
    for pid in pids:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            memory += process.memory_full_info().uss
            open_files += process.num_fds() if time.time() - process.create_time() > _PASSING else 0
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return Used(memory, open_files, seconds)
