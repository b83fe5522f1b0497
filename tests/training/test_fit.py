from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from tasks.errors import DataError, ImmatureLabels
from tasks.training.fit import Fitted, fit, require_trainable

NAMES = ("price", "age", "category")
SMALL: dict[str, float | int] = {"rounds": 30, "num_leaves": 7, "early_stopping_rounds": 5}


def world(n: int = 6000, rate: float = 0.1, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, outcomes and a fold; the odds rise with price and in category 2."""
    random = np.random.default_rng(seed)
    features = np.column_stack([random.random(n), random.random(n), random.integers(0, 4, n)]).astype(float)
    logit = np.log(rate / (1 - rate)) + 3 * (features[:, 0] - 0.5) + (features[:, 2] == 2)
    return features, (random.random(n) < 1 / (1 + np.exp(-logit))).astype(float), random.random(n) < 0.1


def learn(features: np.ndarray, labels: np.ndarray, fold: np.ndarray, **more: Any) -> Fitted:
    settings: dict[str, Any] = {"kind": "binary", "categorical": ["category"], "parameters": SMALL, **more}
    return fit(features, labels, fold, names=NAMES, **settings)


def test_the_same_rows_and_seed_give_the_same_bytes():
    assert learn(*world()).text == learn(*world()).text


def test_another_seed_gives_other_bytes_where_chance_plays_a_part():
    random = {**SMALL, "bagging_fraction": 0.5, "bagging_freq": 1}
    one, two = (learn(*world(), parameters=random, seed=seed).text for seed in (1, 2))
    assert one != two


def test_the_text_is_the_model():
    fitted = learn(*world())
    features, _, _ = world(seed=2)
    again = lgb.Booster(model_str=fitted.text)
    np.testing.assert_array_equal(again.predict(features), fitted.booster.predict(features))
    assert again.model_to_string() == fitted.text
    assert again.num_trees() == fitted.rounds


def test_the_trees_learn_what_raises_the_odds():
    fitted = learn(*world())
    cheap, dear = fitted.booster.predict(np.array([[0.1, 0.5, 0], [0.9, 0.5, 2]]))
    assert cheap < 0.06
    assert dear > 0.3
    assert fitted.gains["price"] > fitted.gains["category"] > fitted.gains["age"]
    assert all(fitted.splits[name] > 0 for name in ("price", "category"))


def test_a_missing_feature_value_is_no_error():
    features, labels, fold = world()
    features[::7, 0] = np.nan
    features[::5, 2] = np.nan
    assert np.isfinite(learn(features, labels, fold).booster.predict(features)).all()


def test_held_out_users_stop_the_trees_and_are_not_learned_from():
    features, labels, fold = world()
    long = {**SMALL, "rounds": 500, "learning_rate": 0.3}
    stopped = learn(features, labels, fold, parameters=long)
    assert stopped.rounds < 100
    assert stopped.fold_loss is not None
    predicted = stopped.booster.predict(features[fold])
    loss = -np.mean(np.log(np.where(labels[fold] == 1, predicted, 1 - predicted)))
    assert loss == pytest.approx(stopped.fold_loss, rel=1e-6)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_a_fold_of_one_outcome_cannot_stop_the_trees_so_all_rows_are_learned_from(outcome):
    features, labels, fold = world()
    labels[fold] = outcome
    fitted = learn(features, labels, fold)
    assert fitted.fold_loss is None
    assert fitted.rounds == SMALL["rounds"]


def test_a_fold_without_rows_is_no_error():
    features, labels, _ = world()
    assert learn(features, labels, np.zeros(len(labels), dtype=bool)).fold_loss is None


def test_sampled_negatives_are_undone_in_the_model_itself():
    features, labels, fold = world(60_000, rate=0.02)
    kept = (labels == 1) | (np.random.default_rng(3).random(len(labels)) < 0.1)
    fresh, outcomes, _ = world(60_000, rate=0.02, seed=4)
    fitted = learn(features[kept], labels[kept], fold[kept], negatives=0.1)
    assert fitted.booster.predict(fresh).sum() == pytest.approx(outcomes.sum(), rel=0.1)
    biased = learn(features[kept], labels[kept], fold[kept])
    shift = fitted.booster.predict(fresh, raw_score=True) - biased.booster.predict(fresh, raw_score=True)
    np.testing.assert_allclose(shift, np.log(0.1), atol=1e-12)
    assert biased.booster.predict(fresh).sum() > 4 * outcomes.sum()


def test_the_undo_is_in_the_text_too():
    features, labels, fold = world()
    fitted = learn(features, labels, fold, negatives=0.25)
    again = lgb.Booster(model_str=fitted.text)
    np.testing.assert_array_equal(again.predict(features), fitted.booster.predict(features))


def test_a_loss_weight_moves_separate_trees_by_nothing_but_their_regularisation():
    features, labels, fold = world()
    free = {**SMALL, "min_sum_hessian_in_leaf": 0.0, "cat_l2": 0.0, "cat_smooth": 0.0}
    light, heavy = (learn(features, labels, fold, parameters=free, loss_weight=w) for w in (1.0, 4.0))
    np.testing.assert_allclose(light.booster.predict(features), heavy.booster.predict(features), atol=1e-6)


def test_single_precision_features_are_taken_as_they_are():
    features, labels, fold = world()
    single = features.astype(np.float32)
    np.testing.assert_allclose(
        learn(single, labels, fold).booster.predict(single),
        learn(single.astype(np.float64), labels, fold).booster.predict(single),
        atol=1e-9,
    )


def test_a_value_task_learns_the_mean():
    features, _, fold = world()
    values = 10 * features[:, 0] + np.random.default_rng(5).normal(size=len(features))
    fitted = learn(features, values, fold, kind="value", parameters={**SMALL, "rounds": 200})
    low, high = fitted.booster.predict(np.array([[0.2, 0.5, 1], [0.8, 0.5, 1]]))
    assert (low, high) == pytest.approx((2, 8), abs=0.5)


def test_unobserved_rows_are_refused():
    features, labels, fold = world()
    labels[:3] = np.nan
    with pytest.raises(DataError, match="3 labels have no value"):
        learn(features, labels, fold)


def test_lengths_that_differ_are_refused():
    features, labels, fold = world()
    with pytest.raises(DataError, match="5999 labels"):
        learn(features, labels[1:], fold)


def test_too_few_positives_are_named_with_what_is_needed():
    with pytest.raises(
        ImmatureLabels, match=r"'report_7d' cannot be trained: .* 2 positives in 4 .* 200 are needed"
    ):
        require_trainable("report_7d", np.array([1.0, 0, 1, 0]), kind="binary", minimum=200)


def test_no_rows_at_all_are_too_few_positives():
    with pytest.raises(ImmatureLabels, match="0 positives in 0 observed"):
        require_trainable("report_7d", np.array([]), kind="binary", minimum=1)


@pytest.mark.parametrize(("kind", "label"), [("binary", 1.0), ("value", 3.5)])
def test_one_outcome_alone_cannot_be_learned(kind, label):
    with pytest.raises(
        DataError, match=r"cannot be trained: all 300 observed labels .* needs both outcomes"
    ) as error:
        require_trainable("task", np.full(300, label), kind=kind, minimum=200)
    assert not isinstance(error.value, ImmatureLabels)


def test_a_value_task_needs_values_other_than_nothing():
    with pytest.raises(ImmatureLabels, match="1 values other than 0 in 3 observed"):
        require_trainable("spend_7d", np.array([0.0, 0.0, 7.0]), kind="value", minimum=2)


def test_enough_of_both_is_trainable():
    require_trainable("click_30m", np.array([0.0, 1.0]), kind="binary", minimum=1)
