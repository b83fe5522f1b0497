"""The five parts: started each in a process group of its own, recorded, stopped as a whole.

::

    api-server  scheduler  dag-processor  triggerer      Airflow
    mlflow                                               MLflow's server
"""

import contextlib
import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.errors import StoreError
from tasks.local.environment import environment
from tasks.local.processes import end_sessions, started_at, undisturbed
from tasks.local.settings import HOST, MARK, Settings


@dataclass(frozen=True)
class Record:
    """A part that was started: which process, since when, and where it can be reached."""

    name: str
    pid: int
    started: str
    airflow_port: int
    mlflow_port: int

    @property
    def lives(self) -> bool:
        """Whether that very process still runs."""
        return started_at(self.pid) == self.started


def commands(settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return each part's command."""
    airflow, mlflow = (sys.executable, "-m", "airflow"), (sys.executable, "-m", "mlflow")
    store = ("--backend-store-uri", settings.mlflow_store)
    artifacts = (
        "--no-serve-artifacts",
        "--default-artifact-root",
        (settings.home / "mlflow/artifacts").as_uri(),
    )
    here = ("--host", HOST, "--port", str(settings.mlflow_port), "--workers", "1")
    return {
        "mlflow": (*mlflow, "server", *store, *artifacts, *here),
        "api-server": (*airflow, "api-server"),
        "scheduler": (*airflow, "scheduler", "--skip-serve-logs"),
        "dag-processor": (*airflow, "dag-processor"),
        "triggerer": (*airflow, "triggerer", "--skip-serve-logs"),
    }


@contextlib.contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Keep a second start, stop or demo of the same home away.

    Raises
    ------
    StoreError
        Another one is at it.
    """
    folder = settings.home / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(
                f"Another start, stop or demo works on {settings.home}. Wait for its end"
            ) from None
        yield


def start(settings: Settings) -> None:
    """Start every part and record it."""
    settings.logs_of_parts.mkdir(parents=True, exist_ok=True)
    surroundings = environment(settings)
    for name, command in commands(settings).items():
        with log_of(settings, name).open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=settings.airflow,
                env=surroundings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _write(settings, name, process.pid)


def records(settings: Settings) -> list[Record]:
    """Return what was started and not yet stopped, whether it still lives or not."""
    files = sorted((settings.home / "parts").glob("*.json"))
    return [Record(**json.loads(file.read_text(encoding="utf-8"))) for file in files]


def stop(settings: Settings, *, patience: float = 20.0) -> list[str]:
    """Stop every recorded part with all its children; return the names of those that lived."""
    known = records(settings)
    living = [record for record in known if record.lives]
    crashed = [record.pid for record in known if started_at(record.pid) is None]
    with undisturbed():
        end_sessions([r.pid for r in living], crashed, (MARK, str(settings.home)), patience=patience)
        for record in known:
            (settings.home / "parts" / f"{record.name}.json").unlink(missing_ok=True)
    return [record.name for record in living]


def log_of(settings: Settings, name: str) -> Path:
    """Return the file of what a part prints."""
    return settings.logs_of_parts / f"{name}.log"


def last_lines(file: Path, count: int = 15) -> str:
    """Return the end of a log."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    return "\n".join(f"    {line}" for line in lines[-count:])


def _write(settings: Settings, name: str, pid: int) -> None:
    record = Record(name, pid, started_at(pid) or "", settings.airflow_port, settings.mlflow_port)
    file = settings.home / "parts" / f"{name}.json"
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(record)), encoding="utf-8")
    draft.replace(file)
