"""Windows and the events that may count in them."""

from datetime import timedelta

import pytest

from tasks.contracts.tasks import Positive
from tasks.labels import windows as w
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
