from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from tasks.contracts.base import canonical, digest
from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import Perturbation, UtilitySpec
from tasks.errors import DataError
from tasks.ranking.decide import Decision, decide
from tasks.ranking.explain import explain
from tasks.ranking.utility import (
    choose_contexts,
    compute_utilities,
    offset_totals,
    weight_factors,
    worth_of_outcomes,
)
from tests.ranking.policies import frame_of, slate_json, utility_json

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


RISKY = TWO.assign(risk=[9.0, 1.0])
HEADS = {"p_click": [0.5, 0.1], "p_like": [0.2, 0.3], "p_share": [0.2, 0.6]}


def test_a_column_counts_without_a_prediction_and_up_to_its_cap() -> None:
    rules = policy(terms={"risk": {"column": "risk", "weight": -1.0, "cap": 5}})
    assert compute_utilities(RISKY, HEADS, rules).utility == pytest.approx([0.5 - 5.0, 0.1 - 1.0])


def test_an_unknown_value_of_a_column_drops_the_candidate_and_favours_none() -> None:
    rules = policy(terms={"risk": {"column": "risk", "weight": -1.0}})
    decision = decide(RISKY.assign(risk=[np.nan, 1.0]), HEADS, rules, SlateSpec.model_validate(slate_json()))
    assert decision.frame["dropped_by"].fillna("").tolist() == ["unknown_value:risk", ""]
    assert decision.slate_position.tolist() == [0, 1]
    with pytest.raises(DataError, match="'risk'"):
        compute_utilities(TWO, HEADS, rules)


def test_the_greater_of_two_heads_counts_with_its_own_outcome() -> None:
    rules = policy(weights={"like": 1.0}, terms={"best": {"greater_of": ["like", "share"], "weight": 2.0}})
    assert compute_utilities(TWO, HEADS, rules).utility == pytest.approx([0.2 + 0.4, 0.3 + 1.2])
    worth = worth_of_outcomes(TWO, HEADS, rules)
    assert {task: each.tolist() for task, each in worth.items()} == {"like": [3, 1], "share": [0, 2]}


def test_a_term_counts_from_a_threshold_of_another_head_on() -> None:
    term = {"task": "share", "weight": 10.0, "times": "margin", "where": {"like": {"min": 0.3}}}
    valued = compute_utilities(TWO, HEADS, policy(terms={"shared": term}))
    assert valued.utility == pytest.approx([0.5, 0.1 + 10.0 * 0.6 * 0.5])
    assert valued.weights["shared"].tolist() == [0.0, 10.0]
    assert worth_of_outcomes(TWO, HEADS, policy(terms={"shared": term}))["share"].tolist() == [0.0, 5.0]


def test_a_context_replaces_a_term_of_its_name_and_adds_its_own() -> None:
    terms = {"extra": {"column": "risk", "weight": -1.0}, "liked": {"task": "like", "weight": 10.0}}
    declared = [{"name": "checkout", "when": {"page": "checkout"}, "terms": terms}]
    rules = policy(terms={"extra": {"greater_of": ["like", "share"], "weight": 2.0}}, contexts=declared)
    assert compute_utilities(RISKY, HEADS, rules).utility == pytest.approx([0.5 + 0.4, 0.1 - 1.0 + 3.0])
    worth = worth_of_outcomes(RISKY, HEADS, rules)
    assert {name: each.tolist() for name, each in worth.items()} == {
        "click": [1, 1],
        "extra": [0, -1],
        "like": [2, 10],
        "share": [0, 0],
    }


def test_an_explanation_names_the_head_that_counts_and_the_column() -> None:
    terms = {
        "best": {"greater_of": ["like", "share"], "weight": 2.0},
        "risk": {"column": "risk", "weight": -1.0, "cap": 5},
    }
    slate = SlateSpec.model_validate(slate_json())
    parts = explain(RISKY, HEADS, policy(terms=terms), slate, request_id="r").components
    best, risk = (parts[parts["task"] == name] for name in ("best", "risk"))
    assert dict(zip(best["item_id"], best["head"], strict=True)) == {"a": "like", "b": "share"}
    assert risk["head"].isna().all()
    assert risk["prediction"].isna().all()
    assert (risk["value"] * risk["weight"] == risk["contribution"]).all()


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


def test_an_unknown_value_is_not_needed_below_the_threshold_of_its_term() -> None:
    term = {"task": "purchase", "weight": 1.0, "times": "margin", "where": {"purchase": {"min": 0.3}}}
    rules = policy(weights={"click": 1.0}, terms={"sold": term})
    unpriced = TWO.assign(margin=[np.nan, np.nan])
    valued = compute_utilities(unpriced, {"p_click": [0.5, 0.5], "p_purchase": [0.1, 0.4]}, rules)
    np.testing.assert_array_equal(valued.utility, [0.5, np.nan])
    assert list(valued.unknown_values["margin"]) == [False, True]


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


