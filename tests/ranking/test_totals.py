"""Totals made positive, and multiplied: by hand, and as two published rankers do."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.contracts.utility import UtilitySpec
from tasks.errors import DataError
from tasks.ranking.utility import compute_utilities, offset_totals
from tests.ranking.policies import utility_json

LESS = {"name": "less_of_this", "when": {"control": ["less"]}, "factor": 0.3}
OUTSIDE = {"name": "out_of_network", "when": {"network": ["out"]}, "factor": 0.75}


def utilities(rows: list[dict[str, Any]], **policy: Any) -> list[float]:
    frame = pd.DataFrame([{"request_id": "r", "item_id": i} | row for i, row in enumerate(rows)])
    predictions = {name: frame[name].to_numpy() for name in map(str, frame) if name.startswith("p_")}
    rules = UtilitySpec.model_validate(utility_json(**policy))
    return list(map(float, compute_utilities(frame, predictions, rules).utility))


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
