"""Who moves between two policies, by hand on a page of six candidates in two requests.

Requests of the newest traffic side by side: those that differ most, with the term that did it.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tasks.evaluation.subjects import ALL, Segment
from tasks.replay.evidence import ExampleSlot, MovedItem, ShadowExample
from tasks.replay.moves import MOST_EXAMPLES, Pair, shadow_examples
from tasks.replay.replay_policies import Replay
from tests.known import known
from tests.replay.worlds import CURVE, copied, page, slates

BEFORE = [1, 2, 0, 1, 2, 0]
AFTER = [2, 0, 1, 1, 2, 0]
"""The first request's third candidate enters at the top, the second leaves, the first gets the second place."""
REQUESTS = ["a", "b"]
ITEMS = [1, 2, 3, 4]
HIDES = [0.1, 0.2, 0.4, 0.1, 0.2, 0.4]


def pair(times: int = 1, before: list[int] = BEFORE, after: list[int] = AFTER) -> Pair:
    """Return the pair on the page, copied so often; predictions are those of a look."""
    said = {"click": HIDES * times}
    policies = [
        replace(slates(name, slot * times, said), where_shown={"click": np.array(HIDES * times)})
        for name, slot in (("A", before), ("B", after))
    ]
    return Pair(Replay(copied(page(), times), policies[0]), *policies)


def test_better_and_worse_places_are_counted_by_value() -> None:
    """Sources: feed, ads, feed | ads, feed, feed. Up: the third row; down: the first (feed), the second (ads)."""
    value_changes = {(one.column, one.value): one for one in pair().value_changes(["source"])}
    feed, ads = value_changes["source", "feed"], value_changes["source", "ads"]
    assert (feed.candidates, feed.up, feed.down) == (4, 1, 1)
    assert (ads.candidates, ads.up, ads.down) == (2, 0, 1)


def test_shares_are_of_the_looks_under_each_policy() -> None:
    (ads,) = [one for one in pair(30).value_changes(["source"]) if one.value == "ads"]
    examined = 2 * CURVE[:2].sum()
    assert ads.relative is not None
    assert known(ads.before).value == pytest.approx((CURVE[1] + CURVE[0]) / examined)
    assert known(ads.after).value == pytest.approx(CURVE[0] / examined)
    assert ads.relative.value == pytest.approx(1 / 1.5 - 1)
    assert ads.relative.known


def test_the_values_whose_looks_change_most_come_first_and_of_equal_ones_the_more_frequent() -> None:
    values = [
        one.value for one in pair().value_changes(["item_age"])
    ]  # new items lose half a look, old ones gain it
    assert values == [">=1", "<1"]


def test_predicted_negatives_are_per_thousand_slots() -> None:
    (whole,) = pair(30).negatives(["click"], [])
    before = 1000 * (2 * (CURVE[0] * 0.1 + CURVE[1] * 0.2)) / 4
    after = 1000 * ((CURVE[0] * 0.4 + CURVE[1] * 0.1) + (CURVE[0] * 0.1 + CURVE[1] * 0.2)) / 4
    assert (whole.task, whole.segment) == ("click", ALL)
    assert whole.before.value == pytest.approx(before)
    assert whole.after.value == pytest.approx(after)
    assert known(whole.relative).value == pytest.approx(after / before - 1)
    assert whole.after.low < whole.after.value < whole.after.high


def test_negatives_stand_by_segment_with_the_thin_ones_pooled() -> None:
    whole, *segments = pair().negatives(["click"], ["source"])
    assert whole.pooled == ()
    assert [(one.segment, one.pooled) for one in segments] == [(Segment("source", "other"), ("ads", "feed"))]
    assert [one.segment for one in pair(30).negatives(["click"], ["source"])] == [
        ALL,
        Segment("source", "ads"),
        Segment("source", "feed"),
    ]


def test_what_the_release_does_not_predict_is_left_out() -> None:
    alone = slates("A", BEFORE)
    assert list(Pair(Replay(page(), alone), alone, alone).negatives(["click"], [])) == []


def test_the_share_of_slots_with_another_item() -> None:
    replaced = pair(30).replaced()
    assert replaced.value == pytest.approx(1 / 4)
    assert replaced.low < 0.25 < replaced.high


def test_the_requests_that_change_most_stand_side_by_side() -> None:
    (request,) = pair().examples(REQUESTS, ITEMS)
    assert (request.request, request.replaced) == ("a", 1)
    assert request.slots == (
        ExampleSlot(place=1, before="1", after="3", place_before=None),
        ExampleSlot(place=2, before="2", after="1", place_before=1),
    )
    assert [slot.moved for slot in request.slots] == ["new", "down"]


