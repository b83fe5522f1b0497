from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.stores.manifest import Part
from tasks.stores.registry import NewVersion, create_version, link_output, log_folder, logged_model_of
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tasks.stores.tracking import PatientClient
from tests.stores.mlflow_home import new_home

NAME = "feed.calibrator.click_30m"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return new_home(tmp_path)


@pytest.fixture
def client(home: Path) -> PatientClient:
    return Store.open(home).client


@pytest.fixture
def run_id(home: Path) -> str:
    with Store.open(home).runs.step(StepKey("feed", step="calibrate", inputs="i")) as run:
        return run.run_id


def new_version(run_id: str) -> NewVersion:
    return NewVersion(NAME, run_id, "calibrator", tags={"sha256": "abc"}, params={"knots": 3})


@pytest.fixture
def logged(client: PatientClient, run_id: str, tmp_path: Path) -> str:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "calibrator.json").write_bytes(b"{}")
    return log_folder(client, new_version(run_id), folder)


def test_files_are_a_finished_model_that_a_version_leads_back_to(
    client: PatientClient, run_id: str, logged: str
) -> None:
    assert client.get_logged_model(logged).status == "READY"
    assert create_version(client, new_version(run_id), logged).version == 1
    version = client.get_model_version(NAME, "1")
    assert (version.run_id, version.tags) == (run_id, {"sha256": "abc"})
    assert logged_model_of(Part(NAME, 1, "abc"), version.source) == logged


def test_a_run_is_told_of_what_it_made_once(client: PatientClient, run_id: str, logged: str) -> None:
    for _ in range(2):
        link_output(client, run_id, logged)
    assert [made.model_id for made in client.get_run(run_id).outputs.model_outputs] == [logged]


def test_a_version_whose_source_is_no_logged_model_is_refused() -> None:
    with pytest.raises(
        StoreError, match=rf"{NAME} version 4 was registered by something else.*s3://elsewhere"
    ):
        logged_model_of(Part(NAME, 4, "abc"), "s3://elsewhere")
