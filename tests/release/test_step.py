"""The release step: the same inputs end in the same state, however often, and aliases say what serves."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.columns import probability
from tasks.errors import ContractError, DataError, GateRefused, StoreError
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.release import step as release
from tasks.release import view as release_view
from tasks.release.step import ReleaseResult
from tasks.stores.manifest import CALIBRATOR
from tasks.stores.store import Store
from tasks.stores.tracking import PatientClient
from tasks.stores.workspace import Workspace
from tests.feeds import small_release
from tests.feeds.small_feed import AS_OF, NAME, UTILITY, small_feed, write_contracts
from tests.feeds.small_release import Feed
from tests.release.alone import run_alone
from tests.stores.killed import killed_in

TASK_NAMES = ("click_1d", "buy_2d", "back_2d", "spend_2d")


def candidates(feed: Feed) -> pd.DataFrame:
    workspace, snapshot = feed
    store = LabelStore(workspace.store, NAME)
    names = ["request_id", "item_id", "price", "age", "category"]
    return store.snapshot(snapshot).read(names).select(names).to_pandas().tail(500)


def test_the_registered_release_scores_candidates(labelled_feed: Feed, released: ReleaseResult) -> None:
    frame = candidates(labelled_feed)
    scored = release_view.load(labelled_feed[0], released.version).score(frame)
    assert len(scored) == len(frame)
    np.testing.assert_array_less(scored[probability("back_2d")], scored[probability("buy_2d")])
    assert scored["slate_position"].max() == 3


def test_people_find_it_by_alias_tags_and_description(labelled_feed: Feed, released: ReleaseResult) -> None:
    workspace, snapshot = labelled_feed
    registry = workspace.store.registry
    part = registry.resolve(f"{NAME}.release", "challenger")
    assert (part.version, part.sha256) == (released.version, released.sha256)
    tags = registry.tags(part)
    assert tags["policy_version"] == "1"
    assert tags["label_snapshot"] == snapshot
    version = registry.client.get_model_version(part.name, str(part.version))
    assert "| buy_2d | &emsp;10 |" in version.description


def test_a_second_time_the_version_is_used_again(labelled_feed: Feed, released: ReleaseResult) -> None:
    again = small_release.released(labelled_feed)
    assert again == replace(released, reused=True)
    assert len(Store.open(labelled_feed[0].home).registry.versions(f"{NAME}.release")) == 1


def test_it_loads_in_a_fresh_interpreter_without_this_repository(
    labelled_feed: Feed, released: ReleaseResult, tmp_path: Path
) -> None:
    registry = Store.open(labelled_feed[0].home).registry
    folder = registry.fetch(registry.part(f"{NAME}.release", released.version), tmp_path / "release")
    frame = candidates(labelled_feed)
    frame.to_parquet(tmp_path / "candidates.parquet")
    score = 'model.predict(pd.read_parquet("candidates.parquet")).to_parquet("scored.parquet")'
    run_alone(folder, score, folder=tmp_path)
    here = release_view.load(labelled_feed[0], released.version).score(frame)
    alone = pd.read_parquet(tmp_path / "scored.parquet")
    assert [*alone.columns.difference(here.columns)] == ["calibration_version", "model_version", "release"]
    same_types = alone[[*here.columns]].astype(here.dtypes.to_dict())
    pd.testing.assert_frame_equal(same_types, here)


def test_labels_as_of_another_instant_are_refused(labelled_feed: Feed) -> None:
    workspace, snapshot = labelled_feed
    with pytest.raises(DataError, match="and 2026-02-17"):
        release.run(workspace, as_of=AS_OF + timedelta(days=1), snapshot=snapshot, parts=[])


# What changes the registry works on a feed of its own.


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    return small_feed(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def first(feed: Feed) -> ReleaseResult:
    return small_release.released(feed)


def changed(feed: Feed, old: str, new: str) -> Feed:
    workspace, snapshot = feed
    write_contracts(workspace.surfaces, utility=UTILITY.replace(old, new))
    return Workspace.open(NAME, surfaces=workspace.surfaces, home=workspace.home), snapshot


def test_killed_before_the_alias_it_ends_in_the_same_state(feed: Feed, first: ReleaseResult) -> None:
    registry = Store.open(feed[0].home).registry
    part = registry.part(first.release, first.version)
    registry.client.delete_registered_model_alias(first.release, "challenger")
    registry.describe(part, "")
    registry.client.set_terminated(first.run_id, "KILLED")
    again = small_release.released(feed)
    assert again == replace(first, reused=True)
    assert registry.aliases(first.release)["challenger"] == first.version
    version = registry.client.get_model_version(part.name, str(part.version))
    assert version.description.startswith("Release of")
    assert registry.client.get_run(first.run_id).info.status == "FINISHED"


def test_a_description_with_the_gates_verdict_is_left_alone(feed: Feed, first: ReleaseResult) -> None:
    registry = Store.open(feed[0].home).registry
    part = registry.part(first.release, first.version)
    registry.describe(part, "promoted")
    small_release.released(feed)
    assert registry.client.get_model_version(part.name, str(part.version)).description == "promoted"


def test_changing_a_policy_without_its_version_is_refused(feed: Feed, first: ReleaseResult) -> None:
    with pytest.raises(
        ContractError, match=r"utility\.yaml changed while its version did not.*Raise the version"
    ):
        small_release.released(changed(feed, "buy_2d: 10.0", "buy_2d: 11.0"))


def test_a_new_policy_version_makes_a_new_release_of_the_same_models(
    feed: Feed, first: ReleaseResult
) -> None:
    both = changed(feed, "version: 1", "version: 2")
    second = small_release.released(both)
    assert second.version == first.version + 1
    assert second.pins == first.pins | {f"{NAME}.utility_policy": 2}
    assert Store.open(feed[0].home).registry.aliases(first.release)["challenger"] == second.version


def test_a_comment_in_a_policy_changes_nothing(feed: Feed, first: ReleaseResult) -> None:
    same = small_release.released(changed(feed, "owner: tests", "owner: tests  # as before"))
    assert same.version == first.version
    assert same.reused


def test_the_champion_lends_what_was_not_trained(feed: Feed, first: ReleaseResult) -> None:
    registry = Store.open(feed[0].home).registry
    registry.set_alias(registry.part(first.release, first.version), "champion")
    parts = [part for part in small_release.fitted(*feed) if part.task == "click_1d"]
    lent = small_release.released(feed, parts=parts)
    assert lent.pins == first.pins
    assert lent.version == first.version, "the same parts are the same release"


def test_a_backfilled_release_is_marked_and_moves_no_alias(feed: Feed, first: ReleaseResult) -> None:
    registry = Store.open(feed[0].home).registry
    before = registry.aliases(first.release)
    backfilled = small_release.released(changed(feed, "version: 1", "version: 3"), backfill=True)
    assert backfilled.backfilled
    assert registry.aliases(first.release) == before
    part = registry.part(backfilled.release, backfilled.version)
    assert registry.tags(part)["backfilled"] == "true"
    assert feed[0].releases.manifest(part.version).backfilled


def test_a_tag_that_somebody_set_makes_no_release_one_of_the_past(feed: Feed, first: ReleaseResult) -> None:
    """The manifest says as of when the champion is; tests/test_backfill.py has champions of later days."""
    registry = Store.open(feed[0].home).registry
    champion = registry.part(first.release, first.version)
    registry.set_alias(champion, "champion")
    for tag in ("2026-03-01T00:00:00Z", "soon"):
        registry.set_tags(champion, {"as_of": tag})
        assert not small_release.released(changed(feed, "version: 1", "version: 4")).backfilled
    registry.set_tags(champion, {"as_of": "2026-02-16T00:00:00Z"})
    assert registry.aliases(first.release)["champion"] == first.version


def test_killed_before_its_version_it_is_made_once_on_the_second_run(
    feed: Feed, first: ReleaseResult
) -> None:
    fresh = changed(feed, "version: 1", "version: 5")
    before = len(Store.open(feed[0].home).registry.versions(first.release))
    with killed_in(
        PatientClient, "create_model_version", where=lambda _, name, *__, **___: name == first.release
    ):
        small_release.released(fresh)
    result = small_release.released(fresh)
    assert not result.reused
    assert len(Store.open(feed[0].home).registry.versions(first.release)) == before + 1
    policies = Store.open(feed[0].home).registry.versions(f"{NAME}.utility_policy")
    assert len({part.sha256 for part in policies}) == len(policies)


def test_a_part_whose_bytes_changed_stops_the_release(feed: Feed, first: ReleaseResult) -> None:
    registry = Store.open(feed[0].home).registry
    before = registry.versions(first.release)
    model_id = registry.model_id(registry.part(f"{NAME}.calibrator.buy_2d", 1))
    location = registry.client.get_logged_model(model_id).artifact_location
    file = Path(location.removeprefix("file://")) / CALIBRATOR
    data = file.read_bytes()
    file.write_bytes(data + b" ")
    with pytest.raises(StoreError, match=r"calibrator\.buy_2d version 1 holds other bytes"):
        small_release.released(changed(feed, "version: 1", "version: 6"))
    file.write_bytes(data)
    assert registry.versions(first.release) == before


def test_unpublished_labels_make_no_release(feed: Feed) -> None:
    later = AS_OF + timedelta(days=1)
    unchecked = labels.run(feed[0], as_of=later).snapshot
    with pytest.raises(GateRefused, match="is not published"):
        release.run(feed[0], as_of=later, snapshot=unchecked, parts=[])


def test_parts_that_have_seen_the_test_days_are_refused(feed: Feed, first: ReleaseResult) -> None:
    past = AS_OF - timedelta(days=10)
    earlier = labels.run(feed[0], as_of=past).snapshot
    LabelStore(Store.open(feed[0].home), NAME).publish(earlier, report="report.html", severity="none")
    with pytest.raises(GateRefused, match=r"days that its parts have seen: small_feed\.task\.click_1d"):
        release.run(feed[0], as_of=past, snapshot=earlier, parts=small_release.fitted(*feed))
