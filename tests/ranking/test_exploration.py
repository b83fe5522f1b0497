"""Exploration slots: drawn at random, each time alike, and the written propensity is the truth."""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.errors import DataError
from tasks.ranking.decide import Decision, decide
from tests.ranking.policies import decide_rows, frame_of, read_policies, slate_json, utility_json
from tests.ranking.reference import decide_all

Row = dict[str, Any]
UTILITY = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6, "e": 0.5, "f": 0.4, "g": 0.3}
ROWS: list[Row] = [
    {
        "request_id": "r",
        "user_id": "u",
        "item_id": item,
        "p_click": p,
        "creator": "ana" if item in "aceg" else "bo",
        "explore": item in "bdefg",
        "must": item == "g",
    }
    for item, p in UTILITY.items()
]


def exploring(slots: int = 1, salt: str = "s", **rules: Any) -> dict[str, Any]:
    return {"slots": slots, "where": {"column": "explore", "equals": True}, "salt": salt, **rules}


def decided(rows: list[Row] = ROWS, **rules: Any) -> Decision:
    return decide_rows(rows, utility_json(), slate_json(**rules))


def items(decision: Decision) -> str:
    placed = decision.frame.dropna(subset="slate_position").sort_values("slate_position")
    return "".join(placed["item_id"])


def test_the_last_slots_are_drawn_among_those_that_the_condition_names() -> None:
    slates = {items(decided(length=3, exploration=exploring(salt=f"s{salt}"))) for salt in range(60)}
    assert slates == {"abd", "abe", "abf", "abg"}


def test_the_propensity_is_one_over_those_that_could_be_drawn_and_one_for_the_others() -> None:
    frame = decided(length=4, exploration=exploring(slots=2)).frame.set_index("slate_position")
    assert [frame.loc[slot, "propensity"] for slot in (1, 2, 3, 4)] == [1, 1, 1 / 4, 1 / 3]
    assert frame.loc[frame.index.isna(), "propensity"].isna().all()


def test_among_the_best_alone_are_drawn_and_the_drawable_are_marked() -> None:
    rules = [exploring(slots=2, salt=f"s{salt}", among=3) for salt in range(60)]
    decisions = [decided(length=4, exploration=rule) for rule in rules]
    assert {items(one) for one in decisions} == {"abde", "abdf", "abed", "abef", "abfd", "abfe"}
    frame = decisions[0].frame
    assert "".join(frame.loc[frame["drawable"], "item_id"]) == "def"
    chances = frame.dropna(subset="slate_position").set_index("slate_position")["propensity"]
    assert [chances[slot] for slot in (1, 2, 3, 4)] == [1, 1, 1 / 3, 1 / 2]


def test_without_a_condition_whatever_constraints_allow_is_drawn() -> None:
    not_must = {"name": "not_must", "drop_when": {"column": "must", "equals": True}}
    slate = slate_json(length=3, max_per={"creator": 2}, exploration={"slots": 1, "salt": "s"})
    frame = decide_rows(ROWS, utility_json(hard_constraints=[not_must]), slate).frame
    assert "".join(frame.loc[frame["drawable"], "item_id"]) == "cdef"


def test_a_slot_after_the_pool_is_used_up_is_filled_by_utility() -> None:
    rows = [{**row, "creator": "bo" if row["item_id"] in "def" else row["item_id"]} for row in ROWS]
    decision = decided(rows, length=4, max_per={"creator": 1}, exploration=exploring(slots=2, among=3))
    assert (items(decision)[:2], items(decision)[3]) == ("ab", "c")
    chances = decision.frame.dropna(subset="slate_position").set_index("slate_position")["propensity"]
    assert [chances[slot] for slot in (1, 2, 3, 4)] == [1, 1, 1 / 3, 1]


