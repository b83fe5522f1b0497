"""Windows and the events that may count in them.

How far labels reach in time, for whole chains.
"""

from datetime import timedelta
from typing import Any

import pytest

from tasks.contracts.tasks import Positive
from tasks.labels import windows as w
from tasks.labels.windows import Reach, credits_alone, longest_reach, longest_window, matures, reach
from tasks.sql import expressions as x
from tasks.sql.expressions import render
from tests.labels.engine import tasks

CLICK = {"positive": {"event": "click", "within": "PT1H"}}
BUY = {"positive": {"event": "buy", "within": "P1D", "after": "click", "credit": "last_touch"}}
RATED = {
    "positive": {"event": "survey", "within": "P1D", "value_at_least": 4},
    "observed_when": {"event": ["survey", "poll"]},
}
SPEC = tasks(click=CLICK, buy=BUY, happy=RATED, both={"compose": {"all_of": ["click", "buy"]}})


def test_a_window_opens_at_the_impression_or_at_the_parents_event() -> None:
    click, buy = w.event_rule(SPEC, "click"), w.event_rule(SPEC, "buy")
    assert w.opens(click).sql() == '"shown"."shown_at"'
    assert w.opens(buy).sql() == '"click__credited"."_at"'
    assert w.closes(buy, x.column("t")).sql() == """"t" + INTERVAL '24' HOUR"""


def test_only_a_window_after_a_parents_event_is_open_on_the_left() -> None:
    inside = {task: w.inside(w.event_rule(SPEC, task), ["user_id"]).sql() for task in ("click", "buy")}
    assert '"_signals"."happened_at" >= "_windows"."_opens"' in inside["click"]
    assert '"_signals"."happened_at" > "_windows"."_opens"' in inside["buy"]


def test_a_composite_has_no_event_rule() -> None:
    with pytest.raises(ValueError, match="both is a composite"):
        w.event_rule(SPEC, "both")


def test_signals_are_the_events_that_count_and_those_that_answer() -> None:
    assert w.answers(SPEC, "happy") == ("survey", "poll")
    assert w.answers(SPEC, "click") == ()
    sql = render(w.signals(SPEC, "happy"))
    assert "IN ('survey', 'poll')" in sql
    assert '"_counts"' in sql
    assert '"_answers"' in sql


def test_a_later_instant_is_later_by_the_whole_duration() -> None:
    later = w.later(x.column("t"), timedelta(microseconds=1))
    assert later.sql() == """"t" + INTERVAL '1' MICROSECOND"""


@pytest.mark.parametrize(("credit", "direction"), [("last_touch", True), ("first_touch", False)])
def test_a_touch_prefers_by_instant_position_and_key(credit: str, direction: bool) -> None:
    rule = Positive.model_validate({**BUY["positive"], "credit": credit})
    order = w.best_first(rule, "shown", has_position=True)
    assert [key.this.name for key in order] == ["shown_at", "position", "request_id", "item_id"]
    assert {key.args["desc"] for key in order} == {direction}
    assert "position" not in w.best_by(has_position=False)


DAY = timedelta(days=1)
CLICK_IN_HALF_AN_HOUR = {"positive": {"event": "click", "within": "PT30M"}}
BUY_IN_A_WEEK = {"positive": {"event": "buy", "within": "P7D"}, "maturity": "P8D"}
BACK = {"positive": {"event": "back", "within": "P30D", "after": "buy"}}


def touched(task: dict[str, Any], credit: str = "last_touch") -> dict[str, Any]:
    return {**task, "positive": {**task["positive"], "credit": credit}}


def test_a_label_matures_with_its_window_or_later_if_declared() -> None:
    spec = tasks(click=CLICK_IN_HALF_AN_HOUR, buy=BUY_IN_A_WEEK)
    assert (matures(spec, "click"), matures(spec, "buy")) == (timedelta(minutes=30), 8 * DAY)


def test_a_child_matures_with_the_sum_along_the_chain() -> None:
    assert matures(tasks(buy=BUY_IN_A_WEEK, back=BACK), "back") == 37 * DAY


def test_a_label_matures_no_earlier_than_what_it_builds_on() -> None:
    spec = tasks(
        buy={**BUY_IN_A_WEEK, "maturity": "P60D"}, back=BACK, both={"compose": {"all_of": ["back"]}},
        t={**CLICK_IN_HALF_AN_HOUR, "observed_when": {"task": "buy"}},
    )  # fmt: skip
    assert {matures(spec, name) for name in ("back", "both", "t")} == {60 * DAY}


def test_the_longest_window_is_that_of_the_longest_chain() -> None:
    assert longest_window(tasks(click=CLICK_IN_HALF_AN_HOUR, buy=BUY_IN_A_WEEK, back=BACK)) == 37 * DAY


def test_where_every_impression_is_credited_none_competes() -> None:
    assert longest_reach(tasks(click=CLICK_IN_HALF_AN_HOUR, buy=BUY_IN_A_WEEK, back=BACK)) == Reach(
        0 * DAY, 0 * DAY
    )


def test_the_last_touch_is_lost_to_later_impressions_and_the_first_to_earlier_ones() -> None:
    assert reach(tasks(buy=touched(BUY_IN_A_WEEK)), "buy") == Reach(before=0 * DAY, after=7 * DAY)
    assert reach(tasks(buy=touched(BUY_IN_A_WEEK, "first_touch")), "buy") == Reach(
        before=7 * DAY, after=0 * DAY
    )


def test_competitors_lie_within_a_window_and_their_own_competitors_within_another() -> None:
    spec = tasks(buy=touched(BUY_IN_A_WEEK), back=touched(BACK))
    assert reach(spec, "back") == Reach(before=0 * DAY, after=44 * DAY)
    mixed = tasks(buy=touched(BUY_IN_A_WEEK), back=touched(BACK, "first_touch"))
    assert longest_reach(mixed) == Reach(before=37 * DAY, after=7 * DAY)


def test_an_impression_is_credited_alone_where_nothing_after_it_is_competed_for() -> None:
    spec = tasks(click=CLICK_IN_HALF_AN_HOUR, buy=BUY_IN_A_WEEK, back=touched(BACK))
    assert {task for task in spec.tasks if credits_alone(spec, task)} == {"click"}
    assert credits_alone(tasks(buy=touched(BUY_IN_A_WEEK), back=BACK), "back")
