"""Where the parts of this machine live, which ports they take, and what they inherit of the environment.

::

    <home>/airflow/      Airflow's database, logs, passwords and keys (readable by its owner only)
    <home>/mlflow/       MLflow's database and artifacts
    <home>/parts/        one record for each part that was started
    <home>/logs-of-parts/
    <home>/production/   the home of the profile `production`, with folders like these and its databases
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.errors import ContractError, StoreError, unknown
from tasks.settings import REPOSITORY, Settings

HOST = "127.0.0.1"
MARK = Settings.parts_of.name
_INNER: Mapping[str, Mapping[str, int]] = {
    "embedded": {},
    "production": {"postgres": 15432, "redis": 16379, "object-store": 19000},
}
"""What listens for the parts alone, by profile, and the port at which the search for a free one begins."""


def require_repository(what: str, *, repository: Path = REPOSITORY) -> None:
    """Refuse what a package that was installed from a wheel does not hold.

    Parameters
    ----------
    what : needs the repository, as the subject of a sentence.

    Raises
    ------
    ContractError
        This code does not lie in the repository.
    """
    if not (repository / "Makefile").is_file():
        raise ContractError(
            f"{what} needs the repository, and this package was installed without it, in {repository}. Clone "
            "the repository and start it there (make setup); every `equipoise` command works without it"
        )


@dataclass(frozen=True)
class Layout:
    """One installation of the parts.

    Parameters
    ----------
    ports : of the services that only the parts speak to, by name.
    """

    home: Path
    surfaces: Path
    airflow_port: int = 8080
    mlflow_port: int = 5000
    profile: str = "embedded"
    ports: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, profile: str = "embedded") -> "Layout":
        """Take EQUIPOISE_HOME, EQUIPOISE_SURFACES and the two ports, or their defaults.

        Raises
        ------
        ContractError
            There is no such profile, a variable names no port, or the package came without the repository.
        """
        require_repository("An installation on this machine (`python -m deploy`)")
        if profile not in _INNER:
            raise ContractError(unknown("profile", profile, _INNER, where="PROFILE"))
        settings = Settings.of_repository()
        return cls(
            home=settings.home if profile == "embedded" else settings.home / profile,
            surfaces=settings.surfaces,
            airflow_port=settings.airflow_port,
            mlflow_port=settings.mlflow_port,
            profile=profile,
            ports=_INNER[profile],
        )

    @property
    def mark(self) -> dict[str, str]:
        """The variable by which a process of this installation is known."""
        return {MARK: str(self.home)}

    @property
    def airflow(self) -> Path:
        """Airflow's home."""
        return self.home / "airflow"

    @property
    def logs_of_parts(self) -> Path:
        """The folder of what each part prints."""
        return self.home / "logs-of-parts"

    @property
    def airflow_url(self) -> str:
        """Where people and the parts reach Airflow."""
        return f"http://{HOST}:{self.airflow_port}"

    @property
    def mlflow_url(self) -> str:
        """Where people reach MLflow."""
        return f"http://{HOST}:{self.mlflow_port}"

    @property
    def mlflow_store(self) -> str:
        """Where MLflow's server and the steps keep what they make."""
        return f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}"

    def at(self, airflow_port: int, mlflow_port: int, ports: Mapping[str, int]) -> "Layout":
        """Return the same layout on other ports."""
        return replace(self, airflow_port=airflow_port, mlflow_port=mlflow_port, ports=ports)

    def require_free_ports(self) -> None:
        """Refuse to start on a port that somebody else listens on.

        Raises
        ------
        StoreError
            A port is taken; it names the setting that chooses another.
        """
        choices = {Settings.airflow_port.name: self.airflow_port, Settings.mlflow_port.name: self.mlflow_port}
        for choice, port in choices.items():
            if not _is_free(port):
                raise StoreError(
                    f"Port {port} is taken by another program. Stop it, or choose another with {choice}"
                )

    def with_free_ports(self) -> "Layout":
        """Return the same layout with the next free ports in the place of taken ones."""
        airflow = _next_free(self.airflow_port, but={0})
        mlflow = _next_free(self.mlflow_port, but={airflow})
        return self.at(airflow, mlflow, self.ports).with_free_inner_ports()

    def with_free_inner_ports(self) -> "Layout":
        """Return the same layout with free ports for what only the parts speak to."""
        taken, ports = {self.airflow_port, self.mlflow_port}, dict[str, int]()
        for name, port in self.ports.items():
            ports[name] = _next_free(port, but=taken)
            taken.add(ports[name])
        return replace(self, ports=ports)


def inherited_environment(*without: str) -> dict[str, str]:
    """Return the shell's environment without Airflow's and MLflow's settings, and with a way past any proxy.

    Parameters
    ----------
    without : beginnings of further names to leave out.
    """
    excluded = ("AIRFLOW", "MLFLOW_", "_AIRFLOW", *without)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(excluded)}
    direct = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), HOST)))
    return {**inherited, "NO_PROXY": direct, "no_proxy": direct}


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _next_free(port: int, *, but: set[int]) -> int:
    for candidate in range(port, min(port + 100, 65536)):
        if candidate not in but and _is_free(candidate):
            return candidate
    raise StoreError(f"No port from {port} to {port + 99} is free on {HOST}. Stop what listens there")