def test_without_exploration_no_propensity_is_written() -> None:
    decision = decided(length=3)
    assert "propensity" not in decision.frame
    assert decision.propensity[decision.slate_position > 0].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "rules",
    [
        {"length": 4, "exploration": exploring(slots=2)},
        {"length": 4, "exploration": exploring(slots=3), "max_per": {"creator": 2}},
        {"length": 4, "exploration": exploring(slots=2), "diversity": {"by": "creator", "strength": 0.3}},
        {"length": 4, "exploration": exploring(slots=2), "min_where_if_available": {"must": 1}},
        {"length": 6, "exploration": exploring(slots=5), "max_where": {"explore": 3}},
        {"length": 4, "exploration": exploring(slots=3), "required_first": "explore"},
        {"length": 4, "exploration": exploring(slots=2, among=3), "max_per": {"creator": 2}},
    ],
    ids=["free", "capped", "diverse", "minimum", "pool runs out", "gives way", "among the best"],
)
def test_over_many_requests_each_item_stands_at_its_place_as_often_as_its_propensity_says(
    rules: dict[str, Any],
) -> None:
    requests = 3000
    frame, predictions = frame_of(ROWS)
    many = pd.concat([frame] * requests, ignore_index=True)
    many["request_id"] = np.repeat([f"r{i}" for i in range(requests)], len(ROWS))
    policies = read_policies(slate=slate_json(**rules))
    decision = decide(many, {"p_click": np.tile(predictions["p_click"], requests)}, *policies)
    shown = decision.frame.assign(propensity=decision.propensity).dropna(subset="slate_position")
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    written: dict[tuple[str, str], set[float]] = defaultdict(set)
    for _, slate in shown.sort_values("slate_position").groupby("request_id"):
        shown_items, propensities = slate["item_id"].tolist(), slate["propensity"].tolist()
        for place, (item, propensity) in enumerate(zip(shown_items, propensities, strict=True)):
            above = "".join(shown_items[:place])
            seen[above][item] += 1
            written[above, item].add(propensity)
    for above, counts in seen.items():
        total = sum(counts.values())
        truths = {item: written[above, item] for item in counts}
        assert all(len(truth) == 1 for truth in truths.values()), truths
        if total < 300:
            continue
        assert sum(truth.copy().pop() for truth in truths.values()) == pytest.approx(1)
        for item, count in counts.items():
            (propensity,) = truths[item]
            error = np.sqrt(propensity * (1 - propensity) / total)
            assert abs(count / total - propensity) <= 4.5 * error, (above, item, count, total)


def test_neither_rows_nor_batches_nor_the_type_of_an_id_move_a_draw() -> None:
    rows = [{**row, "request_id": str(r), "user_id": str(r % 3)} for r in range(30) for row in ROWS]
    rules: dict[str, Any] = {"length": 4, "exploration": exploring(slots=2)}
    whole = decided(rows, **rules).slate_position
    order = np.random.default_rng(0).permutation(len(rows))
    np.testing.assert_array_equal(decided([rows[i] for i in order], **rules).slate_position, whole[order])
    half = len(rows) // 2
    np.testing.assert_array_equal(decided(rows[:half], **rules).slate_position, whole[:half])
    as_numbers = [
        {**row, "request_id": int(row["request_id"]), "user_id": float(row["user_id"])} for row in rows
    ]
    np.testing.assert_array_equal(decided(as_numbers, **rules).slate_position, whole)


def test_the_draw_is_the_same_for_ever() -> None:
    rows = [{**row, "request_id": f"r{r}"} for r in range(8) for row in ROWS]
    decision = decided(rows, length=3, exploration=exploring(salt="2026-11"))
    third = decision.frame[decision.frame["slate_position"].eq(3).fillna(value=False)]
    assert "".join(third["item_id"]) == "gggdgdgg"


@pytest.mark.parametrize("change", [{"user_id": "v"}, {"request_id": "q"}, {"user_id": None}])
def test_another_request_or_user_draws_anew(change: Row) -> None:
    rows = [{**row, "request_id": f"r{r}"} for r in range(40) for row in ROWS]
    other = [
        {**row, **change, "request_id": f"{change.get('request_id', 'r')}{row['request_id'][1:]}"}
        for row in rows
    ]
    rules: dict[str, Any] = {"length": 3, "exploration": exploring()}
    one, two = (decided(each, **rules).slate_position for each in (rows, other))
    assert (one != two).any()


