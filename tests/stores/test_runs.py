"""Runs of steps, and the records that make them count."""

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pandas as pd
import pytest

from tasks.errors import ContractError, DataError, StoreError
from tasks.evaluation.release_evidence import GateEvidence
from tasks.replay.evidence import ShadowEvidence
from tasks.stores.runs import EVIDENCE_FOLDER, INPUTS, Records, StepKey
from tasks.stores.store import Store
from tasks.stores.tracking import current
from tests.evaluation import written
from tests.stores.forged import forge_run
from tests.stores.killed import killed_in
from tests.stores.mlflow_home import new_home

TRAIN = StepKey("feed", step="train", inputs="abc")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return new_home(tmp_path)


def finish(home: Path, *, step: str = "train", inputs: str = "abc") -> str:
    with Store.open(home).runs.step(
        StepKey("feed", step=step, inputs=inputs, task="click_30m"), tags={"as_of": "now"}
    ) as run:
        run.json("evidence.json", {})
        return run.run_id


def test_a_run_says_what_it_is(home: Path) -> None:
    run = Store.open(home).client.get_run(finish(home))
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "feed train click_30m"
    said = {
        "surface": "feed",
        "step": "train",
        "task": "click_30m",
        "as_of": "now",
        "equipoise.inputs": "abc",
    }
    assert said.items() <= run.data.tags.items()


def test_a_finished_run_of_the_same_inputs_is_found(home: Path) -> None:
    run_id = finish(home)
    assert Store.open(home).runs.finished(TRAIN) == run_id
    assert Store.open(home).runs.finished(StepKey("feed", step="train", inputs="other")) is None
    assert Store.open(home).runs.finished(StepKey("feed", step="calibrate", inputs="abc")) is None


def test_a_failed_run_says_so_and_is_not_used_again(home: Path) -> None:
    with (
        pytest.raises(DataError),
        Store.open(home).runs.step(TRAIN) as run,
    ):
        raise DataError("no rows")
    assert Store.open(home).client.get_run(run.run_id).info.status == "FAILED"
    assert Store.open(home).runs.finished(TRAIN) is None


def test_a_parent_that_is_not_there_is_refused_before_a_run_is_opened(home: Path) -> None:
    known = finish(home)
    with pytest.raises(ContractError, match="no MLflow run 'abc' to belong under"):
        Store.open(home).runs.step(
            StepKey("feed", step="calibrate", inputs="x"), parent_run="abc"
        ).__enter__()
    client = Store.open(home).client
    (run,) = client.search_runs([client.get_experiment_by_name("feed").experiment_id])
    assert run.info.run_id == known


def test_a_killed_run_is_closed_by_the_next_of_the_same_inputs(home: Path) -> None:
    killed = Store.open(home).runs.step(TRAIN)
    other = Store.open(home).runs.step(StepKey("feed", step="train", inputs="other"))
    left = killed.__enter__().run_id, other.__enter__().run_id
    finish(home)
    status = [Store.open(home).client.get_run(run_id).info.status for run_id in left]
    assert status == ["KILLED", "RUNNING"]


def test_a_child_lies_under_its_parent(home: Path) -> None:
    parent = finish(home)
    with Store.open(home).runs.step(StepKey("feed", step="calibrate", inputs="x"), parent_run=parent) as run:
        pass
    assert Store.open(home).client.get_run(run.run_id).data.tags["mlflow.parentRunId"] == parent


def test_evidence_comes_back_as_it_was(home: Path) -> None:
    evidence = written.document("shadow")
    with Store.open(home).runs.step(TRAIN) as run:
        run.evidence(evidence)
    assert Store.open(home).runs.read_evidence(run.run_id, ShadowEvidence) == evidence


def test_evidence_of_another_step_is_named_with_its_run(home: Path) -> None:
    with Store.open(home).runs.step(TRAIN) as run:
        run.evidence(written.document("shadow"))
    with pytest.raises(ContractError, match=f"Run {run.run_id} holds shadow evidence, not gate"):
        Store.open(home).runs.read_evidence(run.run_id, GateEvidence)


