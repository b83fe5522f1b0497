"""Starts the services in order, asks them, knows which run, and leaves no process behind.

::

    service (leader of a session)       asked to end, with its group
      └── workers                       in its group
            └── a running step          in a group of its own, in the session still
                  └── what it launched  perhaps in a session of its own: found by a mark in its environment

Process numbers are used again, so a record also holds when its process started, counted from the machine's
start: a clock that is set while services run, as after a laptop's sleep, changes no record.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import psutil

from deploy.airflow_api import Airflow
from deploy.credentials import ensure_audit_key, ensure_passwords
from deploy.layout import MARK, Layout
from deploy.services import Service, describe_services
from tasks.errors import StoreError
from tasks.privacy import private_umask

_GONE = 10.0  # seconds within which killed processes must be gone
_CLOCK = 2.0  # seconds by which two readings of a start time may differ


@dataclass(frozen=True)
class Record:
    """A service that was started: its process, when that started, and the ports of the installation."""

    name: str
    pid: int
    started: float
    airflow_port: int
    mlflow_port: int

    @property
    def lives(self) -> bool:
        """Whether that very process still runs."""
        started = started_at(self.pid)
        return started is not None and abs(started - self.started) < _CLOCK


@contextlib.contextmanager
def lock_home(layout: Layout) -> Iterator[None]:
    """Exclude a second start, stop or demo of the same home.

    Raises
    ------
    StoreError
        Another one is running.
    """
    layout.records.mkdir(parents=True, exist_ok=True)
    with (layout.records / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(
                f"Another start, stop or demo works on {layout.home}. Wait for its end"
            ) from None
        yield


def bring_up(layout: Layout, say: Callable[[str], None], *, patience: float = 300.0) -> Layout:
    """Start the services and wait until all answer; stop them all where one fails.

    Raises
    ------
    StoreError
        A port is taken, a service ended or did not answer in time; it shows the end of that service's log.
    """
    layout.require_free_ports()
    ensure_passwords(layout.airflow)
    if not layout.database.exists():  # an audit that has begun without a key would be refused
        ensure_audit_key(layout.audit_key)
    try:
        _bring_up(layout, say, deadline=time.monotonic() + patience)
    except BaseException:
        stop(layout)
        raise
    say(f"Airflow {layout.airflow_url} and MLflow {layout.mlflow_url} are ready")
    return layout


def start(layout: Layout, service: Service) -> subprocess.Popen[bytes]:
    """Start a service and record it."""
    log = layout.log_of(service.name)
    for folder in (log.parent, layout.airflow, layout.records):
        folder.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            service.command,
            cwd=layout.airflow,
            env=dict(service.environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=private_umask(),
        )
    started = started_at(process.pid) or 0.0
    record = Record(service.name, process.pid, started, layout.airflow_port, layout.mlflow_port)
    draft = layout.records / f"{service.name}.draft"
    draft.write_text(json.dumps(asdict(record)), encoding="utf-8")
    draft.replace(draft.with_suffix(".json"))
    return process


def stop(layout: Layout, *, patience: float = 20.0) -> list[str]:
    """Stop every recorded service with all its children; return the names of those that ran."""
    known = records(layout)
    living = [record for record in known if record.lives]
    crashed = [record.pid for record in known if started_at(record.pid) is None]
    with _undisturbed():
        end_sessions([record.pid for record in living], crashed, layout, patience=patience)
        for record in known:
            _forget(layout, record.name)
    return [record.name for record in living]


def records(layout: Layout) -> list[Record]:
    """Return what was started and not yet stopped, running or not."""
    files = sorted(layout.records.glob("*.json"))
    return [Record(**json.loads(file.read_text(encoding="utf-8"))) for file in files]


def running_layout(layout: Layout) -> Layout | None:
    """Return the layout that the services run with, None where not all of them run."""
    known = records(layout)
    if not known:
        return None
    running = layout.at(known[0].airflow_port, known[0].mlflow_port)
    lasting = {service.name for service in describe_services(running) if not service.is_job}
    return running if {record.name for record in known if record.lives} == lasting else None


def not_ready(layout: Layout) -> list[str]:
    """Name the services that do not answer."""
    services = describe_services(layout)
    return [service.name for service in services if service.ready and not service.ready.answers()]


def require_living(layout: Layout) -> None:
    """Refuse to go on where a service has ended by itself.

    Raises
    ------
    StoreError
        One has; it shows the end of its log.
    """
    _require(layout, [record.name for record in records(layout) if not record.lives])


def client(layout: Layout, user: str = "admin") -> Airflow:
    """Return a client of this machine's Airflow."""
    return Airflow(layout.airflow_url, user, ensure_passwords(layout.airflow)[user])


