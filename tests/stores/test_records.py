"""Only what the home recorded is evidence, whatever somebody writes to MLflow."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import pytest

from tasks.errors import StoreError
from tasks.evaluation.replay_evidence import ShadowEvidence
from tasks.stores.runs import EVIDENCE_FOLDER, INPUTS, StepKey, StepRun
from tasks.stores.store import Store
from tasks.stores.tracking import current
from tests.evaluation import written
from tests.stores.forged import forge_run
from tests.stores.mlflow_home import new_home

NAME = "feed.task.click"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(new_home(tmp_path / "home"))


KEY = StepKey("feed", "shadow", "abc")


def run_step(store: Store, key: StepKey = KEY, release: int = 1) -> str:
    with store.runs.step(key, tags={"release": release}) as run:
        run.evidence(written.document("shadow"))
    return run.run_id


def newest(store: Store, release: int) -> str | None:
    return store.runs.newest("feed", step="shadow", release=release)


def test_a_newer_run_with_every_tag_and_parameter_copied_does_not_count(store: Store) -> None:
    honest = run_step(store)
    forged = forge_run(store.home, honest, lambda text: text.replace("1", "2"))
    assert store.runs.finished(KEY) == newest(store, 1) == honest
    with pytest.raises(StoreError, match=f"Run {forged} is not recorded in .*Run its step again"):
        store.runs.read_evidence(forged, ShadowEvidence)


def test_evidence_that_was_changed_afterwards_is_refused_until_its_run_is_deleted(store: Store) -> None:
    run = run_step(store)
    client = store.client
    client.log_text(run, written.text("shadow").replace("1", "2"), "evidence.json")
    with pytest.raises(
        StoreError, match=r"is not what its step wrote.* delete the run and run its step again"
    ):
        store.runs.read_evidence(run, ShadowEvidence)
    client.delete_run(run)
    assert store.runs.finished(KEY) is None


def test_a_run_of_something_else_does_not_count_by_tags_that_were_set_afterwards(store: Store) -> None:
    other = run_step(store, replace(KEY, inputs="other"), release=2)
    client = store.client
    for tag, value in ((INPUTS, "abc"), ("release", "1")):
        client.set_tag(other, tag, value)
    assert store.runs.finished(KEY) is None
    assert newest(store, 1) is None


def test_a_run_copied_from_another_surface_does_not_count(store: Store) -> None:
    theirs = run_step(store, replace(KEY, surface="video"))
    ours = run_step(store, replace(KEY, inputs="other"), release=2)
    tags = {"surface": "feed", INPUTS: "abc", "release": "1"}
    forge_run(store.home, ours, lambda _: written.text("shadow"), tags=tags)
    assert store.runs.finished(KEY) is None
    assert newest(store, 1) is None
    assert store.runs.read_evidence(theirs, ShadowEvidence) == written.document("shadow")


def test_a_run_whose_record_is_lost_is_made_again(store: Store) -> None:
    lost = run_step(store)
    shutil.rmtree(store.home / EVIDENCE_FOLDER / lost)
    assert store.runs.finished(KEY) is None
    with pytest.raises(StoreError, match=f"Run {lost} is not recorded"):
        store.runs.read_evidence(lost, ShadowEvidence)
    again = run_step(store)
    assert store.runs.finished(KEY) == again


def test_a_step_killed_before_it_recorded_its_run_is_run_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tasks.stores.runs.Records.write", die)
        with pytest.raises(KeyboardInterrupt):
            run_step(store)
    assert store.runs.finished(KEY) is None
    again = run_step(store)
    assert store.runs.finished(KEY) == again


def test_a_copied_home_holds_its_evidence(store: Store, tmp_path: Path) -> None:
    run = run_step(store)
    shutil.copytree(store.home, tmp_path / "copy")
    assert Store.open(tmp_path / "copy").runs.finished(KEY) == run


def register(store: Store, run: StepRun, content: bytes, inputs: str) -> int:
    tags = {INPUTS: inputs}
    files = {"model": content}
    return store.registry.register(NAME, files, run_id=run.run_id, tags=tags, model_type="t").version


def test_a_version_that_no_step_registered_is_not_found_by_its_tags(store: Store) -> None:
    with store.runs.step(KEY) as run:
        register(store, run, b"honest", "abc")
        run.evidence(written.document("shadow"))
    registry = store.registry
    (honest,) = registry.versions(NAME)
    model = registry.model_id(honest)
    client, tags = registry.client, {**registry.tags(honest), "sha256": "f" * 64}
    with current(client.tracking_uri):
        client.create_model_version(NAME, f"models:/{model}", run_id=run.run_id, tags=tags, model_id=model)
    assert len(registry.versions(NAME)) == 2
    assert registry.find(NAME, {INPUTS: "abc"}) == honest


def test_a_version_cannot_name_a_file_elsewhere_as_its_record(store: Store) -> None:
    """Whoever may write to MLflow may add artifacts, which can lie below the home."""
    with store.runs.step(KEY) as run:
        register(store, run, b"model", "other")
        run.evidence(written.document("shadow"))
    registry = store.registry
    client, (honest,) = registry.client, registry.versions(NAME)
    tags = {**registry.tags(honest), INPUTS: "abc"}
    record = json.dumps({"tags": tags, "files": {}})
    client.log_text(run.run_id, record, f"{NAME}.json")
    artifacts = Path(urlparse(client.get_run(run.run_id).info.artifact_uri).path)
    outside, model = f"../{artifacts.relative_to(store.home)}", registry.model_id(honest)
    assert store.runs.records.read(outside, of=NAME) is None
    with current(client.tracking_uri):
        client.create_model_version(NAME, f"models:/{model}", run_id=outside, tags=tags, model_id=model)
    assert registry.find(NAME, {INPUTS: "abc"}) is None


def test_a_version_does_not_count_by_tags_that_were_set_afterwards(store: Store) -> None:
    with store.runs.step(KEY) as run:
        register(store, run, b"of other inputs", "other")
        run.evidence(written.document("shadow"))
    registry = store.registry
    registry.set_tags(registry.part(NAME, 1), {INPUTS: "abc"})
    assert registry.find(NAME, {INPUTS: "abc"}) is None
    assert registry.find_lost_run(NAME, {INPUTS: "abc"}) is None


def test_the_same_bytes_are_one_version_also_where_the_record_of_the_first_was_lost(store: Store) -> None:
    with store.runs.step(KEY) as run:
        register(store, run, b"model", "abc")
        run.evidence(written.document("shadow"))
    shutil.rmtree(store.home / EVIDENCE_FOLDER)
    registry = store.registry
    assert registry.find(NAME, {INPUTS: "abc"}) is None
    with store.runs.step(KEY, again=registry.find_lost_run(NAME, {INPUTS: "abc"})) as again:
        assert register(store, again, b"model", "abc") == 1
        again.evidence(written.document("shadow"))
    assert again.run_id == run.run_id
    found = registry.find(NAME, {INPUTS: "abc"})
    assert found is not None
    assert registry.is_whole(found)
