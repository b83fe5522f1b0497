"""Which events an impression is credited with: matching, window and credit, by hand."""

import math
from collections.abc import Mapping

import pytest

from tasks.contracts import TasksSpec
from tasks.labels import windows as w
from tasks.labels.credit import can_scan, join_every, scan_every
from tasks.labels.query import Form
from tasks.sql.expressions import render
from tests.labels.engine import Story, tasks

CLICK = {"event": "click", "within": "PT2H"}
BUY = {"event": "buy", "within": "PT10H"}
VISIT = {"event": "visit", "within": "P1D"}


def one(**rule: object) -> TasksSpec:
    """Return a contract of the one task ``t``."""
    return tasks(t={"positive": {**CLICK, **rule}})


def value(aggregate: str, **more: object) -> TasksSpec:
    """Return a contract of the one value task ``t``."""
    return tasks(
        t={"kind": "value", "value": {"event": "watch", "within": "PT2H", "aggregate": aggregate, **more}}
    )


# -- window


@pytest.mark.parametrize(("hour", "label"), [(0.99, 0), (1, 1), (2.99, 1), (3, 0)])
def test_the_window_holds_its_first_instant_and_not_its_last(story: Story, hour: float, label: int) -> None:
    story.shown("r", 1).event("click", hour)
    assert story.told(one(), "t") == {"r": label}


@pytest.mark.parametrize(("hour", "label"), [(2, 0), (2.01, 1), (11.99, 1), (12, 0)])
def test_a_childs_window_opens_after_the_parents_event(story: Story, hour: float, label: int) -> None:
    spec = tasks(buy={"positive": BUY}, back={"positive": {**BUY, "event": "back", "after": "buy"}})
    story.shown("r", 1).event("buy", 2).event("back", hour)
    assert story.told(spec, "back") == {"r": label}


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("aggregate", ["count", "max"])
@pytest.mark.parametrize(("hour", "amount"), [(2, 0), (2.01, 1), (11.99, 1), (12, 0)])
def test_the_window_of_a_childs_value_is_open_on_both_sides(
    story: Story, hour: float, amount: int, aggregate: str, form: Form
) -> None:
    spent = {"event": "back", "within": "PT10H", "after": "buy", "aggregate": aggregate, "match": ["user_id"]}
    spec = tasks(buy={"positive": BUY}, spent={"kind": "value", "value": spent})
    story.shown("r", 1).event("buy", 2).event("back", hour, value=1.0)
    nothing = 0 if aggregate == "count" else "not_applicable"
    assert story.told(spec, "spent", form=form) == {"r": amount or nothing}


def test_a_grandchild_follows_the_chain(story: Story) -> None:
    spec = tasks(
        buy={"positive": BUY},
        back={"positive": {**BUY, "event": "back", "after": "buy"}},
        again={"positive": {**BUY, "event": "buy", "after": "back"}},
    )
    story.shown("r", 0).event("buy", 1).event("back", 5).event("buy", 9)
    assert story.hours(spec, "again") == {"r": 9}


# -- matching


def test_a_null_matches_nothing_not_even_a_null(story: Story) -> None:
    spec = tasks(t={"positive": {**CLICK, "match": ["kind"]}})
    story.shown("r", 1, kind=None).shown("s", 1, kind="x").event("click", 1, kind=None)
    assert story.told(spec, "t") == {"r": "not_applicable", "s": 0}


def test_by_default_user_and_item_are_matched(story: Story) -> None:
    story.shown("both", 1, 1).shown("user", 1, 2).shown("item", 1, 1, user_id="v").event("click", 1)
    assert story.told(one(), "t") == {"both": 1, "user": 0, "item": 0}


def test_columns_that_are_not_named_are_ignored_even_when_filled(story: Story) -> None:
    story.shown("r", 1).event("click", 1, request_id="another", kind="another")
    assert story.told(one(), "t") == {"r": 1}