def started_at(pid: int) -> float | None:
    """Return when a process started, in seconds since the machine's start, or None where it has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        process = psutil.Process(pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        return None if ended else process.create_time() - psutil.boot_time()
    except psutil.NoSuchProcess:
        return None


def marked(layout: Layout) -> set[int]:
    """Return the processes whose environment names this installation."""
    pids = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(layout.home):
                pids.add(process.pid)
    return {pid for pid in pids - {os.getpid()} if started_at(pid) is not None}


def members(leaders: Iterable[int]) -> set[int]:
    """Return the processes in the sessions of these leaders, themselves included."""
    sessions, pids = set(leaders), set()
    for pid in psutil.pids() if sessions else ():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) in sessions:
                pids.add(pid)
    return {pid for pid in pids - {os.getpid()} if started_at(pid) is not None}


def end_sessions(living: Iterable[int], crashed: Iterable[int], layout: Layout, *, patience: float) -> None:
    """End whole sessions, and every other process of an installation.

    Parameters
    ----------
    living : leaders that run; they are asked first and have `patience` seconds.
    crashed : leaders that have ended and may have left processes in their sessions.
    """
    asked, sessions = set(living), {*living, *crashed}
    for leader in asked:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and any(started_at(leader) for leader in asked):
        time.sleep(0.1)
    deadline = time.monotonic() + _GONE
    while time.monotonic() < deadline and (left := members(sessions) | marked(layout)):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _bring_up(layout: Layout, say: Callable[[str], None], *, deadline: float) -> None:
    """Start each service when the jobs before it have ended; ask those that run until all are ready."""
    services = {service.name: service for service in describe_services(layout)}
    running: dict[str, subprocess.Popen[bytes]] = {}
    ready = {name for name, service in services.items() if _is_done(layout, service)}
    reported: list[str] = []
    while missing := [name for name in services if name not in ready]:
        for name in missing:
            if name not in running and ready.issuperset(services[name].after):
                running[name] = start(layout, services[name])
        waited_for = [name for name in missing if name in running]
        if waited_for != reported:
            say(f"waiting for {', '.join(waited_for)}")
            reported = waited_for
        ready |= {name for name in waited_for if _is_ready(layout, services[name], running[name])}
        _require(layout, [n for n, p in running.items() if services[n].ready and p.poll() is not None])
        if time.monotonic() > deadline:
            raise StoreError(
                f"Not ready in time: {', '.join(missing)}. See the logs in {layout.log_of('').parent}"
            )
        time.sleep(0.5)


def _is_ready(layout: Layout, service: Service, process: subprocess.Popen[bytes]) -> bool:
    if service.ready:
        return service.ready.answers()
    if process.poll() is None:
        return False
    if process.returncode != 0:
        _fail(layout, f"Preparing {service.name} failed. The end of its log:", [service.name])
    _forget(layout, service.name)
    _stamp(layout, service).write_text(_versions(), encoding="utf-8")
    return True


def _is_done(layout: Layout, service: Service) -> bool:
    """Whether a job's file is there and the installed versions of Airflow and MLflow made it."""
    stamp = _stamp(layout, service)
    if service.makes is None or not (service.makes.exists() and stamp.exists()):
        return False
    return stamp.read_text(encoding="utf-8") == _versions()


def _stamp(layout: Layout, service: Service) -> Path:
    return layout.records / f"{service.name}.done"


def _versions() -> str:
    return " ".join(map(version, ("apache-airflow", "mlflow")))


def _forget(layout: Layout, name: str) -> None:
    (layout.records / f"{name}.json").unlink(missing_ok=True)


def _require(layout: Layout, ended: list[str]) -> None:
    if ended:
        _fail(layout, f"These services ended by themselves: {', '.join(ended)}", ended)


def _fail(layout: Layout, what: str, names: Iterable[str]) -> NoReturn:
    logs = "\n".join(f"  {name}:\n{_last_lines(layout.log_of(name))}" for name in names)
    raise StoreError(f"{what}\n{logs}")


def _last_lines(file: Path, count: int = 15) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    return "\n".join(f"    {line}" for line in lines[-count:])


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore signals while services are stopped: half of them would be left behind."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
