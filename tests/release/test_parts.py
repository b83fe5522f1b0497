"""A release's parts: pinned by version and bytes, each calibrator with the model that it was fitted to."""

import json

import pytest

from tasks.errors import ContractError
from tasks.release.parts import Pins, Trained, pin_examination, pin_tasks, release_files
from tasks.stores.manifest import BOOSTER, Role
from tasks.stores.registry import Registry
from tasks.stores.store import Store
from tests.feeds import small_release
from tests.feeds.small_feed import AS_OF, NAME
from tests.feeds.small_release import Feed


@pytest.fixture(scope="module")
def registry(labelled_feed: Feed) -> Registry:
    return Store.open(labelled_feed[0].home).registry


@pytest.fixture(scope="module")
def pins(labelled_feed: Feed, registry: Registry) -> Pins:
    return pin_tasks(labelled_feed[0], registry, small_release.fitted(*labelled_feed), as_of=AS_OF)


def test_every_task_has_its_model_and_its_calibrator(labelled_feed: Feed, pins: Pins) -> None:
    assert list(pins) == list(labelled_feed[0].contracts.tasks.tasks)
    model, calibrator = pins["click_1d"]
    assert (model.role, model.name, model.task) == (Role.TASK, f"{NAME}.task.click_1d", "click_1d")
    assert (calibrator.role, calibrator.name) == (Role.CALIBRATOR, f"{NAME}.calibrator.click_1d")
    assert model.newest_training_row == model.slices["train"][1]
    assert calibrator.newest_training_row == model.slices["calibrate"][1]


def test_the_files_of_a_release_lie_by_task_beside_both_policies(
    labelled_feed: Feed, registry: Registry, pins: Pins
) -> None:
    files = release_files(labelled_feed[0], registry, pins)
    of_tasks = {f"{kind}/{task}" for task in pins for kind in ("models", "encoders", "calibrators")}
    assert {path.rpartition(".")[0] for path in files} == of_tasks | {"heads", "utility", "slate"}
    assert [head["task"] for head in json.loads(files["heads.json"])["heads"]] == list(pins)
    assert files["models/buy_2d.txt"] == registry.files(pins["buy_2d"][0])[BOOSTER]


def test_without_an_examination_curve_none_is_pinned(registry: Registry) -> None:
    assert pin_examination(registry, None) is None


def test_a_task_without_a_model_or_champion_is_named(labelled_feed: Feed) -> None:
    parts = [part for part in small_release.fitted(*labelled_feed) if part.task != "back_2d"]
    with pytest.raises(ContractError, match=r"back_2d came without a model.*train every task"):
        small_release.released(labelled_feed, parts=parts)


def test_an_unknown_task_is_named(labelled_feed: Feed) -> None:
    parts = [Trained("clik_1d", 1, 1)]
    with pytest.raises(ContractError, match="Did you mean 'click_1d'"):
        small_release.released(labelled_feed, parts=parts)


def test_a_calibrator_of_another_model_is_refused(labelled_feed: Feed, registry: Registry) -> None:
    calibrator = registry.part(f"{NAME}.calibrator.click_1d", 1)
    registry.set_tags(calibrator, {f"component.{NAME}.task.click_1d": "7"})
    try:
        with pytest.raises(ContractError, match=r"fitted to the scores of .* version 7, not 1"):
            small_release.released(labelled_feed, parts=[Trained("click_1d", 1, 1)])
    finally:
        registry.set_tags(calibrator, {f"component.{NAME}.task.click_1d": "1"})
