"""A surface with a shared trunk from contract to decision: one head is the trunk, one its blend with trees."""

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest

from tasks.cli import main
from tasks.errors import ContractError
from tasks.pipeline import retrain
from tasks.promotion.provenance import read_lineage
from tasks.ranking.segmented_map import apply_calibrator, calibrator_from_json
from tasks.ranking.trunk import TrunkModel
from tasks.release import view
from tasks.release.loading import LoadedRelease, load_release
from tasks.release.view import ReleaseReader
from tasks.stores.manifest import CALIBRATOR, Role
from tasks.stores.workspace import Workspace
from tasks.training import trunk_step
from tasks.training.trees import read_model
from tests.contracts.files import setting
from tests.feeds import mini
from tests.feeds.mini import AS_OF, NAME, Retrained

pytest.importorskip("jax", reason="the extra `trunk` is not installed")

TRUNK = f"{NAME}.trunk.feed"


@pytest.fixture(scope="module")
def retrained(mini_world: Path, mini_surfaces: Path, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    folder = tmp_path_factory.mktemp("trunk")
    asked = mini.with_log(mini_surfaces, mini_world, folder)
    changes = {"tasks": mini.two_tasks, "surface": mini.surface_with_trunk, "utility": mini.utility_of_two}
    return Retrained.run(mini.changed(asked, folder, **changes), as_of=AS_OF)


def test_the_trunk_is_one_component_that_its_heads_share(retrained: Retrained) -> None:
    manifest = retrained.workspace.releases.manifest(1)
    (trunk,) = [part for part in manifest.parts if part.role is Role.TRUNK]
    assert (trunk.name, trunk.version, trunk.task) == (TRUNK, 1, None)
    folder = f"trunks/{TRUNK}-1"
    assert [path for path in manifest.files if path.startswith("trunks/")] == [
        f"{folder}/trunk.json",
        f"{folder}/trunk.safetensors",
    ]


def test_every_byte_of_the_release_is_as_registered(retrained: Retrained) -> None:
    assert view.verify(retrained.workspace, 1).problems == []


def fetch(workspace: Workspace, release: int, folder: Path) -> Path:
    registry = workspace.store.registry
    return registry.fetch(registry.part(f"{NAME}.release", release), folder)


@pytest.fixture(scope="module")
def loaded(retrained: Retrained, tmp_path_factory: pytest.TempPathFactory) -> LoadedRelease:
    return load_release(fetch(retrained.workspace, 1, tmp_path_factory.mktemp("release")))


@pytest.fixture(scope="module")
def candidates(mini_world: Path) -> pd.DataFrame:
    """Two dozen requests of a day; the last user is unknown, the one before missing."""
    frame = pd.read_parquet(max((mini_world / "candidates").glob("*.parquet")))
    kept = frame[frame["request_id"].isin(frame["request_id"].unique()[:24])].reset_index(drop=True)
    kept["user_id"] = kept["user_id"].astype(object)
    kept.loc[kept.index[-2:], "user_id"] = [None, "nobody"]
    return kept


def assert_predicts_as_its_parts(
    workspace: Workspace, loaded: LoadedRelease, candidates: pd.DataFrame, **versions: int
) -> None:
    """Compare with the trees and versions of trunk and calibrator: log odds of the trunk, or mean with trees'."""
    registry, served = workspace.store.registry, loaded.predict(candidates)
    for task, version in versions.items():
        booster, encoder = read_model(registry.files(registry.part(f"{NAME}.task.{task}", 1)))
        trunk = TrunkModel.from_files(registry.files(registry.part(TRUNK, version))).log_odds(candidates)
        raw = booster.predict(encoder.matrix(candidates), raw_score=True)
        log_odds = (raw + trunk[task]) / 2 if task == "hide_2d" else trunk[task]
        files = registry.files(registry.part(f"{NAME}.calibrator.{task}", version))
        calibrator = calibrator_from_json(json.loads(files[CALIBRATOR]))
        expected = apply_calibrator(calibrator, 1 / (1 + np.exp(-log_odds)), candidates)
        np.testing.assert_allclose(served[f"p_{task}"], expected, rtol=1e-9)


def test_what_serves_predicts_what_the_registered_parts_predict(
    retrained: Retrained, loaded: LoadedRelease, candidates: pd.DataFrame
) -> None:
    assert_predicts_as_its_parts(retrained.workspace, loaded, candidates, click_30m=1, hide_2d=1)


def test_a_release_of_a_trunk_serves_what_it_scores(loaded: LoadedRelease, candidates: pd.DataFrame) -> None:
    scored, served = loaded.score(candidates), loaded.serve(candidates)
    for name in ("p_click_30m", "p_hide_2d", "utility"):
        np.testing.assert_array_equal(served[name].astype(float), scored[name])


def test_a_request_is_explained_by_the_calibrated_predictions_of_its_heads(
    loaded: LoadedRelease, candidates: pd.DataFrame
) -> None:
    request = candidates["request_id"].iloc[0]
    explained = loaded.explain(candidates, request)
    scored = loaded.score(candidates[candidates["request_id"] == request])
    clicks = explained[explained["head"] == "click_30m"].set_index("item_id")["prediction"]
    expected = scored.set_index("item_id")["p_click_30m"]
    np.testing.assert_allclose(clicks.sort_index(), expected.loc[clicks.index].sort_index())


def test_the_same_inputs_again_register_nothing(retrained: Retrained) -> None:
    assert Retrained.run(retrained.workspace, as_of=AS_OF) == retrained


def test_the_command_line_finds_the_trunk_that_the_retrain_made(
    retrained: Retrained, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = retrained.workspace
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home), "--json"]
    assert main(["train", NAME, "feed", "--as-of", AS_OF.isoformat(), *where]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["trunk"], printed["version"], printed["reused"]) == ("feed", 1, True)


