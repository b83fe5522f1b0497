from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from dags.moment import find_as_of, find_days, instant, written
from tasks.errors import ContractError

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@dataclass
class Run:
    run_type: str = "manual"
    run_after: datetime = NOON
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    conf: Mapping[str, Any] | None = field(default_factory=dict)


def of_interval(kind: str, start: datetime, end: datetime, **conf: str) -> Run:
    return Run(kind, end + timedelta(hours=3), start, end, conf)


def at(day: int, hour: int = 2) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["scheduled", "backfill"])
def test_a_run_with_an_interval_looks_at_its_end(kind: str) -> None:
    assert find_as_of(of_interval(kind, at(1), at(2)), {}) == at(2)


@pytest.mark.parametrize("kind", ["scheduled", "backfill"])
def test_the_forms_default_does_not_move_a_run_with_an_interval(kind: str) -> None:
    assert find_as_of(of_interval(kind, at(1), at(2)), {"as_of": "2018-01-01T00:00:00Z"}) == at(2)


def test_an_as_of_asked_of_a_backfill_is_refused_not_ignored() -> None:
    run = of_interval("backfill", at(1), at(2), as_of="2026-01-01T00:00:00Z")
    with pytest.raises(ContractError, match="started by hand"):
        find_as_of(run, {"as_of": "2026-01-01T00:00:00Z"})


def test_the_end_of_the_logs_that_a_backfills_form_begins_with_is_no_question() -> None:
    run = of_interval("backfill", at(1), at(2), as_of="2026-03-09T02:00:00Z")
    assert find_as_of(run, {"as_of": "2026-03-09T02:00:00Z"}, ends_at=at(9)) == at(2)
    with pytest.raises(ContractError, match="end of its own interval, 2026-03-02T02:00:00Z"):
        find_as_of(run, {"as_of": "2026-03-09T02:00:00Z"}, ends_at=at(10))


def test_a_run_with_an_interval_but_without_its_end_is_refused() -> None:
    with pytest.raises(ContractError, match="no as-of"):
        find_as_of(Run("scheduled"), {})


def test_a_run_by_hand_looks_at_the_as_of_it_was_given() -> None:
    assert find_as_of(Run(), {"as_of": "2026-03-01T00:00:00Z"}) == datetime(2026, 3, 1, tzinfo=UTC)


def test_an_as_of_in_another_zone_is_the_same_instant_in_utc() -> None:
    found = find_as_of(Run(), {"as_of": "2026-03-01T02:00:00+02:00"})
    assert (found, found.tzinfo) == (datetime(2026, 3, 1, tzinfo=UTC), UTC)


def test_a_run_by_hand_without_as_of_looks_at_the_time_of_its_trigger() -> None:
    run = Run(run_after=datetime(2026, 3, 10, 13, tzinfo=timezone(timedelta(hours=1))))
    assert find_as_of(run, {"as_of": None}) == NOON


def test_the_interval_that_airflow_invents_for_a_run_by_hand_is_not_read() -> None:
    invented = Run("manual", NOON, at(9), at(10))
    assert find_as_of(invented, {}) == NOON


def test_an_as_of_after_the_trigger_is_refused() -> None:
    with pytest.raises(ContractError, match="lies after"):
        find_as_of(Run(), {"as_of": "2026-03-10T12:00:01Z"})


def test_an_as_of_without_zone_is_refused() -> None:
    with pytest.raises(ContractError, match="zone"):
        find_as_of(Run(), {"as_of": "2026-03-01T00:00:00"})


def test_a_scheduled_labels_run_covers_its_interval_and_every_older_day() -> None:
    assert find_days(of_interval("scheduled", at(1), at(2)), {}) == (None, date(2026, 3, 1))


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        (at(1), at(2), (1, 1)),  # daily at two
        (at(1, 0), at(2, 0), (1, 1)),  # daily at midnight
        (at(2), at(9), (2, 8)),  # weekly
        (at(1, 5), at(1, 6), (1, 1)),  # hourly
        (at(1, 23), at(2, 0), (1, 1)),  # the last hour of a day
    ],
)
def test_a_backfill_is_confined_to_the_days_that_begin_in_its_interval(
    start: datetime, end: datetime, days: tuple[int, int]
) -> None:
    first, last = (date(2026, 3, day) for day in days)
    assert find_days(of_interval("backfill", start, end), {}) == (first, last)


def test_neighbouring_backfills_share_no_day() -> None:
    runs = [of_interval("backfill", at(day), at(day + 1)) for day in range(1, 6)]
    assert [find_days(run, {}) for run in runs] == [(date(2026, 3, d), date(2026, 3, d)) for d in range(1, 6)]


def test_a_run_by_hand_is_confined_to_the_days_it_was_given() -> None:
    assert find_days(Run(), {"first_day": "2026-03-01", "last_day": None}) == (date(2026, 3, 1), None)


def test_days_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ContractError, match="before first_day"):
        find_days(Run(), {"first_day": "2026-03-02", "last_day": "2026-03-01"})


def test_a_word_is_no_day() -> None:
    with pytest.raises(ContractError, match="'monday' is no day"):
        find_days(Run(), {"first_day": "monday"})


def test_an_instant_is_read_as_it_was_written() -> None:
    assert instant(written(NOON)) == NOON
