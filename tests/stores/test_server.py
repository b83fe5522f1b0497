"""The steps' store on an MLflow server with logins: what holds on sqlite holds there, and when the server is away."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tests.stores.mlflow_server import MlflowServer, running_server
from tests.stores.plain_evidence import read_plain

pytestmark = pytest.mark.xdist_group("mlflow_server")
FILES = {"calibrator.json": b'{"kind": "isotonic"}'}
AT_ONCE = """
import json, sys
from pathlib import Path
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
registry = Store.open(Path(sys.argv[1])).registry
with registry.runs.step(StepKey("feed", step="calibrate", inputs=sys.argv[1])) as run:
    found = registry.client.search_registered_models()
    sys.stdin.readline()  # until all are there
    part = registry.register(
        sys.argv[2], {"a.json": b"{}"}, run_id=run.run_id, tags={"equipoise.inputs": "same"}, model_type="json"
    )
print(json.dumps([part.version, part.sha256]))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with running_server(tmp_path_factory.mktemp("mlflow_server")) as running:
        yield running


@pytest.fixture
def home(server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose MLflow is the server."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A registered model of the test's own: the server is shared."""
    return f"feed.{request.node.name}"


def make(home: Path, name: str, *, inputs: str = "i") -> tuple[str, int]:
    """Do what a step does; return its run and the version."""
    registry = Store.open(home).registry
    with Store.open(home).runs.step(StepKey("feed", step="calibrate", inputs=f"{name}{inputs}")) as run:
        tags = {"equipoise.inputs": inputs}
        part = registry.register(name, FILES, run_id=run.run_id, tags=tags, model_type="json")
        registry.log_metrics(part, run.run_id, {"auc": 0.7})
        run.params({"rows": 3})
        run.json("evidence.json", {"auc": 0.7})
    return run.run_id, part.version


def test_a_part_is_registered_linked_and_fetched(home: Path, name: str) -> None:
    run, version = make(home, name)
    registry = Store.open(home).registry
    part = registry.resolve(name, str(version))
    assert registry.files(part)["calibrator.json"] == FILES["calibrator.json"]
    assert registry.run_id(part) == run
    outputs = registry.client.get_run(run).outputs
    assert [output.model_id for output in outputs.model_outputs] == [registry.model_id(part)]
    assert not (home / "mlflow" / "mlflow.db").exists()


def test_an_alias_moves_and_evidence_is_read(home: Path, name: str) -> None:
    run, version = make(home, name)
    registry = Store.open(home).registry
    registry.set_alias(registry.part(name, version), "challenger")
    assert registry.aliases(name) == {"challenger": version}
    assert read_plain(home, run) == {"auc": 0.7}
    assert Store.open(home).runs.finished(StepKey("feed", step="calibrate", inputs=f"{name}i")) == run


def test_the_same_inputs_are_one_version(home: Path, name: str) -> None:
    assert make(home, name)[1] == make(home, name)[1]
    assert len(Store.open(home).registry.versions(name)) == 1
    assert make(home, name, inputs="others")[1] == 2


def test_machines_that_register_the_same_at_once_end_with_one_version(
    home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_STORE", str(home / "store"))
    machines = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, str(home / n), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for n in "ab"
    ]  # fmt: skip
    for machine in machines:
        assert machine.stdin is not None
        machine.stdin.write("\n")
    said = [machine.communicate()[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0]
    assert json.loads(said[0]) == json.loads(said[1])
    assert len(Store.open(home).registry.versions(name)) == 1


def test_a_wrong_password_is_said_with_the_setting(
    home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with pytest.raises(StoreError, match="MLFLOW_TRACKING_PASSWORD"):
        make(home, name)


def test_a_server_that_goes_away_in_the_middle_is_a_store_error_and_the_rerun_resumes(
    home: Path, name: str, server: MlflowServer
) -> None:
    registry = Store.open(home).registry
    with pytest.raises(StoreError, match="MLflow server is unreachable or refused"):
        _lose_the_server(home, name, server)
    with pytest.raises(StoreError):
        registry.versions(name)
    server.start()
    assert len(registry.versions(name)) == 1
    assert make(home, name)[1] == 1
    assert len(registry.versions(name)) == 1
    killed = registry.client.search_runs(
        [registry.client.get_experiment_by_name("feed").experiment_id],
        f"tags.`equipoise.inputs` = '{name}i' and attributes.status = 'RUNNING'",
    )
    assert list(killed) == []


def _lose_the_server(home: Path, name: str, server: MlflowServer) -> None:
    with Store.open(home).runs.step(StepKey("feed", step="calibrate", inputs=f"{name}i")) as run:
        Store.open(home).registry.register(
            name, FILES, run_id=run.run_id, tags={"equipoise.inputs": "i"}, model_type="json"
        )
        server.stop()
        run.json("evidence.json", {"auc": 0.7})


def test_the_environment_alone_chooses_the_server(home: Path) -> None:
    assert Store.open(home).registry.client.tracking_uri == os.environ["MLFLOW_TRACKING_URI"]
