"""docker-compose.yml holds no secret, opens ports to this machine alone, and runs what `deploy.compose` has."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.airflow_api import Airflow
from deploy.compose import FILE, add_to_mlflow, draw_secrets, password_of
from deploy.credentials import USERS
from tasks.errors import StoreError
from tasks.settings import REPOSITORY
from tests.deploy.conftest import Server

CREATE = "/api/2.0/mlflow/users/create"
COMPOSE = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
JOBS = {"prepare", "users"}
NAMES = set(draw_secrets())


def test_every_service_but_a_job_is_asked_for_its_health() -> None:
    asked = {name for name, service in COMPOSE.items() if service.get("healthcheck", {}).get("test")}
    assert asked == set(COMPOSE) - JOBS
    for name in asked:
        check = COMPOSE[name]["healthcheck"]
        assert check["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} <= set(check)


def test_a_service_waits_for_what_starts_before_it() -> None:
    ended, healthy = "service_completed_successfully", "service_healthy"
    started: list[str] = []
    for name, service in COMPOSE.items():
        waits = {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        assert waits == {other: ended if other in JOBS else healthy for other in waits}
        assert set(waits) <= {*started, "api-server", "mlflow"}
        started.append(name)
    assert set(COMPOSE["prepare"]["depends_on"]) == {"postgres", "redis", "object-store"}


def test_no_secret_is_in_the_file_or_in_a_command() -> None:
    assert {password_of(user) for user in USERS} <= NAMES
    assert not any("$" in word for service in COMPOSE.values() for word in service.get("command", ()))
    secret = re.compile(r"PASSWORD|SECRET|FERNET|REDISCLI_AUTH")
    for service in COMPOSE.values():
        for name, value in service["environment"].items():
            assert not secret.search(name) or value.startswith("${"), name


def test_a_service_has_no_more_in_its_environment_than_it_needs() -> None:
    assert not any(name.startswith("AIRFLOW") for name in COMPOSE["mlflow"]["environment"])
    assert password_of("eve") not in COMPOSE["prepare"]["environment"]


def test_the_env_file_has_every_secret_is_private_and_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.compose", "env"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    made = [
        subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True) for _ in "ab"
    ]
    assert [done.returncode for done in made] == [0, 1]
    file = tmp_path / ".env"
    written = dict(line.split("=", 1) for line in file.read_text(encoding="utf-8").splitlines())
    assert set(written) == NAMES
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


@pytest.fixture
def _mlflow(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    for part, value in {"URI": airflow.url, "USERNAME": "equipoise", "PASSWORD": "hush"}.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{part}", value)


@pytest.mark.usefixtures("_mlflow")
def test_a_login_is_made_and_one_that_is_there_stays() -> None:
    add_to_mlflow("ana", "secret")
    Server.refuses = {CREATE: (400, {"error_code": "RESOURCE_ALREADY_EXISTS"})}
    add_to_mlflow("ana", "secret")
    login = {"username": "ana", "password": "secret"}
    assert [(path, json.loads(body)) for path, body in Server.posted] == [(CREATE, login)] * 2


@pytest.mark.parametrize(
    "refusal", [(401, {"error_code": "UNAUTHENTICATED"}), (400, {"error_code": "INVALID"})]
)
@pytest.mark.usefixtures("_mlflow")
def test_a_refused_login_is_a_store_error_without_its_password(refusal: tuple[int, dict[str, str]]) -> None:
    Server.refuses = {CREATE: refusal}
    with pytest.raises(
        StoreError, match=f"refused the login of ana: {refusal[0]} .*{refusal[1]['error_code']}"
    ) as told:
        add_to_mlflow("ana", "secret")
    assert "secret" not in str(told.value)
