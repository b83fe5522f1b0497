import json
from datetime import timedelta
from pathlib import Path

import lightgbm as lgb
import pyarrow.compute as pc
import pytest

from tasks.errors import ContractError, DataError, GateRefused, ImmatureLabels
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.ranking.features import FeatureEncoder
from tasks.stores.manifest import BOOSTER, ENCODER
from tasks.stores.store import Store
from tasks.stores.tracking import PatientClient
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.training.encoding import encode
from tasks.training.rows import TaskRows
from tasks.training.step import TrainResult
from tests.feeds.small_feed import AS_OF, DAYS, labelled, small_feed, write_contracts, write_logs
from tests.known import known
from tests.stores.killed import killed_in
from tests.stores.plain_evidence import read_plain

TASK_NAMES = ("click_1d", "buy_2d", "back_2d", "spend_2d")


def trained(feed: tuple[Workspace, str], task: str) -> TrainResult:
    workspace, snapshot = feed
    return train.run(workspace, task=task, as_of=AS_OF, snapshot=snapshot)


def model_of(workspace: Workspace, result: TrainResult) -> tuple[lgb.Booster, FeatureEncoder]:
    registry = workspace.store.registry
    files = registry.files(registry.part(result.model, result.version))
    encoder = FeatureEncoder.from_json(json.loads(files[ENCODER]))
    return lgb.Booster(model_str=files[BOOSTER].decode()), encoder


@pytest.mark.parametrize("task", TASK_NAMES)
def test_each_task_becomes_a_registered_model(labelled_feed: tuple[Workspace, str], task: str) -> None:
    result = trained(labelled_feed, task)
    assert (result.model, result.version) == (f"small_feed.task.{task}", 1)
    assert Store.open(labelled_feed[0].home).registry.part(result.model, 1).sha256 == result.sha256


def test_the_figures_are_of_the_test_days_with_intervals_and_counts(
    labelled_feed: tuple[Workspace, str],
) -> None:
    figures = trained(labelled_feed, "click_1d").metrics
    low, auc, high = (known(figures[name]) for name in ("auc_low", "auc", "auc_high"))
    assert low < auc < high
    assert auc > 0.7
    assert 0.9 < known(figures["calibration_ratio"]) < 1.1
    assert figures["rows"] == pytest.approx(7 * 90 * 5, rel=0.1)
    assert 0 < known(figures["positives"]) < known(figures["rows"])


def test_sampled_negatives_leave_the_probabilities_right(labelled_feed: tuple[Workspace, str]) -> None:
    result = trained(labelled_feed, "buy_2d")
    counts = read_plain(labelled_feed[0].home, result.run_id)["rows"]
    negatives, kept = counts["observed"] - counts["positives"], counts["sampled"] - counts["positives"]
    assert kept / negatives == pytest.approx(0.5, abs=0.03)
    assert result.metrics["calibration_ratio"] == pytest.approx(1, abs=0.15)


def test_a_conditional_task_learns_where_its_parent_is_positive(labelled_feed: tuple[Workspace, str]) -> None:
    counts = read_plain(labelled_feed[0].home, trained(labelled_feed, "back_2d").run_id)["rows"]
    bought = read_plain(labelled_feed[0].home, trained(labelled_feed, "buy_2d").run_id)["rows"]
    assert counts["observed"] == pytest.approx(bought["positives"], rel=0.3)
    assert counts["positives"] < counts["observed"]


def test_a_value_task_learns_the_mean(labelled_feed: tuple[Workspace, str]) -> None:
    figures = trained(labelled_feed, "spend_2d").metrics
    assert figures["calibration_ratio"] == pytest.approx(1, abs=0.15)


def test_a_second_time_the_version_is_used_again(labelled_feed: tuple[Workspace, str]) -> None:
    first = trained(labelled_feed, "click_1d")
    again = trained(labelled_feed, "click_1d")
    assert again.reused
    assert (again.version, again.sha256, again.run_id, again.metrics) == (
        first.version, first.sha256, first.run_id, first.metrics,
    )  # fmt: skip


def test_the_version_says_what_it_was_made_from(labelled_feed: tuple[Workspace, str]) -> None:
    workspace, snapshot = labelled_feed
    result, registry = trained(labelled_feed, "click_1d"), workspace.store.registry
    said = registry.tags(registry.part(result.model, result.version))
    assert said["snapshot"] == snapshot
    assert said["contract.tasks"] == workspace.contracts.digests["tasks"]
    assert said["newest_training_row"] == "2026-01-26"
    run = registry.client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["slice.test"] == "2026-02-05 to 2026-02-11"
    (linked,) = run.inputs.dataset_inputs
    content = LabelStore(workspace.store, workspace.surface).snapshot(snapshot).content_digest
    assert linked.dataset.digest == content[:36]