LESS = {"name": "less_of_this", "when": {"control": ["less"]}, "factor": 0.3}
OUTSIDE = {"name": "out_of_network", "when": {"network": ["out"]}, "factor": 0.75}


def utilities(rows: list[dict[str, Any]], **fields: Any) -> list[float]:
    frame = pd.DataFrame([{"request_id": "r", "item_id": i} | row for i, row in enumerate(rows)])
    predictions = {name: frame[name].to_numpy() for name in map(str, frame) if name.startswith("p_")}
    return list(map(float, compute_utilities(frame, predictions, policy(**fields)).utility))


def test_a_negative_total_lies_between_zero_and_the_scale() -> None:
    # N = 3, T = 5: -3 is the least total there is
    lifted = offset_totals(np.array([-3.0, -1.5, -1e-9, 0.0, 2.0]), scale=0.001, costs=3.0, whole=5.0)
    assert lifted == pytest.approx([0.0, 0.0003, 0.0006, 0.001, 2.001])


def test_a_total_that_a_negative_value_column_made_lower_counts_as_the_least() -> None:
    assert offset_totals(np.array([-9.0]), scale=0.001, costs=3.0, whole=5.0).tolist() == [0.0]


def test_a_policy_of_gains_alone_has_no_negative_total_to_lift() -> None:
    assert utilities([{"p_click": 0.5}], weights={"click": 2.0}, offset={"scale": 0.1}) == [1.1]


def test_multipliers_that_hold_are_multiplied_and_a_null_meets_no_condition() -> None:
    rows = [
        {"p_click": 0.5, "control": control, "network": network}
        for control, network in [("less", "out"), ("less", "in"), (None, "out"), (None, None)]
    ]
    found = utilities(rows, offset={"scale": 0.1}, multipliers=[LESS, OUTSIDE])
    assert found == pytest.approx([0.6 * 0.3 * 0.75, 0.6 * 0.3, 0.6 * 0.75, 0.6])


def test_a_context_replaces_a_multiplier_of_its_name_and_adds_its_own() -> None:
    incident = {
        "name": "incident",
        "when": {"mode": ["incident"]},
        "multipliers": [OUTSIDE | {"factor": 0.1}],
    }
    rows = [{"p_click": 0.5, "network": "out", "mode": mode} for mode in ("incident", "calm")]
    found = utilities(rows, offset={"scale": 0.1}, multipliers=[OUTSIDE], contexts=[incident])
    assert found == pytest.approx([0.6 * 0.1, 0.6 * 0.75])


def test_a_value_counts_up_to_its_cap() -> None:
    capped = {"purchase": {"weight": 2.0, "times": {"column": "margin", "cap": 50}}}
    rows = [{"p_purchase": 0.1, "margin": margin} for margin in (80.0, 50.0, 3.0)]
    assert utilities(rows, weights=capped) == pytest.approx([10.0, 10.0, 0.6])


def test_a_capped_cost_is_reckoned_with_at_its_cap() -> None:
    weights = {"click": 1.0, "return": {"weight": -2.0, "times": {"column": "price", "cap": 10}}}
    rows = [{"p_click": 0.0, "p_return": 1.0, "price": price} for price in (99.0, 5.0)]
    # N = 20, T = 21
    assert utilities(rows, weights=weights, offset={"scale": 1.0}) == pytest.approx([0.0, 10 / 21])


def test_a_multiplier_on_a_column_that_is_missing_refuses_the_batch() -> None:
    with pytest.raises(DataError, match=r"Unknown column 'network'.*multiplier 'out_of_network' needs it"):
        utilities([{"p_click": 0.5}], offset={"scale": 0.1}, multipliers=[OUTSIDE])


TWITTER = {
    "favorite": 0.5,
    "good_click": 11.0,
    "negative_feedback": -74.0,
    "profile_click": 12.0,
    "reply": 27.0,
    "reply_engaged_by_author": 75.0,
    "report": -369.0,
    "retweet": 1.0,
    "video_playback_50": 0.005,
}
"""The heavy ranker of March 2023."""


def test_the_published_heavy_ranker_is_a_plain_sum() -> None:
    row = dict.fromkeys((f"p_{task}" for task in TWITTER), 0.01) | {"p_favorite": 0.2, "p_report": 0.001}
    by_hand = 0.2 * 0.5 - 0.001 * 369 + 0.01 * (11 - 74 + 12 + 27 + 75 + 1 + 0.005)
    assert utilities([row], weights=TWITTER) == pytest.approx([by_hand])


def test_the_rule_of_the_published_offset() -> None:
    weights = {"favorite": 0.5, "reply": 5.0, "not_interested": -43.2, "report": -234.0}
    rows = [
        {"p_favorite": 0.2, "p_reply": 0.1, "p_not_interested": 0.001, "p_report": 0.0001, "network": "in"},
        {"p_favorite": 0.2, "p_reply": 0.1, "p_not_interested": 0.02, "p_report": 0.001, "network": "out"},
    ]
    gains = 0.2 * 0.5 + 0.1 * 5
    first = gains - 0.001 * 43.2 - 0.0001 * 234 + 0.001
    costs, whole = 43.2 + 234, 43.2 + 234 + 5.5
    second = (gains - 0.02 * 43.2 - 0.001 * 234 + costs) / whole * 0.001 * 0.75
    found = utilities(rows, weights=weights, offset={"scale": 0.001}, multipliers=[OUTSIDE])
    assert found == pytest.approx([first, second])


