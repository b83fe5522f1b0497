"""Training and calibration launched in this process and as MLflow projects: the same parts, found alike."""

import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import pytest
import yaml
from mlflow.entities import Run

from tasks import pipeline
from tasks.calibration import step as calibrate
from tasks.calibration.step import CalibrateResult
from tasks.errors import ContractError, ImmatureLabels, StoreError
from tasks.pipeline import Retrain, TaskRetrain
from tasks.settings import Settings
from tasks.stores import projects
from tasks.stores.projects import PROJECT
from tasks.stores.registry import Registry
from tasks.stores.runs import PARENT, StepKey, step_run
from tasks.stores.tracking import PatientClient, connect
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.training.step import TrainResult
from tests.feeds.small_feed import AS_OF, NAME, small_feed

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("small_feed")]
TASK = "click_1d"


@dataclass(frozen=True)
class Launched:
    """A task's model and calibrator, launched under a parent run."""

    workspace: Workspace
    snapshot: str
    parent: str
    model: TrainResult
    calibrator: CalibrateResult

    @property
    def client(self) -> PatientClient:
        return Registry(self.workspace.home).client

    def run(self, run_id: str) -> Run:
        return self.client.get_run(run_id)

    def project_of(self, run_id: str) -> Run:
        """Return the project run that a step's run is nested below."""
        return self.run(self.run(run_id).data.tags[PARENT])


