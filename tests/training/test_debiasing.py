"""Heads that are corrected for position, from the log to a release: the reference is right, and so is each place."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.labels.store import LabelStore
from tasks.ranking.scoring import Scorer
from tasks.release import view as release_view
from tasks.release.step import ReleaseResult
from tasks.replay.shadow import compare_packed, sample_requests
from tasks.stores.manifest import ENCODER, Role
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tasks.training import examination
from tasks.training.rows import TaskRows
from tests.feeds import small_release
from tests.feeds.debiased_feed import LOOKS, debiased_feed, true_clicks
from tests.feeds.small_feed import AS_OF, CANDIDATES, NAME
from tests.known import known
from tests.stores.plain_evidence import read_plain

pytestmark = pytest.mark.xdist_group("debiased")

Feed = tuple[Workspace, str]


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    return debiased_feed(tmp_path_factory.mktemp("debiased"))


@pytest.fixture(scope="module")
def released(placed: Feed) -> ReleaseResult:
    return small_release.released(placed)


@pytest.fixture(scope="module")
def scored(placed: Feed, released: ReleaseResult) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The last week's impressions and what the release says of them."""
    workspace, snapshot = placed
    labels = LabelStore(workspace.store, NAME).snapshot(snapshot)
    names = ["request_id", "item_id", "user_id", "position", "price", "age", "category"]
    frame = labels.read(names, first_day=released_test(workspace, released)[0]).to_pandas()
    return frame, release_view.load(workspace, released.version).score(frame)


def released_test(workspace: Workspace, made: ReleaseResult) -> tuple[date, date]:
    return workspace.releases.manifest(made.version).test


def test_the_curve_is_estimated_and_close_to_how_places_are_looked_at(placed: Feed) -> None:
    part = known(examination.run(placed[0], snapshot=placed[1]))
    told = read_plain(placed[0].home, Store.open(placed[0].home).registry.run_id(part))["examination"]
    assert told["source"] == "estimated"
    assert told["task"] == "click_1d"
    assert told["by_position"] == pytest.approx(LOOKS, abs=0.12)
    assert (np.array(told["low"]) <= LOOKS).all()
    assert (np.array(told["high"]) >= LOOKS).all()


def test_the_curve_is_made_once_and_pinned_by_the_release(placed: Feed, released: ReleaseResult) -> None:
    workspace, snapshot = placed
    part = known(examination.run(workspace, snapshot=snapshot))
    assert workspace.store.registry.versions(part.name) == (part,)
    manifest = workspace.releases.manifest(released.version)
    pinned = manifest.part(Role.EXAMINATION)
    assert (pinned.name, pinned.version, pinned.sha256) == (part.name, part.version, part.sha256)
    assert pinned.trained_until() < manifest.test[0]
    assert "examination.json" in manifest.files


def test_the_position_is_a_feature_of_the_model_and_no_column_that_scoring_needs(
    placed: Feed, released: ReleaseResult, tmp_path: Path
) -> None:
    workspace, _ = placed
    registry = workspace.store.registry
    files = registry.files(registry.part(f"{NAME}.task.click_1d", 1))
    assert "position" in json.loads(files[ENCODER])["numeric"]
    folder = registry.fetch(registry.part(f"{NAME}.release", released.version), tmp_path)
    scorer = Scorer.load(folder / "artifacts/release")
    assert "position" not in scorer.columns
    assert scorer.heads.optional == ("position",)


def test_the_joint_event_is_learned_wherever_it_is_known_and_has_no_parent(
    placed: Feed, released: ReleaseResult, tmp_path: Path
) -> None:
    workspace, snapshot = placed
    whole = TaskRows.open(workspace, task="back_2d", as_of=AS_OF, snapshot=snapshot)
    parent = TaskRows.open(workspace, task="buy_2d", as_of=AS_OF, snapshot=snapshot)
    days = whole.slices.train
    assert len(whole.read_outcomes(days)) == len(parent.read_outcomes(days))
    assert (
        whole.read_outcomes(days).column("back_2d").to_numpy().sum()
        < parent.read_outcomes(days).column("buy_2d").to_numpy().sum()
    )
    registry = workspace.store.registry
    folder = registry.fetch(registry.part(f"{NAME}.release", released.version), tmp_path)
    heads = Scorer.load(folder / "artifacts/release").heads
    assert heads.heads["back_2d"].parent is None
    assert heads.conditional == ()


@pytest.mark.parametrize("task", ["click_1d", "buy_2d", "back_2d", "spend_2d"])
def test_outcomes_are_held_against_what_is_said_of_the_place_where_they_came(
    released: ReleaseResult, task: str
) -> None:
    figures = released.metrics[task]["test"]
    assert figures["calibration_ratio"] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("name", ["p_click_1d", "p_buy_2d", "p_back_2d", "v_spend_2d"])
def test_an_item_where_it_stands_gets_the_looks_of_its_place(
    scored: tuple[pd.DataFrame, pd.DataFrame], name: str
) -> None:
    frame, said = scored
    place = frame["position"].to_numpy() - 1
    share = (said[f"{name}__shown"].groupby(place).sum() / said[name].groupby(place).sum()).to_numpy()
    assert share == pytest.approx(LOOKS, abs=0.15)


def test_the_reference_is_right_although_most_items_never_stood_there(
    scored: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    frame, said = scored
    true = true_clicks(frame)
    assert said["p_click_1d"].sum() / true.sum() == pytest.approx(1, abs=0.1)
    assert said["p_buy_2d"].sum() / (0.35 * true.sum()) == pytest.approx(1, abs=0.15)


def test_without_positions_only_the_reference_is_told(placed: Feed, released: ReleaseResult) -> None:
    workspace, snapshot = placed
    labels = LabelStore(workspace.store, NAME).snapshot(snapshot)
    names = ["request_id", "item_id", "price", "age", "category"]
    frame = labels.read(names, first_day=labels.last_day).to_pandas()
    said = release_view.load(workspace, released.version).score(frame)
    assert [name for name in map(str, said) if name.endswith("__shown")] == []


def test_what_mlflow_serves_is_compared_where_the_log_has_positions(
    placed: Feed, released: ReleaseResult, scored: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    frame, replayed = scored
    assert "p_click_1d__shown" in replayed
    packed = compare_packed(release_view.load(placed[0], released.version), sample_requests(frame))
    assert (packed.rows, packed.problem) == (12 * CANDIDATES, "")
    assert packed.greatest_difference < 1e-9


def test_answers_weigh_by_how_seldom_their_like_answers(placed: Feed, released: ReleaseResult) -> None:
    workspace, _ = placed
    version = released.pins[f"{NAME}.task.kept_1d"]
    registry = workspace.store.registry
    told = read_plain(workspace.home, registry.run_id(registry.part(f"{NAME}.task.kept_1d", version)))
    assert told["weights"]["response"]["least"] < 0.8
    assert 1.5 < told["weights"]["response"]["greatest"] <= 10