def test_weights_that_add_up_to_less_than_one_are_shares_of_their_own_sum() -> None:
    # N = .3, T = .5: (-.2 + .3) / .5 x .5
    assert offset_totals(np.array([-0.2]), scale=0.5, costs=0.3, whole=0.5) == pytest.approx([0.1])


RULE = Perturbation(size=0.05, salt="spring")
USERS = pd.DataFrame({"user_id": [f"u{n}" for n in range(20_000)]})
WEIGHTS = {"click": 1.0, "hide": -2.0}
ROWS: list[dict[str, Any]] = [
    {"request_id": f"r{user}", "user_id": user, "item_id": item, "p_click": p, "p_hide": q}
    for user in ("ana", "bo", "cy", "di")
    for item, p, q in (("a", 0.5, 0.2), ("b", 0.2, 0.05))
]


def perturbed(rows: list[dict[str, Any]] = ROWS, **fields: Any) -> Decision:
    frame, predictions = frame_of(rows)
    fields = {"weights": WEIGHTS, "perturbation": {"size": 0.1, "salt": "s"}} | fields
    return decide(frame, predictions, policy(**fields), SlateSpec.model_validate(slate_json()))


def test_both_signs_are_as_likely_and_of_one_size() -> None:
    factors = weight_factors(USERS, "click", RULE)
    assert set(factors) == {0.95, 1.05}
    assert np.mean(factors > 1) == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize(("term", "salt"), [("hide", "spring"), ("click", "summer")])
def test_signs_of_another_weight_or_salt_are_independent(term: str, salt: str) -> None:
    one, other = (
        np.sign(weight_factors(USERS, t, Perturbation(size=0.05, salt=s)) - 1)
        for t, s in (("click", "spring"), (term, salt))
    )
    assert np.mean(one * other) == pytest.approx(0, abs=0.03)


def test_a_user_keeps_the_signs_in_any_order_of_rows_and_however_numbers_are_stored() -> None:
    numbers = pd.DataFrame({"user_id": [7, 8, 9, 7]})
    factors = weight_factors(numbers, "click", RULE)
    assert factors[0] == factors[3]
    assert weight_factors(numbers[::-1], "click", RULE).tolist() == factors[::-1].tolist()
    assert weight_factors(numbers.astype(float), "click", RULE).tolist() == factors.tolist()


def test_the_utility_is_that_of_the_moved_weights_which_are_written() -> None:
    decision = perturbed()
    frame = decision.frame
    rows = pd.DataFrame(ROWS)
    wanted = rows.p_click * frame.factor_click - 2.0 * rows.p_hide * frame.factor_hide
    assert frame.utility.to_numpy() == pytest.approx(wanted.to_numpy())
    assert set(frame.factor_click) <= {0.9, 1.1}
    assert frame.groupby(rows.user_id).factor_click.nunique().eq(1).all()


def test_without_a_perturbation_nothing_is_written_and_the_digest_stays() -> None:
    assert not [name for name in perturbed(perturbation=None).frame if str(name).startswith("factor_")]
    spec = policy(weights=WEIGHTS)
    assert "perturbation" not in canonical(spec)
    moved = policy(weights=WEIGHTS, perturbation={"size": 0.1, "salt": "s"})
    assert digest(canonical(spec)) != digest(canonical(moved))


def test_with_an_offset_the_lowest_total_is_still_above_zero() -> None:
    worst = [{**row, "p_click": 0.0, "p_hide": 1.0} for row in ROWS]
    assert (perturbed(worst, offset={"scale": 0.001}).utility >= 0).all()


def test_an_explanation_shows_the_weight_that_was_used() -> None:
    frame, predictions = frame_of(ROWS)
    moved = policy(weights=WEIGHTS, perturbation={"size": 0.1, "salt": "s"})
    slate = SlateSpec.model_validate(slate_json())
    components = explain(frame, predictions, moved, slate, request_id="rana").components
    assert (components.weight * components.prediction).to_numpy() == pytest.approx(
        components.contribution.to_numpy()
    )
    assert set(components.weight.abs().round(6)) <= {0.9, 1.1, 1.8, 2.2}


def test_candidates_without_users_are_refused() -> None:
    with pytest.raises(DataError, match="user_id"):
        perturbed([{k: v for k, v in row.items() if k != "user_id"} for row in ROWS])


@pytest.mark.parametrize("change", [{"size": 0}, {"size": 0.5}, {"size": -0.1}, {"salt": ""}, {"sign": 1}])
def test_a_perturbation_is_small_and_salted(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        utility_json(perturbation={"size": 0.05, "salt": "s"} | change)
