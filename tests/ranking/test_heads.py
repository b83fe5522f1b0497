import math

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from tasks.errors import DataError, StoreError
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.heads import Head, Heads, Kind
from tasks.ranking.maps import CalibrationMap, LogisticMap, MeanMap
from tasks.ranking.segmented_map import Calibrator, Effects, MappedSegment, SegmentedMap, Span

PRICED = pd.DataFrame(
    {"request_id": "r", "item_id": list("abcd"), "price": [1.0, 2.0, 3.0, 4.0], "aisle": list("xyxy")}
)
ENCODER = FeatureEncoder.fit(PRICED, numeric=["price"], categorical=["aisle"])


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def booster(below: float, above: float, *, objective: str = "binary") -> lgb.Booster:
    """Return a stump on price: raw score ``below`` under 2.5, ``above`` over it."""
    matrix = ENCODER.matrix(pd.concat([PRICED] * 10))
    labels = (matrix[:, 0] > 2.5).astype(float)
    data = lgb.Dataset(matrix, labels, categorical_feature=[1])
    params = {"objective": objective, "num_leaves": 2, "min_data_in_leaf": 1, "verbosity": -1}
    stump = lgb.train(params, data, num_boost_round=1)
    low = int(stump.predict(matrix, pred_leaf=True)[0][0])
    stump.set_leaf_output(0, low, below)
    stump.set_leaf_output(0, 1 - low, above)
    return lgb.Booster(model_str=stump.model_to_string())


def constant(p: float) -> lgb.Booster:
    return booster(logit(p), logit(p))


def head(
    task: str,
    model: lgb.Booster,
    kind: Kind = "binary",
    *,
    calibrator: Calibrator | None = None,
    parent: str | None = None,
    joint: CalibrationMap | None = None,
) -> Head:
    return Head(task, kind, model, ENCODER, calibrator, parent, joint)


def heads(*made: Head) -> Heads:
    return Heads({one.task: one for one in made})


def test_a_conditional_task_enters_as_the_joint_probability() -> None:
    chain = heads(head("purchase", constant(0.004)), head("return", constant(0.2), parent="purchase"))
    predictions = chain.predict(PRICED)
    assert list(predictions) == ["p_purchase", "p_return", "p_return__given"]
    assert predictions["p_purchase"] == pytest.approx(0.004)
    assert predictions["p_return__given"] == pytest.approx(0.2)
    assert predictions["p_return"] == pytest.approx(0.0008)


def test_the_joint_multiplies_calibrated_factors_along_the_whole_chain() -> None:
    doubled = LogisticMap(slope=1.0, intercept=math.log(2))  # doubles the odds
    chain = heads(
        head("kept", constant(0.5), parent="purchase", calibrator=doubled),
        head("cart", constant(0.2), calibrator=doubled),
        head("purchase", constant(0.1), parent="cart"),
    )
    cart, purchase, kept = 0.4 / 1.2, 0.1, 1 / 1.5
    predictions = chain.predict(PRICED)
    assert predictions["p_cart"] == pytest.approx(cart)
    assert predictions["p_purchase"] == pytest.approx(cart * purchase)
    assert predictions["p_kept"] == pytest.approx(cart * purchase * kept)
    assert predictions["p_kept__given"] == pytest.approx(kept)


def test_some_tasks_bring_their_ancestors_and_predict_as_among_all() -> None:
    made = heads(
        head("hide", constant(0.01)),
        head("purchase", constant(0.004)),
        head("return", constant(0.2), parent="purchase"),
    )
    some = made.of(["return"])
    assert list(some.heads) == ["purchase", "return"]
    among_all = made.predict(PRICED)
    assert all((found == among_all[name]).all() for name, found in some.predict(PRICED).items())


def test_a_map_on_the_joint_changes_the_joint_only() -> None:
    halved = LogisticMap(slope=1.0, intercept=-math.log(2))
    chain = heads(
        head("purchase", constant(0.5)), head("return", constant(0.5), parent="purchase", joint=halved)
    )
    predictions = chain.predict(PRICED)
    assert predictions["p_return"] == pytest.approx((1 / 3 / 2) / (1 + 1 / 3 / 2))
    assert predictions["p_return__given"] == pytest.approx(0.5)
    assert predictions["p_purchase"] == pytest.approx(0.5)


