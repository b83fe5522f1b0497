"""Where the services of this machine live, which ports they take, and what they inherit of the environment.

::

    <home>/airflow/      Airflow's database, logs, passwords and keys (readable by its owner only)
    <home>/keys/audit    the key that signs the audits (likewise)
    <home>/mlflow/       MLflow's database and artifacts
    <home>/parts/        one record for each service that was started
    <home>/logs-of-parts/
"""

import os
import socket
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.errors import StoreError
from tasks.settings import Settings

HOST = "127.0.0.1"
MARK = Settings.parts_of.name


@dataclass(frozen=True)
class Layout:
    """One installation."""

    home: Path
    surfaces: Path
    airflow_port: int = 8080
    mlflow_port: int = 5000

    @classmethod
    def from_environment(cls) -> "Layout":
        """Take EQUIPOISE_HOME, EQUIPOISE_SURFACES and the two ports, or their defaults.

        Raises
        ------
        ContractError
            A variable is no port.
        """
        settings = Settings.of_repository()
        return cls(settings.home, settings.surfaces, settings.airflow_port, settings.mlflow_port)

    @property
    def mark(self) -> dict[str, str]:
        """The variable by which a process of this installation is recognised."""
        return {MARK: str(self.home)}

    @property
    def airflow(self) -> Path:
        """Airflow's home."""
        return self.home / "airflow"

    @property
    def audit_key(self) -> Path:
        """The file with the key that signs the audits, where every process of the home finds it."""
        return self.home / "keys" / "audit"

    @property
    def database(self) -> Path:
        """MLflow's database."""
        return self.home / "mlflow" / "mlflow.db"

    @property
    def records(self) -> Path:
        """The folder with a record for each service that was started."""
        return self.home / "parts"

    @property
    def airflow_url(self) -> str:
        """Where people and services reach Airflow."""
        return f"http://{HOST}:{self.airflow_port}"

    @property
    def mlflow_url(self) -> str:
        """Where people reach MLflow."""
        return f"http://{HOST}:{self.mlflow_port}"

    @property
    def mlflow_store(self) -> str:
        """The address of MLflow's database."""
        return f"sqlite:///{self.database}"

    def log_of(self, service: str) -> Path:
        """Return the file of what a service prints."""
        return self.home / "logs-of-parts" / f"{service}.log"

    def at(self, airflow_port: int, mlflow_port: int) -> "Layout":
        """Return the same layout on other ports."""
        return replace(self, airflow_port=airflow_port, mlflow_port=mlflow_port)

    def require_free_ports(self) -> None:
        """Refuse to start on a port that another program listens on.

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
        """Return the same layout with the next free ports in place of taken ones."""
        airflow = _next_free(self.airflow_port, but=0)
        return self.at(airflow, _next_free(self.mlflow_port, but=airflow))


def inherited_environment() -> dict[str, str]:
    """Return the shell's environment without settings of Airflow and MLflow or a proxy for HOST."""
    excluded = ("AIRFLOW", "MLFLOW_", "_AIRFLOW")
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


def _next_free(port: int, *, but: int) -> int:
    for candidate in range(port, min(port + 100, 65536)):
        if candidate != but and _is_free(candidate):
            return candidate
    raise StoreError(f"No port from {port} to {port + 99} is free on {HOST}. Stop one that listens there")
