"""A retrain, a simulation and a shadow as MLflow projects, compared with the same in this process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.entities import Run

from tasks.replay import shadow, simulate
from tasks.stores.projects import PROJECT
from tasks.stores.runs import PARENT
from tasks.stores.tracking import tracking_uri
from tasks.stores.workspace import Workspace, format_instant
from tests.feeds import mini
from tests.feeds.mini import AS_OF, NAME, Retrained
from tests.mlflow_projects.by_hand import mlflow_run

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Projects:
    """A home in which everything was done by projects; their runs by the command's name."""

    workspace: Workspace
    runs: Mapping[str, Run]


@pytest.fixture(scope="module")
def by_projects(mini_world: Path, mini_surfaces: Path, tmp_path_factory: pytest.TempPathFactory) -> Projects:
    folder = tmp_path_factory.mktemp("mini_by_projects")
    workspace = mini.with_log(mini_surfaces, mini_world, folder)
    workspace.store.runs.experiment_id(NAME)
    as_of = format_instant(AS_OF)
    asked = {
        "retrain": {"as_of": as_of},
        "simulate": {"release": "1"},
        "shadow": {"challenger": "challenger", "as_of": as_of},
    }
    for name, parameters in asked.items():
        named = ("--experiment-name", NAME, "-P", f"surface={NAME}")
        store = tracking_uri(workspace.home)
        ran = mlflow_run(name, workspace, *named, folder=folder, store=store, **parameters)
        assert ran.returncode == 0, ran.stderr
    return Projects(
        workspace, {run.data.tags[PROJECT]: run for run in runs_of(workspace) if PROJECT in run.data.tags}
    )


def runs_of(workspace: Workspace) -> list[Run]:
    client = workspace.store.client
    return client.search_runs([client.get_experiment_by_name(NAME).experiment_id])


def test_a_retrain_by_project_registers_what_a_retrain_in_process_does(
    by_projects: Projects, first_retrain: Retrained
) -> None:
    assert mini.versions(by_projects.workspace) == first_retrain.versions
    said = by_projects.runs["retrain"].data.tags
    assert (said["result.release"], said["result.verdict"]) == ("1", first_retrain.result.verdict)


def test_every_step_of_it_is_nested_below_its_run(by_projects: Projects) -> None:
    steps = [run for run in runs_of(by_projects.workspace) if PROJECT not in run.data.tags]
    assert {run.data.tags["step"] for run in steps} == {
        *("validate", "train", "calibrate", "examination", "release", "simulate", "shadow", "gate")
    }
    assert {run.data.tags[PARENT] for run in steps} == {by_projects.runs["retrain"].info.run_id}


def test_a_replay_and_a_shadow_by_project_find_what_was_done(by_projects: Projects) -> None:
    found = {name: by_projects.runs[name].data.tags["result.run_id"] for name in ("simulate", "shadow")}
    assert found == {
        "simulate": simulate.run(by_projects.workspace, release=1).run_id,
        "shadow": shadow.run(by_projects.workspace, as_of=AS_OF, challenger=1).run_id,
    }