def test_the_evidence_holds_figures_per_segment_and_importances(labelled_feed: tuple[Workspace, str]) -> None:
    evidence = read_plain(labelled_feed[0].home, trained(labelled_feed, "click_1d").run_id)
    segments = {tuple(row["segment"].values()) for row in evidence["test"]["figures"]}
    assert {
        (),
        *(("category", each) for each in "abc"),
        ("item_age", "<10"),
        ("item_age", ">=20"),
    } <= segments
    assert set(evidence["importances"]) == {"price", "age", "category"}
    assert evidence["importances"]["price"]["gain"] > evidence["importances"]["age"]["gain"]


def test_the_registered_text_predicts_what_was_measured(labelled_feed: tuple[Workspace, str]) -> None:
    workspace, snapshot = labelled_feed
    result = trained(labelled_feed, "click_1d")
    booster, encoder = model_of(workspace, result)
    rows = TaskRows.open(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot)
    table = rows.read_outcomes(rows.slices.test, rows.features)
    ratio = pc.sum(table.column("click_1d")).as_py() / booster.predict(encode(encoder, table)).sum()
    assert ratio == pytest.approx(result.metrics["calibration_ratio"])


def test_the_same_rows_give_the_same_bytes_elsewhere_whatever_else_was_logged(
    labelled_feed: tuple[Workspace, str], tmp_path: Path
) -> None:
    write_contracts(tmp_path / "surfaces")
    write_logs(tmp_path / "home/logs")
    write_logs(tmp_path / "home/logs", part="unseen", visible=False, requests_a_day=20, seed=8)
    write_logs(tmp_path / "home/logs", part="future", days=(DAYS, DAYS + 5), seed=9)
    workspace, snapshot = labelled(tmp_path)
    assert snapshot != labelled_feed[1]
    model = train.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot)
    assert model.sha256 == trained(labelled_feed, "click_1d").sha256


def test_a_step_killed_before_its_version_makes_it_once_on_the_second_run(tmp_path: Path) -> None:
    feed = small_feed(tmp_path)
    with killed_in(PatientClient, "create_model_version"):
        trained(feed, "click_1d")
    result = trained(feed, "click_1d")
    assert (result.version, result.reused) == (1, False)
    assert len(Store.open(feed[0].home).registry.versions(result.model)) == 1


def test_a_step_killed_after_its_version_finds_it_and_closes_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = small_feed(tmp_path)
    with monkeypatch.context() as dying:
        dying.setattr(PatientClient, "set_terminated", lambda *_, **__: None)
        left_open = trained(feed, "click_1d")
    client = Store.open(feed[0].home).registry.client
    assert client.get_run(left_open.run_id).info.status == "RUNNING"
    result = trained(feed, "click_1d")
    assert (result.version, result.reused) == (1, True)
    assert client.get_run(left_open.run_id).info.status == "FINISHED"


def test_labels_that_were_not_validated_are_not_trained_on(tmp_path: Path) -> None:
    workspace, _ = small_feed(tmp_path)
    later = AS_OF - timedelta(days=1)
    snapshot = labels.run(workspace, as_of=later).snapshot
    with pytest.raises(GateRefused, match=r"is not published: .* Run `equipoise validate`"):
        train.run(workspace, task="click_1d", as_of=later, snapshot=snapshot)


def test_labels_as_of_another_instant_are_refused(labelled_feed: tuple[Workspace, str]) -> None:
    workspace, snapshot = labelled_feed
    with pytest.raises(
        DataError, match="is as of 2026-02-16T00:00:00Z, and 2026-02-15T00:00:00Z was requested"
    ):
        train.run(workspace, task="click_1d", as_of=AS_OF - timedelta(days=1), snapshot=snapshot)


def test_an_unknown_task_is_named_with_its_nearest(labelled_feed: tuple[Workspace, str]) -> None:
    workspace, snapshot = labelled_feed
    with pytest.raises(ContractError, match="Did you mean 'click_1d'"):
        train.run(workspace, task="clik_1d", as_of=AS_OF, snapshot=snapshot)


def test_an_unknown_snapshot_is_named(labelled_feed: tuple[Workspace, str]) -> None:
    with pytest.raises(DataError, match="0123456789abcdef"):
        train.run(labelled_feed[0], task="click_1d", as_of=AS_OF, snapshot="0123456789abcdef")


def test_too_few_positives_are_a_matter_of_time_and_the_run_says_failed(tmp_path: Path) -> None:
    write_contracts(tmp_path / "surfaces")
    write_logs(tmp_path / "home/logs", requests_a_day=4)
    feed = labelled(tmp_path)
    with pytest.raises(
        ImmatureLabels, match=r"'back_2d' cannot be trained: .* 20 are needed \(minimum\.positives\)"
    ):
        trained(feed, "back_2d")
    client = Store.open(feed[0].home).registry.client
    (run,) = client.search_runs([client.get_experiment_by_name("small_feed").experiment_id])
    assert run.info.status == "FAILED"
