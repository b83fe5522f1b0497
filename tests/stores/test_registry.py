import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlparse

import lightgbm as lgb
import mlflow.lightgbm
import numpy as np
import pytest

from tasks.errors import ContractError, StoreError
from tasks.stores.files import sha256
from tasks.stores.manifest import BOOSTER, Part, files_sha256, folder_sha256
from tasks.stores.registry import Registry
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tasks.stores.tracking import PatientClient
from tasks.training.step import booster_files
from tests.stores.killed import killed_in
from tests.stores.mlflow_home import new_home

NAME = "feed.calibrator.click_30m"
FILES = {"calibrator.json": b'{"kind": "isotonic"}', "notes/why.txt": b"because"}
AS_OF = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Store.open(new_home(tmp_path)).registry


def open_run(registry: Registry) -> str:
    with registry.runs.step(StepKey("feed", step="calibrate", inputs="i")) as run:
        return run.run_id


def register(
    registry: Registry, files: dict[str, bytes] = FILES, /, *, name: str = NAME, **tags: str
) -> Part:
    return registry.register(name, files, run_id=open_run(registry), tags=tags, model_type="calibrator")


def stored(registry: Registry, part: Part) -> Path:
    location = registry.client.get_logged_model(registry.model_id(part)).artifact_location
    return Path(urlparse(location).path)


def trained() -> lgb.Booster:
    random = np.random.default_rng(1)
    features = random.random((500, 2))
    data = lgb.Dataset(features, features[:, 0] > random.random(500), feature_name=["price", "age"])
    return lgb.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, 3)


def test_the_digest_is_over_sorted_lines_of_path_and_digest() -> None:
    lines = "".join(f"{path} {sha256(data)}\n" for path, data in sorted(FILES.items()))
    assert files_sha256(FILES) == sha256(lines.encode())


def test_a_folder_has_the_digest_of_its_files(registry: Registry) -> None:
    part = register(registry)
    assert part == Part(NAME, 1, files_sha256(FILES))
    assert folder_sha256(stored(registry, part)) == part.sha256


def test_what_was_registered_is_fetched(registry: Registry) -> None:
    assert registry.files(register(registry)) == FILES


def test_a_part_is_fetched_to_where_it_is_wanted(registry: Registry, tmp_path: Path) -> None:
    part = register(registry)
    assert registry.fetch(part, tmp_path / "here") == tmp_path / "here"
    assert (tmp_path / "here/notes/why.txt").read_bytes() == b"because"


def test_the_same_bytes_from_the_same_inputs_are_one_version(registry: Registry) -> None:
    inputs = {"equipoise.inputs": "a"}
    assert register(registry, **inputs) == register(registry, **inputs)
    assert [part.version for part in registry.versions(NAME)] == [1]


def test_other_inputs_or_other_bytes_are_another_version(registry: Registry) -> None:
    register(registry, **{"equipoise.inputs": "a"})
    assert register(registry, **{"equipoise.inputs": "b"}).version == 2
    assert register(registry, {"calibrator.json": b"{}"}, **{"equipoise.inputs": "b"}).version == 3


def test_bytes_that_claim_no_inputs_are_one_version(registry: Registry) -> None:
    assert register(registry, as_of="monday").version == register(registry, as_of="tuesday").version == 1


@pytest.mark.parametrize(
    "method", ["finalize_logged_model", "create_registered_model", "create_model_version"]
)
def test_a_step_killed_while_registering_registers_once_in_the_end(registry: Registry, method: str) -> None:
    with killed_in(PatientClient, method):
        register(registry)
    assert registry.versions(NAME) == ()
    assert register(registry).version == 1
    assert registry.client.get_logged_model(registry.model_id(register(registry))).status == "READY"


def test_a_step_killed_after_registering_finds_its_version(registry: Registry) -> None:
    with killed_in(PatientClient, "log_outputs"):
        register(registry)
    assert register(registry).version == 1
    assert len(registry.versions(NAME)) == 1