def test_the_dossier_and_the_gate_compare_each_head_with_its_trees(retrained: Retrained) -> None:
    judged = [gate for gate in retrained.result.gates if gate["subject"].get("baseline") == "trees"]
    found = {gate["subject"]["task"]: gate["subject"]["feature"] for gate in judged}
    assert found == {"click_30m": "trunk", "hide_2d": "blend"}
    assert all(gate["outcome"] == ("warn" if gate["observed"]["low"] > 0 else "pass") for gate in judged)
    page = Path(retrained.result.dossier).with_suffix(".html").read_text(encoding="utf-8")
    assert "Trees, shared trunk and their blend" in page


def test_its_heads_are_as_old_as_what_the_trunk_learned(retrained: Retrained) -> None:
    manifest = retrained.workspace.releases.manifest(1)
    (trunk,) = [part for part in manifest.parts if part.role is Role.TRUNK]
    trees = manifest.part(Role.TASK, "click_30m")
    assert trunk.trained_until() < trees.trained_until()


def test_a_retrain_of_one_of_its_tasks_keeps_the_champions_trunk(
    retrained: Retrained, tmp_path: Path
) -> None:
    workspace = retrained.workspace
    mini.set_champion(workspace, 1)
    retrain(workspace, as_of=AS_OF, tasks=["click_30m"])
    assert set(mini.versions(workspace)[TRUNK]) == {(1, retrained.versions[TRUNK][0][1])}


def test_a_retrain_of_none_of_its_tasks_needs_no_trunk(retrained: Retrained) -> None:
    found = trunk_step.train_or_keep(
        retrained.workspace, trunk="feed", planned=["return_5d"], as_of=AS_OF, snapshot="none is read"
    )
    assert found == trunk_step.TrunkVersion("feed", None)


def test_the_champions_trunk_is_not_kept_where_another_is_declared(
    retrained: Retrained, tmp_path: Path
) -> None:
    mini.set_champion(retrained.workspace, 1)
    other = mini.changed(retrained.workspace, tmp_path, surface=setting("trunks.feed.ids", None))
    kept, dropped = (
        trunk_step.train_or_keep(at, trunk="feed", planned=["click_30m"], as_of=AS_OF, snapshot="")
        for at in (retrained.workspace, other)
    )
    assert (kept.version, dropped.version) == (1, None)


def test_without_jax_a_retrain_is_refused_before_it_begins_and_the_extra_named(
    retrained: Retrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trunk_step, "LIBRARIES", ("jax", "no_such_library"))
    with pytest.raises(
        ContractError,
        match=r"declares trunks \(feed\), and no_such_library is not installed.* make setup TRUNK=1",
    ):
        retrain(retrained.workspace, as_of=AS_OF)


