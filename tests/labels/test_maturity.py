"""How far labels reach in time, for whole chains."""

from datetime import timedelta

from tasks.labels.maturity import longest_reach, longest_window, matures, reach
from tests.labels.engine import tasks

DAY = timedelta(days=1)
CLICK = {"positive": {"event": "click", "within": "PT30M"}}
BUY = {"positive": {"event": "buy", "within": "P7D"}, "maturity": "P8D"}
BACK = {"positive": {"event": "back", "within": "P30D", "after": "buy"}}


def touched(task: dict, credit: str = "last_touch") -> dict:
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
    assert longest_reach(tasks(click=CLICK, buy=BUY, back=BACK)) == timedelta()


def test_competitors_lie_within_a_window_and_their_own_competitors_within_another() -> None:
    spec = tasks(buy=touched(BUY), back=touched(BACK, "first_touch"))
    assert reach(spec, "buy") == 7 * DAY
    assert reach(spec, "back") == 44 * DAY
    assert longest_reach(spec) == 44 * DAY
