from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ranking.rules import Block, Cap
from tasks.ranking.slate import fill_slates
from tests.ranking.policies import decide_rows, slate_json, utility_json
from tests.ranking.reference import differing_requests

Row = dict[str, Any]
# item, p_click (its utility), creator, fresh, local, must, sponsored
TABLE = [
    ("a", 0.9, "ana", False, False, False, False),
    ("b", 0.8, "ana", False, True, False, True),
    ("c", 0.7, "ana", True, True, False, True),
    ("d", 0.6, "bo", True, False, False, False),
    ("e", 0.5, "cy", False, False, True, False),
    ("f", 0.4, "cy", False, False, True, True),
]
NAMES = ("item_id", "p_click", "creator", "fresh", "local", "must", "sponsored")


def rows_of_table(**changes: Row) -> list[Row]:
    """Return the rows of one request, with other values by item."""
    rows: list[Row] = [{"request_id": "r", **dict(zip(NAMES, line, strict=True))} for line in TABLE]
    return [row | changes.get(row["item_id"], {}) for row in rows]


def slate_of(rows: list[Row], **rules: Any) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Return the slate as one word, and the unmet requirements as {rule: (wanted, got, available)}."""
    decision = decide_rows(rows, utility_json(), slate_json(**rules))
    placed = decision.frame.dropna(subset="slate_position").sort_values("slate_position")
    unmet = decision.certificates.unmet.set_index("requirement")[["wanted", "got", "available"]]
    return "".join(placed["item_id"]), {str(rule): tuple(row) for rule, row in unmet.iterrows()}


@pytest.mark.parametrize(
    ("rules", "slate"),
    [
        ({}, "abcd"),
        ({"max_per": {"creator": 2}}, "abde"),
        ({"max_per": {"creator": 1}, "length": 3}, "ade"),
        ({"max_where": {"sponsored": 1}}, "abde"),
        ({"max_where": {"sponsored": 0}}, "ade"),
        ({"min_where_if_available": {"fresh": 1}, "length": 2}, "ac"),
        ({"min_where_if_available": {"fresh": 2}, "length": 3}, "acd"),
        ({"min_where_if_available": {"fresh": 1, "local": 1}, "length": 2}, "ac"),
        ({"required_first": "must"}, "efab"),
        ({"required_first": "must", "min_where_if_available": {"fresh": 1}, "length": 3}, "efc"),
        ({"diversity": {"by": "creator", "strength": 0.25}}, "adbe"),
        ({"diversity": {"by": "creator", "strength": 0.25}, "required_first": "must"}, "efad"),
        ({"decay": {"by": "creator", "factor": 0.5}}, "adeb"),
        ({"decay": {"by": "creator", "factor": 0.5, "floor": 0.9}}, "abcd"),
    ],
)
def test_each_rule_does_what_it_says(rules: dict[str, Any], slate: str) -> None:
    assert slate_of(rows_of_table(), **{"length": 4} | rules)[0] == slate


def test_a_reserved_candidate_keeps_its_place_under_a_cap() -> None:
    # plain greedy takes a and b, then ana is full and c, the only fresh one, is out
    rows = rows_of_table(d={"fresh": False})
    rules = {"max_per": {"creator": 2}, "min_where_if_available": {"fresh": 1}, "length": 3}
    assert slate_of(rows, **rules) == ("acd", {})


def test_a_reservation_is_given_back_when_others_meet_the_minimum() -> None:
    # c is reserved as the best fresh one; after a, its creator costs 0.25 more, so d comes and c is free to go
    rules = {"min_where_if_available": {"fresh": 1}, "length": 3}
    assert slate_of(rows_of_table(), diversity={"by": "creator", "strength": 0.25}, **rules) == ("adb", {})


def test_what_cannot_be_met_is_reported() -> None:
    rows = rows_of_table()
    rules = {"min_where_if_available": {"fresh": 3}, "required_first": "must", "max_per": {"creator": 1}}
    assert slate_of(rows, length=5, **rules) == (
        "ecd",
        {
            "length": (5, 3, 6),
            "min_where_if_available:fresh": (3, 2, 2),
            "required_first": (2, 1, 2),
        },
    )


def test_what_is_unknown_counts_against_the_candidate() -> None:
    unknown = rows_of_table(a={"creator": None}, b={"creator": None}, c={"creator": None})
    assert slate_of(unknown, length=3, max_per={"creator": 1})[0] == "ade"
    unknown = rows_of_table(a={"sponsored": None})
    assert slate_of(unknown, length=3, max_where={"sponsored": 1})[0] == "ade"
    unknown = rows_of_table(e={"must": None}, c={"fresh": None})
    assert slate_of(unknown, length=3, required_first="must", min_where_if_available={"fresh": 1})[0] == "fad"


RULES = st.fixed_dictionaries(
    {
        "length": st.integers(2, 5),
        "max_per": st.sampled_from([{}, {"creator": 1}, {"creator": 2}]),
        "max_where": st.sampled_from([{}, {"sponsored": 1}]),
        "min_where_if_available": st.dictionaries(
            st.sampled_from(["fresh", "local"]), st.integers(1, 2), min_size=1
        ),
        "required_first": st.sampled_from([None, None, "must"]),
        "diversity": st.sampled_from(
            [None, {"by": "creator", "strength": 0.3}, {"by": "sponsored", "strength": 0.3}]
        ),
    }
)
SEEDS = st.integers(0, 2**32 - 1)


def many_requests(seed: int) -> list[Row]:
    """Return 40 requests of 1 to 9 candidates; few distinct values, so that ties and full caps are common."""
    random = np.random.default_rng(seed)
    return [
        {
            "request_id": request,
            "item_id": item,
            "p_click": float(random.choice([0.25, 0.5, 0.75])),
            "creator": "xyz"[random.integers(3)],
            **{flag: bool(random.random() < 0.4) for flag in ("fresh", "local", "must", "sponsored")},
        }
        for request in range(40)
        for item in "abcdefghi"[: random.integers(1, 10)]
    ]


@settings(max_examples=60)
@given(RULES, SEEDS)
def test_the_slate_is_that_of_the_slow_reference(rules: dict[str, Any], seed: int) -> None:
    rows = many_requests(seed)
    ours = decide_rows(rows, utility_json(), slate_json(**rules)).slate_position.tolist()
    assert differing_requests(rows, ours, utility_json(), slate_json(**rules)) == []


@settings(max_examples=20)
@given(RULES, SEEDS)
def test_caps_hold_and_nothing_falls_short_in_silence(rules: dict[str, Any], seed: int) -> None:
    rows = many_requests(seed)
    decision = decide_rows(rows, utility_json(), slate_json(**rules))
    unmet = set(
        zip(
            decision.certificates.unmet["request_id"], decision.certificates.unmet["requirement"], strict=True
        )
    )
    placed = pd.DataFrame(rows)[decision.slate_position > 0]
    for name, limit in rules["max_per"].items():
        assert placed.groupby(["request_id", name]).size().max() <= limit
    for name, limit in rules["max_where"].items():
        assert placed.groupby("request_id")[name].sum().max() <= limit
    by_request = placed.groupby("request_id")
    for name, least in rules["min_where_if_available"].items():
        got = by_request[name].sum()
        assert {(r, f"min_where_if_available:{name}") for r in got.index[got < least]} <= unmet
    short = by_request.size() < rules["length"]
    assert {(r, "length") for r in short.index[short]} <= unmet


@settings(max_examples=20)
@given(SEEDS, st.sampled_from([{}, {"creator": 1}, {"creator": 2}]), st.integers(1, 4))
def test_one_fresh_candidate_is_always_found_where_there_is_one(
    seed: int, caps: dict[str, int], length: int
) -> None:
    requests = many_requests(seed)
    rows = pd.DataFrame(requests)
    rules = {"length": length, "max_per": caps, "min_where_if_available": {"fresh": 1}}
    placed = decide_rows(requests, utility_json(), slate_json(**rules)).slate_position > 0
    assert set(rows["request_id"][rows["fresh"]]) == set(rows["request_id"][rows["fresh"] & placed])


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4), st.integers(1, 7))
def test_without_rules_a_slate_is_what_a_cap_that_closes_nothing_leaves(
    valid: list[list[bool]], length: int
) -> None:
    there = np.array(valid)
    plain = Block(there, np.broadcast_to(np.arange(6.0, 0.0, -1.0), there.shape))
    wide = replace(plain, caps=(Cap(np.zeros(there.shape, dtype=np.int32), 9),) * 2)
    assert not plain.has_rules
    np.testing.assert_array_equal(fill_slates(plain, length).slots, fill_slates(wide, length).slots)


@given(
    st.lists(
        st.lists(st.tuples(st.booleans(), st.integers(-1, 2)), min_size=6, max_size=6), min_size=1, max_size=4
    ),
    st.integers(0, 8),
    st.integers(1, 7),
)
def test_one_cap_alone_leaves_what_it_leaves_beside_a_rule_that_asks_for_nothing(
    cells: list[list[tuple[bool, int]]], limit: int, length: int
) -> None:
    valid, values = (np.array([[cell[i] for cell in row] for row in cells]) for i in (0, 1))
    cap = Cap(values.astype(np.int32), limit)
    alone = Block(valid.astype(bool), np.broadcast_to(np.arange(6.0, 0.0, -1.0), valid.shape), caps=(cap,))
    beside = replace(alone, caps=(cap, Cap(np.full(valid.shape, -1, dtype=np.int32), 9)))
    assert alone.only_cap is cap
    assert beside.only_cap is None
    np.testing.assert_array_equal(fill_slates(alone, length).slots, fill_slates(beside, length).slots)
