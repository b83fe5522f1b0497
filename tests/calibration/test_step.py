import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.calibration import step as calibrate
from tasks.calibration.step import CalibrateResult
from tasks.errors import ContractError, GateRefused, StoreError
from tasks.ranking.segmented_map import apply_calibrator, calibrator_from_json
from tasks.stores.manifest import BOOSTER, CALIBRATOR
from tasks.stores.store import Store
from tasks.stores.tracking import PatientClient
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.training.rows import NEWEST
from tests.evaluation.task_figures import of_all_rows
from tests.feeds.small_feed import AS_OF, SURFACE, labelled, small_feed, write_contracts, write_logs
from tests.known import known
from tests.stores.killed import killed_in
from tests.stores.plain_evidence import read_plain

TASK_NAMES = ("click_1d", "buy_2d", "back_2d", "spend_2d")


def calibrated(feed: tuple[Workspace, str], task: str) -> CalibrateResult:
    workspace, snapshot = feed
    model = train.run(workspace, task=task, as_of=AS_OF, snapshot=snapshot)
    return calibrate.run(workspace, task=task, as_of=AS_OF, snapshot=snapshot, model_version=model.version)


@pytest.mark.parametrize("task", TASK_NAMES)
def test_each_task_gets_a_registered_map_that_keeps_the_order_of_scores(
    labelled_feed: tuple[Workspace, str], task: str
) -> None:
    result = calibrated(labelled_feed, task)
    registry = Store.open(labelled_feed[0].home).registry
    assert (result.calibrator, result.version) == (f"small_feed.calibrator.{task}", 1)
    files = registry.files(registry.part(result.calibrator, 1))
    found = calibrator_from_json(json.loads(files[CALIBRATOR]))
    mapped = apply_calibrator(
        found, np.linspace(0.01, 0.99, 50), pd.DataFrame({"category": ["b"] * 50, "age": 5.0})
    )
    assert (np.diff(mapped) > 0).all()


@pytest.mark.parametrize("task", TASK_NAMES)
def test_what_is_predicted_adds_up_on_fresh_days(labelled_feed: tuple[Workspace, str], task: str) -> None:
    figures = calibrated(labelled_feed, task).metrics
    low, high = (known(figures[f"calibration_ratio_{bound}"]) for bound in ("low", "high"))
    assert low < 1.05
    assert high > 0.95


def test_a_second_time_the_version_is_used_again(labelled_feed: tuple[Workspace, str]) -> None:
    first, again = (calibrated(labelled_feed, "buy_2d") for _ in range(2))
    assert again.reused
    assert (again.version, again.sha256, again.metrics) == (first.version, first.sha256, first.metrics)


def test_the_map_and_its_model_know_each_other(labelled_feed: tuple[Workspace, str]) -> None:
    workspace, _ = labelled_feed
    registry, result = workspace.store.registry, calibrated(labelled_feed, "click_1d")
    part = registry.part(result.calibrator, result.version)
    assert registry.tags(part)["component.small_feed.task.click_1d"] == "1"
    assert registry.find(result.calibrator, {"component.small_feed.task.click_1d": "1"}) == part
    run = registry.client.get_run(result.run_id)
    model = registry.model_id(registry.part("small_feed.task.click_1d", 1))
    assert [read.model_id for read in run.inputs.model_inputs] == [model]
    assert [made.model_id for made in run.outputs.model_outputs] == [registry.model_id(part)]


def test_people_see_reliability_before_and_after(labelled_feed: tuple[Workspace, str]) -> None:
    workspace, _ = labelled_feed
    result = calibrated(labelled_feed, "click_1d")
    files = {file.path for file in workspace.store.registry.client.list_artifacts(result.run_id)}
    assert {"reliability.svg", "figures.json", "evidence.json"} <= files
    evidence = read_plain(workspace.home, result.run_id)
    assert of_all_rows(evidence["before"])["auc"] == pytest.approx(
        of_all_rows(evidence["test"])["auc"], abs=0.01
    )
    assert evidence["model"]["version"] == 1


