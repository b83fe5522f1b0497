"""docker-compose.yml is what the command writes: the services that start without Docker, and images."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import production
from deploy.compose import FILE, PLACES, SECRETS, compose_file
from deploy.credentials import secret_names
from deploy.production import INFRASTRUCTURE
from deploy.services import Asked, Ended, Service, Web
from tasks.settings import REPOSITORY

COMPOSE = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
NAMES = secret_names()
SERVICES = {service.name: service for service in production.describe_services(PLACES, SECRETS)}


def test_the_file_is_what_the_command_writes() -> None:
    assert FILE.read_text(encoding="utf-8") == compose_file(), "run `make compose`"


def test_the_file_begins_with_how_it_is_used_and_made() -> None:
    head = FILE.read_text(encoding="utf-8").partition("\nname:")[0]
    assert all(line.startswith("#") or not line for line in head.splitlines())
    assert "deploy.compose env" in head
    assert "docker compose up" in head
    assert "make compose" in head


def test_every_service_but_a_job_is_asked_for_its_health() -> None:
    asked = {name for name, service in COMPOSE.items() if service.get("healthcheck", {}).get("test")}
    assert asked == set(COMPOSE) - {"prepare", "users"}
    for name in asked:
        check = COMPOSE[name]["healthcheck"]
        assert check["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} <= set(check)


def test_what_a_service_waits_for_exists_and_starts_before_it() -> None:
    started: list[str] = []
    for name, service in COMPOSE.items():
        assert set(service.get("depends_on", {})) <= {*started, "api-server", "mlflow"}
        started.append(name)
    assert set(COMPOSE["prepare"]["depends_on"]) == set(INFRASTRUCTURE)


def of_compose(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE[name]
    return found


def asked(service: Service) -> list[str] | None:
    match service.ready:
        case Web(url, part):
            return ["CMD", "python", "-m", "deploy.healthcheck", url, *filter(None, [part])]
        case Asked(command):
            return ["CMD", *command]
        case Ended():
            return None


def test_compose_has_these_services_and_no_other() -> None:
    assert set(COMPOSE) == {*INFRASTRUCTURE, *SERVICES}


@pytest.mark.parametrize("name", SERVICES)
def test_command_and_environment_are_the_same(name: str) -> None:
    assert tuple(of_compose(name)["command"]) == SERVICES[name].command
    assert of_compose(name)["environment"] == dict(SERVICES[name].environment)


@pytest.mark.parametrize("name", SERVICES)
def test_it_waits_for_the_same_and_is_asked_the_same(name: str) -> None:
    ended, healthy = "service_completed_successfully", "service_healthy"
    jobs = {other.name for other in SERVICES.values() if other.is_job}
    waits = {other: {"condition": ended if other in jobs else healthy} for other in SERVICES[name].after}
    assert of_compose(name)["depends_on"] == waits
    assert of_compose(name).get("healthcheck", {}).get("test") == asked(SERVICES[name])
    assert of_compose(name)["restart"] == ("no" if SERVICES[name].is_job else "unless-stopped")


def test_no_secret_stands_in_the_file_or_in_a_command() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+):\?\}", text)) == set(NAMES)
    assert not any("$" in word for service in COMPOSE.values() for word in service.get("command", ()))
    secret = re.compile(r"PASSWORD|SECRET|FERNET|REDISCLI_AUTH")
    for service in COMPOSE.values():
        for name, value in service["environment"].items():
            assert not secret.search(name) or value.startswith("${"), name


def test_the_env_file_has_every_secret_is_private_and_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.compose", "env"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    made = [
        subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True) for _ in "ab"
    ]
    assert [done.returncode for done in made] == [0, 1]
    file = tmp_path / ".env"
    written = dict(line.split("=", 1) for line in file.read_text(encoding="utf-8").splitlines())
    assert set(written) == set(NAMES)
    assert len(set(written.values())) == len(NAMES)
    assert file.stat().st_mode & 0o777 == 0o600


def test_ports_are_open_to_this_machine_alone() -> None:
    opened = [port for service in COMPOSE.values() for port in service.get("ports", ())]
    assert opened
    assert all(port.startswith("127.0.0.1:") for port in opened)


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose checks the file")
def test_docker_compose_accepts_the_file() -> None:
    environment = {**os.environ, **dict.fromkeys(NAMES, "x")}
    command = ["docker-compose", "--file", "docker-compose.yml", "config", "--quiet"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose checks the file")
def test_docker_compose_refuses_the_file_without_its_secrets() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    command = [
        "docker-compose",
        "--env-file",
        "/dev/null",
        "--file",
        "docker-compose.yml",
        "config",
        "--quiet",
    ]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert any(name in done.stderr for name in NAMES)
