"""How far labels reach in time, for whole chains."""

from datetime import timedelta
from typing import Any

from tasks.labels.maturity import Reach, credits_alone, longest_reach, longest_window, matures, reach
from tests.labels.engine import tasks

DAY = timedelta(days=1)
CLICK = {"positive": {"event": "click", "within": "PT30M"}}
BUY = {"positive": {"event": "buy", "within": "P7D"}, "maturity": "P8D"}
BACK = {"positive": {"event": "back", "within": "P30D", "after": "buy"}}


def touched(task: dict[str, Any], credit: str = "last_touch") -> dict[str, Any]:
    return {**task, "positive": {**task["positive"], "credit": credit}}


def test_a_label_matures_with_its_window_or_later_if_declared() -> None:
    spec = tasks(click=CLICK, buy=BUY)
    assert (matures(spec, "click"), matures(spec, "buy")) == (timedelta(minutes=30), 8 * DAY)


def test_a_child_matures_with_the_sum_along_the_chain() -> None:
    assert matures(tasks(buy=BUY, back=BACK), "back") == 37 * DAY


def test_a_label_matures_no_earlier_than_what_it_builds_on() -> None:
    spec = tasks(
        buy={**BUY, "maturity": "P60D"}, back=BACK, both={"compose": {"all_of": ["back"]}},
        t={**CLICK, "observed_when": {"task": "buy"}},
    )  # fmt: skip
    assert {matures(spec, name) for name in ("back", "both", "t")} == {60 * DAY}


def test_the_longest_window_is_that_of_the_longest_chain() -> None:
    assert longest_window(tasks(click=CLICK, buy=BUY, back=BACK)) == 37 * DAY


def test_where_every_impression_is_credited_none_competes() -> None:
    assert longest_reach(tasks(click=CLICK, buy=BUY, back=BACK)) == Reach(0 * DAY, 0 * DAY)


def test_the_last_touch_is_lost_to_later_impressions_and_the_first_to_earlier_ones() -> None:
    assert reach(tasks(buy=touched(BUY)), "buy") == Reach(before=0 * DAY, after=7 * DAY)
    assert reach(tasks(buy=touched(BUY, "first_touch")), "buy") == Reach(before=7 * DAY, after=0 * DAY)


def test_competitors_lie_within_a_window_and_their_own_competitors_within_another() -> None:
    spec = tasks(buy=touched(BUY), back=touched(BACK))
    assert reach(spec, "back") == Reach(before=0 * DAY, after=44 * DAY)
    mixed = tasks(buy=touched(BUY), back=touched(BACK, "first_touch"))
    assert longest_reach(mixed) == Reach(before=37 * DAY, after=7 * DAY)


def test_an_impression_is_credited_alone_where_nothing_after_it_is_competed_for() -> None:
    spec = tasks(click=CLICK, buy=BUY, back=touched(BACK))
    assert {task for task in spec.tasks if credits_alone(spec, task)} == {"click"}
    assert credits_alone(tasks(buy=touched(BUY), back=BACK), "back")
