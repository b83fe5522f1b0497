import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from deploy.layout import Layout
from deploy.services import Service, Web, describe_services, environment
from tasks.settings import REPOSITORY
from tests.deploy.conftest import Server

HEALTH = {"scheduler": {"status": "healthy"}, "triggerer": {"status": "unhealthy"}, "dag_processor": None}


@pytest.fixture(autouse=True)
def _health(address: str) -> None:
    Server.answers = {"/health": [HEALTH]}


def test_an_address_that_answers_is_ready(address: str) -> None:
    assert Web(f"{address}/health").answers()
    assert not Web(f"{address}/elsewhere").answers()
    assert not Web("http://127.0.0.1:9/health").answers()


@pytest.mark.parametrize(
    ("part", "ready"),
    [("scheduler", True), ("triggerer", False), ("dag_processor", False), ("unheard_of", False)],
)
def test_a_component_is_ready_when_the_health_page_calls_it_healthy(
    address: str, part: str, ready: bool
) -> None:
    assert Web(f"{address}/health", part).answers() is ready
    words = [sys.executable, "-m", "deploy.compose", "healthcheck", f"{address}/health", part]
    assert subprocess.run(words, cwd=REPOSITORY, check=False).returncode == (0 if ready else 1)


def test_a_description_shows_no_secret() -> None:
    assert "hush" not in repr(Service("part", ("true",), {"SECRET": "hush"}))


def test_every_service_but_a_job_is_asked_and_none_serves_logs(tmp_path: Path) -> None:
    services = {service.name: service for service in describe_services(Layout(tmp_path, tmp_path))}
    assert [name for name, service in services.items() if service.is_job] == ["airflow-db", "mlflow-db"]
    assert services["dag-processor"].ready == Web(
        "http://127.0.0.1:8080/api/v2/monitor/health", "dag_processor"
    )
    for name in ("scheduler", "triggerer"):
        assert "--skip-serve-logs" in services[name].command


def test_settings_of_airflow_and_mlflow_in_the_shell_do_not_reach_the_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.com")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://example.com/airflow")
    monkeypatch.setenv("NO_PROXY", "intranet.example.com")
    found = environment(Layout(tmp_path, tmp_path))
    assert "MLFLOW_TRACKING_URI" not in found
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith(f"sqlite:///{tmp_path}/airflow/airflow.db")
    assert found["no_proxy"] == "intranet.example.com,127.0.0.1"


@pytest.mark.parametrize("driver", ["sqlite", "sqlite+aiosqlite"])
def test_a_part_of_airflow_waits_a_minute_for_the_write_of_another_one(tmp_path: Path, driver: str) -> None:
    address = environment(Layout(tmp_path, tmp_path))["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    made = make_url(address).set(drivername=driver)
    (arguments, named) = made.get_dialect()().create_connect_args(made)
    assert arguments == [f"{tmp_path}/airflow/airflow.db"]
    assert named["timeout"] == 60


def test_nothing_is_reported_to_anyone_and_users_have_their_roles(tmp_path: Path) -> None:
    found = environment(Layout(tmp_path, tmp_path))
    assert found["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert found["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert int(found["AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"]) == 120, "as docs/schedule.md says"
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
    users = "admin:admin,ana:user,sam:user,max:user,eve:viewer"
    assert found["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == users


def test_steps_run_where_their_modules_are_loaded(tmp_path: Path) -> None:
    commands = {service.name: service.command for service in describe_services(Layout(tmp_path, tmp_path))}
    assert hasattr(importlib.import_module(commands["scheduler"][2]), "preload")
