"""The record of a build: as JSON and back, also where sums exceed a double.

What a day is good for, by hand: three days as of the fourth midnight, clicks that mature in an hour.
"""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from tasks.contracts import TasksSpec
from tasks.labels.build_record import (
    Basis,
    Build,
    Coverage,
    Day,
    DayState,
    DayStates,
    combine_sums,
    content_digest,
    cover_days,
    day_states,
    row_hash,
    snapshot_id,
)
from tasks.logs.rows import DayRange, DaySum, LogDays
from tasks.sql.expressions import fill
from tests.labels.engine import tasks

FIFTH = date(2024, 3, 5)
BUILD = Build(
    datetime(2024, 3, 5, 12, tzinfo=UTC),
    "contract",
    ("request_id VARCHAR", "item_id BIGINT"),
    {FIFTH: Day(100, 7), date(2024, 3, 6): Day(1, 2**127 + 1, left_behind=True)},
    {FIFTH: DaySum(100, 2**90 + 1)},
    {(FIFTH, "buy"): DaySum(1, 2**100 + 1), (FIFTH, "click"): DaySum(2, 3)},
)
AT = datetime(2024, 3, 1, 12, tzinfo=UTC)
ROW = {
    "request_id": "r", "item_id": 7, "shown_at": AT, "price": 1.5,
    "click": 1, "click__status": "observed", "click__at": AT, "spend": 0.1, "spend__status": "observed", "spend__at": None,
}  # fmt: skip
SCHEMA = pa.schema([(name, pa.string()) for name in ROW])
TYPES = {
    "click": "TINYINT",
    "spend": "DOUBLE",
    "price": "DOUBLE",
    "click__at": "TIMESTAMPTZ",
    "spend__at": "TIMESTAMPTZ",
}


def test_a_build_is_read_as_it_was_written() -> None:
    assert Build.from_json(json.loads(json.dumps(BUILD.to_json()))) == BUILD


def test_the_record_has_the_form_that_stores_hold() -> None:
    """Builds of earlier versions are read as the last build of a store: this form is not to change."""
    assert BUILD.to_json() == {
        "as_of": "2024-03-05T12:00:00+00:00",
        "contract": "contract",
        "columns": ["request_id VARCHAR", "item_id BIGINT"],
        "days": {
            "2024-03-05": [100, "7", False],
            "2024-03-06": [1, str(2**127 + 1), True],
        },
        "impressions": {"2024-03-05": [100, str(2**90 + 1)]},
        "events": {"2024-03-05": {"buy": [1, str(2**100 + 1)], "click": [2, "3"]}},
    }


def digest(engine: duckdb.DuckDBPyConnection, **changed: object) -> int:
    row = ROW | changed
    values = ", ".join(f'${name}::{TYPES.get(name, "VARCHAR")} AS "{name}"' for name in row)
    sql = fill("SELECT $hashed, hash($hashed) FROM row", hashed=row_hash(SCHEMA))
    return combine_sums(*engine.execute(f"WITH row AS (SELECT {values}) {sql}", row).fetchall()[0])


@pytest.mark.parametrize(
    "change",
    [
        {"request_id": "s"}, {"click": 0}, {"click": None}, {"click": None, "click__status": "excluded", "click__at": None}, {"spend": 0.1 + 1e-17 * 2},
        {"click__at": AT + timedelta(microseconds=1)}, {"click__at": None}, {"spend": None}, {"price": 2.5},
    ],
)  # fmt: skip
def test_every_change_of_a_label_or_a_feature_makes_another_digest(
    engine: duckdb.DuckDBPyConnection, change: dict[str, object]
) -> None:
    assert digest(engine, **change) != digest(engine)


def test_two_rows_that_change_places_in_a_column_make_another_sum(engine: duckdb.DuckDBPyConnection) -> None:
    as_it_was = content_digest(2, [digest(engine), digest(engine, request_id="s", price=2.5)])
    assert as_it_was != content_digest(2, [digest(engine, price=2.5), digest(engine, request_id="s")])


def test_the_order_of_the_rows_does_not_count() -> None:
    sums = [2**127 + 5, 2**127 + 6, 11]
    assert content_digest(3, sums) == content_digest(3, reversed(sums)) == content_digest(3, [22])


def test_a_snapshot_is_its_contract_its_instant_and_its_content() -> None:
    content = content_digest(3, [42])
    names = {
        snapshot_id("contract", AT, content),
        snapshot_id("another", AT, content),
        snapshot_id("contract", AT + timedelta(seconds=1), content),
        snapshot_id("contract", AT, content_digest(4, [42])),
    }
    assert len(names) == 4
    assert all(len(name) == 16 for name in names)


