from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.contracts.utility import UtilitySpec
from tasks.errors import DataError
from tasks.ranking.utility import choose_contexts, compute_utilities
from tests.ranking.policies import utility_json

TWO = pd.DataFrame(
    {"request_id": "r", "item_id": ["a", "b"], "margin": [2.0, 0.5], "page": ["home", "checkout"]}
)
PURCHASE = {"purchase": {"weight": 20.0, "times": "margin"}}


def policy(**fields: Any) -> UtilitySpec:
    return UtilitySpec.model_validate(utility_json(**fields))


def test_the_smallest_production_plan_adds_up() -> None:
    # R16: a cost of 1000 at a probability of .001 weighs 1
    weights = {"click": 0.4, "purchase": 20.0, "hide": -5.0, "report": -1000.0}
    predictions = {
        "p_click": [0.1, 0.2],
        "p_purchase": [0.01, 0.0],
        "p_hide": [0.02, 0.0],
        "p_report": [0.0, 0.001],
    }
    valued = compute_utilities(TWO, predictions, policy(weights=weights))
    assert valued.utility == pytest.approx([0.04 + 0.2 - 0.1, 0.08 - 1.0])
    assert valued.contributions["report"] == pytest.approx([0.0, -1.0])


def test_a_value_column_multiplies_the_probability() -> None:
    valued = compute_utilities(TWO, {"p_purchase": [0.1, 0.1]}, policy(weights=PURCHASE))
    assert valued.utility == pytest.approx([4.0, 1.0])


def test_a_value_task_is_a_term_by_its_expectation() -> None:
    valued = compute_utilities(TWO, {"v_spend": [3.0, 5.0]}, policy(weights={"spend": 0.1}))
    assert valued.utility == pytest.approx([0.3, 0.5])


def test_a_cost_lowers_the_utility_however_small() -> None:
    without = compute_utilities(TWO, {"p_click": [0.5, 0.5]}, policy(weights={"click": 1.0}))
    weights = {"click": 1.0, "hide": -0.001}
    withal = compute_utilities(TWO, {"p_click": [0.5, 0.5], "p_hide": [0.1, 0.9]}, policy(weights=weights))
    assert (withal.utility < without.utility).all()
    assert withal.utility[1] < withal.utility[0]


def test_a_context_replaces_weights_and_the_first_match_wins() -> None:
    declared = [
        {"name": "checkout", "when": {"page": "checkout"}, "weights": {"purchase": 40.0}},
        {
            "name": "anywhere",
            "when": {"page": ["home", "checkout"]},
            "weights": {"purchase": 1.0, "click": 9.0},
        },
    ]
    rules = policy(weights={"click": 1.0} | PURCHASE, contexts=declared)
    valued = compute_utilities(TWO, {"p_click": [0.5, 0.5], "p_purchase": [0.1, 0.1]}, rules)
    assert list(valued.context) == [1, 0]
    assert valued.contributions["purchase"] == pytest.approx([0.1, 4.0])
    assert valued.contributions["click"] == pytest.approx([4.5, 0.5])


def test_a_context_needs_every_condition_and_a_known_value() -> None:
    declared = [{"name": "c", "when": {"page": "home", "app": True}, "weights": {"click": 2.0}}]
    rows = pd.DataFrame({"page": ["home", "home", "home", None], "app": [True, False, None, True]})
    assert list(choose_contexts(rows, policy(contexts=declared).contexts)) == [0, -1, -1, -1]


def test_a_task_may_count_in_one_context_only() -> None:
    declared = [{"name": "checkout", "when": {"page": "checkout"}, "weights": PURCHASE}]
    rules = policy(weights={"click": 1.0}, contexts=declared)
    unpriced = TWO.assign(margin=[np.nan, 0.5])
    valued = compute_utilities(unpriced, {"p_click": [0.5, 0.5], "p_purchase": [0.1, 0.1]}, rules)
    assert valued.utility == pytest.approx([0.5, 1.5])  # the unknown margin is not asked for on page home
    assert not valued.unknown_values["margin"].any()


def test_an_unknown_value_leaves_the_utility_unknown() -> None:
    valued = compute_utilities(
        TWO.assign(margin=[np.nan, 0.5]), {"p_purchase": [0.0, 0.1]}, policy(weights=PURCHASE)
    )
    np.testing.assert_array_equal(np.isnan(valued.utility), [True, False])
    assert list(valued.unknown_values["margin"]) == [True, False]


@pytest.mark.parametrize(
    ("margin", "message"),
    [
        ([np.inf, 1.0], "'margin' is infinite in 1 of 2 rows, for example r/a"),
        (["2", "1"], "'margin' holds str and the utility of 'purchase' needs numbers"),
        ([1e308, 1.0], "The utility overflows in 1 of 2 rows"),
    ],
)
def test_a_value_column_that_is_no_value_refuses_the_batch(
    margin: list[float] | list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        compute_utilities(TWO.assign(margin=margin), {"p_purchase": [1.0, 1.0]}, policy(weights=PURCHASE))


def test_a_missing_value_column_refuses_the_batch() -> None:
    with pytest.raises(DataError, match="Unknown column 'margin' in the candidates"):
        compute_utilities(TWO.drop(columns="margin"), {"p_purchase": [1.0, 1.0]}, policy(weights=PURCHASE))


def test_a_missing_context_column_refuses_the_batch() -> None:
    declared = [{"name": "checkout", "when": {"pages": "checkout"}, "weights": {"click": 2.0}}]
    with pytest.raises(DataError, match=r"'pages'.*Did you mean 'page'.*context 'checkout' needs it"):
        compute_utilities(TWO, {"p_click": [1.0, 1.0]}, policy(contexts=declared))


def test_predictions_of_another_length_are_refused() -> None:
    with pytest.raises(DataError, match=r"'p_click' has shape \(3,\) for 2 candidates"):
        compute_utilities(TWO, {"p_click": [0.1, 0.2, 0.3]}, policy())


def test_a_multiplier_makes_a_total_less_where_its_condition_holds() -> None:
    half = {"name": "at_checkout", "when": {"page": "checkout"}, "factor": 0.5}
    rules = policy(offset={"scale": 0.1}, multipliers=[half])
    assert compute_utilities(TWO, {"p_click": [0.4, 0.4]}, rules).utility == pytest.approx([0.5, 0.25])
