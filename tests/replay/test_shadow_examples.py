"""Requests of the newest traffic side by side: those that differ most, with the term that did it."""

import pandas as pd

from tasks.replay.evidence import ExampleSlot, MovedItem, ShadowExample
from tasks.replay.shadow_examples import MOST_EXAMPLES, shadow_examples


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