def test_where_a_version_comes_from_is_what_mlflow_says_whoever_asks(registry: Registry) -> None:
    part = register(registry)
    version = registry.client.get_model_version(NAME, "1")
    for looked_up in (registry, registry):
        assert looked_up.run_id(part) == version.run_id
        assert f"models:/{looked_up.model_id(part)}" == version.source
        assert looked_up.made_at(part).timestamp() == version.creation_timestamp / 1000


def test_steps_in_parallel_register_the_same_bytes_once(registry: Registry) -> None:
    run_id = open_run(registry)

    def once(_: int) -> Part:
        return registry.register(NAME, FILES, run_id=run_id, tags={}, model_type="calibrator")

    with ThreadPoolExecutor(4) as pool:
        parts = set(pool.map(once, range(4)))
    assert parts == {Part(NAME, 1, files_sha256(FILES))}
    assert len(registry.versions(NAME)) == 1


def test_registering_leaves_the_environment_as_it_was(registry: Registry) -> None:
    register(registry)
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_changed_byte_is_refused(registry: Registry) -> None:
    part = register(registry)
    (stored(registry, part) / "calibrator.json").write_bytes(b'{"kind": "isotonik"}')
    with pytest.raises(StoreError, match=r"feed\.calibrator\.click_30m version 1 holds other bytes"):
        registry.files(part)


def test_a_file_too_many_or_too_few_is_refused(registry: Registry) -> None:
    part = register(registry)
    (stored(registry, part) / "more.json").write_bytes(b"{}")
    with pytest.raises(StoreError, match="holds other bytes"):
        registry.files(part)
    (stored(registry, part) / "more.json").unlink()
    (stored(registry, part) / "notes/why.txt").unlink()
    with pytest.raises(StoreError, match="holds other bytes"):
        registry.files(part)


def test_files_that_are_gone_are_an_operators_matter(registry: Registry) -> None:
    part = register(registry)
    for path in FILES:
        (stored(registry, part) / path).unlink()
    (stored(registry, part) / "notes").rmdir()
    stored(registry, part).rmdir()
    with pytest.raises(StoreError, match="version 1"):
        registry.files(part)


def test_what_loading_left_behind_is_neither_compared_nor_handed_on(registry: Registry) -> None:
    part = register(registry)
    (stored(registry, part) / "registered_model_meta").write_text("model_name: feed")
    (stored(registry, part) / "notes/__pycache__").mkdir()
    (stored(registry, part) / "notes/__pycache__/model.cpython-311.pyc").write_bytes(b"\0")
    assert registry.files(part) == FILES


def test_a_reference_of_digits_is_a_version_and_all_else_an_alias(registry: Registry) -> None:
    first, second = register(registry), register(registry, {"calibrator.json": b"{}"})
    registry.set_alias(second, "champion")
    assert registry.resolve(NAME, "1") == first
    assert registry.resolve(NAME, "champion") == second
    assert registry.aliases(NAME) == {"champion": 2}


def test_unknown_references_are_named_with_what_is_known(registry: Registry) -> None:
    registry.set_alias(register(registry), "champion")
    with pytest.raises(ContractError, match=r"Unknown alias 'champoin' in feed.* Did you mean 'champion'\?"):
        registry.resolve(NAME, "champoin")
    for version in ("7", "0", str(2**31), "9" * 20):
        with pytest.raises(ContractError, match=rf"Unknown version '{version}' in feed.*Known: 1\."):
            registry.resolve(NAME, version)


def test_a_model_that_was_never_registered_has_neither_aliases_nor_versions(registry: Registry) -> None:
    assert registry.aliases("feed.release") == {}
    assert registry.versions("feed.release") == ()
    assert registry.find("feed.release", {"step": "x"}) is None


def test_an_alias_moves_and_goes(registry: Registry) -> None:
    first, second = register(registry), register(registry, {"calibrator.json": b"{}"})
    registry.set_alias(first, "champion")
    registry.set_alias(second, "champion")
    assert registry.aliases(NAME) == {"champion": 2}
    registry.client.delete_registered_model_alias(NAME, "champion")
    assert registry.aliases(NAME) == {}


