"""The parts of an installation, in one of two profiles: start them in order, ask them, know what runs.

::

    embedded      sqlite, local files, Airflow's simple logins            make up
    production    PostgreSQL, Redis, S3, Celery, FAB, MLflow with auth    make up PROFILE=production

A profile has a home of its own: `production` lies below that of `embedded`. Each service starts when what it
needs is ready.
"""

import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from deploy import debian, embedded, production
from deploy.airflow_api import Airflow
from deploy.credentials import ensure_passwords, ensure_secrets
from deploy.layout import Layout, inherited_environment
from deploy.records import forget, last_lines, log_of, records, start, stop
from deploy.services import Ended, Service, is_ready
from tasks.errors import StoreError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Profile:
    """One way of running the parts.

    Parameters
    ----------
    services : describes every service of an installation, in an order in which they can start.
    environment : what a step or a command of that installation finds in its environment.
    mlflow_login : how people log in to MLflow.
    down : the command that stops it.
    """

    services: Callable[[Layout], tuple[Service, ...]]
    environment: Callable[[Layout], dict[str, str]]
    mlflow_login: str
    down: str


def profile_of(layout: Layout) -> Profile:
    """Return the profile of an installation."""
    return PROFILES[layout.profile]


def bring_up(layout: Layout, say: Say, *, patience: float = 300.0) -> Layout:
    """Start the parts and wait for them; stop them all where one fails.

    Returns
    -------
    The layout with the ports that were taken.

    Raises
    ------
    StoreError
        A port is taken, a part ended or did not answer in time; it shows the end of that part's log.
    """
    layout.require_free_ports()
    ensure_passwords(layout.airflow)
    layout = layout.with_free_inner_ports()
    try:
        _bring_up(layout, say, deadline=time.monotonic() + patience)
    except BaseException:
        stop(layout)
        raise
    say(f"Airflow {layout.airflow_url} and MLflow {layout.mlflow_url} are ready")
    return layout


def running_layout(layout: Layout) -> Layout | None:
    """Return the layout that the living parts run with, None where they are not all alive."""
    known = records(layout)
    if not known:
        return None
    running = layout.at(known[0].airflow_port, known[0].mlflow_port, known[0].ports)
    lasting = {service.name for service in profile_of(running).services(running) if not service.is_job}
    return running if {record.name for record in known if record.lives} == lasting else None


def require_running_layout(layout: Layout) -> Layout:
    """Return the layout that the living parts run with.

    Raises
    ------
    StoreError
        No part runs, or some have ended; it names those, and the command that starts all.
    """
    running = running_layout(layout)
    if running is not None:
        return running
    start_all = f"`make up PROFILE={layout.profile}`"
    if ended := [record.name for record in records(layout) if not record.lives]:
        raise StoreError(f"These parts have ended: {', '.join(ended)}. Start all of them anew: {start_all}")
    raise StoreError(f"The parts do not run. Start them: {start_all}")


def client(layout: Layout, user: str = "admin") -> Airflow:
    """Return a client of this machine's Airflow."""
    return Airflow(layout.airflow_url, user, ensure_passwords(layout.airflow)[user])


def not_ready(layout: Layout) -> list[str]:
    """Name the parts that do not answer."""
    lasting = (service for service in profile_of(layout).services(layout) if not service.is_job)
    return [service.name for service in lasting if not is_ready(service)]


def require_living(layout: Layout) -> None:
    """Make sure that no part has ended by itself.

    Raises
    ------
    StoreError
        One has; it shows the end of its log.
    """
    _require_living(layout, (record.name for record in records(layout) if not record.lives))


def _bring_up(layout: Layout, say: Say, *, deadline: float) -> None:
    """Start each service when those before it are ready; look at those that run until all are."""
    services = {service.name: service for service in profile_of(layout).services(layout)}
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
        ready |= {name for name in waited_for if _has_become_ready(layout, services[name], running[name])}
        _require_living(
            layout, (n for n, p in running.items() if not services[n].is_job and p.poll() is not None)
        )
        if time.monotonic() > deadline:
            raise StoreError(
                f"Not ready in time: {', '.join(missing)}. See the logs in {layout.logs_of_parts}"
            )
        time.sleep(0.5)


def _has_become_ready(layout: Layout, service: Service, process: subprocess.Popen[bytes]) -> bool:
    if not isinstance(service.ready, Ended):
        return is_ready(service)
    if process.poll() is None:
        return False
    if process.returncode != 0:
        _fail(layout, f"Preparing {service.name} failed. The end of its log:", [service.name])
    forget(layout, service.name)
    _stamp(layout, service).write_text(_versions(), encoding="utf-8")
    return True


def _is_done(layout: Layout, service: Service) -> bool:
    """Whether a job's work is there already, made by the installed versions where these matter."""
    job, stamp = service.ready, _stamp(layout, service)
    if not isinstance(job, Ended) or not job.makes or not stamp.exists():
        return False
    current = job.once or stamp.read_text(encoding="utf-8") == _versions()
    return current and all(path.exists() for path in job.makes)


def _stamp(layout: Layout, service: Service) -> Path:
    return layout.home / "parts" / f"{service.name}.done"


def _versions() -> str:
    return " ".join(map(version, ("apache-airflow", "mlflow")))


def _require_living(layout: Layout, dead: Iterable[str]) -> None:
    if names := list(dead):
        _fail(layout, f"These parts ended by themselves: {', '.join(names)}", names)


def _fail(layout: Layout, what: str, names: Iterable[str]) -> NoReturn:
    logs = "\n".join(f"  {name}:\n{last_lines(log_of(layout, name))}" for name in names)
    raise StoreError(f"{what}\n{logs}")


def _production_services(layout: Layout) -> tuple[Service, ...]:
    secrets, inherited = ensure_secrets(layout.airflow), _inherited(layout)
    ours = production.describe_services(production.places_here(layout), secrets)
    return (
        *debian.describe_services(layout, secrets, inherited),
        *(replace(service, environment={**inherited, **service.environment}) for service in ours),
    )


def _production_environment(layout: Layout) -> dict[str, str]:
    places, secrets = production.places_here(layout), ensure_secrets(layout.airflow)
    return {**_inherited(layout), **production.environment(places, secrets)}


def _inherited(layout: Layout) -> dict[str, str]:
    return {**inherited_environment("AWS_", "PG", "EQUIPOISE_"), **layout.mark}


PROFILES: Mapping[str, Profile] = {
    "embedded": Profile(
        embedded.describe_services,
        embedded.environment,
        "no login: it listens on this machine alone, as Airflow does",
        "make down",
    ),
    "production": Profile(
        _production_services, _production_environment, "the same logins", "make down PROFILE=production"
    ),
}
