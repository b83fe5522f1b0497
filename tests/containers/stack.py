"""docker-compose.yml, run by podman-compose on images of `.ci/containers`.

::

    .ci/containers                  images: Debian's packages, the project's own Dockerfile on them, the stand-ins
    Stack.up()                      podman-compose up, which obeys the conditions of `depends_on`
    a thread                        `podman healthcheck run` in place of systemd's timers, until each is healthy
    Stack.down()                    podman-compose down: the volumes stay
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from deploy.compose import FILE, draw_secrets
from tasks.settings import REPOSITORY
from tests.stores.object_store import free_port

HERE = Path(__file__).parent
PROJECT = f"equipoise-test-{os.getpid()}"
JOBS = frozenset({"store-accounts", "prepare", "users"})
IMAGES = {
    "PROJECT_IMAGE": "localhost/equipoise-feed:test",
    "POSTGRES_IMAGE": "localhost/equipoise-services:test",
    "REDIS_IMAGE": "localhost/equipoise-services:test",
    "OBJECT_STORE_IMAGE": "localhost/equipoise-object-store:test",
}
"""Each third-party image that docker-compose.yml names, and what stands in for it."""
PATIENCE = 600.0
INTERVAL = 5.0


class Stack:
    """The containers of one project; `folder` holds its secrets and what podman-compose prints."""

    label = f"label=com.docker.compose.project={PROJECT}"

    def __init__(self, folder: Path, *, workers: int) -> None:
        self.folder, self.secrets = folder, draw_secrets()
        self.ports = {"AIRFLOW_PORT": free_port(), "MLFLOW_PORT": free_port()}
        self.environment_file = folder / "env"
        lines = {**self.secrets, **self.ports, **IMAGES, "WORKERS": workers}
        self.environment_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        self.environment_file.chmod(0o600)
        self.log = folder / "up.log"
        self._up: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._asker = threading.Thread(target=self._ask_for_health, daemon=True)
        self._asker.start()

    @property
    def airflow_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['AIRFLOW_PORT']}"

    @property
    def mlflow_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['MLFLOW_PORT']}"

    @cached_property
    def declared(self) -> dict[str, Any]:
        """The services as the file declares them."""
        found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
        return found

    def lacking(self) -> set[str]:
        """Return the services that are not healthy, and the jobs that have not ended with 0."""
        return {name for name in self.declared if not self._is_ready(name)}

    def up(self) -> None:
        """Start every service and wait until each is healthy and each job has ended with 0."""
        with self.log.open("ab") as log:
            self._up = subprocess.Popen(
                self._compose("up", "--no-build"),
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while lacking := self.lacking():
            assert time.monotonic() < deadline, f"not ready: {sorted(lacking)}\n{self.tail()}"
            assert self._up.poll() is None, f"podman-compose ended\n{self.tail()}"
            failed = {name for name in JOBS for one in self.inspect(name) if one["State"]["ExitCode"]}
            assert not failed, f"{sorted(failed)} ended with an error\n{self.tail()}"
            time.sleep(1)

    def down(self, *options: str) -> None:
        """Remove the containers, and with `--volumes` what they kept."""
        subprocess.run(
            self._compose("down", *options), cwd=REPOSITORY, check=True, capture_output=True, timeout=PATIENCE
        )
        if self._up is not None:
            self._up.wait(timeout=60)

    def close(self) -> None:
        """Remove everything."""
        self._stopping.set()
        self._asker.join()
        self.down("--volumes")

    def inspect(self, service: str) -> list[dict[str, Any]]:
        """Return what podman knows of a service's containers."""
        of_service = f"label=com.docker.compose.service={service}"
        names = podman("ps", "--all", "--quiet", "--filter", self.label, "--filter", of_service).split()
        found: list[dict[str, Any]] = json.loads(podman("inspect", *names)) if names else []
        return found

    def run(self, service: str, *words: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a command in a service's first container and return what it prints."""
        given = [word for name, value in (environment or {}).items() for word in ("--env", f"{name}={value}")]
        return podman("exec", *given, self.inspect(service)[0]["Id"], *words)

    def tail(self) -> str:
        """Return the end of what the services printed."""
        return self.log.read_text(errors="replace")[-6000:]

    def _is_ready(self, service: str) -> bool:
        found = [one["State"] for one in self.inspect(service)]
        if service in JOBS:
            return bool(found) and all(one["Status"] == "exited" and not one["ExitCode"] for one in found)
        return bool(found) and all(health(one) == "healthy" for one in found)

    def _ask_for_health(self) -> None:
        while not self._stopping.wait(INTERVAL):
            for service in sorted(self.declared.keys() - JOBS):
                for one in self.inspect(service):
                    if one["State"]["Running"] and health(one["State"]) != "healthy":
                        podman("healthcheck", "run", one["Id"], check=False)

    def _compose(self, *words: str) -> list[str]:
        where = ["--project-name", PROJECT, "--env-file", str(self.environment_file)]
        return ["podman-compose", "--podman-path", str(HERE / "podman"), *where, "--file", str(FILE), *words]


def health(state: dict[str, Any]) -> str:
    """Return the health of a container: starting, healthy or unhealthy."""
    return str(state.get("Health", {}).get("Status"))


def podman(*words: str, check: bool = True) -> str:
    """Run podman and return what it prints."""
    done = subprocess.run(
        ["podman", *words],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
        check=False,
        env=os.environ,
    )
    assert not check or done.returncode == 0, f"podman {' '.join(words[:2])}: {done.stderr[-3000:]}"
    return done.stdout