def test_an_instant_is_the_same_in_every_zone() -> None:
    berlin = datetime.fromisoformat("2024-03-01T13:00:00+01:00")
    assert snapshot_id("contract", AT, "content") == snapshot_id("contract", berlin, "content")


EVERY = tasks(
    click={"positive": {"event": "click", "within": "PT1H"}},
    buy={"positive": {"event": "buy", "within": "P2D"}},
)
TOUCH = tasks(buy={"positive": {"event": "buy", "within": "P2D", "credit": "last_touch"}})
FIRST_TOUCH = tasks(buy={"positive": {"event": "buy", "within": "P2D", "credit": "first_touch"}})
COLUMNS = ("request_id", "item_id", "shown_at")


def day(n: int) -> date:
    return date(2024, 3, n)


def start(n: float) -> datetime:
    """Return an instant of March: 5.5 is noon of the fifth."""
    return datetime(2024, 3, 1, tzinfo=UTC) + timedelta(days=n - 1)


def log(*days: int, more: Mapping[int, DaySum] | None = None) -> dict[date, DaySum]:
    return {day(n): DaySum(100, n) for n in days} | {day(n): s for n, s in (more or {}).items()}


def built(
    as_of: float,
    *days: int,
    events: Mapping[tuple[date, str], DaySum] | None = None,
    behind: int = 0,
    seen: Mapping[date, DaySum] | None = None,
) -> Build:
    stored = {day(n): Day(100, 7 * n, left_behind=n == behind) for n in days}
    return Build(start(as_of), "contract", COLUMNS, stored, seen or log(*days), events or {})


def covered(
    last: Build | None,
    now: LogDays,
    as_of: float,
    spec: TasksSpec = EVERY,
    *,
    contract: str = "contract",
    columns: tuple[str, ...] = COLUMNS,
    **more: Any,
) -> Coverage:
    return cover_days(last, now, spec, basis=Basis(start(as_of), contract, columns), **more)


def reasons(coverage: Coverage) -> dict[int, str]:
    return {d.day: reason for d, reason in coverage.write.items()}


def unchanged(*days: int, before: Mapping[date, DaySum] | None = None, **more: Any) -> LogDays:
    return LogDays(
        impressions=log(*days),
        impressions_before=log(*days) if before is None else before,
        events={},
        **more,
    )


def test_a_first_build_covers_every_day_of_the_log() -> None:
    found = covered(None, LogDays(log(1, 2, 5), {}), 6)
    assert (reasons(found), found.replace_all) == ({1: "new", 2: "new", 5: "new"}, True)


def test_a_second_build_as_of_the_same_instant_covers_nothing() -> None:
    assert reasons(covered(built(5.5, 3, 4, 5), unchanged(3, 4, 5), 5.5)) == {}


def test_a_day_later_the_new_day_and_those_that_matured_are_covered() -> None:
    """Clicks of the fifth and purchases of the third matured, and of the fourth in part: as of noon."""
    last, now = built(5.5, 1, 2, 3, 4, 5), unchanged(1, 2, 3, 4, 5, before=log(1, 2, 3, 4, 5))
    now.impressions[day(6)] = DaySum(10, 6)  # type: ignore[index]
    assert reasons(covered(last, now, 6.5)) == {3: "matured", 4: "matured", 5: "matured", 6: "new"}


def test_a_day_whose_first_instant_matures_is_covered() -> None:
    """Clicks mature after an hour."""
    last, now = built(5.02, 5), unchanged(5)
    assert reasons(covered(last, now, 5 + 1 / 24)) == {5: "matured"}


def test_a_day_that_grew_is_covered() -> None:
    now = LogDays(log(4, more={5: DaySum(150, 9)}), {}, log(4, 5), {})
    assert reasons(covered(built(5.5, 4, 5), now, 5.51)) == {5: "grown"}


@pytest.mark.parametrize("changed", [DaySum(100, 99), DaySum(99, 4), None])
def test_a_day_whose_logged_rows_changed_is_covered(changed: DaySum | None) -> None:
    before = {**log(3, 5), **({day(4): changed} if changed else {})}
    now = LogDays(log(3, 4, 5), {}, before, {})
    assert reasons(covered(built(9, 3, 4, 5), now, 9)) == {4: "log"}


