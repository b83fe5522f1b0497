"""A release whose heads are of every kind, and one after it in which tasks continue, start from others or stay.

::

    first     dwell a quantile, satisfaction an order within the request, the others as ever
    second    release 1 is champion: clicks are warm-started, purchases start from clicks by their leaves, hides
              ask for a weight that nobody logs
"""

import json
import re
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from tasks.columns import REQUEST_ID, USER_ID
from tasks.errors import ContractError, DataError
from tasks.evaluation.evidence import ChampionComparison
from tasks.evaluation.paired import PairedRows, auc_by_request_drop
from tasks.evaluation.subjects import SAME_DAY
from tasks.release import view as release_view
from tasks.stores.manifest import BOOSTER
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.training.rows import NEWEST, TaskRows, read_labels
from tasks.training.same_day import SameDayEvidence
from tasks.training.trees import STARTS_FROM, find_champion_model, find_start, predict_rows, read_model
from tests.contracts.files import setting
from tests.evaluation.task_figures import of_all_rows
from tests.feeds import mini
from tests.feeds.mini import AS_OF, LATER, NAME, Retrained
from tests.stores.local_path import local
from tests.stores.plain_evidence import read_plain
from tests.verdicts import subject_of

pytestmark = pytest.mark.e2e

DWELL, SATISFIED, CLICK, BUY, HIDE = (
    *("dwell_seconds_1d", "satisfied_2d", "click_30m", "purchase_2d", "hide_2d"),
)
FIRST: dict[str, Any] = {
    DWELL: {"objective": "quantile", "quantile": 0.95},
    SATISFIED: {"objective": "lambdarank"},
}
SECOND: dict[str, Any] = {
    **FIRST,
    CLICK: {"warm_start": True},
    BUY: {"start_from": {"task": CLICK, "by": "leaves"}},
    HIDE: {"weights": {"column": "trust"}},
}