def test_where_nobody_can_be_drawn_the_slot_is_filled_by_utility_and_the_certificate_says_so() -> None:
    rows = [{**row, "explore": None} for row in ROWS]
    decision = decided(rows, length=3, exploration=exploring())
    assert items(decision) == "abc"
    assert decision.propensity[decision.slate_position > 0].tolist() == [1, 1, 1]
    assert decision.certificates.describe(0) == [
        {"rule": "exploration", "wanted": 1, "got": 0, "available": 0, "dropped": 0, "kept_out": {}}
    ]


def test_required_candidates_come_before_exploration() -> None:
    rows = [{**row, "must": True} for row in ROWS]
    decision = decided(rows, length=3, required_first="must", exploration=exploring())
    assert items(decision) == "abc"
    (short,) = [one for one in decision.certificates.describe(0) if one["rule"] == "exploration"]
    assert (short["got"], short["available"], short["kept_out"]) == (0, 5, {"length": 4})


def test_a_required_candidate_that_a_drawn_slot_still_has_room_for_gives_way_to_no_minimum() -> None:
    rows = [{**row, "must": row["item_id"] in "abcd", "fresh": row["item_id"] == "d"} for row in ROWS]
    decision = decided(
        rows,
        length=5,
        required_first="must",
        min_where_if_available={"fresh": 1},
        exploration=exploring(slots=2),
    )
    assert items(decision)[:4] == "abcd"
    assert [one["rule"] for one in decision.certificates.describe(0)] == ["exploration"]


def test_with_draws_no_slate_falls_short_of_a_rule_by_more_than_the_greedy_one() -> None:
    """Nobody who is drawn meets a rule here, so chance has no part in it."""
    random, marks = np.random.default_rng(5), ("must", "fresh", "local")
    rows = [
        {"request_id": r, "user_id": "u", "item_id": item, "p_click": float(random.random())}
        | {"creator": "abcd"[random.integers(4)]}
        | {mark: bool(random.random() < 0.25) for mark in marks}
        for r in range(200)
        for item in range(9)
    ]
    rows = [{**row, "explore": not any(row[mark] for mark in marks)} for row in rows]
    slate = slate_json(
        length=5,
        max_per={"creator": 2},
        required_first="must",
        min_where_if_available={"fresh": 1, "local": 1},
        exploration=exploring(slots=3),
    )
    greedy = decide_all(rows, utility_json(), slate)
    frame, _ = frame_of(rows)
    ours = decide_rows(rows, utility_json(), slate).slate_position
    theirs = np.array([one["slate_position"] or 0 for one in greedy])
    least = {"must": 9, "fresh": 1, "local": 1}

    def lacking(slots: np.ndarray, mark: str) -> np.ndarray:
        met = (frame[mark].to_numpy(dtype=bool) & (slots > 0)).reshape(-1, 9).sum(axis=1)
        return np.maximum(least[mark] - met, 0)

    better = 0
    for mark in marks:
        assert (lacking(ours, mark) <= lacking(theirs, mark)).all(), mark
        better += int((lacking(ours, mark) < lacking(theirs, mark)).sum())
    assert better


def test_the_propensity_of_one_among_tens_of_thousands_is_what_it_is() -> None:
    count = 70_000
    crowd = pd.DataFrame(
        {"request_id": "r", "user_id": "u", "item_id": np.arange(count), "explore": np.arange(count) > 0}
    )
    policies = read_policies(slate=slate_json(length=2, exploration=exploring()))
    decision = decide(crowd, {"p_click": np.linspace(1, 0, count)}, *policies)
    assert decision.propensity[decision.slate_position == 2] == pytest.approx(1 / (count - 1))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda frame: frame.drop(columns="explore"),
            "Unknown column 'explore'.*slate rule 'exploration' needs",
        ),
        (
            lambda frame: frame.drop(columns="user_id"),
            "Unknown column 'user_id'.*slate rule 'exploration' needs",
        ),
        (lambda frame: frame.assign(explore="yes"), "'explore' holds text, and slate rule 'exploration'"),
    ],
)
def test_a_missing_column_refuses_the_batch(
    spoil: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    frame, predictions = frame_of(ROWS)
    policies = read_policies(slate=slate_json(exploration=exploring()))
    with pytest.raises(DataError, match=message):
        decide(spoil(frame), predictions, *policies)
