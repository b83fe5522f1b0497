from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import DataError
from tasks.ranking.candidates import CandidateSets
from tasks.ranking.decide import decide
from tests.ranking.policies import (
    candidate_rows,
    decide_rows,
    frame_of,
    read_policies,
    slate_json,
    slate_policies,
    utility_json,
    utility_policies,
)
from tests.ranking.reference import decide_all, differing_requests

COLUMNS = ["utility", "rank", "slate_position", "dropped_by", "context"]


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with None for null."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def by_key(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return sorted(plain(frame), key=lambda row: (row["request_id"], row["item_id"]))


@settings(max_examples=60)
@given(candidate_rows(), utility_policies(), slate_policies())
def test_the_decision_is_that_of_the_slow_reference(rows: Any, utility: Any, slate: Any) -> None:
    decision = decide_rows(rows, utility, slate)
    assert differing_requests(rows, decision.slate_position.tolist(), utility, slate) == []
    known = [name for name in COLUMNS if name != "slate_position"]
    ours = plain(decision.frame[known])
    for row in (theirs := decide_all(rows, utility, slate)):
        row["utility"] = None if np.isnan(row["utility"]) else row["utility"]
        del row["missing"]
    assert ours == [{name: row[name] for name in known} for row in theirs]


@settings(max_examples=15)
@given(candidate_rows(), utility_policies(), slate_policies(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows: Any, utility: Any, slate: Any, random: Random) -> None:
    shuffled = random.sample(rows, len(rows))
    one, other = decide_rows(rows, utility, slate), decide_rows(shuffled, utility, slate)
    assert by_key(one.frame) == by_key(other.frame)
    assert sorted(map(str, plain(one.certificates.unmet))) == sorted(
        map(str, plain(other.certificates.unmet))
    )


@settings(max_examples=15)
@given(candidate_rows(requests=4), utility_policies(), slate_policies())
def test_a_request_is_decided_alone_as_among_others(rows: Any, utility: Any, slate: Any) -> None:
    requests = {row["request_id"] for row in rows}
    alone = [
        decide_rows([row for row in rows if row["request_id"] == r], utility, slate).frame for r in requests
    ]
    assert by_key(pd.concat(alone)) == by_key(decide_rows(rows, utility, slate).frame)


@settings(max_examples=15)
@given(candidate_rows(), utility_policies(), slate_policies())
def test_contributions_add_up_to_the_total(rows: Any, utility: Any, slate: Any) -> None:
    decision = decide_rows(rows, utility, slate)
    total = sum(decision.contributions[term] for term in sorted(decision.contributions))
    np.testing.assert_array_equal(total, decision.valued.total)
    if utility.get("offset") is None:
        np.testing.assert_array_equal(total, decision.utility)


@settings(max_examples=15)
@given(candidate_rows(), utility_policies(), slate_policies())
def test_an_offset_makes_utilities_positive_and_keeps_the_order_of_totals(
    rows: Any, utility: Any, slate: Any
) -> None:
    plain_policy = {**utility, "offset": {"scale": 0.001}, "multipliers": [], "contexts": []}
    valued = decide_rows(rows, plain_policy, slate).valued
    known = np.isfinite(valued.total)
    assert (valued.utility[known] >= 0).all()
    order = np.argsort(valued.total[known], kind="stable")
    assert (np.diff(valued.utility[known][order]) >= 0).all()


@settings(max_examples=15)
@given(candidate_rows(), utility_policies(), slate_policies())
def test_a_multiplier_below_one_never_raises_and_one_above_never_lowers(
    rows: Any, utility: Any, slate: Any
) -> None:
    alone = {**utility, "offset": {"scale": 0.001}, "multipliers": [], "contexts": []}
    for factor in (0.3, 2.0):
        own = [{"name": "own", "when": {"creator": ["ana"]}, "factor": factor}]
        ours = decide_rows(rows, {**alone, "multipliers": own}, slate).utility
        theirs = decide_rows(rows, alone, slate).utility
        applies = np.array([row["creator"] == "ana" for row in rows])
        np.testing.assert_array_equal(ours[applies], theirs[applies] * factor)
        np.testing.assert_array_equal(ours[~applies], theirs[~applies])


@settings(max_examples=15)
@given(candidate_rows(), utility_policies(), slate_policies())
def test_no_context_lets_anything_through_that_the_base_drops(rows: Any, utility: Any, slate: Any) -> None:
    base = decide_rows(rows, {**utility, "contexts": [], "relevance_floor": {}}, slate).drops
    named = {one["name"] for one in utility["hard_constraints"]}
    dropped = [code >= 0 and base.reasons[code] in named for code in base.codes]
    assert not decide_rows(rows, utility, slate).drops.kept[dropped].any()


def test_a_context_with_a_slate_of_its_own_holds_for_whole_requests() -> None:
    rows = [
        {"request_id": "r", "item_id": i, "p_click": 0.5, "page": page}
        for i, page in enumerate(["home", "checkout"])
    ]
    short = [{"name": "short", "when": {"page": "checkout"}, "slate": {"length": 1}}]
    with pytest.raises(
        DataError, match=r"contexts with a slate \(short\) hold for a part of one: 1 of 2 rows"
    ):
        decide_rows(rows, utility_json(contexts=short), slate_json())
    whole = [row | {"page": "checkout"} for row in rows]
    assert decide_rows(whole, utility_json(contexts=short), slate_json()).slate_position.tolist() == [1, 0]


@settings(max_examples=15)
@given(candidate_rows(), slate_policies(), st.floats(1.0, 1e300))
def test_a_violating_item_is_in_no_slate_whatever_its_utility(rows: Any, slate: Any, weight: float) -> None:
    rule = {"name": "violation", "drop_when": {"column": "blocked", "equals": True}}
    policy = utility_json(weights={"click": weight}, hard_constraints=[rule])
    frame = decide_rows(rows, policy, slate).frame
    out = np.array([row["blocked"] is not False for row in rows])
    assert (frame["dropped_by"][out] == "violation").all()
    assert frame["slate_position"][out].isna().all()
    assert frame["rank"][out].isna().all()
    assert frame["dropped_by"][~out].isna().all()


def test_a_candidate_set_of_one_is_first() -> None:
    rows = [{"request_id": "r", "item_id": "a", "p_click": 0.1}]
    frame = decide_rows(rows, utility_json(), slate_json()).frame
    assert plain(frame[["rank", "slate_position"]]) == [{"rank": 1, "slate_position": 1}]


def test_where_all_are_dropped_the_empty_slate_is_reported() -> None:
    rows = [{"request_id": "r", "item_id": i, "p_click": 0.1, "permitted": None} for i in "ab"]
    rule = {"name": "not_permitted", "keep_when": {"column": "permitted", "equals": True}}
    decision = decide_rows(rows, utility_json(hard_constraints=[rule]), slate_json())
    assert decision.frame["slate_position"].isna().all()
    assert set(decision.frame["dropped_by"]) == {"not_permitted"}
    assert plain(decision.certificates.unmet) == [
        {"request_id": "r", "requirement": "length", "wanted": 3, "got": 0, "available": 0}
    ]


def test_no_candidates_give_no_decision() -> None:
    frame = pd.DataFrame({"request_id": pd.Series([], dtype="str"), "item_id": pd.Series([], dtype="str")})
    decision = decide(frame, {"p_click": []}, *read_policies())
    assert list(decision.frame) == ["request_id", "item_id", *COLUMNS]
    assert len(decision.frame) == len(decision.certificates.unmet) == 0


def test_equal_utilities_are_ordered_by_code_point() -> None:
    items = ["a", "Z", "é", "\uff5a", "\U0001d4b3", "10", "9"]
    rows = [{"request_id": "r", "item_id": item, "p_click": 0.5} for item in items]
    frame = decide_rows(rows, utility_json(), slate_json()).frame
    assert list(frame.sort_values("rank")["item_id"]) == ["10", "9", "Z", "a", "é", "\uff5a", "\U0001d4b3"]


def test_integer_items_are_ordered_by_size() -> None:
    rows = [{"request_id": 7, "item_id": item, "p_click": 0.5} for item in (10, 9, 2**60 + 1, 2**60)]
    frame = decide_rows(rows, utility_json(), slate_json()).frame
    assert list(frame["rank"]) == [2, 1, 4, 3]


def test_a_safer_tier_ranks_first_whatever_the_utility() -> None:
    rows = [
        {"request_id": "r", "item_id": "risky", "p_click": 1.0, "p_report": 0.002},
        {"request_id": "r", "item_id": "safe", "p_click": 0.1, "p_report": 0.0005},
        {"request_id": "r", "item_id": "edge", "p_click": 0.9, "p_report": 0.001},
    ]
    policy = utility_json(
        weights={"click": 1.0, "report": -1.0}, lexicographic=[{"task": "report", "cuts": [0.001]}]
    )
    frame = decide_rows(rows, policy, slate_json()).frame
    assert list(frame.sort_values("rank")["item_id"]) == ["safe", "risky", "edge"]


def test_requests_are_decided_alike_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"request_id": r, "item_id": i, "p_click": (7 * r + 3 * i) % 5 / 5, "creator": (r + i) % 3}
        for r in range(12)
        for i in range(1 + r % 5)
    ]
    policies = utility_json(), slate_json(max_per={"creator": 1})
    whole = decide_rows(rows, *policies).frame
    monkeypatch.setattr("tasks.ranking.decide.BLOCK_CELLS", 7)
    pd.testing.assert_frame_equal(decide_rows(rows, *policies).frame, whole)


def test_the_grouping_can_be_made_once_for_many_policies() -> None:
    rows = [
        {"request_id": r, "item_id": i, "p_click": p}
        for r, i, p in [("r", "a", 0.1), ("s", "a", 0.2), ("r", "b", 0.3)]
    ]
    frame, predictions = frame_of(rows)
    policies = read_policies()
    again = decide(frame, predictions, *policies, sets=CandidateSets.of(frame))
    pd.testing.assert_frame_equal(again.frame, decide(frame, predictions, *policies).frame)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_refuses_the_batch(bad: Any) -> None:
    rows = [{"request_id": "r", "item_id": i, "p_click": p} for i, p in [("a", 0.1), ("b", bad)]]
    with pytest.raises(DataError, match=r"'p_click' is not finite in 1 of 2 rows, for example r/b"):
        decide_rows(rows, utility_json(), slate_json())


def test_a_missing_prediction_names_the_nearest() -> None:
    rows = [{"request_id": "r", "item_id": "a", "p_clicks": 0.1}]
    with pytest.raises(DataError, match=r"'p_click' in the utility policy.*Did you mean 'p_clicks'"):
        decide_rows(rows, utility_json(), slate_json())
