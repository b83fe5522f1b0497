"""Only what the home recorded is evidence, whatever somebody writes to MLflow."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import pytest

from tasks.errors import StoreError
from tasks.evaluation.replay_evidence import ShadowEvidence
from tasks.stores.records import FOLDER, read_record
from tasks.stores.registry import Registry
from tasks.stores.runs import INPUTS, StepKey, StepRun, finished_run, newest_run, read_evidence, step_run
from tasks.stores.tracking import connect, current
from tests.evaluation import written
from tests.stores.forged import forge_run
from tests.stores.mlflow_home import new_home

NAME = "feed.task.click"


@pytest.fixture
def key(tmp_path: Path) -> StepKey:
    return StepKey(new_home(tmp_path / "home"), "feed", "shadow", "abc")


def run_step(key: StepKey, release: int = 1) -> str:
    with step_run(key, tags={"release": release}) as run:
        run.evidence(written.document("shadow"))
    return run.run_id


def newest(key: StepKey, release: int) -> str | None:
    return newest_run(key.home, key.surface, step=key.step, release=release)


def test_a_newer_run_with_every_tag_and_parameter_copied_does_not_count(key: StepKey) -> None:
    honest = run_step(key)
    forged = forge_run(key.home, honest, lambda text: text.replace("1", "2"))
    assert finished_run(key) == newest(key, 1) == honest
    with pytest.raises(StoreError, match=f"Run {forged} is not recorded in .*Run its step again"):
        read_evidence(key.home, forged, ShadowEvidence)


def test_evidence_that_was_changed_afterwards_is_refused_until_its_run_is_deleted(key: StepKey) -> None:
    run = run_step(key)
    client = connect(key.home)
    client.log_text(run, written.text("shadow").replace("1", "2"), "evidence.json")
    with pytest.raises(
        StoreError, match=r"is not what its step wrote.* delete the run and run its step again"
    ):
        read_evidence(key.home, run, ShadowEvidence)
    client.delete_run(run)
    assert finished_run(key) is None


def test_a_run_of_something_else_does_not_count_by_tags_that_were_set_afterwards(key: StepKey) -> None:
    other = run_step(replace(key, inputs="other"), release=2)
    client = connect(key.home)
    for tag, value in ((INPUTS, "abc"), ("release", "1")):
        client.set_tag(other, tag, value)
    assert finished_run(key) is None
    assert newest(key, 1) is None


def test_a_run_copied_from_another_surface_does_not_count(key: StepKey) -> None:
    theirs = run_step(replace(key, surface="video"))
    ours = run_step(replace(key, inputs="other"), release=2)
    tags = {"surface": "feed", INPUTS: "abc", "release": "1"}
    forge_run(key.home, ours, lambda _: written.text("shadow"), tags=tags)
    assert finished_run(key) is None
    assert newest(key, 1) is None
    assert read_evidence(key.home, theirs, ShadowEvidence) == written.document("shadow")


def test_a_run_whose_record_is_lost_is_made_again(key: StepKey) -> None:
    lost = run_step(key)
    shutil.rmtree(key.home / FOLDER / lost)
    assert finished_run(key) is None
    with pytest.raises(StoreError, match=f"Run {lost} is not recorded"):
        read_evidence(key.home, lost, ShadowEvidence)
    again = run_step(key)
    assert finished_run(key) == again


def test_a_step_killed_before_it_recorded_its_run_is_run_again(
    key: StepKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tasks.stores.runs.write_record", die)
        with pytest.raises(KeyboardInterrupt):
            run_step(key)
    assert finished_run(key) is None
    again = run_step(key)
    assert finished_run(key) == again


def test_a_copied_home_holds_its_evidence(key: StepKey, tmp_path: Path) -> None:
    run = run_step(key)
    shutil.copytree(key.home, tmp_path / "copy")
    assert finished_run(replace(key, home=tmp_path / "copy")) == run


def register(run: StepRun, content: bytes, inputs: str) -> int:
    tags = {INPUTS: inputs}
    files = {"model": content}
    return Registry(run.home).register(NAME, files, run_id=run.run_id, tags=tags, model_type="t").version


def test_a_version_that_no_step_registered_is_not_found_by_its_tags(key: StepKey) -> None:
    with step_run(key) as run:
        register(run, b"honest", "abc")
        run.evidence(written.document("shadow"))
    registry = Registry(key.home)
    (honest,) = registry.versions(NAME)
    model = registry.model_id(honest)
    client, tags = registry.client, {**registry.tags(honest), "sha256": "f" * 64}
    with current(client.tracking_uri):
        client.create_model_version(NAME, f"models:/{model}", run_id=run.run_id, tags=tags, model_id=model)
    assert len(registry.versions(NAME)) == 2
    assert registry.find(NAME, {INPUTS: "abc"}) == honest


def test_a_version_cannot_name_a_file_elsewhere_as_its_record(key: StepKey) -> None:
    """Whoever may write to MLflow may add artifacts, which can lie below the home."""
    with step_run(key) as run:
        register(run, b"model", "other")
        run.evidence(written.document("shadow"))
    registry = Registry(key.home)
    client, (honest,) = registry.client, registry.versions(NAME)
    tags = {**registry.tags(honest), INPUTS: "abc"}
    record = json.dumps({"tags": tags, "files": {}})
    client.log_text(run.run_id, record, f"{NAME}.json")
    artifacts = Path(urlparse(client.get_run(run.run_id).info.artifact_uri).path)
    outside, model = f"../{artifacts.relative_to(key.home)}", registry.model_id(honest)
    assert read_record(key.home, outside, of=NAME) is None
    with current(client.tracking_uri):
        client.create_model_version(NAME, f"models:/{model}", run_id=outside, tags=tags, model_id=model)
    assert registry.find(NAME, {INPUTS: "abc"}) is None


def test_a_version_does_not_count_by_tags_that_were_set_afterwards(key: StepKey) -> None:
    with step_run(key) as run:
        register(run, b"of other inputs", "other")
        run.evidence(written.document("shadow"))
    registry = Registry(key.home)
    registry.set_tags(registry.part(NAME, 1), {INPUTS: "abc"})
    assert registry.find(NAME, {INPUTS: "abc"}) is None
    assert registry.find_lost_run(NAME, {INPUTS: "abc"}) is None


def test_the_same_bytes_are_one_version_also_where_the_record_of_the_first_was_lost(key: StepKey) -> None:
    with step_run(key) as run:
        register(run, b"model", "abc")
        run.evidence(written.document("shadow"))
    shutil.rmtree(key.home / FOLDER)
    registry = Registry(key.home)
    assert registry.find(NAME, {INPUTS: "abc"}) is None
    with step_run(key, again=registry.find_lost_run(NAME, {INPUTS: "abc"})) as again:
        assert register(again, b"model", "abc") == 1
        again.evidence(written.document("shadow"))
    assert again.run_id == run.run_id
    found = registry.find(NAME, {INPUTS: "abc"})
    assert found is not None
    assert registry.is_whole(found)