def copied(workspace: Workspace, folder: Path) -> Workspace:
    """Return a copy of a home in which release 1 is champion."""
    home = Path(shutil.copytree(workspace.home, folder / "home"))
    there = Workspace.open(NAME, surfaces=workspace.surfaces, home=home)
    mini.set_champion(there, 1)
    return there


@pytest.fixture(scope="module")
def of_two_trunks(retrained: Retrained, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    """The trunk is trained for one epoch; no tree of hides finds a split: they keep the champion's model."""

    def other(plain: dict[str, Any]) -> None:
        plain["trunks"]["feed"]["epochs"] = 1
        plain["lightgbm"]["hide_2d"] = {"min_data_in_leaf": 10**7}

    folder = tmp_path_factory.mktemp("two")
    return Retrained.run(
        mini.changed(copied(retrained.workspace, folder), folder, surface=other), as_of=AS_OF
    )


def test_a_head_that_keeps_the_champions_model_keeps_the_trunk_that_it_was_calibrated_with(
    of_two_trunks: Retrained, candidates: pd.DataFrame, tmp_path: Path
) -> None:
    workspace, release = of_two_trunks.workspace, of_two_trunks.result.release
    manifest = workspace.releases.manifest(release)
    trunks = [part.version for part in manifest.parts if part.role is Role.TRUNK]
    heads = {task: manifest.part(Role.CALIBRATOR, task).version for task in mini.TWO}
    assert (trunks, heads) == ([1, 2], {"click_30m": 2, "hide_2d": 1})
    assert view.verify(workspace, release).problems == []
    assert {TRUNK, f"{TRUNK} version 2"} <= {*read_lineage(ReleaseReader(workspace), release).labels}
    folder = fetch(workspace, release, tmp_path)
    loaded = load_release(folder)
    assert_predicts_as_its_parts(workspace, loaded, candidates, click_30m=2, hide_2d=1)
    by_mlflow = mlflow.pyfunc.load_model(str(folder)).predict(candidates)
    scored = loaded.score(candidates)
    for name in ("p_click_30m", "p_hide_2d", "utility"):
        np.testing.assert_array_equal(by_mlflow[name].astype(float), scored[name])


def test_shadow_and_gate_compare_it_with_a_champion_that_has_a_trunk(of_two_trunks: Retrained) -> None:
    gates = {(one["gate"], one["subject"]["metric"]): one for one in of_two_trunks.result.gates}
    assert 0 < gates["shadow", "overlap_at_k"]["observed"]["value"] < 1
    assert gates["parity", "packed"]["outcome"] == "pass", "MLflow's model gives what was replayed"
    trees = [one for one in of_two_trunks.result.gates if one["subject"].get("baseline") == "trees"]
    assert [one["subject"]["task"] for one in trees] == [*mini.TWO]


def test_a_backfill_trains_the_trunk_of_its_day_and_moves_no_alias(
    retrained: Retrained, tmp_path: Path
) -> None:
    workspace = copied(retrained.workspace, tmp_path)
    made = Retrained.run(workspace, as_of=AS_OF - timedelta(days=1))
    then, now = (workspace.releases.manifest(release) for release in (made.result.release, 1))
    trunk, later = (next(part for part in one.parts if part.role is Role.TRUNK) for one in (then, now))
    assert then.backfilled
    assert trunk.trained_until() == later.trained_until() - timedelta(days=1)
    assert made.aliases == {**retrained.aliases, "champion": 1}


def test_a_refit_repeats_the_trees_and_keeps_the_trunk_that_was_tested(
    retrained: Retrained, candidates: pd.DataFrame, tmp_path: Path
) -> None:
    def refits(plain: dict[str, Any]) -> None:
        plain["training"] = {"default": {"refit": True}}
        plain["gates"]["model"]["refit_shift_max"] = 0.9

    workspace = mini.changed(copied(retrained.workspace, tmp_path), tmp_path, surface=refits)
    made = Retrained.run(workspace, as_of=AS_OF)
    manifest = workspace.releases.manifest(made.result.release)
    tested = workspace.releases.tested(made.result.release)
    assert manifest.find(Role.TESTED) is not None
    for task in mini.TWO:
        served, judged = (one.part(Role.TASK, task) for one in (manifest, tested))
        assert served.trained_until() > judged.trained_until()
    (trunk,), (of_tested,) = (
        [part for part in one.parts if part.role is Role.TRUNK] for one in (manifest, tested)
    )
    assert trunk == of_tested
    assert view.verify(workspace, made.result.release).problems == []
