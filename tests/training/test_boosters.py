import lightgbm as lgb
import numpy as np
import pytest

from tasks.training.boosters import is_constant, scale_scores, shift_scores, stack_boosters

PARAMETERS = {
    "objective": "binary",
    "num_leaves": 5,
    "verbosity": -1,
    "num_threads": 1,
    "min_data_in_leaf": 5,
}


def booster(seed: int, rounds: int) -> lgb.Booster:
    random = np.random.default_rng(seed)
    features = np.column_stack([random.random(400), random.random(400), random.integers(0, 5, 400)])
    labels = (features[:, 0] + features[:, 2] / 5 + random.random(400) > 1.5).astype(float)
    data = lgb.Dataset(features, labels, feature_name=["a", "b", "c"], categorical_feature=[2])
    return lgb.train({**PARAMETERS, "seed": seed}, data, rounds)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    random = np.random.default_rng(9)
    return np.column_stack([random.random(50), random.random(50), random.integers(0, 7, 50)])


def raw(model: lgb.Booster, rows: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict(rows, raw_score=True))


def test_a_shift_moves_every_raw_score_and_a_scale_multiplies_it(rows: np.ndarray) -> None:
    before = raw(booster(1, 6), rows)
    np.testing.assert_allclose(raw(shift_scores(booster(1, 6), -2.5), rows), before - 2.5, atol=1e-12)
    np.testing.assert_allclose(raw(scale_scores(booster(1, 6), 0.4), rows), 0.4 * before, atol=1e-12)


def test_one_on_top_of_another_adds_their_raw_scores(rows: np.ndarray) -> None:
    below, above = booster(1, 6), booster(2, 4)
    both = stack_boosters(below, above)
    assert both.num_trees() == 10
    np.testing.assert_allclose(raw(both, rows), raw(below, rows) + raw(above, rows), atol=1e-12)
    np.testing.assert_allclose(both.predict(rows), 1 / (1 + np.exp(-raw(both, rows))), atol=1e-12)


def test_what_was_stacked_is_whole_text_and_may_be_stacked_again(rows: np.ndarray) -> None:
    both = stack_boosters(booster(1, 6), booster(2, 4))
    again = lgb.Booster(model_str=both.model_to_string())
    np.testing.assert_array_equal(again.predict(rows), both.predict(rows))
    np.testing.assert_allclose(
        raw(stack_boosters(both, booster(3, 2)), rows), raw(both, rows) + raw(booster(3, 2), rows), atol=1e-12
    )


def test_nothing_below_leaves_a_booster_as_it_is() -> None:
    above = booster(2, 4)
    assert stack_boosters(None, above) is above


def test_a_booster_is_constant_where_no_tree_tells_rows_apart(rows: np.ndarray) -> None:
    alone = booster(1, 6)
    assert not is_constant(alone)
    same = scale_scores(booster(1, 6), 0.0)
    assert is_constant(same)
    assert np.ptp(raw(same, rows)) == 0
    assert not is_constant(stack_boosters(alone, same)), "what it stands on tells rows apart"
