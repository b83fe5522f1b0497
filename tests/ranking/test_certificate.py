"""What the certificate of a slate says: counted by hand, and against a count row by row."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from tasks.ranking.certificate import Certificates
from tasks.ranking.decide import Decision, decide
from tests.ranking.policies import (
    candidate_rows,
    decide_rows,
    frame_of,
    read_policies,
    slate_json,
    slate_policies,
    utility_json,
)

Row = dict[str, Any]
PERMITTED = {"name": "not_permitted", "keep_when": {"column": "permitted", "equals": True}}
ROWS: list[Row] = [
    {"request_id": "r", "item_id": item, "p_click": p, "creator": who, "fresh": fresh, "permitted": ok}
    for item, p, who, fresh, ok in (
        ("a", 0.9, "ana", False, True),
        ("b", 0.8, "ana", True, True),
        ("c", 0.7, "ana", True, True),
        ("d", 0.6, "bo", True, False),
        ("e", 0.5, "cy", False, True),
    )
]


def certificate(rows: list[Row] = ROWS, **rules: Any) -> dict[str, Any]:
    """Return the certificate of the first request."""
    decided = decide_rows(rows, utility_json(hard_constraints=[PERMITTED]), slate_json(**rules))
    read: dict[str, Any] = json.loads(decided.certificate.iloc[0])
    return read


def test_all_rules_that_are_met_are_named_in_the_order_in_which_they_claim_slots() -> None:
    rules: dict[str, Any] = {
        "max_per": {"creator": 2},
        "max_where": {"fresh": 1},
        "min_where_if_available": {"fresh": 1},
    }
    assert certificate(**rules) == {
        "met": ["max_per:creator", "max_where:fresh", "min_where_if_available:fresh", "length"],
        "unmet": [],
    }


def test_a_minimum_says_how_many_candidates_it_lacks_and_what_kept_others_out() -> None:
    # fresh are b and c, both of ana, and d, which is not permitted; one slot a creator leaves one of them
    found = certificate(max_per={"creator": 1}, min_where_if_available={"fresh": 3}, length=2)
    assert found == {
        "met": ["max_per:creator", "length"],
        "unmet": [
            {
                "rule": "min_where_if_available:fresh",
                "wanted": 3,
                "got": 1,
                "available": 2,
                "dropped": 1,
                "kept_out": {"max_per:creator": 1, "length": 1},
            }
        ],
    }


def test_what_gives_way_first_stands_first() -> None:
    rows = [{**row, "must": row["item_id"] in "abc"} for row in ROWS]
    rules: dict[str, Any] = {"required_first": "must", "min_where_if_available": {"fresh": 3}, "length": 5}
    found = certificate(rows, max_per={"creator": 2}, **rules)
    assert [short["rule"] for short in found["unmet"]] == [
        "required_first",
        "min_where_if_available:fresh",
        "length",
    ]
    assert found["unmet"][0]["kept_out"] == {"max_per:creator": 1}


def test_an_empty_slate_says_that_all_were_dropped() -> None:
    rows = [{**row, "permitted": None} for row in ROWS]
    assert certificate(rows, length=3) == {
        "met": [],
        "unmet": [
            {"rule": "length", "wanted": 3, "got": 0, "available": 0, "dropped": 5, "kept_out": {}},
        ],
    }


def test_fewer_candidates_than_slots_are_all_placed_and_what_lacks_is_said() -> None:
    rows = [{**row, "margin": None if row["item_id"] == "e" else 2.0, "permitted": True} for row in ROWS]
    utility = utility_json(weights={"click": {"weight": 1.0, "times": "margin"}})
    decided = decide_rows(rows, utility, slate_json(length=9))
    assert sorted(decided.slate_position) == [0, 1, 2, 3, 4]
    assert decided.frame["dropped_by"].dropna().tolist() == ["unknown_value:margin"]
    (short,) = json.loads(decided.certificate.iloc[0])["unmet"]
    assert (short["rule"], short["wanted"], short["got"]) == ("length", 9, 4)
    assert (short["available"], short["dropped"], short["kept_out"]) == (4, 1, {})


def test_each_request_is_certified_by_the_rules_of_its_context_in_its_first_row() -> None:
    child = {"name": "child", "when": {"mode": "child"}, "weights": {}, "slate": {"max_per": {"creator": 1}}}
    rows = [{**row, "request_id": r, "mode": m} for row in ROWS for r, m in (("r", None), ("s", "child"))]
    decided = decide_rows(rows, utility_json(contexts=[child]), slate_json(length=4))
    texts = [json.loads(text) if isinstance(text, str) else {} for text in decided.certificate]
    assert texts[0] == {"met": ["length"], "unmet": []}
    assert texts[1]["met"] == ["max_per:creator"]
    assert texts[1]["unmet"][0]["kept_out"] == {"max_per:creator": 2}
    assert not any(texts[2:])


def test_a_slate_that_breaks_a_cap_is_not_certified() -> None:
    decided = decide_rows(ROWS, utility_json(), slate_json(max_per={"creator": 1}))
    broken = Decision(**{**vars(decided), "slate_position": np.array([1, 2, 3, 0, 0], dtype=np.int32)})
    (short,) = json.loads(broken.certificate.iloc[0])["unmet"]
    assert (short["rule"], short["wanted"], short["got"]) == ("max_per:creator", 1, 3)


@settings(max_examples=25)
@given(candidate_rows(), slate_policies())
def test_counts_are_those_of_a_count_row_by_row(rows: list[Row], slate: dict[str, Any]) -> None:
    slate = slate | {"exploration": None}
    decided = decide_rows(rows, utility_json(offset={"scale": 0.001}), slate)
    found: Certificates = decided.certificates
    for request, name in enumerate(found.request_ids):
        placed = [row for row, at in zip(rows, decided.slate_position, strict=True)
                  if at and row["request_id"] == name]  # fmt: skip
        out = [row for row, at in zip(rows, decided.slate_position, strict=True)
               if not at and row["request_id"] == name]  # fmt: skip
        for short in found.describe(request):
            kind, _, column = str(short["rule"]).partition(":")
            column = column or (slate["required_first"] if kind == "required_first" else "")
            marks = [not column or row[column] is True for row in placed]
            assert short["got"] == sum(marks)
            full = {
                f"max_per:{c}": [r for r in out if sum(p[c] == r[c] for p in placed) >= limit]
                for c, limit in slate["max_per"].items()
            } | {
                f"max_where:{c}": [
                    r for r in out
                    if r[c] is not False and sum(p[c] is not False for p in placed) >= limit
                ]
                for c, limit in slate["max_where"].items()
            } | {"length": out if len(placed) >= slate["length"] else []}  # fmt: skip
            expected = {n: sum(not column or r[column] is True for r in rs) for n, rs in full.items()}
            assert short["kept_out"] == {n: count for n, count in expected.items() if count}


@pytest.mark.parametrize("rows", [[], ROWS[:1]])
def test_few_or_no_candidates_are_certified(rows: list[Row]) -> None:
    frame, predictions = frame_of(ROWS)
    few = decide(frame[: len(rows)], {"p_click": predictions["p_click"][: len(rows)]}, *read_policies())
    assert [json.loads(text)["unmet"][0]["got"] for text in few.certificate] == [1] * len(rows)


def test_the_rules_that_slates_fall_short_of_are_one_table() -> None:
    utility = utility_json(hard_constraints=[PERMITTED])
    slate = slate_json(max_per={"creator": 1}, min_where_if_available={"fresh": 3}, length=4)
    table = decide_rows(ROWS, utility, slate).certificates.unmet
    assert table.to_dict("records") == [
        {
            "request_id": "r",
            "requirement": "min_where_if_available:fresh",
            "wanted": 3,
            "got": 1,
            "available": 2,
        },
        {"request_id": "r", "requirement": "length", "wanted": 4, "got": 2, "available": 4},
    ]
