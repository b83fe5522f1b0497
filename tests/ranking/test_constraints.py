from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts.utility import UtilitySpec
from tasks.errors import DataError
from tasks.ranking.candidates import CandidateSets
from tasks.ranking.constraints import find_drops
from tasks.ranking.utility import compute_utilities
from tests.ranking.policies import frame_of, utility_json

VIOLATION = {"name": "violation", "drop_when": {"column": "violation", "equals": True}}
PERMITTED = {"name": "not_permitted", "keep_when": {"column": "permitted", "equals": True}}


def reasons(rows: Iterable[Mapping[str, Any]], **policy: Any) -> list[str | None]:
    """Return each row's reason, or None."""
    frame, predictions = frame_of(
        [{"request_id": "r", "item_id": i, "p_click": 0.5, **row} for i, row in enumerate(rows)]
    )
    rules = UtilitySpec.model_validate(utility_json(**policy))
    valued = compute_utilities(frame, predictions, rules)
    found = find_drops(frame, predictions, rules, valued=valued, sets=CandidateSets.of(frame))
    return [found.reasons[code] if code >= 0 else None for code in found.codes]


def test_a_filter_fails_closed_where_the_value_is_unknown() -> None:
    rows = [
        {"violation": v, "permitted": p}
        for v, p in [(False, True), (None, True), (False, None), (True, True)]
    ]
    expected = [None, "violation", "not_permitted", "violation"]
    assert reasons(rows, hard_constraints=[VIOLATION, PERMITTED]) == expected


def test_the_first_constraint_in_declared_order_names_the_drop() -> None:
    rows = [{"violation": True, "permitted": False}]
    assert reasons(rows, hard_constraints=[VIOLATION, PERMITTED]) == ["violation"]
    assert reasons(rows, hard_constraints=[PERMITTED, VIOLATION]) == ["not_permitted"]


def test_two_constraints_of_one_name_both_filter() -> None:
    """Contracts refuse such a policy; a release that holds one must not let anything through."""
    frame, predictions = frame_of(
        [
            {"request_id": "r", "item_id": i, "p_click": 0.5, "violation": violation, "permitted": permitted}
            for i, (violation, permitted) in enumerate([(False, True), (True, True), (False, False)])
        ]
    )
    policy = UtilitySpec.model_validate(utility_json(hard_constraints=[VIOLATION, PERMITTED]))
    alike = tuple(one.model_copy(update={"name": "same"}) for one in policy.hard_constraints)
    drops = find_drops(
        frame,
        predictions,
        policy.model_copy(update={"hard_constraints": alike}),
        valued=compute_utilities(frame, predictions, policy),
        sets=CandidateSets.of(frame),
    )
    assert (drops.codes >= 0).tolist() == [False, True, True]


def test_a_missing_column_refuses_the_batch() -> None:
    with pytest.raises(
        DataError, match=r"Unknown column 'permitted'.*hard constraint 'not_permitted' needs it"
    ):
        reasons([{}], hard_constraints=[PERMITTED])


def test_text_does_not_pass_for_a_boolean() -> None:
    # "True" is not True: compared across kinds, the filter would let everything through
    with pytest.raises(DataError, match="'violation' holds text"):
        reasons([{"violation": "True"}], hard_constraints=[VIOLATION])


@pytest.mark.parametrize(
    ("test", "dropped"),
    [
        ({"drop_when": {"column": "stock", "below": 1}}, {0, 4}),
        ({"keep_when": {"column": "stock", "above": 1}}, {0, 1, 4}),
        ({"drop_when": {"column": "stock", "one_of": [1, 9]}}, {1, 3, 4}),
        ({"keep_when": {"column": "stock", "equals": 5}}, {0, 1, 3, 4}),
    ],
)
def test_each_test_drops_what_it_says_and_what_is_unknown(test: dict[str, Any], dropped: set[int]) -> None:
    rows = [{"stock": stock} for stock in (0, 1, 5, 9, None)]
    found = reasons(rows, hard_constraints=[{"name": "stock", **test}])
    assert {row for row, reason in enumerate(found) if reason == "stock"} == dropped


def test_an_unknown_value_is_a_reason_of_its_own_after_hard_constraints() -> None:
    rows: list[dict[str, float | bool | None]] = [
        {"margin": None, "violation": False},
        {"margin": None, "violation": True},
        {"margin": 1.0, "violation": False},
    ]
    weights = {"click": {"weight": 1.0, "times": "margin"}}
    expected = ["unknown_value:margin", "violation", None]
    assert reasons(rows, weights=weights, hard_constraints=[VIOLATION]) == expected


def test_an_absolute_floor_spares_what_reaches_it() -> None:
    rows = [{"p_click": p} for p in (0.004, 0.005, 0.006)]
    assert reasons(rows, relevance_floor={"click": 0.005}) == ["relevance_floor:click", None, None]


def test_a_floor_may_name_a_task_outside_the_sum() -> None:
    rows = [{"p_relevant": 0.1}, {"p_relevant": 0.9}]
    assert reasons(rows, relevance_floor={"relevant": 0.5}) == ["relevance_floor:relevant", None]


def test_a_quantile_floor_cuts_the_lowest_share_of_each_request() -> None:
    rows = [{"request_id": r, "item_id": i, "p_click": p} for r, i, p in [
        ("r", 0, 0.5), ("s", 0, 0.9), ("r", 1, 0.1), ("s", 1, 0.7), ("r", 2, 0.3), ("t", 0, 0.0),
        ("r", 3, 0.2), ("s", 2, 0.8), ("r", 4, 0.4),
    ]]  # fmt: skip
    found = reasons(rows, relevance_floor={"click": {"quantile": 0.4}})
    cut = {(rows[i]["request_id"], rows[i]["item_id"]) for i, reason in enumerate(found) if reason}
    assert cut == {("r", 1), ("r", 3), ("s", 1)}  # floor(.4 x 5) = 2, floor(.4 x 3) = 1, floor(.4 x 1) = 0


def test_what_may_not_be_shown_does_not_move_a_quantile_floor() -> None:
    # among all five the lowest two are the violating ones; among the three that stand it is the .3
    rows = [{"p_click": p, "violation": p < 0.25} for p in (0.1, 0.2, 0.3, 0.4, 0.5)]
    found = reasons(rows, relevance_floor={"click": {"quantile": 0.4}}, hard_constraints=[VIOLATION])
    assert found == ["violation", "violation", "relevance_floor:click", None, None]


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3]), min_size=1), st.floats(0.01, 0.99))
def test_a_quantile_floor_never_cuts_more_than_its_share_nor_a_tie_in_two(
    values: list[float], share: float
) -> None:
    found = reasons([{"p_click": p} for p in values], relevance_floor={"click": {"quantile": share}})
    cut = [p for p, reason in zip(values, found, strict=True) if reason]
    spared = [p for p, reason in zip(values, found, strict=True) if not reason]
    assert len(cut) <= share * len(values) + 1e-6
    assert not cut or max(cut) < min(spared)


def test_every_reason_is_known_before_any_row_has_it() -> None:
    frame = pd.DataFrame({"request_id": ["r"], "item_id": ["a"], "violation": [False]})
    rules = UtilitySpec.model_validate(
        utility_json(hard_constraints=[VIOLATION], relevance_floor={"click": 0.1})
    )
    valued = compute_utilities(frame, {"p_click": [0.5]}, rules)
    found = find_drops(frame, {"p_click": [0.5]}, rules, valued=valued, sets=CandidateSets.of(frame))
    assert found.reasons == ("violation", "relevance_floor:click")