def test_a_value_task_is_what_an_impression_is_expected_to_bring() -> None:
    spend = booster(10.0, 30.0, objective="regression")
    factor = MeanMap((1.0,), (2.0,), floor=0.1)
    chain = heads(
        head("purchase", constant(0.1)),
        head("spend", spend, kind="value", calibrator=factor),
        head("spend_given", spend, kind="value", parent="purchase"),
    )
    predictions = chain.predict(PRICED)
    assert list(predictions) == ["p_purchase", "v_spend", "v_spend_given"]
    assert predictions["v_spend"] == pytest.approx([20, 20, 60, 60])
    assert predictions["v_spend_given"] == pytest.approx([1, 1, 3, 3])


def test_each_row_gets_its_own_prediction_beyond_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.ranking.heads._CHUNK", 3)
    model = heads(head("click", booster(logit(0.1), logit(0.3))))
    many = pd.concat([PRICED, PRICED])
    assert model.predict(many)["p_click"] == pytest.approx([0.1, 0.1, 0.3, 0.3] * 2)


NEW = Effects(("tenure",), (("<7",),), (math.log(2),), (0.0,), (0.0,))
BY_TENURE = SegmentedMap(
    (MappedSegment("tenure", "days", (7.0,)),), (NEW,), Span(0.0, -9.0, 9.0), LogisticMap(1.0, 0.0)
)


def test_a_calibrator_by_segment_reads_its_columns_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.ranking.heads._CHUNK", 3)
    model = heads(head("click", constant(0.2), calibrator=BY_TENURE))
    assert model.columns == ("aisle", "days", "price")
    shown = PRICED.assign(days=[1.0, 8.0, np.nan, 6.9])
    doubled = 0.5 / 1.5  # odds of 1 in 4, twice
    assert model.predict(shown)["p_click"] == pytest.approx([doubled, 0.2, 0.2, doubled])
    with pytest.raises(DataError, match="Unknown column 'days'"):
        model.predict(PRICED)


def test_heads_with_the_same_encoder_encode_once() -> None:
    twin = FeatureEncoder.from_json(ENCODER.to_json())
    other = FeatureEncoder(("price",), {"aisle": ("x",)})
    made = [Head(str(i), "binary", constant(0.1), e, None) for i, e in enumerate([ENCODER, other, twin])]
    assert [[h.task for h in group] for _, group in heads(*made)._by_encoder] == [["0", "2"], ["1"]]


def test_a_model_and_an_encoder_of_different_widths_are_refused() -> None:
    narrow = FeatureEncoder(("price",), {})
    with pytest.raises(StoreError, match="'click' reads 2 features, its encoder makes 1"):
        Head("click", "binary", constant(0.1), narrow, None)


def test_a_chain_that_does_not_end_is_refused() -> None:
    with pytest.raises(StoreError, match=r"Unknown parent 'purchas'.*Did you mean 'purchase'"):
        heads(head("purchase", constant(0.1)), head("return", constant(0.1), parent="purchas"))
    with pytest.raises(StoreError, match="cannot be the parent"):
        heads(head("a", constant(0.1), parent="b"), head("b", constant(0.1), parent="a"))


def test_a_missing_feature_refuses_the_batch() -> None:
    with pytest.raises(DataError, match="Unknown column 'price'"):
        heads(head("click", constant(0.1))).predict(PRICED.drop(columns="price"))


def test_a_quantile_and_an_order_are_given_the_parent_and_multiplied_by_nothing() -> None:
    made = heads(
        head("purchase", constant(0.004)),
        head("spend", booster(3.0, 9.0, objective="regression"), kind="quantile", parent="purchase"),
        head("like", booster(-1.5, 2.0, objective="regression"), kind="ranking", parent="purchase"),
    )
    predictions = made.predict(PRICED)
    assert list(predictions) == ["p_purchase", "q_spend", "s_like"]
    assert predictions["q_spend"].tolist() == [3.0, 3.0, 9.0, 9.0]
    assert predictions["s_like"].tolist() == [-1.5, -1.5, 2.0, 2.0]
