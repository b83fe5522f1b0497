"""A service of a profile as data: its command, its environment, what it waits for and when it is ready.

::

    Web(url)           an address answers; with `part`, Airflow's health page calls that part healthy
    Asked(command)     a command ends with 0
    Ended(makes)       the service is a job: it is ready when it has ended with 0

The same data starts a service on this machine and writes it into docker-compose.yml.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias

import requests

DIRECT = requests.Session()
"""Speaks to the services of this machine, which are never behind a proxy."""
DIRECT.trust_env = False
DIRECT.headers["Connection"] = "close"  # a part that is stopped must not wait for us


@dataclass(frozen=True)
class Web:
    """Ready when an address answers with success."""

    url: str
    part: str = ""

    def answers(self) -> bool:
        """Ask once."""
        try:
            page = DIRECT.get(self.url, timeout=60)
            parts = page.json() if self.part else {}
        except requests.RequestException:
            return False
        healthy = not self.part or (parts.get(self.part) or {}).get("status") == "healthy"
        return healthy and page.status_code == HTTPStatus.OK


@dataclass(frozen=True)
class Asked:
    """Ready when a command, run with the service's own environment, ends with 0."""

    command: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """Ready when the service itself has ended with 0; it is left out while what it ``makes`` is there.

    Other versions of Airflow or MLflow than it was made by let it run again, unless it runs ``once``.
    """

    makes: tuple[Path, ...] = ()
    once: bool = False


Ready: TypeAlias = Web | Asked | Ended


@dataclass(frozen=True)
class Service:
    """One service.

    Parameters
    ----------
    after : services that must be ready before this one starts.
    user : who runs it where the starter is root; None for the starter.
    files : what it reads when it starts, in a folder that nobody but its user may enter.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    ready: Ready
    after: tuple[str, ...] = ()
    user: str | None = None
    files: Mapping[Path, str] = field(default_factory=dict, repr=False)

    @property
    def is_job(self) -> bool:
        """Whether it ends by itself."""
        return isinstance(self.ready, Ended)


def is_ready(service: Service) -> bool:
    """Whether a service that runs answers; a job that runs is not ready."""
    match service.ready:
        case Web():
            return service.ready.answers()
        case Asked(command):
            done = subprocess.run(
                command, env=dict(service.environment), capture_output=True, timeout=60, check=False
            )
            return done.returncode == 0
        case Ended():
            return False