def test_what_changed_on_a_day_takes_the_last_touch_of_earlier_ones_and_the_first_of_later_ones() -> None:
    now = LogDays(log(*range(1, 10)), {}, log(*range(1, 10), more={5: DaySum(100, 99)}), {})
    found = reasons(covered(built(12, *range(1, 10)), now, 12, TOUCH))
    assert found == dict.fromkeys((3, 4, 5), "log")
    found = reasons(covered(built(12, *range(1, 10)), now, 12, FIRST_TOUCH))
    assert found == dict.fromkeys((5, 6, 7), "log")


def test_a_day_that_appears_between_others_is_new_and_competes() -> None:
    days = (1, 2, 3, 4, 6, 7, 8, 9)
    now = LogDays(log(*days, 5), {}, log(*days, 5), {})
    found = reasons(covered(built(12, *days), now, 12, TOUCH))
    assert found == {3: "log", 4: "log", 5: "new"}


def test_a_day_that_was_seen_and_not_written_is_new_and_competed_already() -> None:
    days = (1, 2, 3, 4, 6, 7, 8, 9)
    last, now = built(12, *days, seen=log(*days, 5)), LogDays(log(*days, 5), {}, log(*days, 5), {})
    assert reasons(covered(last, now, 12, TOUCH)) == {5: "new"}


def test_late_events_touch_the_days_whose_windows_hold_them() -> None:
    now = unchanged(*range(1, 10), late=frozenset({(day(5), "buy")}))
    assert reasons(covered(built(12, *range(1, 10)), now, 12.1)) == {3: "events", 4: "events", 5: "events"}


def test_an_event_touches_no_more_days_than_the_windows_of_the_tasks_that_read_it() -> None:
    now = unchanged(*range(1, 10), late=frozenset({(day(5), "click"), (day(8), "unread")}))
    found = covered(built(12, *range(1, 10)), now, 12.1)
    assert (reasons(found), found.touched) == ({4: "events", 5: "events"}, frozenset({day(4), day(5)}))


@pytest.mark.parametrize("now_known", [{(day(5), "buy"): DaySum(1, 2)}, {}])
def test_events_that_changed_or_are_gone_touch_the_days_whose_windows_held_them(
    now_known: dict[tuple[date, str], DaySum],
) -> None:
    last = built(12, *range(1, 10), events={(day(5), "buy"): DaySum(1, 1)})
    now = unchanged(*range(1, 10), events_before=now_known)
    assert sorted(reasons(covered(last, now, 12))) == [3, 4, 5]


def test_with_touch_credit_a_late_event_goes_to_an_impression_whose_window_holds_it() -> None:
    now = unchanged(*range(1, 12), late=frozenset({(day(5), "buy")}))
    assert sorted(reasons(covered(built(14, *range(1, 12)), now, 14, TOUCH))) == [3, 4, 5]


def test_a_late_parent_moves_the_credit_of_what_comes_after_it_both_ways() -> None:
    back = {"event": "back", "within": "P1D", "after": "buy", "credit": "last_touch"}
    chain = tasks(buy={"positive": {"event": "buy", "within": "P1D"}}, back={"positive": back})
    for name, touched in (("buy", [2, 3, 4, 5, 6, 7]), ("back", [3, 4, 5])):
        now = unchanged(*range(1, 12), late=frozenset({(day(5), name)}))
        assert sorted(reasons(covered(built(14, *range(1, 12)), now, 14, chain))) == touched


def test_a_lost_day_is_written_again_where_the_log_has_it() -> None:
    found = covered(built(12, 3, 4, 5), unchanged(4, 5), 12, lost={day(3), day(4)})
    assert (reasons(found), found.gone) == ({4: "lost"}, frozenset({day(3)}))


@pytest.mark.parametrize("other", [{"contract": "another"}, {"columns": (*COLUMNS, "price")}])
def test_under_another_contract_or_with_other_columns_every_day_is_rewritten(other: dict[str, Any]) -> None:
    found = covered(built(9, 3, 4), unchanged(3, 4), 9, **other)
    assert (reasons(found), found.replace_all) == ({3: "contract", 4: "contract"}, True)


def test_a_range_never_mixes_contracts() -> None:
    found = covered(built(9, 3, 4), unchanged(3, 4), 9, contract="another", within=DayRange(day(4)))
    assert sorted(reasons(found)) == [3, 4]