@pytest.fixture(scope="module")
def first(mini_world: Path, mini_surfaces: Path, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    folder = tmp_path_factory.mktemp("kinds")
    workspace = mini.with_log(mini_surfaces, mini_world, folder)
    workspace = mini.changed(
        workspace, folder, surface=setting("training", FIRST), utility=setting(f"weights.{SATISFIED}", None)
    )
    return Retrained.run(workspace, as_of=AS_OF)


@pytest.fixture(scope="module")
def second(first: Retrained, mini_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    mini.set_champion(first.workspace, 1)
    shutil.copytree(mini_world, local(first.workspace.logs / NAME), dirs_exist_ok=True)
    workspace = mini.changed(
        first.workspace, tmp_path_factory.mktemp("kinds_2"), surface=setting("training", SECOND)
    )
    return Retrained.run(workspace, as_of=LATER, tasks=[CLICK, BUY, HIDE])


@pytest.fixture(scope="module")
def scored(first: Retrained) -> pd.DataFrame:
    release = release_view.load(first.workspace, 1)
    files = sorted(local(first.workspace.logs / NAME / "candidates").glob("*"))
    return release.score(pd.read_parquet(files[-1]))


def booster(workspace: Workspace, task: str, version: int) -> lgb.Booster:
    registry = workspace.store.registry
    files = registry.files(registry.part(f"{NAME}.task.{task}", version))
    return lgb.Booster(model_str=files[BOOSTER].decode())


def figures(retrained: Retrained, task: str) -> dict[str, Any]:
    part = retrained.workspace.releases.part(retrained.result.release)
    run = retrained.workspace.store.registry.run_id(part)
    (found,) = (one for one in read_plain(retrained.workspace.home, run)["tasks"] if one["task"] == task)
    return dict(found)


def test_heads_of_every_kind_pass_the_gates_together(first: Retrained) -> None:
    assert (first.result.verdict, first.result.reasons) == ("promote", [])


def test_each_kind_is_scored_in_a_column_of_its_own(scored: pd.DataFrame) -> None:
    assert {f"q_{DWELL}", f"s_{SATISFIED}", f"p_{CLICK}"} <= set(scored.columns)
    assert not {f"v_{DWELL}", f"p_{SATISFIED}"} & set(scored.columns)
    assert np.isfinite(scored[[f"q_{DWELL}", f"s_{SATISFIED}"]]).all(axis=None)
    assert (scored[f"s_{SATISFIED}"] < 0).any(), "a score is no probability"


def test_neither_is_calibrated_but_each_has_a_registered_map_that_says_so(first: Retrained) -> None:
    registry = first.workspace.store.registry
    for task in (DWELL, SATISFIED):
        files = registry.files(registry.part(f"{NAME}.calibrator.{task}", 1))
        assert json.loads(files["calibrator.json"]) == {"kind": "identity"}


def test_a_quantile_is_measured_by_its_coverage_and_an_order_by_ndcg(first: Retrained) -> None:
    dwell, satisfied = figures(first, DWELL), figures(first, SATISFIED)
    assert (dwell["kind"], satisfied["kind"]) == ("quantile", "ranking")
    assert of_all_rows(dwell)["coverage"] == pytest.approx(0.95, abs=0.03)
    assert 0 < of_all_rows(satisfied)["ndcg"] <= 1
    assert "calibration_ratio" not in {*of_all_rows(dwell), *of_all_rows(satisfied)}


def test_a_warm_start_adds_trees_to_the_champions_and_says_so(second: Retrained) -> None:
    before, after = (booster(second.workspace, CLICK, version) for version in (1, 2))
    assert after.num_trees() > before.num_trees()
    rows = np.random.default_rng(0).random((20, before.num_feature()))
    kept = after.predict(rows, raw_score=True, num_iteration=before.num_trees())
    np.testing.assert_allclose(kept, before.predict(rows, raw_score=True), atol=1e-12)
    registry = second.workspace.store.registry
    assert registry.tags(registry.part(f"{NAME}.task.{CLICK}", 2))[STARTS_FROM] == "1"


def test_a_warm_start_again_after_it_became_champion_is_the_same_model(second: Retrained) -> None:
    snapshot = second.workspace.releases.manifest(2).snapshot.id
    again = train.run(second.workspace, task=CLICK, as_of=LATER, snapshot=snapshot)
    assert (again.version, again.reused) == (2, True)


def test_a_sparse_task_that_started_from_a_dense_one_is_one_model_of_its_features(second: Retrained) -> None:
    pins = second.workspace.releases.manifest(2).pins
    bought, clicked = (booster(second.workspace, task, pins[f"{NAME}.task.{task}"]) for task in (BUY, CLICK))
    assert bought.feature_name() == clicked.feature_name()
    evidence = figures(second, BUY)
    assert of_all_rows(evidence)["calibration_ratio"] == pytest.approx(1, abs=0.6)


def test_a_changed_recipe_stands_in_the_dossier_beside_the_champions_of_the_same_day(
    second: Retrained,
) -> None:
    """Purchases start from clicks now: on the same days that is told from what newer days bring."""
    (run,) = mini.step_runs(second.workspace, "same_day", task=BUY)
    rows = {
        subject_of(gate): gate
        for gate in second.result.gates
        if SAME_DAY in subject_of(gate) or "same_day" in subject_of(gate)
    }
    assert f"{BUY}.normalized_entropy_rise vs the champion's recipe" in rows
    assert {gate["evidence"] for name, gate in rows.items() if name.startswith(BUY)} == {run}
    assert rows["same_day_champion"]["reason"].endswith(f"compared with it as of the same day: {BUY}")
    page = Path(second.result.dossier).read_text(encoding="utf-8")
    assert re.search(rf"rise of normalized entropy [(].+[)], {BUY} \S+ vs the champion", page) is not None
    assert run in page


def shallow(task: str) -> mini.Change:
    def change(plain: dict[str, Any]) -> None:
        plain["lightgbm"][task] = {**plain["lightgbm"]["default"], "num_leaves": 2}

    return change


def both_recipes(
    second: Retrained, folder: Path, task: str
) -> tuple[TaskRows, ChampionComparison, list[Any]]:
    """Train shallow trees and the champion's recipe as of the same day.

    Return the rows, what the comparison says, and what both predict of the test days, the champion's first.
    """
    rows = _rows(mini.changed(second.workspace, folder, surface=shallow(task)), task)
    new = train.train_and_compare(rows).version
    run = mini.step_runs(second.workspace, "same_day", task=task)[-1]
    evidence = second.workspace.store.runs.read_evidence(run, SameDayEvidence)
    assert evidence.comparison is not None, evidence.reason
    old = train.train_and_compare(_rows(second.workspace, task)).version
    registry = second.workspace.store.registry
    models = (read_model(registry.files(registry.part(f"{NAME}.task.{task}", one))) for one in (old, new))
    return rows, evidence.comparison, [predict_rows(rows, rows.slices.test, *model) for model in models]


def segment_columns(found: ChampionComparison) -> set[str]:
    return {one.segment.column for one in found.segments}


def test_a_changed_recipe_of_a_quantile_is_held_against_the_champions_by_pinball_loss(
    second: Retrained, tmp_path: Path
) -> None:
    rows, found, predicted = both_recipes(second, tmp_path, DWELL)
    seconds = read_labels(rows.test, DWELL)
    base = np.quantile(read_labels(rows.read_outcomes(rows.slices.calibrate), DWELL), 0.95)

    def loss(quantile: Any) -> float:
        return float(np.where(seconds > quantile, 0.95, -0.05) @ (seconds - quantile))

    old, new = map(loss, predicted)
    assert old != new
    assert found.relative_pinball_loss_rise is not None
    assert found.relative_pinball_loss_rise.value == pytest.approx((new - old) / loss(base))
    assert (found.auc_drop, found.auc_by_request_drop, found.normalized_entropy_rise) == (None, None, None)
    assert segment_columns(found) == {"user_tenure", "item_age"}


def test_a_changed_recipe_of_an_order_is_held_against_the_champions_inside_requests(
    second: Retrained, tmp_path: Path
) -> None:
    rows, found, (old, new) = both_recipes(second, tmp_path, SATISFIED)
    users, requests = (rows.test.column(name).to_pylist() for name in (USER_ID, REQUEST_ID))
    (drop,) = auc_by_request_drop(PairedRows(read_labels(rows.test, SATISFIED), old, new, users, requests))
    assert drop.value != 0
    assert (found.auc_by_request_drop, found.auc_drop, found.normalized_entropy_rise) == (drop, None, None)
    assert segment_columns(found) == {"user_tenure", "item_age"}


def test_another_quantile_is_another_thing_to_predict(second: Retrained, tmp_path: Path) -> None:
    changed = mini.changed(second.workspace, tmp_path, surface=setting(f"training.{DWELL}.quantile", 0.9))
    train.train_and_compare(_rows(changed, DWELL))
    run = mini.step_runs(second.workspace, "same_day", task=DWELL)[-1]
    evidence = second.workspace.store.runs.read_evidence(run, SameDayEvidence)
    assert (evidence.comparison, evidence.reason) == (None, "the champion's model predicts the quantile 0.95")


def test_a_task_that_cannot_be_trained_keeps_the_champions_model(second: Retrained) -> None:
    pins = second.workspace.releases.manifest(2).pins
    assert {task: pins[f"{NAME}.task.{task}"] for task in (CLICK, BUY, HIDE)} == {CLICK: 2, BUY: 3, HIDE: 1}
    (gate,) = (gate for gate in second.result.gates if subject_of(gate) == f"{HIDE}.trained")
    assert gate["outcome"] == "warn"
    assert "reuses the champion's model. Unknown column 'trust'" in gate["reason"]


def test_where_nothing_could_be_trained_there_is_no_release(second: Retrained) -> None:
    with pytest.raises(DataError, match=r"No task could be trained, so there is nothing new.*'trust'"):
        Retrained.run(second.workspace, as_of=LATER, tasks=[HIDE])


def _fewer_features(plain: dict[str, Any]) -> None:
    plain["features"]["numeric"] = plain["features"]["numeric"][1:]


def _another_quantile(plain: dict[str, Any]) -> None:
    plain["training"][DWELL] |= {"quantile": 0.9, "warm_start": True}


@pytest.mark.parametrize(
    ("change", "task", "changed"),
    [
        (_fewer_features, CLICK, "features was"),
        (setting(f"training.{CLICK}.monotone", {"price": -1}), CLICK, r"monotone was {}, is {'price': -1}"),
        (_another_quantile, DWELL, r"alpha was 0\.95, is 0\.9"),
    ],
)
def test_a_warm_start_from_another_recipe_is_refused_in_clear_words(
    second: Retrained, tmp_path: Path, change: mini.Change, task: str, changed: str
) -> None:
    rows = _rows(mini.changed(second.workspace, tmp_path, surface=change), task)
    words = rf"'{task}' cannot be warm-started from .*: .*{changed}.* Train it in full"
    with pytest.raises(ContractError, match=words):
        find_start(rows, find_champion_model(rows))


def test_a_warm_start_goes_on_where_the_recipe_is_the_same(second: Retrained, tmp_path: Path) -> None:
    changed = mini.changed(second.workspace, tmp_path, surface=setting(f"training.{DWELL}.warm_start", True))
    rows = _rows(changed, DWELL)
    start = find_start(rows, find_champion_model(rows))
    assert start is not None
    assert start.by == "champion"


def test_a_warm_start_never_goes_on_from_what_learned_later_days_than_its_own(second: Retrained) -> None:
    rows, champion = _rows(second.workspace, CLICK), 1
    before = second.workspace.store.registry.part(f"{NAME}.task.{CLICK}", champion)
    newest = date.fromisoformat(second.workspace.store.registry.tags(before)[NEWEST])
    for last, found in ((newest, before), (newest - timedelta(days=1), None)):
        train_days = replace(rows.slices.train, last=last)
        assert find_champion_model(replace(rows, slices=replace(rows.slices, train=train_days))) == found


def test_a_champion_without_the_task_leaves_a_warm_start_to_train_in_full(
    second: Retrained, tmp_path: Path
) -> None:
    warm = setting("training", {"default": {"warm_start": True}})
    rows = _rows(mini.changed(second.workspace, tmp_path, surface=warm), CLICK)
    assert find_champion_model(rows) is not None
    assert find_champion_model(replace(rows, task="never_released")) is None


def _rows(workspace: Workspace, task: str) -> TaskRows:
    snapshot = workspace.releases.manifest(2).snapshot.id
    return TaskRows.open(workspace, task=task, as_of=LATER, snapshot=snapshot)
