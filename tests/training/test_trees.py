"""A registered model comes back as the trees and the encoder that were written."""

import json
from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pytest

from tasks.labels import snapshot as label_snapshot
from tasks.ranking.features import FeatureEncoder
from tasks.stores.manifest import BOOSTER, ENCODER
from tasks.stores.workspace import Workspace
from tasks.training import step
from tasks.training.encoding import encode
from tasks.training.examples import Examples
from tasks.training.fit import Learning, fit_head
from tasks.training.rows import TaskRows
from tasks.training.trees import (
    By,
    Start,
    predict_rows,
    read_model,
    score_rows,
    start_from_dense,
    train_model,
)
from tests.feeds.small_feed import AS_OF

PRICE = np.arange(100.0)[:, None]
EXAMPLES = Examples(PRICE, (PRICE[:, 0] > 49).astype(float), np.zeros(100, dtype=bool), ("price",))
NAMES = tuple("abcdef")
SMALL: dict[str, float | int] = {"rounds": 60, "num_leaves": 7, "learning_rate": 0.1}
N = 30_000


def trained() -> lgb.Booster:
    return fit_head(EXAMPLES, Learning(parameters={"rounds": 3}), threads=1).booster


def test_a_model_is_read_from_its_files() -> None:
    booster, encoder = trained(), FeatureEncoder(("price",), {})
    files = {
        BOOSTER: booster.model_to_string().encode(),
        ENCODER: json.dumps(encoder.to_json()).encode(),
    }
    again, known = read_model(files)
    assert known.same_as(encoder)
    np.testing.assert_array_equal(again.predict(PRICE), booster.predict(PRICE))


def test_a_champion_s_trees_are_continued_as_they_are() -> None:
    booster = trained()
    assert Start(booster, FeatureEncoder(("price",), {}), "champion").booster(EXAMPLES, threads=1) is booster