def test_any_shared_column_can_be_matched_on(story: Story) -> None:
    spec = tasks(
        seen={"positive": {**CLICK, "match": ["request_id"]}},
        alike={"positive": {**CLICK, "match": ["user_id", "kind"]}},
    )
    story.shown("r", 1).shown("s", 1, kind="y").event("click", 1, item=None, request_id="r", kind="y")
    assert story.told(spec, "seen") == {"r": 1, "s": 0}
    assert story.told(spec, "alike") == {"r": 0, "s": 1}


def test_several_event_names_make_one_positive(story: Story) -> None:
    story.shown("r", 1).shown("s", 1, 2).event("hide", 1).event("mute", 1, 2)
    assert story.told(one(event=["hide", "mute"]), "t") == {"r": 1, "s": 1}


# -- credit


def test_every_impression_whose_window_holds_the_event_is_credited(story: Story) -> None:
    story.shown("r", 1).shown("s", 2).shown("late", 3).event("click", 2.5)
    assert story.told(one(), "t") == {"r": 1, "s": 1, "late": 0}


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("hour", [2.99, 3])
def test_the_first_touch_is_the_first_whose_window_still_holds_the_event(
    story: Story, hour: float, form: Form
) -> None:
    story.shown("r", 1).shown("s", 2).event("click", hour)
    first = {"r": 1, "s": 0} if hour < 3 else {"r": 0, "s": 1}
    assert story.told(one(credit="first_touch"), "t", form=form) == first


@pytest.mark.parametrize(("credit", "winner"), [("last_touch", "s"), ("first_touch", "r")])
def test_a_touch_credits_the_latest_or_the_earliest_whose_window_holds_the_event(
    story: Story, credit: str, winner: str
) -> None:
    story.shown("over", 0).shown("r", 1).shown("s", 2).shown("late", 3).event("click", 2.5)
    expected = {"over": 0, "r": 0, "s": 0, "late": 0, winner: 1}
    assert story.told(one(credit=credit), "t") == expected


def test_each_event_is_credited_by_itself(story: Story) -> None:
    story.shown("r", 1).shown("s", 2).event("click", 1.5).event("click", 2.5)
    assert story.hours(one(credit="last_touch"), "t") == {"r": 1.5, "s": 2.5}


@pytest.mark.parametrize(("credit", "winner"), [("last_touch", "second"), ("first_touch", "none")])
def test_at_one_instant_position_decides_and_null_comes_before_any_number(
    story: Story, credit: str, winner: str
) -> None:
    """The request ids would decide otherwise."""
    story.shown("z-first", 1).shown("none", 1, position=None).shown("second", 1, position=2).event("click", 1)
    told = story.told(one(credit=credit), "t")
    assert [request for request, label in told.items() if label == 1] == [winner]


@pytest.mark.parametrize(("credit", "winner"), [("last_touch", "ü"), ("first_touch", "Z")])
def test_then_the_request_decides_by_code_point(story: Story, credit: str, winner: str) -> None:
    story.shown("a", 1).shown("Z", 1).shown("ü", 1).shown("z", 1).event("click", 1)
    told = story.told(one(credit=credit), "t")
    assert [request for request, label in told.items() if label == 1] == [winner]


def test_then_the_item_decides(story: Story) -> None:
    story.shown("r", 1, 2).shown("r", 1, 1).event("click", 1, None)
    labels = story.labels(one(credit="last_touch", match=["user_id"]))
    assert {item: label["t"].value for (_, item), label in labels.items()} == {1: 0, 2: 1}


def test_a_touch_among_twins_with_different_parents(story: Story) -> None:
    """Both were bought, at hours 3 and 6; only the first's window still holds the return at hour 5."""
    back = {"event": "back", "within": "PT10H", "after": "buy", "match": ["user_id"], "credit": "last_touch"}
    spec = tasks(buy={"positive": {**BUY, "match": ["item_id"]}}, back={"positive": back})
    story.shown("r", 1, 1).shown("s", 1, 2).event("buy", 3, 1).event("buy", 6, 2).event("back", 5)
    assert story.told(spec, "back") == {"r": 1, "s": 0}


