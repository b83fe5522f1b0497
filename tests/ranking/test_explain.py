from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings

from tasks.errors import DataError
from tasks.ranking.decide import decide
from tasks.ranking.explain import Explanation, explain
from tests.ranking.policies import (
    candidate_rows,
    frame_of,
    read_policies,
    slate_json,
    slate_policies,
    utility_json,
    utility_policies,
)

NAMES = ("item_id", "p_click", "p_purchase", "margin", "creator", "fresh", "must", "violation")
ROWS = [
    {"request_id": 7, "page": "checkout", **dict(zip(NAMES, line, strict=True))}
    for line in [
        ("a", 0.9, 0.0, 1.0, "ana", False, False, False),
        ("b", 0.8, 0.0, 1.0, "ana", False, False, False),
        ("c", 0.7, 0.0, 1.0, "bo", False, False, False),
        ("d", 0.6, 0.0, 1.0, "cy", False, False, False),
        ("e", 0.1, 0.1, 2.0, "dee", True, False, False),
        ("f", 0.5, 0.0, 1.0, "ana", False, False, None),
        ("g", 0.5, 0.0, None, "ana", False, False, True),
        ("h", 0.5, 0.0, None, "ana", False, False, False),
        ("i", 0.001, 0.0, 1.0, "ana", False, False, False),
    ]
]
UTILITY = utility_json(
    weights={"click": 1.0, "purchase": {"weight": 1.0, "times": "margin"}},
    contexts=[{"name": "checkout", "when": {"page": "checkout"}, "weights": {"click": 0.5}}],
    relevance_floor={"click": 0.01},
    hard_constraints=[{"name": "violation", "drop_when": {"column": "violation", "equals": True}}],
)


def explained(
    request_id: object = 7,
    rows: Sequence[Mapping[str, Any]] = ROWS,
    utility: Mapping[str, Any] = UTILITY,
    **rules: Any,
) -> Explanation:
    frame, predictions = frame_of([*rows, ROWS[0] | {"request_id": 8}])
    policies = read_policies(utility, slate_json(**rules))
    return explain(frame, predictions, *policies, request_id=request_id)


def moved(**rules: Any) -> dict[str, str]:
    candidates = explained(**rules).candidates.dropna(subset="moved_by")
    return dict(zip(candidates["item_id"], candidates["moved_by"], strict=True))


def test_each_component_is_shown_with_weight_value_and_contribution() -> None:
    components = explained().components
    ours = components[components["item_id"] == "e"].set_index("task").drop(columns=["item_id", "head"])
    assert ours.loc["click"].drop(["times", "value"]).to_dict() == {
        "prediction": 0.1,
        "weight": 0.5,
        "contribution": 0.05,
    }
    assert ours.loc["purchase"].to_dict() == {
        "prediction": 0.1,
        "weight": 1.0,
        "times": "margin",
        "value": 2.0,
        "contribution": pytest.approx(0.2),
    }


def test_candidates_come_best_first_and_only_those_of_the_request() -> None:
    candidates = explained().candidates
    assert "".join(candidates["item_id"]) == "abcdefghi"
    assert set(candidates["context"]) == {"checkout"}


def test_every_constraint_that_acted_is_named() -> None:
    candidates = explained().candidates.set_index("item_id")
    assert candidates["constraints"].dropna().to_dict() == {
        "f": "violation (unknown)",
        "g": "violation",
        "h": "unknown_value:margin",
        "i": "relevance_floor:click",
    }
    assert candidates["dropped_by"]["f"] == "violation"


def test_the_tier_that_ranks_before_utility_is_shown_where_there_is_one() -> None:
    tiered = UTILITY | utility_json(lexicographic=[{"task": "purchase", "cuts": [0.05], "prefer": "low"}])
    tiered |= {name: UTILITY[name] for name in ("weights", "contexts", "relevance_floor", "hard_constraints")}
    tiers = explained(utility=tiered).candidates.set_index("item_id")["tier"]
    assert tiers.to_dict() == dict.fromkeys("abcdfghi", 1) | {"e": 2}
    assert explained().candidates["tier"].isna().all()


