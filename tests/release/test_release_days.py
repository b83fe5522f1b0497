"""Joint maps are fitted where the product along the chain does not hold, and only there."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tasks.columns import probability
from tasks.labels.store import LabelStore
from tasks.ranking.maps import LogisticMap, map_from_json
from tasks.ranking.scoring import Scorer
from tasks.release.parts import Pins, pin_tasks, release_files
from tasks.release.release_days import ReleaseDays
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tasks.training.slices import plan_slices
from tests.feeds.small_feed import AS_OF, NAME
from tests.feeds.small_release import fitted


@pytest.fixture(scope="module")
def pins(labelled_feed: tuple[Workspace, str]) -> Pins:
    workspace, snapshot = labelled_feed
    parts = fitted(workspace, snapshot)
    return pin_tasks(workspace, workspace.store.registry, parts, as_of=AS_OF)


@pytest.fixture(scope="module")
def release_days(labelled_feed: tuple[Workspace, str]) -> ReleaseDays:
    workspace, snapshot = labelled_feed
    labels = LabelStore(workspace.store, NAME).snapshot(snapshot)
    days = labels.days().column("ds").to_pylist()
    return ReleaseDays(workspace, labels, plan_slices(workspace.contracts, AS_OF, days).tasks)


@pytest.fixture(scope="module")
def files(labelled_feed: tuple[Workspace, str], pins: Pins) -> dict[str, bytes]:
    return release_files(labelled_feed[0], Store.open(labelled_feed[0].home).registry, pins)


def too_high(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the release with a parent that claims two and a half times its odds."""
    biased = LogisticMap(slope=1.0, intercept=0.9)
    return {**files, "calibrators/buy_2d.json": json.dumps(biased.to_json()).encode()}


def test_only_tasks_with_a_parent_have_a_product(files: dict[str, bytes]) -> None:
    assert Scorer.from_files(files).heads.conditional == ("back_2d",)


def test_a_product_that_holds_gets_no_map(release_days: ReleaseDays, files: dict[str, bytes]) -> None:
    assert release_days.joints(files) == {}


def test_a_product_that_does_not_hold_is_mapped_until_it_adds_up(
    release_days: ReleaseDays, files: dict[str, bytes]
) -> None:
    biased = too_high(files)
    joints = release_days.joints(biased)
    assert list(joints) == ["joints/back_2d.json"]
    joint = map_from_json(json.loads(joints["joints/back_2d.json"]))
    frame, outcomes = release_days.calibrate_days("back_2d", Scorer.from_files(biased).heads.columns)
    known = np.isfinite(outcomes)
    product = Scorer.from_files(biased).heads.predict(frame)[probability("back_2d")][known]
    assert outcomes[known].sum() / product.sum() < 0.7
    assert joint.apply(product).sum() == pytest.approx(outcomes[known].sum())


def test_the_map_is_in_the_joint_and_not_in_the_conditional(
    release_days: ReleaseDays, files: dict[str, bytes]
) -> None:
    biased = too_high(files)
    mapped = {**biased, **release_days.joints(biased)}
    frame, _ = release_days.calibrate_days("back_2d", Scorer.from_files(files).heads.columns)
    before, after = (Scorer.from_files(f).heads.predict(frame) for f in (biased, mapped))
    np.testing.assert_array_equal(before["p_back_2d__given"], after["p_back_2d__given"])
    assert after["p_back_2d"].sum() < before["p_back_2d"].sum()


def test_a_joint_is_fitted_and_measured_with_the_chain_that_judges_it(
    release_days: ReleaseDays, files: dict[str, bytes], pins: Pins
) -> None:
    judging = replace(release_days, judged={"back_2d": too_high(files)})
    joints = judging.joints(files)
    assert joints == release_days.joints(too_high(files)) != {}
    own, judged, mapped = (
        {found.task: found for found in one.figures(one.scores(all_files), pins)}
        for one, all_files in ((release_days, files), (judging, files), (judging, {**files, **joints}))
    )
    assert judged["buy_2d"].to_json() == own["buy_2d"].to_json()
    ratios = [found["back_2d"].whole()["calibration_ratio"].value for found in (own, judged, mapped)]
    assert ratios[1] < 0.7 * ratios[0]
    assert ratios[2] == pytest.approx(1, abs=0.3)


def test_of_a_joint_that_nothing_can_judge_the_rows_are_counted_and_nothing_is_measured(
    release_days: ReleaseDays, files: dict[str, bytes], pins: Pins
) -> None:
    unjudged = replace(release_days, unjudged=("back_2d",))
    assert unjudged.joints(too_high(files)) == {}
    own, none = (
        {found.task: found for found in one.figures(one.scores(files), pins)}["back_2d"]
        for one in (release_days, unjudged)
    )
    assert (none.rows, none.positives) == (own.rows, own.positives)
    assert not any(estimate.known for estimate in none.whole().values())
    assert {name for name, value in none.headline.items() if value is not None} == {"rows", "positives"}


def test_figures_are_of_the_joint_on_the_test_days(
    release_days: ReleaseDays, files: dict[str, bytes], pins: Pins
) -> None:
    figures = {found.task: found for found in release_days.figures(release_days.scores(files), pins)}
    back = figures["back_2d"]
    assert back.rows == figures["buy_2d"].rows
    assert back.days == (release_days.slices["back_2d"].test.first, release_days.slices["back_2d"].test.last)
    high = {found.task: found for found in release_days.figures(release_days.scores(too_high(files)), pins)}[
        "back_2d"
    ]
    assert high.whole()["calibration_ratio"].value < 0.7 * back.whole()["calibration_ratio"].value
