"""SIGKILL of what runs a step, and of the scheduler: a retrain ends as if nothing had happened."""

import os
import signal

import pytest

from tasks.deploy.records import records
from tasks.pipeline import retrain
from tasks.release import view
from tasks.stores.registry import Registry
from tasks.stores.workspace import parse_instant
from tests.e2e.installation import Installation
from tests.feeds import mini
from tests.feeds.mini import NAME

RETRAIN = f"{NAME}__retrain"
AS_OF = "2026-02-11T00:00:00Z"


@pytest.fixture(scope="module")
def delivered(installation: Installation) -> Installation:
    """The whole log, and a champion that lends what is not due."""
    installation.deliver()
    if "champion" not in Registry(installation.home).aliases(f"{NAME}.release"):
        retrain(installation.workspace, as_of=mini.AS_OF)
        mini.set_champion(installation.workspace, 1)
    return installation


def test_a_retrain_whose_step_and_whose_scheduler_are_killed_ends_as_one_left_alone(
    delivered: Installation,
) -> None:
    run = delivered.run(RETRAIN, {"as_of": AS_OF})
    kill_step(delivered, RETRAIN, run, "labels")
    delivered.wait_for_step(RETRAIN, run, "models.train", "running")
    kill_scheduler(delivered)
    delivered.succeed(RETRAIN, run)
    assert tries(delivered, RETRAIN, run, "labels") == 2
    release = delivered.airflow().result(RETRAIN, run, "release")["version"]
    assert view.verify(delivered.workspace, release).problems == []
    before = mini.versions(delivered.workspace)
    again = retrain(delivered.workspace, as_of=parse_instant(AS_OF))
    assert again.release == release
    assert mini.versions(delivered.workspace) == before, "there is nothing that was left to be made"
    experiment = delivered.mlflow.get_experiment_by_name(NAME)
    assert delivered.mlflow.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'") == []


def kill_step(parts: Installation, dag: str, run: str, step: str) -> None:
    """Kill the process that runs a step, without warning."""
    os.kill(parts.until(lambda: _process(parts, dag, run, step), f"{step} of {dag} runs"), signal.SIGKILL)


def kill_scheduler(parts: Installation) -> None:
    """Kill the scheduler without warning, and start another; what it was running goes on or is run again."""
    (scheduler,) = [record for record in records(parts.layout) if record.name == "scheduler"]
    os.kill(scheduler.pid, signal.SIGKILL)
    parts.start("scheduler")


def tries(parts: Installation, dag: str, run: str, step: str) -> int:
    """Return how often a step was begun."""
    (found,) = [one for one in parts.airflow().instances(dag, run) if one["task_id"] == step]
    return int(found["try_number"])


def _process(parts: Installation, dag: str, run: str, step: str) -> int | None:
    """Return the process of a step that has begun its work, None where there is none."""
    for one in parts.airflow().instances(dag, run):
        if (one["task_id"], one["state"]) == (step, "running"):
            return int(one["pid"]) if one["pid"] else None
    return None
