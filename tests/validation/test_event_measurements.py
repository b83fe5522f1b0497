"""Events are counted by name and day; clocks and items that disagree with the impressions are named."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import duckdb
import pytest

from tasks.validation.event_measurements import measure_events
from tasks.validation.measurements import Measurement
from tests.labels.engine import tasks

AS_OF = datetime(2026, 3, 3, tzinfo=UTC)
TASKS = tasks(
    click={"positive": {"event": "click", "within": "PT1H"}},
    hide={"family": "negative", "positive": {"event": "hide", "within": "PT12H"}, "maturity": "PT36H"},
    bounced={"family": "negative", "compose": {"all_of": ["click"], "none_of": ["hide"]}},
)
COLUMNS = ("event", "happened_at", "ingested_at", "request_id", "item_id", "user_id")


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """Two impressions of one request at noon; a click and a view five minutes later."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            """CREATE TABLE labels AS SELECT 'r1' AS request_id, item_id,
                 TIMESTAMPTZ '2026-03-01 12:00:00Z' AS shown_at, DATE '2026-03-01' AS ds
               FROM (VALUES ('i1'), ('i2')) AS items(item_id)"""
        )
        connection.execute("CREATE VIEW shown_items AS SELECT item_id FROM labels")
        connection.execute(
            """CREATE TABLE known_events (event VARCHAR, happened_at TIMESTAMPTZ, ingested_at TIMESTAMPTZ,
                 request_id VARCHAR, item_id VARCHAR, user_id VARCHAR)"""
        )
        add(connection, "click", "12:05", "12:06", "i1")
        add(connection, "view", "12:05", "12:06", "i2")
        yield connection


def add(
    engine: duckdb.DuckDBPyConnection, event: str, at: str, known: str, item: str, *, day: int = 1
) -> None:
    times = [f"2026-03-0{day} {time}:00Z" for time in (at, known)]
    engine.execute("INSERT INTO known_events VALUES (?, ?, ?, 'r1', ?, 'ana')", [event, *times, item])


def measure(engine: duckdb.DuckDBPyConnection, statistic: str) -> list[Measurement]:
    measured = measure_events(engine, COLUMNS, tasks=TASKS, as_of=AS_OF)
    return [one for one in measured if one.statistic == statistic]


def test_rows_are_counted_by_name_and_day_and_unknown_names_apart(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "click", "12:05", "12:06", "i2", day=2)
    days = [(one.subject, one.day, one.rows) for one in measure(engine, "rows")]
    assert days == [("click", date(2026, 3, 1), 1), ("click", date(2026, 3, 2), 1)]
    assert [one.subject for one in measure(engine, "unknown_name")] == ["view"]


def test_an_event_at_the_as_of_is_from_the_future(engine: duckdb.DuckDBPyConnection) -> None:
    assert measure(engine, "future")[0].rows == 0
    add(engine, "click", "00:00", "00:01", "i1", day=3)
    assert (measure(engine, "future")[0].rows, measure(engine, "future")[0].of) == (1, 3)


def test_an_event_before_its_impression_is_named_by_the_impressions_key(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    add(engine, "click", "11:59", "12:00", "i2")
    click, view = measure(engine, "before_impression")
    assert (click.subject, click.rows, click.of, click.examples) == ("click", 1, 2, "r1/i2")
    assert (view.subject, view.rows) == ("view", 0)


def test_an_event_that_arrived_before_it_happened_is_counted(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "click", "12:07", "12:06", "i1")
    (early,) = measure(engine, "ingested_before_happened")
    assert (early.subject, early.rows, early.of) == ("ingested_at", 1, 3)


def test_an_item_that_was_never_shown_is_named(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "click", "12:05", "12:06", "ghost")
    (strange,) = measure(engine, "item_never_shown")
    assert (strange.rows, strange.of, strange.examples) == (1, 3, "ghost")


def test_negative_events_are_counted_of_a_days_impressions_once_they_must_have_arrived(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    assert [(one.subject, one.value, one.rows, one.of) for one in measure(engine, "negatives")] == [
        ("hide", "hide", 0, 2)
    ]
    early = measure_events(engine, COLUMNS, tasks=TASKS, as_of=AS_OF - timedelta(seconds=1))
    assert not [one for one in early if one.statistic == "negatives"]


def test_a_composite_cost_of_events_that_everybody_makes_is_judged_by_its_labels_alone(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    assert {one.subject for one in measure(engine, "negatives")} == {"hide"}