@pytest.fixture
def by_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_LAUNCHER", "mlflow-project")


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Launched:
    workspace, snapshot = small_feed(tmp_path_factory.mktemp("launched"))
    with (
        step_run(StepKey(workspace.home, NAME, step="night", inputs="x")) as opened,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("EQUIPOISE_LAUNCHER", "mlflow-project")
        model = trained(workspace, snapshot, opened.run_id)
        calibrator = calibrated(workspace, snapshot, model.version, opened.run_id)
    return Launched(workspace, snapshot, opened.run_id, model, calibrator)


def trained(workspace: Workspace, snapshot: str, parent_run: str | None = None) -> TrainResult:
    model = pipeline.train(TaskRetrain(Retrain(workspace, AS_OF, parent_run), TASK, snapshot))
    assert isinstance(model, TrainResult)
    return model


def calibrated(
    workspace: Workspace, snapshot: str, version: int, parent_run: str | None = None
) -> CalibrateResult:
    one = TaskRetrain(Retrain(workspace, AS_OF, parent_run), TASK, snapshot)
    calibrator = pipeline.calibrate(one, model_version=version)
    assert isinstance(calibrator, CalibrateResult)
    return calibrator


def project_runs(workspace: Workspace) -> list[Run]:
    client = connect(workspace.home)
    experiment = client.get_experiment_by_name(NAME).experiment_id
    return client.search_runs([experiment], "tags.mlflow.source.type = 'PROJECT'")


def without_run(result: TrainResult | CalibrateResult) -> dict[str, object]:
    return {name: value for name, value in asdict(result).items() if name != "run_id"}


def test_a_project_makes_the_bytes_that_the_step_makes(launched: Launched, tmp_path: Path) -> None:
    workspace, snapshot = small_feed(tmp_path)
    assert Settings().launcher == "in_process"
    model = trained(workspace, snapshot)
    calibrator = calibrated(workspace, snapshot, model.version)
    assert project_runs(workspace) == []
    assert not model.reused
    assert without_run(model) == without_run(launched.model)
    assert without_run(calibrator) == without_run(launched.calibrator)


@pytest.mark.parametrize("part", ["model", "calibrator"])
def test_the_step_is_nested_below_its_project_and_that_below_the_parent(
    launched: Launched, part: str
) -> None:
    made = getattr(launched, part)
    project = launched.project_of(made.run_id)
    assert project.data.tags[PARENT] == launched.parent
    assert project.data.tags[PROJECT] == ("train" if part == "model" else "calibrate")
    assert project.data.tags["mlflow.runName"] == f"project {project.data.tags[PROJECT]} {TASK}"
    assert project.info.experiment_id == launched.run(made.run_id).info.experiment_id
    assert launched.run(made.run_id).info.status == project.info.status == "FINISHED"


def test_the_project_run_says_what_came_of_it_and_is_no_second_record_of_the_step(launched: Launched) -> None:
    project = launched.project_of(launched.model.run_id)
    said = {name: project.data.tags[f"result.{name}"] for name in ("version", "sha256", "run_id")}
    assert said == {"version": "1", "sha256": launched.model.sha256, "run_id": launched.model.run_id}
    assert "step" not in project.data.tags
    assert project.data.metrics == {}


def test_what_is_there_is_taken_without_another_project(launched: Launched, by_project: None) -> None:
    before = len(project_runs(launched.workspace))
    workspace, snapshot = launched.workspace, launched.snapshot
    again = trained(workspace, snapshot)
    assert (again.reused, again.run_id) == (True, launched.model.run_id)
    assert train.run(workspace, task=TASK, as_of=AS_OF, snapshot=snapshot) == again
    version = launched.model.version
    assert calibrated(workspace, snapshot, version).reused
    found = calibrate.run(workspace, task=TASK, as_of=AS_OF, snapshot=snapshot, model_version=version)
    assert found.run_id == launched.calibrator.run_id
    assert len(project_runs(launched.workspace)) == before


def test_what_the_step_raises_in_the_project_is_raised_here(by_project: None, tmp_path: Path) -> None:
    workspace, snapshot = small_feed(tmp_path)
    file = workspace.surfaces / NAME / "surface.yaml"
    plain = yaml.safe_load(file.read_text(encoding="utf-8"))
    plain["minimum"]["positives"] = 90_000
    file.write_text(yaml.safe_dump(plain), encoding="utf-8")
    with pytest.raises(
        ImmatureLabels, match=r"'click_1d' cannot be trained: .* Raised in the project 'train'"
    ):
        trained(workspace, snapshot)
    (run,) = project_runs(workspace)
    assert run.info.status == "FAILED"


def test_a_project_killed_in_the_middle_is_a_matter_of_the_store_and_made_once_by_the_next(
    by_project: None, tmp_path: Path
) -> None:
    workspace, snapshot = small_feed(tmp_path)
    killer = threading.Thread(target=kill_when_the_step_runs, args=(workspace,), daemon=True)
    killer.start()
    with pytest.raises(StoreError, match="no result and no reason"):
        trained(workspace, snapshot)
    killer.join()
    assert not trained(workspace, snapshot).reused
    assert len(Registry(workspace.home).versions(f"{NAME}.task.{TASK}")) == 1
    client = connect(workspace.home)
    runs = client.search_runs([client.get_experiment_by_name(NAME).experiment_id])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED", "FINISHED", "KILLED"]


def kill_when_the_step_runs(workspace: Workspace) -> None:
    client, begun = connect(workspace.home), False
    while not begun:
        time.sleep(0.05)
        found = client.get_experiment_by_name(NAME)
        running = "tags.step = 'train' and attributes.status = 'RUNNING'"
        begun = found is not None and bool(client.search_runs([found.experiment_id], running))
    for process in psutil.Process().children():
        if "tasks.cli.project" in process.cmdline():
            process.kill()


def test_a_project_that_ends_well_without_the_part_is_never_made_up_for_here(
    by_project: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, snapshot = small_feed(tmp_path)
    monkeypatch.setattr(projects, "PROJECTS", project(tmp_path / "projects", "true"))
    with pytest.raises(
        StoreError, match=r"ended well, but what it should have made .* is not registered here"
    ):
        trained(workspace, snapshot)
    assert Registry(workspace.home).versions(f"{NAME}.task.{TASK}") == ()


def test_a_process_that_cannot_start_is_no_fault_of_the_data(
    by_project: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, snapshot = small_feed(tmp_path)
    monkeypatch.setattr(projects, "PROJECTS", project(tmp_path / "projects", "no_such_program"))
    with pytest.raises(StoreError, match=r"Its MLflow run is \w{32}"):
        trained(workspace, snapshot)


def test_a_backend_that_cannot_be_had_leaves_no_run_open(
    by_project: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow lacks what it needs for a cluster: its package, or an engine to bring it the image."""
    workspace, snapshot = small_feed(tmp_path)
    monkeypatch.setenv("EQUIPOISE_LAUNCHER_BACKEND", "kubernetes")
    with pytest.raises(StoreError, match=r"could not be run, .* MLflow says: \w+: "):
        trained(workspace, snapshot)
    assert [run.info.status for run in project_runs(workspace)] == ["FAILED"]


def project(folder: Path, command: str) -> Path:
    """Write a project `train` that does something else; return the folder of projects."""
    (folder / "train").mkdir(parents=True)
    told = {"name": "train", "entry_points": {"main": {"command": command}}}
    (folder / "train/MLproject").write_text(yaml.safe_dump(told), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("EQUIPOISE_LAUNCHER", "mlflow-projct", "Known: in_process, mlflow-project. Did you mean 'mlflow-project'"),
        ("EQUIPOISE_LAUNCHER_BACKEND", "kubernets", "Did you mean 'kubernetes'"),
        ("EQUIPOISE_LAUNCHER_CONFIG", "no_such.json", "cannot be read as JSON"),
    ],
)  # fmt: skip
def test_a_setting_that_is_not_known_is_named(
    setting: str, value: str, said: str, by_project: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, snapshot = small_feed(tmp_path)
    monkeypatch.setenv(setting, value)
    with pytest.raises(ContractError, match=f"{setting}.*{said}"):
        trained(workspace, snapshot)


def test_a_configuration_is_an_object(
    by_project: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, snapshot = small_feed(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(["local"]), encoding="utf-8")
    monkeypatch.setenv("EQUIPOISE_LAUNCHER_CONFIG", str(tmp_path / "config.json"))
    with pytest.raises(ContractError, match="holds no JSON object"):
        trained(workspace, snapshot)
