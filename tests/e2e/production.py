"""The services of docker-compose.yml on this machine: its commands and its environment, without containers.

::

    docker-compose.yml  -> hosts, ports, folders and secrets of this machine in place of the file's
    postgres, redis     -> Debian's programs
    object-store        -> moto, in memory: it outlives a stop of the other services

The health checks and the order of the file decide when a service starts.
"""

import os
import re
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from deploy.compose import FILE, draw_secrets
from deploy.layout import HOST, Layout
from deploy.services import DIRECT
from deploy.supervisor import end_sessions, marked, members
from tasks.settings import REPOSITORY
from tests.logs import postgres_server
from tests.logs.postgres_server import find_program
from tests.stores.object_store import free_port

LOGS = "s3://equipoise/logs"
INFRASTRUCTURE = ("postgres", "redis", "object-store")
JOBS = frozenset({"prepare", "users"})
ACCOUNTS = "store-accounts"
"""The job that makes MinIO's accounts; moto asks for none."""
PATIENCE = 300.0
NOT_INHERITED = ("AIRFLOW", "_AIRFLOW", "MLFLOW_", "AWS_", "PG", "EQUIPOISE_")


class Production:
    """The running services of one folder; PostgreSQL's own user must be able to enter it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.secrets = draw_secrets()
        self.layout = Layout(self.home, folder / "surfaces", 28080, 25000).with_free_ports()
        self.ports = {name: free_port() for name in INFRASTRUCTURE}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.home.mkdir()
        for name in ("postgres", "redis"):
            (folder / name).mkdir()
        postgres_server.make_data(
            folder / "postgres", user="equipoise", password=self.secrets["POSTGRES_PASSWORD"]
        )

    @cached_property
    def services(self) -> dict[str, Any]:
        """The file's services with the places of this machine."""
        airflow, mlflow = f"{HOST}:{self.layout.airflow_port}", f"{HOST}:{self.layout.mlflow_port}"
        places = {
            "api-server:8080": airflow,
            "127.0.0.1:8080": airflow,
            "mlflow:5000": mlflow,
            "127.0.0.1:5000": mlflow,
            "redis:6379": f"{HOST}:{self.ports['redis']}",
            "object-store:9000": f"{HOST}:{self.ports['object-store']}",
            "PGHOST: postgres": f"PGHOST: {HOST}",
            "'5432'": f"'{self.ports['postgres']}'",
            "'8080'": f"'{self.layout.airflow_port}'",
            "'5000'": f"'{self.layout.mlflow_port}'",
            "0.0.0.0": HOST,  # noqa: S104 - it is replaced
            "/opt/equipoise/surfaces": str(self.layout.surfaces),
            "/opt/equipoise": str(REPOSITORY),
            "/var/lib/equipoise": str(self.home),
        }
        text = FILE.read_text(encoding="utf-8")
        for there, here in places.items():
            text = text.replace(there, here)
        found: dict[str, Any] = yaml.safe_load(text)["services"]
        return found

    @property
    def leaders(self) -> list[int]:
        return [process.pid for process in self.processes.values()]

    @property
    def running(self) -> set[str]:
        return {name for name, process in self.processes.items() if process.poll() is None}

    def start(self) -> None:
        """Start what does not run, each service when those that it waits for are ready."""
        self._start_infrastructure()
        own = [name for name in self.services if name not in {*INFRASTRUCTURE, ACCOUNTS}]
        for name in own:
            for needed in self.services[name].get("depends_on", ()):
                self._wait("object-store" if needed == ACCOUNTS else needed)
            if name == "prepare":
                DIRECT.put(f"http://{HOST}:{self.ports['object-store']}/equipoise", timeout=60)
            self._start(name, self._command(self.services[name]["command"]), self.environment(name))
        for name in own:
            self._wait(name)

    def stop(self) -> set[str]:
        """End every service but the object store, with all that they started; return the names of those that ran."""
        ended = self.running - {"object-store"}
        living = [self.processes[name].pid for name in ended]
        crashed = [process.pid for name, process in self.processes.items() if process.poll() is not None]
        end_sessions(living, crashed, self.layout, patience=20)
        for name in ended:  # a leader is a zombie before its last thread has ended
            self.processes[name].wait(timeout=PATIENCE)
        return ended

    def close(self) -> None:
        """End everything."""
        self.stop()
        self.processes["object-store"].kill()
        self.processes["object-store"].wait()

    def left(self) -> set[int]:
        """Return the processes that have not ended."""
        return members(self.leaders) | marked(self.layout)

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a service, with the shell's but for settings of the services."""
        shell = {name: text for name, text in os.environ.items() if not name.startswith(NOT_INHERITED)}
        own = {name: self._fill(text) for name, text in self.services[name]["environment"].items()}
        return {**shell, "NO_PROXY": HOST, "no_proxy": HOST, **own, **self.layout.mark}

    def equipoise(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `equipoise` in the environment of a step that makes releases."""
        command, here = [sys.executable, "-m", "tasks.cli", *words], self.environment("release-worker")
        return subprocess.run(
            command, env=here, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False
        )

    def _start_infrastructure(self) -> None:
        if "postgres" not in self.running:
            folder, port = self.folder / "postgres", self.ports["postgres"]
            self.processes["postgres"] = postgres_server.serve(folder, port, **self.layout.mark)
        if "redis" not in self.running:
            file = self.folder / "redis" / "redis.conf"
            lines = (f"bind {HOST}", f"port {self.ports['redis']}", f"dir {file.parent}", "appendonly yes")
            file.write_text("\n".join((*lines, f"requirepass {self.secrets['REDIS_PASSWORD']}", "")))
            self._start(
                "redis", [find_program("redis-server"), str(file)], {**os.environ, **self.layout.mark}
            )
        if "object-store" not in self.running:
            address = ["-H", HOST, "-p", str(self.ports["object-store"])]
            command = [sys.executable, "-m", "moto.server", *address]
            self._start("object-store", command, dict(os.environ))  # without the mark: it outlives a stop

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        with self._log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env=environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self, name: str) -> None:
        """Wait until a service is ready, and a job has ended with 0."""
        deadline, process = time.monotonic() + PATIENCE, self.processes[name]
        while not self._is_ready(name):
            ended = process.poll() is not None and not (name in JOBS and process.returncode == 0)
            assert not ended, f"{name} ended:\n{self._log(name).read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"{name} is not ready:\n{self._log(name).read_text()[-3000:]}"
            time.sleep(0.5)

    def _is_ready(self, name: str) -> bool:
        if name in JOBS:
            return self.processes[name].poll() == 0
        checks = {
            "postgres": [find_program("pg_isready"), "--host", HOST, "--port", str(self.ports["postgres"])],
            "redis": [find_program("redis-cli"), "-h", HOST, "-p", str(self.ports["redis"]), "-e", "ping"],
            "object-store": [
                *(sys.executable, "-m", "deploy.compose", "healthcheck"),
                f"http://{HOST}:{self.ports['object-store']}/moto-api/",
            ],
        }
        check = checks.get(name) or self._command(self.services[name]["healthcheck"]["test"][1:])
        done = subprocess.run(
            check, env=self.environment(name), cwd=REPOSITORY, capture_output=True, timeout=90, check=False
        )
        return done.returncode == 0

    def _command(self, words: list[str]) -> list[str]:
        return [sys.executable if word == "python" else word for word in words]

    def _fill(self, text: str) -> str:
        return re.sub(r"\$\{(\w+):\?\}", lambda found: self.secrets[found[1]], text)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"
