"""Heads of every kind are refitted: the tested recipe on newer days, to the number of trees and the kind of map.

::

    champion   of clicks alone, tested (version 1) and refitted (version 2)
    later      clicks are warm-started, purchases start from clicks, wait for no window or are corrected for
               their place, spending is learned in three ways, returns where there was a purchase

The category is a segment and no feature, so that clicks need a map by segment.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from tasks.calibration import step as calibrate
from tasks.calibration.fit import LOGISTIC_BELOW
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.release import step as release
from tasks.release.parts import Pins, Trained, pin_examination, pin_tasks, release_files
from tasks.release.refit import Refit, calibrated_on, refit_shifts
from tasks.release.release_days import ReleaseDays, Reports
from tasks.stores.manifest import BOOSTER, Role
from tasks.stores.workspace import Workspace
from tasks.training import examination
from tasks.training import step as train
from tasks.training.slices import plan_slices
from tasks.training.trees import STARTS_FROM
from tests.feeds import mini
from tests.feeds.debiased_feed import lay_out
from tests.feeds.small_feed import (
    AS_OF,
    NAME,
    SURFACE,
    TASKS,
    UTILITY,
    labelled,
    write_contracts,
    write_logs,
)
from tests.stores.plain_evidence import read_plain

# in one process, which makes the home once
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("refits")]

LATER = AS_OF + timedelta(days=4)
OF_CLICKS = """
contract: small-feed-labels
version: 1
tasks:
  click_1d: {family: engagement, positive: {event: click, within: P1D}}
"""
FOR_CLICKS = UTILITY.split("weights:", maxsplit=1)[0] + "weights: {click_1d: 1.0}\n"
ASKED = """
  tweedie_2d: {family: conversion, kind: value, value: {event: buy, within: P2D, aggregate: sum}}
  most_2d: {family: conversion, kind: value, value: {event: buy, within: P2D, aggregate: sum}}
  order_1d: {family: engagement, positive: {event: click, within: P1D}}
  scaled_2d: {family: conversion, positive: {event: buy, within: P2D}}
  leaved_2d: {family: conversion, positive: {event: buy, within: P2D}}
  open_2d: {family: conversion, positive: {event: buy, within: P2D}}
"""
BLIND = (
    SURFACE.replace("categorical: [category]", "categorical: []")
    + "arrival: {within: P7D}\n"  # nobody is there after AS_OF, and nothing is on the way
    + "training:\n  default: {refit: true}\n"
)
TRAINING = """
  click_1d: {warm_start: true}
  buy_2d: {position: weight}
  spend_2d: {position: feature}
  tweedie_2d: {objective: tweedie}
  most_2d: {objective: quantile, quantile: 0.97}
  order_1d: {objective: lambdarank}
  scaled_2d: {start_from: {task: click_1d, by: predictions}}
  leaved_2d: {start_from: {task: click_1d, by: leaves}}
  open_2d: {delayed: true}
examination: {by_position: [1.0, 0.8, 0.6, 0.45, 0.3]}
"""
MAPS = {
    "click_1d": "segment",
    "buy_2d": "global",
    "back_2d": "global",
    "spend_2d": "mean",
    "tweedie_2d": "mean",
    "most_2d": "identity",
    "order_1d": "identity",
    "scaled_2d": "global",
    "leaved_2d": "global",
    "open_2d": "global",
}


@dataclass(frozen=True)
class Refitted:
    """What was tested and what is served in its place, with why a recipe could not be repeated."""

    workspace: Workspace
    snapshot: str
    tested: Pins
    served: Pins
    failed: Mapping[str, str]

    def evidence(self, task: str, role: int) -> Iterator[dict[str, Any]]:
        """Give what the tested and the served part rest on; role 0 is the model, 1 its map."""
        registry = self.workspace.store.registry
        for pins in (self.tested, self.served):
            part = pins[task][role]
            yield read_plain(registry.home, registry.run_id(registry.part(part.name, part.version)))

    def boosters(self, task: str) -> Iterator[lgb.Booster]:
        registry = self.workspace.store.registry
        for pins in (self.tested, self.served):
            part = pins[task][0]
            files = registry.files(part)
            yield lgb.Booster(model_str=files[BOOSTER].decode())


def make(workspace: Workspace, task: str, **labelled: Any) -> Trained:
    model = train.run(workspace, task=task, **labelled)
    fitted = calibrate.run(workspace, task=task, **labelled, model_version=model.version)
    return Trained(task, model.version, fitted.version)


def opened(folder: Path, **contracts: str) -> Workspace:
    write_contracts(folder / "surfaces", **contracts)
    return Workspace.open(NAME, surfaces=folder / "surfaces", home=folder / "home")


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose champion serves refitted clicks."""
    folder = tmp_path_factory.mktemp("refits")
    opened(folder, surface=BLIND, tasks=OF_CLICKS, utility=FOR_CLICKS)
    write_logs(folder / "home/logs")
    lay_out(folder / "home/logs" / NAME)
    workspace, snapshot = labelled(folder)
    part = make(workspace, "click_1d", as_of=AS_OF, snapshot=snapshot)
    first = Trained(part.task, 1, 1)
    made = release.run(workspace, as_of=AS_OF, snapshot=snapshot, parts=[first])
    mini.set_champion(workspace, made.version)
    return folder


