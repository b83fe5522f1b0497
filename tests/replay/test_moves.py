"""Who moves between two policies, by hand on a page of six candidates in two requests."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.evaluation.subjects import ALL, Segment
from tasks.replay.evidence import ExampleSlot
from tasks.replay.moves import Pair, moved_columns
from tasks.replay.replay_policies import Replay
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
    assert ads.before is not None
    assert ads.after is not None
    assert ads.relative is not None
    assert ads.before.value == pytest.approx((CURVE[1] + CURVE[0]) / examined)
    assert ads.after.value == pytest.approx(CURVE[0] / examined)
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
    assert whole.relative is not None
    assert whole.relative.value == pytest.approx(after / before - 1)
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
    assert moved_columns(["creator", "source", "source"], pair().replay) == ["source"]