def truth(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chances of a click and of a purchase, shape [rows] each."""
    interest = np.sin(3 * features[:, 0]) + features[:, 1] * features[:, 2]
    click, purchase = -1.5 + interest, -6.5 + interest + 0.5 * features[:, 3]
    return 1 / (1 + np.exp(-click)), 1 / (1 + np.exp(-purchase))


@pytest.fixture(scope="module")
def clicks_and_purchases() -> tuple[Examples, Examples]:
    random = np.random.default_rng(0)
    features = random.normal(size=(N, len(NAMES)))
    fold = random.random(N) < 0.1
    click, bought = ((random.random(N) < chance).astype(float) for chance in truth(features))
    return Examples(features, click, fold, NAMES), Examples(features, bought, fold, NAMES)


@pytest.fixture(scope="module")
def dense(clicks_and_purchases: tuple[Examples, Examples]) -> lgb.Booster:
    return fit_head(clicks_and_purchases[0], Learning(parameters=SMALL), threads=1).booster


def excess(booster: lgb.Booster) -> float:
    """How much log loss on fresh rows exceeds that of the truth."""
    features = np.random.default_rng(1).normal(size=(N, len(NAMES)))
    _, chance = truth(features)
    said = booster.predict(features)
    return float(np.mean(chance * np.log(chance / said) + (1 - chance) * np.log((1 - chance) / (1 - said))))


@pytest.mark.parametrize("by", ["predictions", "leaves"])
def test_what_the_dense_task_learned_brings_a_sparse_one_closer_to_its_truth(
    clicks_and_purchases: tuple[Examples, Examples], dense: lgb.Booster, by: By
) -> None:
    _, bought = clicks_and_purchases
    assert bought.labels.sum() < 200
    start = start_from_dense(dense, bought, by=by, threads=1)
    alone, further = (fit_head(bought, Learning(parameters=SMALL), start=s, threads=1) for s in (None, start))
    assert excess(further.booster) < 0.75 * excess(alone.booster)


@pytest.mark.parametrize("by", ["predictions", "leaves"])
def test_the_start_says_as_many_positives_as_there_are(
    clicks_and_purchases: tuple[Examples, Examples], dense: lgb.Booster, by: By
) -> None:
    learned = clicks_and_purchases[1].where(~clicks_and_purchases[1].fold)
    start = start_from_dense(dense, clicks_and_purchases[1], by=by, threads=1)
    assert start.predict(learned.features).sum() == pytest.approx(learned.labels.sum(), rel=0.1)


@pytest.mark.parametrize("by", ["predictions", "leaves"])
def test_offsets_are_left_out_of_the_start(
    clicks_and_purchases: tuple[Examples, Examples], dense: lgb.Booster, by: By
) -> None:
    _, bought = clicks_and_purchases
    kept = (bought.labels == 1) | (np.random.default_rng(2).random(N) < 0.2)
    sampled = bought.where(kept)
    offsets = Examples(
        sampled.features, sampled.labels, sampled.fold, NAMES, offsets=np.full(len(sampled), np.log(5))
    )
    start = start_from_dense(dense, offsets, by=by, threads=1)
    assert start.predict(bought.features).sum() == pytest.approx(bought.labels.sum(), rel=0.2)


def test_by_predictions_keeps_the_order_of_the_dense_task(
    clicks_and_purchases: tuple[Examples, Examples], dense: lgb.Booster
) -> None:
    features = np.asarray(clicks_and_purchases[0].features)[:500]
    start = start_from_dense(dense, clicks_and_purchases[1], by="predictions", threads=1)
    np.testing.assert_array_equal(np.argsort(start.predict(features)), np.argsort(dense.predict(features)))


@pytest.mark.parametrize("by", ["predictions", "leaves"])
def test_the_start_is_the_same_on_any_number_of_threads_and_leaves_the_dense_task_alone(
    clicks_and_purchases: tuple[Examples, Examples], dense: lgb.Booster, by: By
) -> None:
    before = dense.model_to_string()
    one, two = (start_from_dense(dense, clicks_and_purchases[1], by=by, threads=n) for n in (1, 2))
    features = np.asarray(clicks_and_purchases[0].features)[:100]
    np.testing.assert_array_equal(one.predict(features), two.predict(features))
    assert dense.model_to_string() == before


@pytest.mark.parametrize("by", ["predictions", "leaves"])
@pytest.mark.parametrize("held_out", ["everybody", "all who bought"])
def test_where_nothing_would_be_left_to_learn_nobody_is_held_out(
    clicks_and_purchases: tuple[Examples, Examples], dense: lgb.Booster, by: By, held_out: str
) -> None:
    _, bought = clicks_and_purchases
    fold = np.ones(N, dtype=bool) if held_out == "everybody" else bought.labels == 1
    start = start_from_dense(dense, replace(bought, fold=fold), by=by, threads=1)
    assert start.predict(bought.features).sum() == pytest.approx(bought.labels.sum(), rel=0.1)


TASK = "click_1d"


@pytest.fixture
def rows(labelled_feed: tuple[Workspace, str]) -> TaskRows:
    workspace, snapshot = labelled_feed
    return TaskRows.open(workspace, task=TASK, as_of=AS_OF, snapshot=snapshot)


def test_by_the_contracts_parameters_it_is_the_steps_own_model(
    labelled_feed: tuple[Workspace, str], rows: TaskRows
) -> None:
    workspace, snapshot = labelled_feed
    result = step.run(workspace, task=TASK, as_of=AS_OF, snapshot=snapshot)
    registry = workspace.store.registry
    registered, encoder = read_model(registry.files(registry.part(result.model, result.version)))
    own = workspace.contracts.surface.lightgbm_for(TASK)
    before = len(registry.versions(result.model))
    trained = train_model(rows, None, lambda _: (own, None))
    np.testing.assert_array_equal(
        predict_rows(rows, rows.slices.test, trained.fitted.booster, trained.rows.encoder),
        predict_rows(rows, rows.slices.test, registered, encoder),
    )
    assert (trained.parameters, trained.search) == (own, None)
    assert len(registry.versions(result.model)) == before


def test_some_rows_at_a_time_get_the_scores_of_all_at_once(
    rows: TaskRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = train_model(rows, None, lambda _: ({"rounds": 3}, None))
    model = trained.fitted.booster, trained.rows.encoder
    days = rows.slices.calibrate
    all_at_once = model[0].predict(encode(model[1], rows.read_outcomes(days, rows.features)))
    monkeypatch.setattr(label_snapshot, "PIECE", 100)
    pieces = list(rows.stream_report(days, model[1].names))
    assert len(pieces) > 2
    np.testing.assert_array_equal(score_rows(rows, days, *model), all_at_once)


def test_what_chooses_the_parameters_may_try_some(rows: TaskRows) -> None:
    tried = train_model(
        rows, None, lambda train: ({"rounds": train(parameters={"rounds": 3}).rounds + 1}, None)
    )
    assert tried.fitted.rounds == 4
