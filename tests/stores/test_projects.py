"""A project run takes over what MLflow hands to its process, and keeps how the process ended."""

import os
from pathlib import Path

import pytest

from tasks.errors import ContractError, DataError
from tasks.stores.projects import ERROR, MESSAGE, PROJECT, ProjectRun
from tasks.stores.runs import PARENT
from tasks.stores.store import Store
from tasks.stores.tracking import PatientClient, tracking_uri
from tests.stores.mlflow_home import new_home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return new_home(tmp_path / "home")


@pytest.fixture
def client(home: Path) -> PatientClient:
    return Store.open(home).client


def open_run(client: PatientClient, home: Path) -> ProjectRun:
    run = client.create_run(Store.open(home).runs.experiment_id("feed"))
    client.log_param(run.info.run_id, "task", "click")
    return ProjectRun(Store.open(home).runs, run.info.run_id)


def status(run: ProjectRun) -> str:
    return str(run.runs.client.get_run(run.run_id).info.status)


def tags(run: ProjectRun) -> dict[str, str]:
    return dict(run.runs.client.get_run(run.run_id).data.tags)


def test_without_a_run_of_mlflows_there_is_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    assert ProjectRun.from_environment(home) is None


def test_a_run_in_the_chosen_store_is_taken_over_and_leaves_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri(home))
    run = ProjectRun.from_environment(home)
    assert run is not None
    assert run.run_id == "abc"
    assert {"MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"}.isdisjoint(os.environ)


def test_a_run_in_a_store_that_nobody_chose_is_left_aside_with_a_warning(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    own = tracking_uri(home)
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///somewhere/mlruns")
    monkeypatch.setattr("tasks.stores.projects.tracking_uri", lambda _: own)
    with caplog.at_level("WARNING", logger="equipoise"):
        assert ProjectRun.from_environment(home) is None
    assert "MLFLOW_TRACKING_URI is not set" in caplog.text


def test_a_project_closes_runs_of_the_same_parameters_that_were_killed(
    client: PatientClient, home: Path
) -> None:
    killed, again = open_run(client, home), open_run(client, home)
    killed.begin("train", None)
    again.begin("train", None)
    assert (status(killed), status(again)) == ("KILLED", "RUNNING")


def test_a_project_belongs_under_a_run_that_exists(client: PatientClient, home: Path) -> None:
    parent, run = open_run(client, home), open_run(client, home)
    run.begin("train", parent.run_id)
    assert (tags(run)[PROJECT], tags(run)[PARENT]) == ("train", parent.run_id)
    with pytest.raises(ContractError, match="no MLflow run 'nowhere'"):
        run.begin("train", "nowhere")


def test_words_and_numbers_of_a_result_are_kept(client: PatientClient, home: Path) -> None:
    run = open_run(client, home)
    run.answered({"version": 3, "name": "feed.task.click", "metrics": {"auc": 0.7}})
    kept = {name: value for name, value in tags(run).items() if name.startswith("result.")}
    assert kept == {"result.version": "3", "result.name": "feed.task.click"}
    assert status(run) == "FINISHED"


def test_an_error_is_kept_with_its_class(client: PatientClient, home: Path) -> None:
    run = open_run(client, home)
    run.failed(DataError("no rows"))
    assert (tags(run)[ERROR], tags(run)[MESSAGE], status(run)) == ("DataError", "no rows", "FAILED")
