import pytest

from tasks.contracts.draft_tasks import TasksDraft, draft_tasks
from tasks.contracts.log_sketch import EventSketch


def drafted(*events: EventSketch) -> TasksDraft:
    return draft_tasks(events, window_days=7)


@pytest.mark.parametrize(
    ("event", "task", "family"),
    [
        ("click", "click_30m", "engagement"),
        ("article:open", "article_open_30m", "engagement"),
        ("Purchase", "purchase_7d", "conversion"),
        ("add_to_cart", "add_to_cart_1d", "conversion"),
        ("like", "like_1d", "satisfaction"),
        ("dislike", "dislike_7d", "negative"),
        ("not_interested", "not_interested_7d", "negative"),
        ("report", "report_7d", "safety"),
        ("frobnicate", "frobnicate_1d", "engagement"),
    ],
)
def test_a_meaning_is_guessed_from_the_name(event: str, task: str, family: str) -> None:
    (one,) = drafted(EventSketch(event, 500)).tasks
    assert (one.name, one.family.value, one.event) == (task, family, event)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (EventSketch("impression", 500), "was shown"),
        (EventSketch("return", 500), "after:"),
        (EventSketch("visit", 500, with_item=0.1), "names no item"),
        (EventSketch("click", 99), "too few"),
        (EventSketch("click; drop table", 500), "no name"),
    ],
)
def test_what_is_no_outcome_yet_is_left_out_with_the_reason(event: EventSketch, why: str) -> None:
    draft = drafted(event)
    assert draft.tasks == ()
    assert why in draft.left_out[0][1]


def test_events_that_take_a_row_out_are_exclusions() -> None:
    draft = drafted(EventSketch("out_of_stock", 5, with_request=0), EventSketch("ineligible", 5, with_item=0))
    assert draft.exclusions == (("ineligible", "user"), ("out_of_stock", "item"))


def test_names_that_read_alike_become_tasks_of_their_own() -> None:
    names = [task.name for task in drafted(EventSketch("a.click", 300), EventSketch("a-click", 200)).tasks]
    assert len(set(names)) == 2


def test_the_most_frequent_become_tasks() -> None:
    draft = drafted(*(EventSketch(f"click{n}", 1000 - n) for n in range(12)))
    assert [task.event for task in draft.tasks] == [f"click{n}" for n in range(8)]
    assert len(draft.left_out) == 4