def test_every_impression_competes_whatever_its_status(story: Story) -> None:
    """The unseen second impression takes the click and has no label itself."""
    spec = tasks(t={"positive": {**CLICK, "credit": "last_touch"}, "observed_when": {"column": "visible"}})
    story.shown("r", 1).shown("s", 2, visible=False).event("click", 2.5)
    assert story.told(spec, "t") == {"r": 0, "s": "not_applicable"}


def test_no_observed_label_flips_as_others_mature(story: Story) -> None:
    """Last touch and after: the second impression is immature, and it competes all the same."""
    spec = tasks(
        buy={"positive": {**BUY, "credit": "last_touch"}},
        back={"positive": {"event": "back", "within": "PT10H", "after": "buy", "credit": "last_touch"}},
    )
    story.shown("r", 0).shown("s", 8).event("buy", 1).event("buy", 9).event("back", 10)
    early, late = (story.labels(spec, as_of=hour) for hour in (20.5, 1000))
    first, second = ("r", 1), ("s", 1)
    assert early[second]["back"].status == "immature"
    assert early[first] == late[first]
    assert (late[first]["back"].value, late[second]["back"].value) == (0, 1)


# -- the crediting event


def test_the_crediting_event_is_the_earliest(story: Story) -> None:
    story.shown("r", 1).event("click", 2.5).event("click", 1.5)
    assert story.hours(one(), "t") == {"r": 1.5}


@pytest.mark.parametrize(("hours", "at"), [([1, 2], 2), ([1], None), ([1, 1], 1), ([2, 1, 1.5], 1.5)])
def test_at_least_two_credits_the_second_and_every_row_counts(
    story: Story, hours: list[float], at: float | None
) -> None:
    story.shown("r", 1)
    for hour in hours:
        story.event("click", hour)
    assert story.hours(one(at_least=2), "t") == {"r": at}


def test_at_least_passes_over_what_does_not_count(story: Story) -> None:
    story.shown("r", 1).event("click", 1, value=5).event("click", 1.2, value=1).event("click", 1.5, value=5)
    assert story.hours(one(at_least=2, value_at_least=4), "t") == {"r": 1.5}


def test_at_least_counts_only_what_is_credited_to_the_impression(story: Story) -> None:
    story.shown("r", 1).shown("s", 2).event("click", 1.5).event("click", 2.5).event("click", 2.6)
    assert story.told(one(at_least=2, credit="last_touch"), "t") == {"r": 0, "s": 1}


@pytest.mark.parametrize(("number", "label"), [(4, 1), (3.99, 0), (None, 0), (math.nan, 0)])
def test_a_value_below_the_bound_a_null_and_nan_are_no_positive(
    story: Story, number: float | None, label: int
) -> None:
    story.shown("r", 1).event("click", 1, value=number)
    assert story.told(one(value_at_least=4), "t") == {"r": label}


@pytest.mark.parametrize(("number", "label"), [(1, 1), (1.99, 1), (2, 0), (None, 0), (math.nan, 0)])
def test_a_value_that_is_not_below_the_bound_a_null_and_nan_are_no_positive(
    story: Story, number: float | None, label: int
) -> None:
    story.shown("r", 1).event("click", 1, value=number)
    assert story.told(one(value_below=2), "t") == {"r": label}


# -- values


@pytest.mark.parametrize(("aggregate", "label"), [("sum", 6.0), ("count", 5.0), ("max", 4.0), ("first", 2.0)])
def test_a_null_or_nan_value_counts_and_is_left_out_of_all_else(
    story: Story, aggregate: str, label: float
) -> None:
    """Of the two values at hour 1.2 the smaller is the first."""
    story.shown("r", 1).event("watch", 1, value=None).event("watch", 1.1, value=math.nan)
    story.event("watch", 1.2, value=4.0).event("watch", 1.2, value=2.0).event("watch", 1.3, value=0.0)
    assert story.told(value(aggregate), "t") == {"r": label}


