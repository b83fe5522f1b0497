"""A debiased head speaks of the reference, and where candidates have positions of the place where each stands."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from tasks.errors import DataError
from tasks.ranking.examination import MOST, Examination
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.heads import Head, Heads
from tasks.ranking.maps import LogisticMap
from tests.ranking.test_heads import ENCODER, constant, logit

PLACED = pd.DataFrame(
    {
        "request_id": "r",
        "item_id": list("abcd"),
        "price": [1.0, 2.0, 3.0, 4.0],
        "aisle": list("xyxy"),
        "position": [1.0, 2.0, 9.0, np.nan],
    }
)
CURVE = Examination((1.0, 0.5, 0.25))
WITH_POSITION = FeatureEncoder(("price", "position"), {"aisle": ("x", "y")})


def below_the_second() -> lgb.Booster:
    """Return a stump: probability .4 at positions 1 and 2, .1 further down."""
    matrix = WITH_POSITION.matrix(pd.DataFrame({"price": 1.0, "aisle": "x", "position": [1.0, 9.0] * 40}))
    far = matrix[:, 1] > 5
    data = lgb.Dataset(matrix, far.astype(float), categorical_feature=[2])
    params = {"objective": "binary", "num_leaves": 2, "min_data_in_leaf": 1, "verbosity": -1}
    stump = lgb.train(params, data, num_boost_round=1)
    leaf = int(stump.predict(matrix[far], pred_leaf=True)[0][0])
    stump.set_leaf_output(0, leaf, logit(0.1))
    stump.set_leaf_output(0, 1 - leaf, logit(0.4))
    return lgb.Booster(model_str=stump.model_to_string())


def weighed(task: str, p: float) -> Head:
    return Head(task, "binary", constant(p), ENCODER, None, examination=CURVE)


def placed_by_feature(calibrator: LogisticMap | None = None) -> Head:
    return Head("click", "binary", below_the_second(), WITH_POSITION, calibrator, held={"position": 1})


def test_a_head_of_the_reference_is_moved_by_the_looks_of_each_place() -> None:
    said = Heads({"click": weighed("click", 0.4)}).predict(PLACED)
    assert said["p_click"] == pytest.approx([0.4] * 4)
    np.testing.assert_allclose(said["p_click__shown"], [0.4, 0.2, 0.1, np.nan])


def test_a_position_among_the_features_is_held_at_the_reference_and_told_where_shown() -> None:
    said = Heads({"click": placed_by_feature()}).predict(PLACED)
    assert said["p_click"] == pytest.approx([0.4] * 4)
    np.testing.assert_allclose(said["p_click__shown"], [0.4, 0.4, 0.1, np.nan])


def test_the_calibrator_maps_scores_of_either_place() -> None:
    doubled = LogisticMap(slope=1.0, intercept=np.log(2))
    said = Heads({"click": placed_by_feature(doubled)}).predict(PLACED)
    assert said["p_click"][2] == pytest.approx(0.8 / 1.4)
    assert said["p_click__shown"][2] == pytest.approx(0.2 / 1.1)


def test_without_positions_a_debiased_head_scores_all_the_same() -> None:
    heads = Heads({"click": placed_by_feature()})
    said = heads.predict(PLACED.drop(columns="position"))
    assert list(said) == ["p_click"]
    assert heads.columns == ("aisle", "price")
    assert heads.optional == ("position",)


def test_a_head_that_is_not_debiased_says_nothing_of_places() -> None:
    heads = Heads({"click": Head("click", "binary", constant(0.4), ENCODER, None)})
    assert list(heads.predict(PLACED)) == ["p_click"]
    assert heads.optional == ()


def test_along_a_chain_the_looks_are_counted_once() -> None:
    given = Head("return", "binary", constant(0.5), ENCODER, None, parent="purchase")
    said = Heads({"purchase": weighed("purchase", 0.4), "return": given}).predict(PLACED)
    np.testing.assert_allclose(said["p_return__shown"], [0.2, 0.1, 0.05, np.nan])
    assert "p_return__given__shown" not in said


def test_a_map_on_the_joint_maps_it_at_either_place() -> None:
    halved = LogisticMap(slope=1.0, intercept=-np.log(2))
    given = Head("return", "binary", constant(0.5), ENCODER, None, parent="purchase", joint=halved)
    said = Heads({"purchase": weighed("purchase", 0.4), "return": given}).predict(PLACED)
    assert said["p_return"][1] == pytest.approx(0.125 / 1.125)
    assert said["p_return__shown"][1] == pytest.approx((0.1 / 0.9 / 2) / (1 + 0.1 / 0.9 / 2))


def test_a_probability_stays_one_at_a_place_that_is_looked_at_more_than_the_reference() -> None:
    far = Head("click", "binary", constant(0.6), ENCODER, None, examination=Examination((1.0, 0.5), 2))
    assert Heads({"click": far}).predict(PLACED)["p_click__shown"][0] == MOST


def test_a_position_that_is_no_number_is_refused() -> None:
    with pytest.raises(DataError, match=r"'position' holds .* needs numbers"):
        Heads({"click": weighed("click", 0.4)}).predict(PLACED.assign(position="top"))


def test_each_row_gets_its_own_place_beyond_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.ranking.heads._CHUNK", 3)
    heads = Heads({"click": placed_by_feature(), "buy": weighed("buy", 0.4)})
    said = heads.predict(pd.concat([PLACED, PLACED]))
    np.testing.assert_allclose(said["p_click__shown"], [0.4, 0.4, 0.1, np.nan] * 2)
    np.testing.assert_allclose(said["p_buy__shown"], [0.4, 0.2, 0.1, np.nan] * 2)