def test_the_choice_and_its_reason_are_in_evidence_parameters_and_metrics(
    labelled_feed: tuple[Workspace, str],
) -> None:
    workspace, _ = labelled_feed
    result = calibrated(labelled_feed, "click_1d")
    choice = read_plain(workspace.home, result.run_id)["choice"]
    assert set(choice["held_out"]) == {"none", "global", "segment"}
    run = workspace.store.registry.client.get_run(result.run_id)
    assert run.data.params["choice"] == choice["kind"] == "global"
    assert run.data.params["reason"] == choice["reason"]
    assert run.data.metrics["held_out.normalized_entropy.global"] == choice["held_out"]["global"]
    assert read_plain(workspace.home, calibrated(labelled_feed, "spend_2d").run_id)["choice"] is None


def test_few_positives_get_a_logistic_map_and_values_a_mean_map(labelled_feed: tuple[Workspace, str]) -> None:
    kinds = {
        task: read_plain(labelled_feed[0].home, calibrated(labelled_feed, task).run_id)["calibrator"]
        for task in ("click_1d", "back_2d", "spend_2d")
    }
    assert kinds == {"click_1d": "isotonic", "back_2d": "logistic", "spend_2d": "mean"}


def test_a_model_whose_bytes_changed_is_not_calibrated(tmp_path: Path) -> None:
    workspace, snapshot = small_feed(tmp_path)
    train.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot)
    (text,) = (workspace.home / "mlflow/artifacts").rglob(BOOSTER)
    text.write_text(text.read_text().replace("leaf_value=-", "leaf_value=-1", 1))
    with pytest.raises(StoreError, match=r"small_feed\.task\.click_1d version 1 holds other bytes"):
        calibrate.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot, model_version=1)


def test_a_model_that_learned_from_the_calibrate_days_is_refused(tmp_path: Path) -> None:
    workspace, snapshot = small_feed(tmp_path)
    train.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot)
    registry = workspace.store.registry
    registry.set_tags(registry.part("small_feed.task.click_1d", 1), {NEWEST: "2026-02-01"})
    with pytest.raises(GateRefused, match="learned from rows up to 2026-02-01"):
        calibrate.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot, model_version=1)


def test_an_unknown_model_version_is_named(labelled_feed: tuple[Workspace, str]) -> None:
    workspace, snapshot = labelled_feed
    train.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot)
    with pytest.raises(
        ContractError, match=r"Unknown version '7' in small_feed\.task\.click_1d\. Known: 1\."
    ):
        calibrate.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot, model_version=7)


def test_a_step_killed_before_its_version_makes_it_once_on_the_second_run(tmp_path: Path) -> None:
    feed = small_feed(tmp_path)
    train.run(feed[0], task="click_1d", as_of=AS_OF, snapshot=feed[1])
    with killed_in(PatientClient, "create_model_version"):
        calibrated(feed, "click_1d")
    result = calibrated(feed, "click_1d")
    assert (result.version, result.reused) == (1, False)
    assert len(Store.open(feed[0].home).registry.versions(result.calibrator)) == 1


def test_a_segment_that_the_model_does_not_know_gets_a_map_by_segment(tmp_path: Path) -> None:
    blind = SURFACE.replace("categorical: [category]", "categorical: []")
    write_contracts(tmp_path / "surfaces", surface=blind)
    write_logs(tmp_path / "home/logs")
    feed = labelled(tmp_path)
    result = calibrated(feed, "click_1d")
    evidence = read_plain(feed[0].home, result.run_id)
    assert (evidence["choice"]["kind"], evidence["calibrator"]) == ("segment", "segmented")
    reason = "segments: on users held out of the choice normalized entropy is 0."
    assert evidence["choice"]["reason"].startswith(reason)
    assert (
        of_all_rows(evidence["test"])["normalized_entropy"]
        < of_all_rows(evidence["before"])["normalized_entropy"] - 0.01
    )
    registry = Store.open(feed[0].home).registry
    files = registry.files(registry.part(result.calibrator, result.version))
    found = calibrator_from_json(json.loads(files[CALIBRATOR]))
    frame = pd.DataFrame({"category": ["a", "b", "c", "never seen"], "age": 5.0})
    a, b, c, unseen = apply_calibrator(found, np.full(4, 0.1), frame)
    assert b > 1.5 * max(a, c)
    assert a < unseen < b
