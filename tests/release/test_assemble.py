"""A release before it is made is told by its inputs; once made it is pinned, measured and linked."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tasks.labels.store import LabelStore
from tasks.release import assemble
from tasks.release.assemble import RELEASE, Wanted
from tasks.release.factor_models import FactorModels
from tasks.release.step import ReleaseResult
from tasks.stores.manifest import Role
from tasks.stores.store import Store
from tasks.training.slices import plan_slices
from tests.feeds.small_feed import AS_OF, NAME
from tests.feeds.small_release import Feed

TASK_NAMES = ("click_1d", "buy_2d", "back_2d", "spend_2d")


@pytest.fixture(scope="module")
def wanted(labelled_feed: Feed) -> Wanted:
    """A release of no part yet."""
    workspace, snapshot = labelled_feed
    labels = LabelStore(workspace.store, NAME).snapshot(snapshot)
    slices = plan_slices(workspace.contracts, AS_OF, labels.days().column("ds").to_pylist())
    return Wanted(workspace, labels, slices, {}, None, AS_OF, backfilled=False, kept={}, unrepeated={})


def test_a_backfilled_release_of_the_same_parts_has_the_same_inputs(wanted: Wanted) -> None:
    assert RELEASE.fingerprint(replace(wanted, backfilled=True)) == RELEASE.fingerprint(wanted)


def test_whatever_decides_its_bytes_is_in_its_inputs(wanted: Wanted) -> None:
    others = [
        replace(wanted, as_of=AS_OF - timedelta(hours=1)),
        replace(wanted, kept={"buy_2d": "3 positives"}),
        replace(wanted, unrepeated={"buy_2d": "3 positives"}),
        replace(wanted, factor_models={"back_2d": FactorModels(why="3 positives")}),
    ]
    assert len({RELEASE.fingerprint(one) for one in (wanted, *others)}) == 5


def test_the_release_that_stands_in_for_it_is_one_of_its_parts(
    wanted: Wanted, labelled_feed: Feed, released: ReleaseResult
) -> None:
    part = labelled_feed[0].releases.part(released.version)
    refitted = replace(wanted, tested=assemble.Tested(part, {}))
    assert wanted.further == ()
    assert [(one.role, one.name, one.version) for one in refitted.further] == [
        (Role.TESTED, f"{NAME}.release", released.version)
    ]
    assert refitted.inputs != wanted.inputs


def test_it_pins_every_part_and_both_policies(labelled_feed: Feed, released: ReleaseResult) -> None:
    parts = {f"{NAME}.{kind}.{task}": 1 for kind in ("task", "calibrator") for task in TASK_NAMES}
    policies = {f"{NAME}.utility_policy": 1, f"{NAME}.slate_policy": 1}
    assert released.pins == parts | policies
    manifest = labelled_feed[0].releases.manifest(released.version)
    registry = Store.open(labelled_feed[0].home).registry
    for part in manifest.parts:
        assert registry.part(part.name, part.version).sha256 == part.sha256
    assert manifest.digest == released.manifest_sha256


def test_the_manifest_tells_labels_contracts_and_freshness(
    labelled_feed: Feed, released: ReleaseResult
) -> None:
    workspace, snapshot = labelled_feed
    manifest = workspace.releases.manifest(released.version)
    assert (manifest.surface, manifest.as_of, manifest.snapshot.id) == (NAME, AS_OF, snapshot)
    assert manifest.contracts == dict(workspace.contracts.digests)
    model = manifest.part(Role.TASK, "click_1d")
    calibrator = manifest.part(Role.CALIBRATOR, "click_1d")
    assert model.trained_until() < calibrator.trained_until() < manifest.test[0]
    assert model.slices["test"] == manifest.test
    assert manifest.ages()[model.name] > timedelta(days=14)


def test_its_figures_are_those_of_the_calibrated_joint_probability(
    labelled_feed: Feed, released: ReleaseResult
) -> None:
    assert set(released.metrics) == set(TASK_NAMES)
    back = released.metrics["back_2d"]["test"]
    assert back["rows"] == released.metrics["buy_2d"]["test"]["rows"], "all impressions whose chain is known"
    for task in ("click_1d", "buy_2d", "back_2d"):
        figures = released.metrics[task]["test"]
        assert figures["auc_low"] <= figures["auc"] <= figures["auc_high"]
        assert figures["calibration_ratio_low"] < 1.1
        assert figures["calibration_ratio_high"] > 0.9
        assert {"auc_by_request", "normalized_entropy", "positives"} <= figures.keys()


def test_release_and_parts_are_linked_in_both_directions(
    labelled_feed: Feed, released: ReleaseResult
) -> None:
    registry = Store.open(labelled_feed[0].home).registry
    run = registry.client.get_run(released.run_id)
    read = {model.model_id for model in run.inputs.model_inputs}
    assert read == {registry.model_id(registry.part(n, v)) for n, v in released.pins.items()}
    for name, version in released.pins.items():
        found = registry.client.search_model_versions(f"tags.`component.{name}` = '{version}'")
        assert f"{NAME}.release" in {v.name for v in found}
    assert run.inputs.dataset_inputs[0].dataset.name == f"{NAME} labels"
