"""The parts of a profile: started each in a process group of its own, recorded, stopped as a whole."""

import contextlib
import fcntl
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deploy.credentials import write_private
from deploy.layout import MARK, Layout
from deploy.processes import end_sessions, started_at, undisturbed
from deploy.services import Service
from tasks.errors import StoreError
from tasks.privacy import private_umask


@dataclass(frozen=True)
class Record:
    """A part that was started: which process, since when, and where it can be reached."""

    name: str
    pid: int
    started: str
    airflow_port: int
    mlflow_port: int
    ports: Mapping[str, int] = field(default_factory=dict)

    @property
    def lives(self) -> bool:
        """Whether that very process still runs."""
        return started_at(self.pid) == self.started


@contextlib.contextmanager
def lock_home(layout: Layout) -> Iterator[None]:
    """Keep a second start, stop or demo of the same home away.

    Raises
    ------
    StoreError
        Another one is at it.
    """
    folder = layout.home / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(
                f"Another start, stop or demo works on {layout.home}. Wait for its end"
            ) from None
        yield


def start(layout: Layout, service: Service) -> subprocess.Popen[bytes]:
    """Start a service and record it."""
    layout.logs_of_parts.mkdir(parents=True, exist_ok=True)
    layout.airflow.mkdir(parents=True, exist_ok=True)
    for file, text in service.files.items():
        _write_for(service.user, file, text)
    with log_of(layout, service.name).open("wb") as log:
        process = subprocess.Popen(
            service.command,
            cwd="/" if service.user else layout.airflow,
            env=dict(service.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=private_umask(),
            **_as(service.user),
        )
    _write(layout, service.name, process.pid)
    return process


def forget(layout: Layout, name: str) -> None:
    """Drop the record of a job that has ended."""
    (layout.home / "parts" / f"{name}.json").unlink(missing_ok=True)


def records(layout: Layout) -> list[Record]:
    """Return what was started and not yet stopped, whether it still lives or not."""
    files = sorted((layout.home / "parts").glob("*.json"))
    return [Record(**json.loads(file.read_text(encoding="utf-8"))) for file in files]


def stop(layout: Layout, *, patience: float = 20.0) -> list[str]:
    """Stop every recorded part with all its children; return the names of those that lived."""
    known = records(layout)
    living = [record for record in known if record.lives]
    crashed = [record.pid for record in known if started_at(record.pid) is None]
    with undisturbed():
        end_sessions([r.pid for r in living], crashed, (MARK, str(layout.home)), patience=patience)
        for record in known:
            forget(layout, record.name)
    return [record.name for record in living]


def log_of(layout: Layout, name: str) -> Path:
    """Return the file of what a part prints."""
    return layout.logs_of_parts / f"{name}.log"


def last_lines(file: Path, count: int = 15) -> str:
    """Return the end of a log."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    return "\n".join(f"    {line}" for line in lines[-count:])


def _write_for(user: str | None, file: Path, text: str) -> None:
    """Write a file that only a user may read, in a folder that only that user may enter.

    Raises
    ------
    StoreError
        A folder above keeps that user out.
    """
    folder = file.parent
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    write_private(file, text)
    if user is None:
        return
    for path in (folder, file):
        shutil.chown(path, user, user)
    if closed := [above for above in folder.parents if not above.stat().st_mode & 0o001]:
        raise StoreError(
            f"The user {user}, as whom root starts a part, may not pass {closed[-1]}. Choose another home "
            f"with EQUIPOISE_HOME, or let others through: chmod o+x {closed[-1]}"
        )


def _as(user: str | None) -> dict[str, Any]:
    """Return how to start a process as another user: with that user's group and no other."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def _write(layout: Layout, name: str, pid: int) -> None:
    started = started_at(pid) or ""
    record = Record(name, pid, started, layout.airflow_port, layout.mlflow_port, layout.ports)
    file = layout.home / "parts" / f"{name}.json"
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(record)), encoding="utf-8")
    draft.replace(file)