def test_ten_examples_at_most_and_ties_go_to_the_lesser_request() -> None:
    many = pair(15)
    requests = [f"{name}{copy:02}" for copy in range(15)[::-1] for name in REQUESTS]
    found = [one.request for one in many.examples(requests, ITEMS)]
    assert found == [f"a{copy:02}" for copy in range(10)]


def test_a_policy_beside_itself_moves_nobody() -> None:
    same = pair(30, after=BEFORE)
    assert same.replaced().value == 0.0
    assert {(one.up, one.down) for one in same.value_changes(["source", "item_age"])} == {(0, 0)}
    assert list(same.examples(REQUESTS * 30, ITEMS)) == []
    (whole,) = same.negatives(["click"], [])
    assert whole.relative is not None
    assert (whole.relative.value, whole.relative.low, whole.relative.high) == (0.0, 0.0, 0.0)


def test_a_shorter_slate_leaves_places_empty() -> None:
    (request,) = pair(after=[1, 0, 0, 1, 2, 0]).examples(REQUESTS, ITEMS)
    assert request.slots[1] == ExampleSlot(place=2, before="2", after=None, place_before=None)
    assert request.slots[1].moved == ""


def test_only_columns_of_the_log_are_listed() -> None:
    changes = pair().value_changes(["creator", "source", "source"])
    assert [(one.column, one.value) for one in changes] == [("source", "feed"), ("source", "ads")]


def scored(slots: dict[str, list[int | None]]) -> pd.DataFrame:
    rows = [
        (request, f"{request}-{n}", slot) for request, each in slots.items() for n, slot in enumerate(each)
    ]
    frame = pd.DataFrame(rows, columns=["request_id", "item_id", "slate_position"])
    return frame.astype({"slate_position": "Int32"})


def explained(contributions: dict[str, dict[str, float]]) -> pd.DataFrame:
    rows = [(item, task, value) for item, terms in contributions.items() for task, value in terms.items()]
    return pd.DataFrame(rows, columns=["item_id", "task", "contribution"])


def examples(
    ours: dict[str, list[int | None]],
    theirs: dict[str, list[int | None]],
    *terms: dict[str, dict[str, float]],
) -> list[ShadowExample]:
    mine, other = (terms or ({}, {}))[:2]
    how = (lambda _: explained(mine), lambda _: explained(other))
    return list(shadow_examples(scored(ours), scored(theirs), how))


def test_the_request_with_most_new_items_comes_first_and_equal_ones_are_left_out() -> None:
    found = examples(
        {"same": [1, 2, None], "swapped": [2, 1, None], "other": [None, 2, 1]},
        {"same": [1, 2, None], "swapped": [1, 2, None], "other": [1, 2, None]},
    )
    assert [(one.request, one.replaced) for one in found] == [("other", 1), ("swapped", 0)]
    assert found[0].slots == (
        ExampleSlot(place=1, before="other-0", after="other-2", place_before=None),
        ExampleSlot(place=2, before="other-1", after="other-1", place_before=2),
    )
    assert [slot.moved for slot in found[1].slots] == ["up", "down"]


def test_the_term_that_changed_most_for_the_item_that_rose_is_named() -> None:
    (found,) = examples(
        {"r": [None, 1]},
        {"r": [1, None]},
        {"r-1": {"click": 0.3, "buy": 0.5, "hide": -0.1}},
        {"r-1": {"click": 0.28, "buy": 0.1, "hide": -0.2}},
    )
    assert found.moved == MovedItem(item="r-1", place=1, place_before=None, task="buy", before=0.1, after=0.5)


def test_a_term_that_only_one_release_has_counts_as_nothing_in_the_other() -> None:
    (found,) = examples({"r": [None, 1]}, {"r": [1, None]}, {"r-1": {"new": 0.4}}, {"r-1": {"old": 0.1}})
    assert found.moved is not None
    assert (found.moved.task, found.moved.before, found.moved.after) == ("new", 0.0, 0.4)


def test_where_no_term_changed_nothing_is_claimed() -> None:
    same = {"r-1": {"click": 0.3}}
    (found,) = examples({"r": [None, 1]}, {"r": [1, None]}, same, same)
    assert found.moved is None


def test_a_slate_that_only_lost_an_item_shows_nothing_else() -> None:
    assert examples({"r": [None, 2]}, {"r": [1, 2]}) == []


def test_ten_requests_are_kept_and_equal_ones_are_in_the_order_of_their_names() -> None:
    names = [f"r{n:02}" for n in range(MOST_EXAMPLES + 5)]
    found = examples(
        {name: [None, 1] for name in reversed(names)}, {name: [1, None] for name in reversed(names)}
    )
    assert [one.request for one in found] == names[:MOST_EXAMPLES]