def test_a_range_confines_the_build_and_remembers_what_it_left() -> None:
    now = unchanged(*range(1, 10), late=frozenset({(day(5), "buy")}))
    now.impressions[day(10)] = DaySum(1, 1)  # type: ignore[index]
    found = covered(built(12, *range(1, 10)), now, 12, within=DayRange(day(4), day(4)))
    assert sorted(reasons(found)) == [4]
    assert found.left_behind == {day(3), day(5)}


def test_what_was_left_behind_is_covered_next() -> None:
    assert reasons(covered(built(12, 3, 4, behind=3), unchanged(3, 4), 12)) == {3: "left behind"}


def test_a_first_build_can_be_confined() -> None:
    found = covered(None, LogDays(log(1, 2, 3), {}), 6, within=DayRange(day(2), day(2)))
    assert (reasons(found), found.left_behind) == ({2: "new"}, frozenset())


def test_a_day_that_the_log_no_longer_has_stays() -> None:
    found = covered(built(9, 3, 4), unchanged(4), 9)
    assert (reasons(found), found.gone) == ({}, frozenset({day(3)}))


def test_a_day_that_is_left_out_of_the_log_is_dropped_and_its_credit_given_again() -> None:
    found = covered(built(12, *range(3, 10)), unchanged(3, 4, 5, 7, 8, 9), 12, TOUCH)
    assert found.left_out == found.dropped == found.gone == {day(6)}
    assert reasons(found) == {4: "log", 5: "log"}


FIRST, SECOND, THIRD = (date(2026, 3, day) for day in (1, 2, 3))
AS_OF = datetime(2026, 3, 4, tzinfo=UTC)
SPEC = tasks(
    click={"positive": {"event": "click", "within": "PT1H"}},
    buy={"positive": {"event": "buy", "within": "P2D"}},
)
STORED = {FIRST: Day(5, 50), SECOND: Day(6, 60), THIRD: Day(7, 70)}


def calendar_build(days: Mapping[date, Day] = STORED, *, log: tuple[date, ...] = (), **changed: Any) -> Build:
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
    assert states(calendar_build(), calendar_build()) == {
        "click": [DayState.MATURE, DayState.MATURE, DayState.IMMATURE],
        "buy": [DayState.MATURE, DayState.IMMATURE, DayState.IMMATURE],
    }


def test_a_day_matures_at_the_midnight_after_it_to_the_second() -> None:
    for seconds, state in ((0, DayState.MATURE), (-1, DayState.IMMATURE)):
        newest = calendar_build(as_of=AS_OF + timedelta(hours=1, seconds=seconds))
        assert states(newest, newest)["click"][-1] is state


def test_where_the_log_came_late_it_is_the_log_that_counts() -> None:
    newest = calendar_build(arrived=AS_OF - timedelta(days=1))
    assert states(newest, newest)["click"] == [
        DayState.MATURE,
        DayState.IMMATURE,
        DayState.IMMATURE,
    ]


@pytest.mark.parametrize(("failed", "state"), [(False, DayState.NOT_VALIDATED), (True, DayState.FAILED)])
def test_only_the_days_that_changed_since_the_last_publication_are_not_validated(
    failed: bool, state: DayState
) -> None:
    newest = calendar_build({**STORED, SECOND: Day(6, 61)})
    assert states(newest, calendar_build(), failed=failed)["click"] == [
        DayState.MATURE,
        state,
        DayState.IMMATURE,
    ]


def test_where_nothing_was_published_nothing_is_mature() -> None:
    assert states(calendar_build(), None)["click"] == [
        DayState.NOT_VALIDATED,
        DayState.NOT_VALIDATED,
        DayState.IMMATURE,
    ]


def test_a_day_of_the_log_that_the_store_lacks_and_one_that_was_left_behind_are_named() -> None:
    days = {FIRST: Day(5, 50), THIRD: Day(7, 70, left_behind=True)}
    assert states(calendar_build(days, log=(SECOND,)), calendar_build(days))["click"] == [
        DayState.MATURE,
        DayState.NOT_BUILT,
        DayState.OUTDATED,
    ]


def test_the_newest_days_are_counted_back_by_date() -> None:
    far = {FIRST - timedelta(days=30): Day(1, 1), **STORED}
    assert len(states(calendar_build(far), None, last=2)["click"]) == 2
    assert states(calendar_build({}), None) == {"click": [], "buy": []}


def test_a_task_says_up_to_which_day_it_is_mature() -> None:
    found = DayStates("click", ((FIRST, DayState.MATURE), (SECOND, DayState.IMMATURE)))
    assert (found.mature_to, found.count(DayState.IMMATURE)) == (FIRST, 1)
    assert DayStates("click", ()).mature_to is None
