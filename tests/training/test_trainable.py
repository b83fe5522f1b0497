"""What cannot be learned from is refused in words, for each kind of head; what LightGBM would die of never reaches it."""

from typing import Any

import numpy as np
import pytest

from tasks.contracts.training import HeadKind, Objective
from tasks.errors import ContractError, DataError, ImmatureLabels
from tasks.training.examples import Examples
from tasks.training.fit import Fitted, Learning, Loss, fit_head, refuse_constant
from tasks.training.trainable import require_labels, require_trainable
from tests.training.every_head import CHEAP_AND_DEAR, EVERY, NAMES, SMALL, N, examples_of, loss_of


def learn(objective: Objective, *, quantile: float = 0.9, monotone: Any = None, **changed: Any) -> Fitted:
    loss = loss_of(objective, quantile=quantile)
    learning = Learning(loss=loss, parameters=SMALL, monotone=monotone or {})
    return fit_head(examples_of(objective, **changed), learning)


def refuse(fitted: Fitted) -> None:
    refuse_constant("click", fitted.booster, split=any(fitted.splits.values()))


def test_too_few_positives_are_named_with_what_is_needed() -> None:
    with pytest.raises(
        ImmatureLabels, match=r"'report_7d' cannot be trained: .* 2 positives in 4 .* 200 are needed"
    ):
        require_trainable("report_7d", np.array([1.0, 0, 1, 0]), kind="binary", minimum=200)


def test_no_rows_at_all_are_too_few_positives() -> None:
    with pytest.raises(ImmatureLabels, match="0 positives in 0 observed"):
        require_trainable("report_7d", np.array([]), kind="binary", minimum=1)


@pytest.mark.parametrize(
    ("kind", "label"), [("binary", 1.0), ("value", 3.5), ("quantile", 3.5), ("ranking", 1.0)]
)
def test_one_outcome_alone_cannot_be_learned(kind: HeadKind, label: float) -> None:
    with pytest.raises(
        DataError, match=r"cannot be trained: all 300 observed labels .* needs both outcomes"
    ) as error:
        require_trainable("task", np.full(300, label), kind=kind, minimum=200)
    assert not isinstance(error.value, ImmatureLabels)


def test_a_value_task_needs_values_other_than_nothing() -> None:
    with pytest.raises(ImmatureLabels, match="1 values other than 0 in 3 observed"):
        require_trainable("spend_7d", np.array([0.0, 0.0, 7.0]), kind="value", minimum=2)


def test_as_many_positives_as_the_floor_asks_for_are_enough() -> None:
    labels = np.array([0.0, 1.0, 1.0])
    with pytest.raises(ImmatureLabels, match="2 positives"):
        require_trainable("click_30m", labels, kind="binary", minimum=3)
    require_trainable("click_30m", labels, kind="binary", minimum=2)


@pytest.mark.parametrize("objective", ["binary", "lambdarank"])
@pytest.mark.parametrize("label", [2.0, -1.0, 0.5])
def test_an_outcome_is_0_or_1(objective: Objective, label: float) -> None:
    with pytest.raises(
        DataError, match=rf"1 of 3 labels are neither 0 nor 1, the first is {label:g}; .* kind: value"
    ):
        require_labels(np.array([0.0, label, 1.0]), objective)


def test_tweedie_refuses_values_below_zero_and_says_what_does_not() -> None:
    with pytest.raises(DataError, match=r"2 of 3 values are below 0, the least is -3.* Use objective: l2"):
        require_labels(np.array([-3.0, 1.0, -1.0]), "tweedie")
    require_labels(np.array([-3.0, 1.0, -1.0]), "l2")


@pytest.mark.parametrize("objective", ["l2", "tweedie", "quantile"])
def test_a_value_that_trees_cannot_hold_is_refused_with_the_way_out(objective: Objective) -> None:
    with pytest.raises(DataError, match=r"1 of 2 values are beyond 3\.4e\+38.* Clip the value"):
        require_labels(np.array([1.0, 1e39]), objective)


@pytest.mark.parametrize("objective", EVERY)
@pytest.mark.parametrize("worthless", [1.0, np.nan])
def test_a_model_without_a_split_is_no_model(objective: Any, worthless: Any) -> None:
    with pytest.raises(DataError, match=r"'click' cannot be trained: no tree found a split"):
        refuse(learn(objective, features=np.full((N, 3), worthless)))


@pytest.mark.parametrize("objective", EVERY)
def test_a_model_that_tells_candidates_apart_is_one(objective: Any) -> None:
    fitted = learn(objective)
    refuse(fitted)
    assert np.ptp(fitted.booster.predict(CHEAP_AND_DEAR)) > 0


def test_trees_that_split_and_say_one_value_everywhere_are_no_model() -> None:
    """Three quarters of the values are 0, so their median is 0 wherever one looks."""
    fitted = learn("quantile", quantile=0.5)
    assert any(fitted.splits.values())
    with pytest.raises(DataError, match=r"all leaves of its trees hold one value.* set another quantile"):
        refuse(fitted)


@pytest.mark.parametrize("objective", EVERY)
def test_a_bound_on_a_category_is_refused_before_lightgbm_ends_the_process(objective: Any) -> None:
    with pytest.raises(ContractError, match=r"monotone names 'category', .* Known: price, age"):
        learn(objective, monotone={"category": 1})


def test_a_bound_on_an_unknown_feature_is_named_with_its_nearest() -> None:
    with pytest.raises(ContractError, match=r"Unknown numeric feature 'prise' .* Did you mean 'price'"):
        learn("binary", monotone={"prise": 1})


def test_a_quantile_takes_no_bounds() -> None:
    with pytest.raises(ContractError, match=r"A quantile head takes no monotone: .* `monotone: \{\}`"):
        learn("quantile", monotone={"price": 1})


def test_a_request_too_long_to_be_ordered_is_refused() -> None:
    rows = 10_001
    features, labels = np.zeros((rows, 3)), np.arange(rows) % 2.0
    long = Examples(
        features, labels, np.zeros(rows, dtype=bool), NAMES, groups=np.zeros(rows, dtype=np.int64)
    )
    with pytest.raises(DataError, match="A request has 10001 observed items, and lambdarank orders 10000"):
        fit_head(long, Learning(loss=Loss("lambdarank")))


@pytest.mark.parametrize("objective", EVERY)
def test_ten_thousand_categories_are_learned_from(objective: Any) -> None:
    random = np.random.default_rng(2)
    many = np.column_stack([random.random(N), random.random(N), random.permutation(10_000)[:N]])
    assert learn(objective, features=many, labels=(many[:, 0] > 0.7).astype(float)).splits["price"] > 0
