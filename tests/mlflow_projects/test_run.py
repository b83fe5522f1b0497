"""`mlflow run` as a person types it, on the small feed."""

from pathlib import Path

import pytest

from tasks.stores.projects import ERROR, MESSAGE
from tasks.stores.tracking import tracking_uri
from tasks.stores.workspace import Workspace, format_instant
from tasks.training import step as train
from tests.feeds.small_feed import AS_OF, small_feed
from tests.mlflow_projects.by_hand import PROJECTS, mlflow_run

pytestmark = pytest.mark.e2e
Feed = tuple[Workspace, str]


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    return small_feed(tmp_path / "feed")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def test_without_a_chosen_store_it_makes_in_the_home_what_the_step_makes(feed: Feed, elsewhere: Path) -> None:
    workspace, snapshot = feed
    asked = {
        "surface": "small_feed",
        "task": "click_1d",
        "as_of": format_instant(AS_OF),
        "snapshot": snapshot,
    }
    ran = mlflow_run("train", workspace, folder=elsewhere, **asked)
    assert ran.returncode == 0, ran.stderr
    assert "MLFLOW_TRACKING_URI is not set" in ran.stderr
    assert ran.stdout == ""
    assert {file.name for file in elsewhere.iterdir()} == {"mlflow.db"}
    assert {file.name for file in (PROJECTS / "train").iterdir()} == {"MLproject"}
    (version,) = workspace.store.registry.versions("small_feed.task.click_1d")
    again = train.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot)
    assert (again.reused, again.version, again.sha256) == (True, version.version, version.sha256)


def test_what_it_cannot_do_is_one_message_and_kept_with_its_run(feed: Feed, elsewhere: Path) -> None:
    workspace, _ = feed
    client = workspace.store.registry.client
    workspace.store.runs.experiment_id("small_feed")
    hostile = {"surface": "small_feed; touch pwned", "task": "--json", "as_of": format_instant(AS_OF)}
    store = tracking_uri(workspace.home)
    named = ("--experiment-name", "small_feed")
    ran = mlflow_run("train", workspace, *named, folder=elsewhere, store=store, **hostile)
    assert ran.returncode == 1
    said = "Unknown surface 'small_feed; touch pwned' in"
    assert f"ContractError: {said}" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not list(elsewhere.iterdir())
    (run,) = client.search_runs(
        [client.get_experiment_by_name("small_feed").experiment_id], "tags.mlflow.source.type = 'PROJECT'"
    )
    assert run.info.status == "FAILED"
    assert run.data.tags[ERROR] == "ContractError"
    assert run.data.tags[MESSAGE].startswith(said)
