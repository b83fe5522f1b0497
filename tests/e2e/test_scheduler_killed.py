"""SIGKILL of what runs a step, and of the scheduler: a retrain and a promotion end as if nothing had happened.

The release that is promoted is that of a changed policy, which trains nothing and is approved as any other.
The module runs late in the suite: it changes the surface's policy, and puts it back.
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.supervisor import records
from tasks.pipeline import retrain
from tasks.release import view
from tasks.stores.audit import Entry, Kind
from tasks.stores.manifest import Role
from tasks.stores.store import Store
from tasks.stores.workspace import parse_instant
from tests.e2e.installation import Installation
from tests.feeds import mini
from tests.feeds.mini import NAME

RETRAIN, POLICY_CHANGE, PROMOTE = (f"{NAME}__{flow}" for flow in ("retrain", "policy_change", "promote"))
AS_OF = "2026-02-11T00:00:00Z"
REVIEWERS = {"product": "ana", "safety": "sam"}
SETTLED = 8  # seconds after which Airflow takes an answer for certain
ASKS, ENDED = "awaiting_input", ("success", "failed")


@pytest.fixture(scope="module")
def delivered(installation: Installation) -> Installation:
    """The whole log, and a champion whose policy can be changed."""
    installation.deliver()
    if "champion" not in Store.open(installation.home).registry.aliases(f"{NAME}.release"):
        retrain(installation.workspace, as_of=mini.AS_OF)
        mini.set_champion(installation.workspace, 1)
    return installation


@pytest.fixture
def changed_policy(delivered: Installation) -> Iterator[Installation]:
    """A new version of the utility policy is merged; afterwards the old one is back."""
    file = delivered.surfaces / NAME / "utility.yaml"
    kept = shutil.copy(file, file.with_suffix(".kept"))
    mini.rewrite(file, mini.version_2)
    yield delivered
    shutil.move(kept, file)


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


def test_a_changed_policy_becomes_champion_once_though_its_promotion_is_killed_three_times(
    changed_policy: Installation,
) -> None:
    parts, registry = changed_policy, Store.open(changed_policy.home).registry
    champion, rows = registry.aliases(f"{NAME}.release")["champion"], len(audit(parts))
    made = parts.run(POLICY_CHANGE)
    parts.succeed(POLICY_CHANGE, made)
    release = parts.airflow().result(POLICY_CHANGE, made, "gate")["release"]
    was, now = (parts.workspace.releases.manifest(version) for version in (champion, release))
    assert [one for one in now.parts if one.role is Role.TASK] == [
        one for one in was.parts if one.role is Role.TASK
    ]
    asked = {"release": str(release), "why": "clicks weigh more", "waiver": "a small step"}
    run = parts.run(PROMOTE, asked, user="max")
    kill_step(parts, PROMOTE, run, "request")
    for role in REVIEWERS:
        parts.wait_for_step(PROMOTE, run, f"approve_{role}", ASKS)
    kill_scheduler(parts)
    with ThreadPoolExecutor(1) as watcher:  # it may begin and end while Airflow settles an answer
        killed = watcher.submit(kill_step, parts, PROMOTE, run, "move")
        approve(parts, run)
        killed.result()
    parts.succeed(PROMOTE, run)
    assert {role: tries(parts, PROMOTE, run, role) for role in ("request", "move")} == {
        "request": 2,
        "move": 2,
    }
    *answers, moved = audit(parts)[rows:]
    assert {(row.kind, row.role, row.by) for row in answers} == {
        (Kind.APPROVE, role, user) for role, user in REVIEWERS.items()
    }
    assert (moved.kind, moved.champion, moved.release) == (Kind.PROMOTE, champion, release)
    assert moved.waiver == "a small step"
    aliases = registry.aliases(f"{NAME}.release")
    assert (aliases["champion"], aliases["previous"]) == (release, champion)
    assert view.verify(parts.workspace, release).problems == []


def kill_step(parts: Installation, dag: str, run: str, step: str) -> None:
    """Kill the process that runs a step, without warning."""
    os.kill(parts.until(lambda: _process(parts, dag, run, step), f"{step} of {dag} runs"), signal.SIGKILL)


def kill_scheduler(parts: Installation) -> None:
    """Kill the scheduler without warning, and start another; what it was running goes on or is run again."""
    (scheduler,) = [record for record in records(parts.layout) if record.name == "scheduler"]
    os.kill(scheduler.pid, signal.SIGKILL)
    parts.start("scheduler")


def approve(parts: Installation, run: str) -> None:
    """Answer as the reviewers do, again where a step asks again."""
    time.sleep(SETTLED)
    for role, user in REVIEWERS.items():
        step = f"approve_{role}"
        while parts.wait_for_step(PROMOTE, run, step, ASKS, *ENDED)["state"] == ASKS:
            parts.airflow(user).answer(PROMOTE, run, step, "Approve")
            time.sleep(SETTLED)


def tries(parts: Installation, dag: str, run: str, step: str) -> int:
    """Return how often a step was begun."""
    (found,) = [one for one in parts.airflow().instances(dag, run) if one["task_id"] == step]
    return int(found["try_number"])


def audit(parts: Installation) -> tuple[Entry, ...]:
    return Store.open(parts.home).audit(NAME).entries()


def _process(parts: Installation, dag: str, run: str, step: str) -> int | None:
    """Return the process of a step that has begun its work, None where there is none."""
    for one in parts.airflow().instances(dag, run):
        if (one["task_id"], one["state"]) == (step, "running"):
            return int(one["pid"]) if one["pid"] else None
    return None
