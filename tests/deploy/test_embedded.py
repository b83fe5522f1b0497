import importlib
from pathlib import Path

import pytest

from deploy.embedded import environment
from deploy.layout import Layout


def test_the_shells_airflow_and_mlflow_settings_do_not_reach_the_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.com")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://example.com/airflow")
    found = environment(Layout(tmp_path, tmp_path))
    assert "MLFLOW_TRACKING_URI" not in found
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{tmp_path}/airflow/airflow.db"


def test_nothing_reports_to_anyone_and_no_example_is_loaded(tmp_path: Path) -> None:
    found = environment(Layout(tmp_path, tmp_path))
    assert found["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert found["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_the_parts_reach_one_another_past_any_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet.example.com")
    assert environment(Layout(tmp_path, tmp_path))["no_proxy"] == "intranet.example.com,127.0.0.1"


def test_the_users_have_these_roles(tmp_path: Path) -> None:
    found = environment(Layout(tmp_path, tmp_path))
    users = "admin:admin,ana:user,sam:user,max:user,eve:viewer"
    assert found["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == users


def test_steps_run_where_their_libraries_are_loaded(tmp_path: Path) -> None:
    module, _, name = environment(Layout(tmp_path, tmp_path))["AIRFLOW__CORE__EXECUTOR"].rpartition(".")
    assert hasattr(importlib.import_module(module), name)
