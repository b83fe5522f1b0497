"""A command as the process of a project: what it takes from MLflow and what its run says at the end."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from mlflow.entities import Param, Run

from tasks.cli.project import main
from tasks.stores.projects import ERROR, MESSAGE, PROJECT
from tasks.stores.runs import PARENT
from tasks.stores.store import Store
from tasks.stores.tracking import PatientClient, tracking_uri
from tests.contracts.files import write_surface
from tests.stores.mlflow_home import new_home

ASKED = {"surface": "feed", "task": "click"}
WORDS = ("--as-of=2026-01-01T00:00:00Z", "--snapshot=nothing", "--", "feed", "no_such_task")
Open = Callable[[Mapping[str, str]], str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = new_home(tmp_path / "home")
    monkeypatch.setenv("EQUIPOISE_HOME", str(home))
    monkeypatch.setenv("EQUIPOISE_SURFACES", str(write_surface(tmp_path)))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri(home))
    return home


@pytest.fixture
def client(home: Path) -> PatientClient:
    return Store.open(home).client


@pytest.fixture
def opened(home: Path, client: PatientClient, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open a run with these parameters, as `mlflow run` does before it starts the process."""

    def opened(parameters: Mapping[str, str]) -> str:
        run_id = client.create_run(Store.open(home).runs.experiment_id("feed")).info.run_id
        client.log_batch(run_id, params=[Param(name, value) for name, value in parameters.items()])
        monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
        return run_id

    return opened


def said(client: PatientClient, run_id: str) -> Run:
    return client.get_run(run_id)


def test_a_command_that_cannot_be_read_fails_its_run_with_the_reason(
    client: PatientClient, opened: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = opened(ASKED)
    assert main(["train", "--as-of=yesterday", "--", "feed", "click"]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("Usage error: ")) == ("", 1)
    run = said(client, run_id)
    assert (run.info.status, run.data.tags[ERROR]) == ("FAILED", "UsageError")
    assert "'yesterday' is not an ISO 8601 instant" in run.data.tags[MESSAGE]


def test_what_is_raised_is_kept_under_the_name_of_the_command_and_its_parent(
    client: PatientClient, opened: Open
) -> None:
    parent = opened({})
    run_id = opened(ASKED)
    assert main(["train", f"--parent-run={parent}", *WORDS]) == 2
    tags = said(client, run_id).data.tags
    assert (tags[PROJECT], tags[PARENT], tags[ERROR]) == ("train", parent, "ContractError")


def test_a_parent_that_is_not_there_is_refused(client: PatientClient, opened: Open) -> None:
    run_id = opened(ASKED)
    assert main(["train", "--parent-run=0123", *WORDS]) == 2
    run = said(client, run_id)
    assert run.data.tags[MESSAGE].startswith("There is no MLflow run '0123'")
    assert PARENT not in run.data.tags


def test_it_closes_what_was_killed_with_the_same_parameters_and_nothing_else(
    client: PatientClient, opened: Open
) -> None:
    killed, other = opened(ASKED), opened({**ASKED, "task": "like"})
    for run_id in (killed, other):
        client.set_tag(run_id, PROJECT, "train")
    opened(ASKED)
    main(["train", *WORDS])
    assert said(client, killed).info.status == "KILLED"
    assert said(client, other).info.status == "RUNNING"


def test_in_a_store_that_nobody_chose_its_run_is_left_alone(
    client: PatientClient,
    opened: Open,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_id = opened(ASKED)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert main(["train", "--as-of=yesterday", "--", "feed", "click"]) == 2
    assert "MLFLOW_TRACKING_URI is not set" in capsys.readouterr().err
    assert said(client, run_id).info.status == "RUNNING"
    assert not (tmp_path / "mlflow.db").exists()


def test_a_command_that_was_not_run_by_mlflow_is_the_command(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    assert main(["train", *WORDS]) == 2
    assert "Unknown task 'no_such_task'" in capsys.readouterr().err
