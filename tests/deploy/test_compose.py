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
from deploy.compose import FILE, GRANTS, add_to_mlflow, draw_secrets, password_of
from deploy.credentials import USERS
from tasks.errors import StoreError
from tasks.settings import REPOSITORY
from tests.deploy.conftest import Server

CREATE = "/api/2.0/mlflow/users/create"
COMPOSE = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
JOBS = {"store-accounts", "prepare", "users"}
IMAGES = ("image: ${POSTGRES_IMAGE:-", "image: ${REDIS_IMAGE:-", "image: ${OBJECT_STORE_IMAGE:-")
DATABASE = {"AIRFLOW_DB_PASSWORD", "AIRFLOW_FERNET_KEY"}
HELD: dict[str, set[str]] = {
    "postgres": {"POSTGRES_PASSWORD"},
    "redis": {"REDIS_PASSWORD"},
    "object-store": {"OBJECT_STORE_PASSWORD"},
    "store-accounts": {"OBJECT_STORE_PASSWORD"}
    | {f"{account}_STORE_PASSWORD" for account in ("MLFLOW", "WORKER", "RELEASES", "PAGES")},
    "prepare": {"POSTGRES_PASSWORD", "ADMIN_PASSWORD"}
    | {f"{user}_DB_PASSWORD" for user in ("MLFLOW", "WORKER", "RELEASES")}
    | DATABASE,
    "mlflow": {"MLFLOW_DB_PASSWORD", "MLFLOW_STORE_PASSWORD", "MLFLOW_PASSWORD", "MLFLOW_SECRET_KEY"},
    "api-server": {
        "AIRFLOW_JWT_SECRET",
        "AIRFLOW_SECRET_KEY",
        "PAGES_STORE_PASSWORD",
        "PAGES_MLFLOW_PASSWORD",
    }
    | DATABASE,
    "scheduler": {"AIRFLOW_JWT_SECRET", "REDIS_PASSWORD"} | DATABASE,
    "dag-processor": DATABASE,
    "triggerer": DATABASE,
    "worker": {f"WORKER_{of}_PASSWORD" for of in ("DB", "STORE", "MLFLOW")} | {"REDIS_PASSWORD"},
    "release-worker": {f"RELEASES_{of}_PASSWORD" for of in ("DB", "STORE", "MLFLOW")}
    | {"REDIS_PASSWORD", "EQUIPOISE_AUDIT_KEY"},
    "users": {password_of(user) for user in USERS}
    | {f"{account.upper()}_MLFLOW_PASSWORD" for account in GRANTS}
    | {"MLFLOW_PASSWORD"},
}
"""The secrets of each service: as few as it needs."""
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
    assert set(COMPOSE["prepare"]["depends_on"]) == {"postgres", "redis", "store-accounts"}


def test_no_secret_is_in_the_file_or_in_a_command() -> None:
    assert {password_of(user) for user in USERS} <= NAMES
    commands = (word for service in COMPOSE.values() for word in service.get("command", ()))
    assert not any("${" in word for word in commands)
    secret = re.compile(r"PASSWORD|SECRET|FERNET|REDISCLI_AUTH|AUDIT_KEY")
    for service in COMPOSE.values():
        for name, value in service["environment"].items():
            assert not secret.search(name) or value.startswith("${"), name


def test_a_service_has_no_secret_that_it_does_not_need() -> None:
    found = {
        name: set(re.findall(r"\$\{(\w+):\?\}", json.dumps(service))) for name, service in COMPOSE.items()
    }
    assert found == HELD
    assert set().union(*HELD.values()) == NAMES


def test_every_third_party_image_can_be_named_by_its_digest() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert all(image in text for image in IMAGES)
    assert "ARG BASE=" in (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")


def test_what_runs_steps_asks_for_audited_releases() -> None:
    for name in ("worker", "release-worker", "api-server"):
        assert COMPOSE[name]["environment"]["EQUIPOISE_REQUIRE_VERIFIED"] == "1"


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
@pytest.mark.parametrize("has_secrets", [True, False])
def test_docker_compose_accepts_the_file_with_its_secrets_alone(has_secrets: bool) -> None:
    secrets = dict.fromkeys(NAMES, "x") if has_secrets else {}
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | secrets
    command = ["docker-compose", "--env-file", "/dev/null", "--file", str(FILE), "config", "--quiet"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0, done.stderr == "") == (has_secrets, has_secrets)
    assert has_secrets or any(name in done.stderr for name in NAMES)


@pytest.fixture
def _mlflow(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    for part, value in {"URI": airflow.url, "USERNAME": "equipoise", "PASSWORD": "hush"}.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{part}", value)


@pytest.mark.usefixtures("_mlflow")
def test_a_login_is_made_and_one_that_is_there_stays() -> None:
    add_to_mlflow("ana", "secret", {})
    Server.refuses = {CREATE: (400, {"error_code": "RESOURCE_ALREADY_EXISTS"})}
    add_to_mlflow("ana", "secret", {})
    login = {"username": "ana", "password": "secret"}
    assert [(path, json.loads(body)) for path, body in Server.posted] == [(CREATE, login)] * 2


@pytest.mark.usefixtures("_mlflow")
def test_an_account_of_a_service_is_granted_every_resource_of_a_type() -> None:
    add_to_mlflow("worker", "secret", {"experiment": "EDIT"})
    path, body = Server.posted[-1]
    assert path == "/api/3.0/mlflow/users/permissions/grant"
    granted = {"resource_type": "experiment", "resource_id": "*", "permission": "EDIT"}
    assert json.loads(body) == {"username": "worker", **granted}


def test_of_the_services_accounts_one_alone_may_change_registered_models() -> None:
    assert [account for account, grants in GRANTS.items() if "registered_model" in grants] == ["releases"]


@pytest.mark.parametrize(
    "refusal", [(401, {"error_code": "UNAUTHENTICATED"}), (400, {"error_code": "INVALID"})]
)
@pytest.mark.usefixtures("_mlflow")
def test_a_refused_login_is_a_store_error_without_its_password(refusal: tuple[int, dict[str, str]]) -> None:
    Server.refuses = {CREATE: refusal}
    with pytest.raises(
        StoreError, match=f"refused the login of ana: {refusal[0]} .*{refusal[1]['error_code']}"
    ) as told:
        add_to_mlflow("ana", "secret", {})
    assert "secret" not in str(told.value)
