"""docker-compose.yml says of each service what starts it without Docker: the same command, environment and order."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.deploy import production
from tasks.deploy.layout import Layout
from tasks.deploy.logins import USERS
from tasks.deploy.production import INFRASTRUCTURE, Places, password_of
from tasks.deploy.profiles import services_of
from tasks.deploy.services import Asked, Ended, Service, Web
from tasks.settings import REPOSITORY

COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
SECRETS = (
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "OBJECT_STORE_PASSWORD",
    "MLFLOW_PASSWORD",
    "MLFLOW_SECRET_KEY",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_SECRET_KEY",
    "AIRFLOW_JWT_SECRET",
)
NAMES = (*SECRETS, *map(password_of, USERS))
WRITTEN = {name: f"${{{name}:?}}" for name in NAMES}
PLACES = Places(
    python="python",
    repository="/opt/equipoise",
    home="/var/lib/equipoise",
    surfaces="/opt/equipoise/surfaces",
    listen="0.0.0.0",  # noqa: S104 - inside a container; Compose opens it to this machine alone
    postgres_host="postgres",
    postgres_port=5432,
    redis="redis:6379",
    objects="http://object-store:9000",
    airflow="http://api-server:8080",
    airflow_port=8080,
    airflow_page="http://127.0.0.1:8080",
    mlflow="http://mlflow:5000",
    mlflow_port=5000,
    mlflow_page="http://127.0.0.1:5000",
)
SERVICES = {service.name: service for service in production.services(PLACES, WRITTEN)}


def of_compose(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE[name]
    return found


def asked(service: Service) -> list[str] | None:
    match service.ready:
        case Web(url, part):
            return ["CMD", "python", "-m", "tasks.deploy.probe", url, *filter(None, [part])]
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


def test_this_machine_starts_the_same_services_with_the_same_words(tmp_path: Path) -> None:
    if shutil.which("redis-server") is None or not Path("/usr/lib/postgresql").exists():
        pytest.skip("Debian's PostgreSQL and Redis are not installed")
    layout = Layout.from_environment("production")
    here = {
        s.name: s
        for s in services_of(Layout(tmp_path, layout.surfaces, profile="production", ports=layout.ports))
    }
    assert set(here) == {*INFRASTRUCTURE, *SERVICES, "postgres-data"}
    for name, service in SERVICES.items():
        assert [at_home(word) for word in here[name].command] == [at_home(word) for word in service.command]
        assert set(service.environment) <= set(here[name].environment)
        assert here[name].after == service.after


def at_home(word: str) -> str:
    """Blot out what differs by place: the interpreter, addresses and ports."""
    if word.endswith("python"):
        return "python"
    return re.sub(r"^(0\.0\.0\.0|127\.0\.0\.1)$|^\d+$", "here", word)


def test_no_secret_stands_in_the_file_or_in_a_command() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+):\?\}", text)) == set(NAMES)
    assert not any("$" in word for service in COMPOSE.values() for word in service.get("command", ()))
    secret = re.compile(r"PASSWORD|SECRET|FERNET|REDISCLI_AUTH")
    for service in COMPOSE.values():
        for name, value in service["environment"].items():
            assert not secret.search(name) or value.startswith("${"), name


def test_the_env_file_has_every_secret_is_private_and_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tasks.deploy.compose_env"]
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
