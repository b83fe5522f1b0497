"""The MLflow store of a home: opened by several processes, its artifacts read."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tasks.errors import StoreError
from tasks.stores.store import Store
from tasks.stores.tracking import (
    connect,
    copy_artifacts,
    current,
    exclusive,
    patient,
    read_artifact,
    read_artifacts,
    tracking_uri,
)
from tests.stores.mlflow_home import new_home

OPEN = """
import sys
from pathlib import Path
from tasks.stores.store import Store
store = Store.open(Path(sys.argv[1]))
experiment = store.runs.experiment_id("feed")
for _ in range(5):
    store.client.log_metric(store.client.create_run(experiment).info.run_id, "auc", 0.5)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return new_home(tmp_path)


def test_several_processes_may_open_a_fresh_home_at_once(tmp_path: Path) -> None:
    opened = [
        subprocess.Popen([sys.executable, "-c", OPEN, tmp_path], stderr=subprocess.PIPE) for _ in range(2)
    ]
    errors = [process.communicate()[1] for process in opened]
    assert [process.returncode for process in opened] == [0, 0], errors
    client = Store.open(tmp_path).client
    assert len(client.search_runs([Store.open(tmp_path).runs.experiment_id("feed")])) == 10


def test_artifacts_lie_below_the_home(home: Path) -> None:
    client = Store.open(home).client
    experiment = client.get_experiment(Store.open(home).runs.experiment_id("feed"))
    assert Path(urlparse(experiment.artifact_location).path) == home / "mlflow/artifacts/feed"


def test_a_surface_has_one_experiment(home: Path) -> None:
    assert Store.open(home).runs.experiment_id("feed") == Store.open(home).runs.experiment_id("feed")


def test_a_deleted_experiment_is_named(home: Path) -> None:
    client = Store.open(home).client
    client.delete_experiment(Store.open(home).runs.experiment_id("feed"))
    with pytest.raises(StoreError, match="'feed' was deleted"):
        Store.open(home).runs.experiment_id("feed")


def test_an_experiment_that_something_else_made_is_named_with_where_its_files_go(home: Path) -> None:
    client = Store.open(home).client
    client.create_experiment("feed", artifact_location="file:///elsewhere")
    with pytest.raises(
        StoreError, match=r"made the MLflow experiment 'feed', and its artifacts go to .*elsewhere"
    ):
        Store.open(home).runs.experiment_id("feed")
    (experiment,) = client.search_experiments(filter_string="name = 'feed'")
    client.set_experiment_tag(experiment.experiment_id, "equipoise.made_by", "equipoise")
    assert Store.open(home).runs.experiment_id("feed") == experiment.experiment_id


def test_a_registered_model_that_something_else_made_is_named_before_the_first_run(home: Path) -> None:
    client = Store.open(home).client
    client.create_registered_model("feed.release")
    client.create_registered_model("feeds.release")
    with pytest.raises(StoreError, match=r"made the MLflow registered model 'feed\.release'\. Rename it"):
        Store.open(home).runs.experiment_id("feed")
    client.delete_registered_model("feed.release")
    assert Store.open(home).runs.experiment_id("feed")


def test_two_homes_in_one_process_stay_apart(tmp_path: Path) -> None:
    one, two = (new_home(tmp_path / name) for name in ("one", "two"))
    Store.open(one).runs.experiment_id("only_here")
    assert Store.open(two).client.get_experiment_by_name("only_here") is None
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_the_environment_names_another_store(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    assert tracking_uri(home) == "http://mlflow.example:5000"


def test_the_current_store_is_put_back(home: Path) -> None:
    before = os.environ.get("MLFLOW_TRACKING_URI")
    with current(tracking_uri(home)):
        assert os.environ["MLFLOW_TRACKING_URI"] == tracking_uri(home)
    assert os.environ.get("MLFLOW_TRACKING_URI") == before


def test_nothing_is_unpickled_and_nothing_reported() -> None:
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_file_that_is_no_database_is_an_operators_matter(tmp_path: Path) -> None:
    home = new_home(tmp_path)
    (home / "mlflow/mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match=r"mlflow\.db cannot be opened"):
        connect(home)


def test_a_call_waits_for_a_locked_database() -> None:
    tries: list[int] = []

    @patient
    def write() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise MlflowException("database is locked", error_code=TEMPORARILY_UNAVAILABLE)
        return "written"

    assert write() == "written"


def test_a_database_that_stays_locked_is_an_operators_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.stores.tracking.ATTEMPTS", 2)

    @patient
    def write() -> None:
        raise MlflowException("database is locked", error_code=TEMPORARILY_UNAVAILABLE)

    with pytest.raises(StoreError, match="stayed locked by another process"):
        write()


def test_other_failures_are_not_repeated() -> None:
    tries: list[int] = []

    @patient
    def read() -> None:
        tries.append(1)
        raise MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST)

    with pytest.raises(MlflowException, match="no such run"):
        read()
    assert len(tries) == 1


def test_only_one_process_holds_the_lock(tmp_path: Path) -> None:
    take = "import fcntl,sys; fcntl.flock(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    command = [sys.executable, "-c", take, str(tmp_path / "mlflow/.lock")]
    with exclusive(tmp_path):
        assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


FILES = {"evidence.json": b"{}\r\n", "of a task/ü.png": b"\x89PNG", "of a task/deep/empty": b""}


@pytest.fixture
def repository(tmp_path: Path) -> ArtifactRepository:
    for path, data in FILES.items():
        file = tmp_path / "kept here" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return get_artifact_repository((tmp_path / "kept here").as_uri())


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_every_byte_of_a_file_is_read(repository: ArtifactRepository) -> None:
    assert {path: read_artifact(repository, path) for path in FILES} == FILES
    assert read_artifacts(repository) == FILES


def test_a_copy_is_that_of_mlflow(repository: ArtifactRepository, tmp_path: Path) -> None:
    copy_artifacts(repository, tmp_path / "ours")
    (tmp_path / "theirs").mkdir()
    repository.download_artifacts("", str(tmp_path / "theirs"))
    assert files_of(tmp_path / "ours") == files_of(tmp_path / "theirs") == FILES


def test_what_cannot_be_written_to_is_copied_so_that_it_can(
    repository: ArtifactRepository, tmp_path: Path
) -> None:
    (tmp_path / "kept here" / "evidence.json").chmod(0o400)
    (tmp_path / "kept here" / "of a task").chmod(0o500)
    copy_artifacts(repository, tmp_path / "ours")
    assert (tmp_path / "ours" / "of a task").stat().st_mode & 0o200
    assert (tmp_path / "ours" / "evidence.json").stat().st_mode & 0o200


@pytest.mark.parametrize(
    "read",
    [
        lambda repository, into: read_artifact(repository, "evidence.json"),
        copy_artifacts,
        lambda repository, into: read_artifacts(repository),
    ],
)
def test_what_is_gone_is_an_error(read: Callable[[ArtifactRepository, Path], object], tmp_path: Path) -> None:
    gone = get_artifact_repository((tmp_path / "gone").as_uri())
    with pytest.raises((MlflowException, OSError)):
        read(gone, tmp_path / "into")


def test_no_file_outside_is_read(repository: ArtifactRepository, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    with pytest.raises((MlflowException, OSError)):
        read_artifact(repository, "../secret")
