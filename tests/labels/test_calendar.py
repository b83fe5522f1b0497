"""What a day is good for, by hand: three days as of the fourth midnight, clicks that mature in an hour."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tasks.labels.build_record import Build, Day
from tasks.labels.calendar import DayState, DayStates, day_states
from tasks.logs.days import DaySum
from tests.labels.engine import tasks

FIRST, SECOND, THIRD = (date(2026, 3, day) for day in (1, 2, 3))
AS_OF = datetime(2026, 3, 4, tzinfo=UTC)
SPEC = tasks(
    click={"positive": {"event": "click", "within": "PT1H"}},
    buy={"positive": {"event": "buy", "within": "P2D"}},
)
STORED = {FIRST: Day(5, 50), SECOND: Day(6, 60), THIRD: Day(7, 70)}


def built(days: Mapping[date, Day] = STORED, *, log: tuple[date, ...] = (), **changed: Any) -> Build:
    impressions = {day: DaySum(1, 1) for day in (*days, *log)}
    return Build(
        **{"as_of": AS_OF, "contract": "c", "columns": (), **changed},
        days=days,
        impressions=impressions,
        events={},
    )


def states(
    newest: Build, published: Build | None, *, failed: bool = False, last: int = 9
) -> dict[str, list[DayState]]:
    found = day_states(SPEC, newest, published, newest_failed=failed, last=last)
    return {of_task.task: [state for _, state in of_task.days] for of_task in found}


def test_a_day_is_mature_once_its_last_impression_is() -> None:
    assert states(built(), built()) == {
        "click": [DayState.MATURE, DayState.MATURE, DayState.IMMATURE],
        "buy": [DayState.MATURE, DayState.IMMATURE, DayState.IMMATURE],
    }


def test_a_day_matures_at_the_midnight_after_it_to_the_second() -> None:
    for seconds, state in ((0, DayState.MATURE), (-1, DayState.IMMATURE)):
        newest = built(as_of=AS_OF + timedelta(hours=1, seconds=seconds))
        assert states(newest, newest)["click"][-1] is state


def test_where_the_log_came_late_it_is_the_log_that_counts() -> None:
    newest = built(arrived=AS_OF - timedelta(days=1))
    assert states(newest, newest)["click"] == [
        DayState.MATURE,
        DayState.IMMATURE,
        DayState.IMMATURE,
    ]


@pytest.mark.parametrize(("failed", "state"), [(False, DayState.NOT_VALIDATED), (True, DayState.FAILED)])
def test_only_the_days_that_changed_since_the_last_publication_are_not_validated(
    failed: bool, state: DayState
) -> None:
    newest = built({**STORED, SECOND: Day(6, 61)})
    assert states(newest, built(), failed=failed)["click"] == [DayState.MATURE, state, DayState.IMMATURE]


def test_where_nothing_was_published_nothing_is_mature() -> None:
    assert states(built(), None)["click"] == [
        DayState.NOT_VALIDATED,
        DayState.NOT_VALIDATED,
        DayState.IMMATURE,
    ]


def test_a_day_of_the_log_that_the_store_lacks_and_one_that_was_left_behind_are_named() -> None:
    days = {FIRST: Day(5, 50), THIRD: Day(7, 70, left_behind=True)}
    assert states(built(days, log=(SECOND,)), built(days))["click"] == [
        DayState.MATURE,
        DayState.NOT_BUILT,
        DayState.OUTDATED,
    ]


def test_the_newest_days_are_counted_back_by_date() -> None:
    far = {FIRST - timedelta(days=30): Day(1, 1), **STORED}
    assert len(states(built(far), None, last=2)["click"]) == 2
    assert states(built({}), None) == {"click": [], "buy": []}


def test_a_task_says_up_to_which_day_it_is_mature() -> None:
    found = DayStates("click", ((FIRST, DayState.MATURE), (SECOND, DayState.IMMATURE)))
    assert (found.mature_to, found.count(DayState.IMMATURE)) == (FIRST, 1)
    assert DayStates("click", ()).mature_to is None