def test_evidence_holds_no_figure_that_json_does_not_know(home: Path) -> None:
    with (
        pytest.raises(ValueError, match="not JSON compliant"),
        Store.open(home).runs.step(StepKey("f", step="s", inputs="i")) as run,
    ):
        run.json("evidence.json", {"auc": float("nan")})


def test_a_run_without_evidence_is_named(home: Path) -> None:
    with Store.open(home).runs.step(TRAIN) as run:
        pass
    with pytest.raises(StoreError, match=r"has no readable evidence\.json"):
        Store.open(home).runs.read_evidence(run.run_id, ShadowEvidence)


@pytest.mark.parametrize("left", [None, b"", b"{", b"\xff\x00"])
def test_a_run_whose_evidence_is_lost_or_torn_is_no_finished_run(
    home: Path, left: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    older, newer = finish(home), finish(home)
    evidence = evidence_file(home, newer)
    evidence.unlink() if left is None else evidence.write_bytes(left)
    assert Store.open(home).runs.finished(TRAIN) == older
    assert newer in caplog.text


def test_metrics_that_are_not_finite_are_left_out(home: Path) -> None:
    with Store.open(home).runs.step(TRAIN) as run:
        run.metrics({"auc": 0.7, "low": float("nan"), "high": float("inf")})
    assert Store.open(home).client.get_run(run.run_id).data.metrics == {"auc": 0.7}


def test_a_table_is_linked_by_its_own_digest(home: Path) -> None:
    with Store.open(home).runs.step(TRAIN) as run:
        run.dataset("labels", digest="d" * 64, source="/labels", context="training")
    (linked,) = Store.open(home).client.get_run(run.run_id).inputs.dataset_inputs
    assert linked.dataset.digest == "d" * 36
    assert {tag.key: tag.value for tag in linked.tags} == {"mlflow.data.context": "training"}


def test_a_model_that_was_read_is_linked_once(home: Path) -> None:
    with Store.open(home).runs.step(StepKey("feed", step="release", inputs="abc")) as run:
        run.reads_models(["m-1", "m-2", "m-1"])
        run.reads_models(["m-2", "m-3"])
        run.reads_models([])
    linked = Store.open(home).client.get_run(run.run_id).inputs.model_inputs
    assert sorted(model.model_id for model in linked) == ["m-1", "m-2", "m-3"]


def test_people_find_texts_tables_and_pictures(home: Path) -> None:
    with Store.open(home).runs.step(TRAIN) as run:
        run.params({"rounds": 3})
        run.tags({"note": "fine"})
        run.text("report.md", "# Report")
        run.table("segments.json", pd.DataFrame({"segment": ["all"], "auc": [0.5]}))
        run.text("curve.svg", "<svg/>")
    client = Store.open(home).client
    assert {file.path for file in client.list_artifacts(run.run_id)} == {
        "report.md",
        "segments.json",
        "curve.svg",
    }
    data = client.get_run(run.run_id).data
    assert data.params == {"rounds": "3"}
    assert data.tags["note"] == "fine"


def evidence_file(home: Path, run_id: str) -> Path:
    location = Store.open(home).client.get_run(run_id).info.artifact_uri.removeprefix("file://")
    return Path(location) / "evidence.json"


def changed_leaves(plain: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every figure, word and yes or no of a document."""
    if isinstance(plain, dict | list):
        for key, value in plain.items() if isinstance(plain, dict) else enumerate(plain):
            yield from changed_leaves(value, (*path, key))
    else:
        yield path


def other_than(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    return value / 10 + 1 if isinstance(value, int | float) else {"block": "pass"}.get(value, f"{value} ")


@pytest.mark.parametrize("name", written.KINDS)
def test_whatever_figure_or_word_of_evidence_is_changed_it_is_refused(home: Path, name: str) -> None:
    document = written.document(name)
    with Store.open(home).runs.step(StepKey("feed", step="gate", inputs="abc")) as run:
        run.evidence(document)
    file = evidence_file(home, run.run_id)
    before = file.read_text(encoding="utf-8")
    Store.open(home).runs.read_evidence(run.run_id, type(document))
    leaves = list(changed_leaves(json.loads(before)))
    for path in random.Random(name).sample(leaves, min(len(leaves), 12)):  # noqa: S311 - a seed, no secret
        plain = holder = json.loads(before)
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = other_than(holder[path[-1]])
        file.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        with pytest.raises(StoreError, match="is not what its step wrote"):
            Store.open(home).runs.read_evidence(run.run_id, type(document))


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


def test_a_step_killed_before_it_recorded_its_run_is_run_again(store: Store) -> None:
    with killed_in(Records, "write"):
        run_step(store)
    assert store.runs.finished(KEY) is None
    again = run_step(store)
    assert store.runs.finished(KEY) == again


def test_a_copied_home_holds_its_evidence(store: Store, tmp_path: Path) -> None:
    run = run_step(store)
    shutil.copytree(store.home, tmp_path / "copy")
    assert Store.open(tmp_path / "copy").runs.finished(KEY) == run


def register(store: Store, content: bytes, inputs: str, *, again: str | None = None) -> tuple[str, int]:
    """Register a model in a run; return the run and the version."""
    with store.runs.step(KEY, again=again) as run:
        tags, files = {INPUTS: inputs}, {"model": content}
        part = store.registry.register(NAME, files, run_id=run.run_id, tags=tags, model_type="t")
        run.evidence(written.document("shadow"))
    return run.run_id, part.version


def test_a_version_that_no_step_registered_is_not_found_by_its_tags(store: Store) -> None:
    run_id, _ = register(store, b"honest", "abc")
    registry = store.registry
    (honest,) = registry.versions(NAME)
    model = registry.model_id(honest)
    client, tags = registry.client, {**registry.tags(honest), "sha256": "f" * 64}
    with current(client.tracking_uri):
        client.create_model_version(NAME, f"models:/{model}", run_id=run_id, tags=tags, model_id=model)
    assert len(registry.versions(NAME)) == 2
    assert registry.find(NAME, {INPUTS: "abc"}) == honest


def test_a_version_cannot_name_a_file_elsewhere_as_its_record(store: Store) -> None:
    """Whoever may write to MLflow may add artifacts, which can lie below the home."""
    run_id, _ = register(store, b"model", "other")
    registry = store.registry
    client, (honest,) = registry.client, registry.versions(NAME)
    tags = {**registry.tags(honest), INPUTS: "abc"}
    record = json.dumps({"tags": tags, "files": {}})
    client.log_text(run_id, record, f"{NAME}.json")
    artifacts = Path(urlparse(client.get_run(run_id).info.artifact_uri).path)
    outside, model = f"../{artifacts.relative_to(store.home)}", registry.model_id(honest)
    assert store.runs.records.read(outside, of=NAME) is None
    with current(client.tracking_uri):
        client.create_model_version(NAME, f"models:/{model}", run_id=outside, tags=tags, model_id=model)
    assert registry.find(NAME, {INPUTS: "abc"}) is None


def test_a_version_does_not_count_by_tags_that_were_set_afterwards(store: Store) -> None:
    register(store, b"of other inputs", "other")
    registry = store.registry
    registry.set_tags(registry.part(NAME, 1), {INPUTS: "abc"})
    assert registry.find(NAME, {INPUTS: "abc"}) is None
    assert registry.find_lost_run(NAME, {INPUTS: "abc"}) is None


def test_the_same_bytes_are_one_version_also_where_the_record_of_the_first_was_lost(store: Store) -> None:
    first = register(store, b"model", "abc")
    shutil.rmtree(store.home / EVIDENCE_FOLDER)
    registry = store.registry
    assert registry.find(NAME, {INPUTS: "abc"}) is None
    lost = registry.find_lost_run(NAME, {INPUTS: "abc"})
    assert register(store, b"model", "abc", again=lost) == first == (lost, 1)
    found = registry.find(NAME, {INPUTS: "abc"})
    assert found is not None
    assert registry.is_whole(found)