@pytest.mark.parametrize(
    ("aggregate", "label"),
    [("sum", 0.0), ("count", 0.0), ("max", "not_applicable"), ("first", "not_applicable")],
)
def test_no_event_is_zero_for_sum_and_count_and_no_label_for_the_others(
    story: Story, aggregate: str, label: object
) -> None:
    story.shown("r", 1)
    assert story.told(value(aggregate), "t") == {"r": label}


def test_the_aggregate_is_clipped_last_the_zero_of_no_event_included(story: Story) -> None:
    story.shown("none", 1, 1).shown("some", 1, 2).event("watch", 1, 2, value=3.0).event(
        "watch", 1, 2, value=4.0
    )
    assert story.told(value("sum", clip=[1, 5]), "t") == {"none": 1.0, "some": 5.0}


def test_a_sum_does_not_depend_on_the_order_of_the_rows(story: Story) -> None:
    numbers = [0.1, 0.2, 0.3, 1e16, -1e16, 0.7]
    spec = tasks(
        t={"kind": "value", "value": {"event": "watch", "within": "PT2H", "aggregate": "sum"}},
    )
    found = set()
    for order in (numbers, numbers[::-1], numbers[3:] + numbers[:3]):
        story.events.clear()
        story.impressions.clear()
        story.shown("r", 1)
        for number in order:
            story.event("watch", 1, value=number)
        found.add(story.told(spec, "t")["r"])
    assert len(found) == 1


def credited(rule: Mapping[str, object], *, kind: str = "binary") -> str:
    part = {"positive": rule} if kind == "binary" else {"kind": "value", "value": rule}
    spec = tasks(t=part)
    windows = w.windows(spec, "t", w.event_rule(spec, "t").match)
    return render(join_every(spec, "t", "t__signals", windows))


def test_windows_are_made_distinct_only_where_a_repeated_signal_would_count_twice() -> None:
    assert "DISTINCT" not in credited(VISIT)
    assert "DISTINCT" in credited({**VISIT, "at_least": 2})
    assert "DISTINCT" not in credited({**VISIT, "aggregate": "max"}, kind="value")
    assert "DISTINCT" in credited({**VISIT, "aggregate": "sum"}, kind="value")


def test_signals_are_numbered_only_for_the_nth_and_the_first() -> None:
    assert "ROW_NUMBER" not in credited(VISIT)
    assert '"_place" = 2' in credited({**VISIT, "at_least": 2})
    assert '"_place" = 1' in credited({**VISIT, "aggregate": "first"}, kind="value")
    assert "ROW_NUMBER" not in credited({**VISIT, "aggregate": "count"}, kind="value")


@pytest.mark.parametrize(
    ("rule", "scans"),
    [
        ({}, True),
        ({"at_least": 3}, True),
        ({"after": "click"}, True),
        ({"credit": "last_touch"}, True),
        ({"credit": "first_touch", "after": "click"}, False),
    ],
)
def test_a_touch_after_a_parents_event_is_not_scanned(rule: dict[str, object], scans: bool) -> None:
    spec = tasks(click={"positive": CLICK}, t={"positive": {**VISIT, **rule}})
    assert can_scan(w.event_rule(spec, "t")) is scans


@pytest.mark.parametrize(
    ("aggregate", "credit", "scans"),
    [
        ("max", "every", True),
        ("count", "every", True),
        ("sum", "every", False),
        ("first", "every", False),
        ("sum", "last_touch", True),
    ],
)
def test_a_sum_and_a_first_value_need_each_windows_own_signals(
    aggregate: str, credit: str, scans: bool
) -> None:
    spec = tasks(t={"kind": "value", "value": {**VISIT, "aggregate": aggregate, "credit": credit}})
    assert can_scan(w.event_rule(spec, "t")) is scans


def test_a_count_comes_from_a_frame_a_microsecond_shorter_than_the_window() -> None:
    spec = tasks(t={"kind": "value", "value": {**VISIT, "aggregate": "count"}})
    windows = w.windows(spec, "t", w.event_rule(spec, "t").match)
    sql = render(scan_every(spec, "t", "t__signals", windows))
    assert f"INTERVAL '{86_400_000_000 - 1}' MICROSECOND PRECEDING" in sql
