"""Keys and times of impressions, counted where the rows are; nulls and rows by day."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from tasks.validation.impression_measurements import measure_impressions
from tasks.validation.measurements import Measurement

AS_OF = datetime(2026, 3, 10, tzinfo=UTC)
MATURE = AS_OF - timedelta(days=9)


def register(engine: duckdb.DuckDBPyConnection, **changed: list[Any]) -> None:
    """Two impressions of one day; ``changed`` replaces what a test breaks."""
    columns = {
        "request_id": ["r1", "r2"],
        "item_id": ["i1", "i1"],
        "user_id": ["u1", "u2"],
        "shown_at": [MATURE, MATURE],
        "ds": [MATURE.date(), MATURE.date()],
        **changed,
    }
    times = pa.array(columns["shown_at"], pa.timestamp("us", "UTC"))
    engine.register("labels", pa.table({**columns, "shown_at": times}))


def keys(engine: duckdb.DuckDBPyConnection, **changed: list[Any]) -> Measurement:
    register(engine, **changed)
    (found,) = (
        m for m in measure_impressions(engine, ["user_id"], as_of=AS_OF) if m.statistic == "repeated_key"
    )
    return found


def test_rows_and_nulls_are_counted_by_day(engine: duckdb.DuckDBPyConnection) -> None:
    register(engine, user_id=["u1", None])
    measured = measure_impressions(engine, ["user_id"], as_of=AS_OF)
    assert Measurement("rows", "impressions", day=MATURE.date(), rows=2) in measured
    assert Measurement("nulls", "user_id", "", MATURE.date(), 1, 2) in measured


def test_keys_of_their_own_are_sound(engine: duckdb.DuckDBPyConnection) -> None:
    assert (keys(engine).rows, keys(engine).of) == (0, 2)


def test_a_repeated_key_counts_each_of_its_rows(engine: duckdb.DuckDBPyConnection) -> None:
    found = keys(engine, request_id=["r1", "r1"])
    assert (found.rows, found.examples) == (2, "r1/i1")


def test_a_key_with_a_null_is_found(engine: duckdb.DuckDBPyConnection) -> None:
    found = keys(engine, request_id=["r1", None])
    assert (found.rows, found.examples) == (1, "null/i1")


def test_an_impression_from_the_future_is_found(engine: duckdb.DuckDBPyConnection) -> None:
    register(engine, shown_at=[MATURE, AS_OF])
    (found,) = (m for m in measure_impressions(engine, [], as_of=AS_OF) if m.statistic == "future")
    assert (found.rows, found.examples) == (1, "r2/i1")