@pytest.fixture(scope="module")
def refitted(clicks: Path) -> Refitted:
    workspace = opened(clicks, surface=BLIND + TRAINING, tasks=TASKS + ASKED, utility=UTILITY)
    snapshot = labels.run(workspace, as_of=LATER).snapshot
    LabelStore(workspace.store, NAME).publish(snapshot, report="report.html", severity="none")
    parts = [make(workspace, task, as_of=LATER, snapshot=snapshot) for task in MAPS]
    tested = pin_tasks(workspace, workspace.store.registry, parts, as_of=LATER)
    served, failed = Refit(workspace, LATER, snapshot, parent_run=None).served(tested, parts)
    return Refitted(workspace, snapshot, tested, served, failed)


def test_every_head_is_served_by_a_refit_of_its_own(refitted: Refitted) -> None:
    assert refitted.failed == {}
    assert list(refitted.tested) == list(refitted.workspace.contracts.tasks.tasks)
    for task, pair in refitted.served.items():
        for before, after in zip(refitted.tested[task], pair, strict=True):
            assert (after.name, after.version) == (before.name, before.version + 1)


@pytest.mark.parametrize("task", MAPS)
def test_its_parameters_and_its_number_of_trees_are_those_that_were_tested(
    refitted: Refitted, task: str
) -> None:
    tested, refit = refitted.evidence(task, 0)
    assert refit["parameters"] == tested["parameters"] | {"lightgbm.rounds": tested["rounds"]}
    assert refit["rounds"] == tested["rounds"]
    before, after = refitted.boosters(task)
    assert after.num_trees() == before.num_trees()
    assert after.feature_name() == before.feature_name()


@pytest.mark.parametrize("task", MAPS)
def test_it_learns_from_everyone_on_newer_days_before_its_own_calibrate_days(
    refitted: Refitted, task: str
) -> None:
    tested, refit = refitted.evidence(task, 0)
    assert refit["slices"]["train"][1] > tested["slices"]["train"][1]
    assert refit["slices"]["train"][1] < refit["slices"]["calibrate"][0]
    assert tested["rows"]["held_out"] > 0
    assert (refit["rows"]["held_out"], refit["fold_loss"], refit["test"]) == (0, None, None)


@pytest.mark.parametrize(("task", "kind"), MAPS.items())
def test_its_map_is_of_the_kind_that_was_tested_and_fitted_to_the_newest_mature_days(
    refitted: Refitted, task: str, kind: str
) -> None:
    tested, refit = refitted.evidence(task, 1)
    assert [(one["choice"] or {"kind": one["calibrator"]})["kind"] for one in (tested, refit)] == [kind, kind]
    newest = date.fromisoformat(refit["slices"]["calibrate"][1])
    assert newest == (AS_OF - timedelta(days=1)).date()


def test_one_map_is_drawn_as_the_positives_of_its_own_days_allow(refitted: Refitted) -> None:
    tested, refit = refitted.evidence("buy_2d", 1)
    assert tested["positives"] >= LOGISTIC_BELOW > refit["positives"]
    assert (tested["calibrator"], refit["calibrator"]) == ("isotonic", "logistic")


def test_a_warm_start_continues_what_was_tested_of_the_champion_and_its_refit_does_too(
    refitted: Refitted,
) -> None:
    registry, workspace = refitted.workspace.store.registry, refitted.workspace
    assert workspace.releases.manifest("champion").part(Role.TASK, "click_1d").version == 2
    champions = registry.files(registry.part(f"{NAME}.task.click_1d", 1))[BOOSTER]
    start = lgb.Booster(model_str=champions.decode())
    rows = np.random.default_rng(0).random((50, start.num_feature()))
    for version, grown in zip((3, 4), refitted.boosters("click_1d"), strict=True):
        assert registry.tags(registry.part(f"{NAME}.task.click_1d", version))[STARTS_FROM] == "1"
        kept = grown.predict(rows, raw_score=True, num_iteration=start.num_trees())
        np.testing.assert_allclose(kept, start.predict(rows, raw_score=True), atol=1e-12)


@pytest.mark.parametrize("task", ["scaled_2d", "leaved_2d"])
def test_a_dense_start_grows_as_many_trees_as_were_tested_below_those_that_follow(
    refitted: Refitted, task: str
) -> None:
    tested, refit = refitted.evidence(task, 0)
    assert refit["start"] == tested["start"]
    for said, grown in zip((tested, refit), refitted.boosters(task), strict=True):
        assert grown.num_trees() == said["start"]["rounds"] + said["rounds"]


def test_all_but_an_order_is_held_against_what_was_tested(refitted: Refitted) -> None:
    workspace, registry = refitted.workspace, refitted.workspace.store.registry
    snapshot = LabelStore(workspace.store, NAME).snapshot(refitted.snapshot)
    slices = plan_slices(workspace.contracts, LATER, snapshot.days().column("ds").to_pylist())
    curve = pin_examination(registry, examination.run(workspace, snapshot=snapshot.id))
    release_days = ReleaseDays(workspace, snapshot, slices.tasks)
    tested, served = (
        Reports(release_days, release_days.scores(release_files(workspace, registry, pins, curve)), pins)
        for pins in (refitted.tested, refitted.served)
    )
    measured = {one.task: one for one in refit_shifts(slices.test, tested=tested, served=served)}
    positives = [calibrated_on(registry, side.pins) for side in (tested, served)]
    shifts = {task: one.shift for task, one in measured.items()}
    assert set(shifts) == set(MAPS) - {"order_1d"}
    assert all(0 < shift.low <= shift.value <= shift.high < 1 for shift in shifts.values())
    for task, one in measured.items():
        chance = 2.75 * sum(1 / side[task] for side in positives) ** 0.5
        assert one.bound == pytest.approx(
            max(workspace.contracts.surface.gates.model.refit_shift_max, chance)
        )