def test_the_newest_version_with_all_tags_is_found(registry: Registry) -> None:
    register(registry, snapshot="a", **{"component.feed.task.click_30m": "3"})
    newest = register(
        registry, {"calibrator.json": b"{}"}, snapshot="a", **{"component.feed.task.click_30m": "3"}
    )
    register(registry, {"calibrator.json": b"[]"}, snapshot="b", **{"component.feed.task.click_30m": "3"})
    assert registry.find(NAME, {"component.feed.task.click_30m": "3", "snapshot": "a"}) == newest


def test_a_version_says_what_it_is_and_who_made_it(registry: Registry) -> None:
    part = register(registry, snapshot="a")
    registry.set_tags(part, {"verdict": "promote"})
    registry.describe(part, "of May")
    assert registry.tags(part) == {"snapshot": "a", "verdict": "promote", "sha256": part.sha256}
    assert registry.client.get_model_version(NAME, "1").description == "of May"
    (made,) = registry.client.get_run(registry.run_id(part)).outputs.model_outputs
    assert made.model_id == registry.model_id(part)


def test_a_version_of_somebody_else_is_refused(registry: Registry) -> None:
    registry.client.create_registered_model(NAME)
    registry.client.create_model_version(NAME, "/somewhere")
    with pytest.raises(StoreError, match="was not registered by Equipoise"):
        registry.resolve(NAME, "1")


def test_a_version_whose_logged_model_was_deleted_is_named(registry: Registry, tmp_path: Path) -> None:
    part = register(registry)
    registry.client.delete_logged_model(registry.model_id(part))
    for use in (lambda: registry.files(part), lambda: registry.fetch(part, tmp_path / "fetched")):
        with pytest.raises(StoreError, match=r"The logged model of .* was deleted in MLflow"):
            use()
    assert not registry.is_whole(part)


def test_nothing_is_registered_in_a_model_that_something_else_made(registry: Registry) -> None:
    run = open_run(registry)
    registry.client.create_registered_model(NAME)
    with pytest.raises(StoreError, match="Something else made the MLflow registered model"):
        registry.register(NAME, FILES, run_id=run, tags={}, model_type="calibrator")


def test_metrics_and_parameters_belong_to_the_model(registry: Registry) -> None:
    part = registry.register(
        NAME, FILES, run_id=open_run(registry), tags={}, model_type="calibrator",
        params={"knots": 3},
    )  # fmt: skip
    registry.log_metrics(part, registry.run_id(part), {"test.ratio": 1.01})
    model = registry.client.get_logged_model(registry.model_id(part))
    assert model.params == {"knots": "3"}
    assert {metric.key: metric.value for metric in model.metrics} == {"test.ratio": 1.01}


def test_a_booster_is_text_that_mlflow_loads_and_that_predicts_the_same(
    registry: Registry, tmp_path: Path
) -> None:
    booster = trained()
    run_id, files = open_run(registry), {**booster_files(booster, AS_OF), "encoder.json": b"{}"}
    part = registry.register("f.task.c", files, run_id=run_id, tags={}, model_type="lightgbm")
    folder = registry.fetch(part, tmp_path / "fetched")
    assert (folder / BOOSTER).read_text() == booster.model_to_string()
    assert (folder / "encoder.json").read_bytes() == b"{}"
    rows = np.random.default_rng(2).random((5, 2))
    np.testing.assert_array_equal(
        mlflow.lightgbm.load_model(str(folder)).predict(rows), booster.predict(rows)
    )
    assert not list(folder.rglob("*.pkl"))


def test_the_same_booster_has_the_same_files_on_any_day_and_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    booster = trained()
    once = booster_files(booster, AS_OF)
    monkeypatch.chdir(tmp_path)
    assert booster_files(booster, AS_OF) == once
    assert b"price" in once["MLmodel"]


def test_an_alias_and_a_tag_that_are_not_there_are_taken_away_in_silence(registry: Registry) -> None:
    part = register(registry, share="0.05")
    registry.set_alias(part, "canary")
    for _ in range(2):
        registry.delete_alias(NAME, "canary")
        registry.delete_tag(part, "share")
    assert registry.aliases(NAME) == {}
    assert "share" not in registry.tags(part)
    registry.describe(part, "what it is")
    assert registry.description(part) == "what it is"