def test_without_slate_rules_nothing_moves() -> None:
    assert moved() == {}


def test_a_cap_holds_back_and_lifts_those_behind() -> None:
    cap = "max_per:creator"
    assert moved(max_per={"creator": 1}) == {"b": cap, "c": cap, "d": cap}


def test_a_reservation_displaces_the_last() -> None:
    rule = "min_where_if_available:fresh"
    assert moved(min_where_if_available={"fresh": 1}) == {"c": rule, "e": rule}


def test_only_the_rules_that_moved_a_candidate_are_named() -> None:
    names = moved(max_per={"creator": 1}, min_where_if_available={"fresh": 1}, max_where={"must": 1})
    cap, reservation = "max_per:creator", "min_where_if_available:fresh"
    # c has b's slot for the cap; d would have c's but for the reservation, and keeps off the slate: unmoved
    assert names == {"b": f"{cap}", "c": cap, "e": reservation}


def test_where_two_rules_would_each_have_moved_it_both_are_named() -> None:
    twice = [row | {"sponsored": row["creator"] == "ana"} for row in ROWS]
    candidates = explained(rows=twice, max_per={"creator": 1}, max_where={"sponsored": 1}).candidates
    names = candidates.set_index("item_id")["moved_by"]
    assert names["b"] == "max_per:creator, max_where:sponsored"


def test_required_and_diverse_candidates_name_their_rule() -> None:
    required = [row | {"must": row["item_id"] == "d"} for row in ROWS]
    candidates = explained(rows=required, required_first="must").candidates.set_index("item_id")
    assert candidates["moved_by"].dropna().to_dict() == dict.fromkeys("dabc", "required_first")
    assert moved(diversity={"by": "creator", "strength": 0.2}) == dict.fromkeys("bcd", "diversity")


def test_what_the_slate_asked_in_vain_is_said_of_the_request() -> None:
    met = explained().candidates
    assert met["unmet"].isna().all()
    short = explained(length=6, min_where_if_available={"must": 2}).candidates
    assert set(short["unmet"]) == {
        "min_where_if_available:must 0 of 2 (0 at hand), length 5 of 6 (5 at hand)"
    }
    capped = explained(length=6, max_per={"creator": 1}).candidates
    assert set(capped["unmet"]) == {"length 4 of 6 (5 at hand; max_per:creator keeps out 1)"}


def test_the_frame_repeats_the_decision_for_each_component() -> None:
    frame = explained().frame
    assert list(frame["item_id"][:4]) == ["a", "a", "b", "b"]
    ours = ["task", "head", "prediction", "weight", "times", "value", "contribution"]
    assert list(frame.columns[-7:]) == ours


def test_a_request_is_found_by_its_name_as_text() -> None:
    pd.testing.assert_frame_equal(explained("7").frame, explained(7).frame)


def test_an_unknown_request_is_refused() -> None:
    with pytest.raises(DataError, match="No candidate of request '9' in 10 rows"):
        explained(9)


@settings(max_examples=15)
@given(candidate_rows(requests=2), utility_policies(), slate_policies())
def test_an_explanation_tells_what_was_decided(rows: Any, utility: Any, slate: Any) -> None:
    frame, predictions = frame_of(rows)
    policies = read_policies(utility, slate)
    decided = decide(frame, predictions, *policies).frame
    request = rows[0]["request_id"]
    told = explain(frame, predictions, *policies, request_id=request)
    ours = decided[decided["request_id"] == request].sort_values("item_id", ignore_index=True)
    theirs = told.candidates[decided.columns].sort_values("item_id", ignore_index=True)
    pd.testing.assert_frame_equal(ours, theirs)
    total = told.components.groupby("item_id")["contribution"].sum(min_count=len(policies[0].term_names))
    summed = "utility" if policies[0].offset is None else "total"
    by_item = told.candidates.sort_values("item_id").set_index("item_id")[summed]
    pd.testing.assert_series_equal(total, by_item, check_names=False)
