"""Measurements of any relation: kinds of columns, newest rows, top users, examples of broken rows."""

import duckdb
import pytest

from tasks.sql import expressions as x
from tasks.validation import measurements as m
from tasks.validation.measurements import Measurement


@pytest.fixture
def engine(engine: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    return engine.execute(
        """CREATE TABLE log AS SELECT * FROM (VALUES
             ('r1', 'ana', 1, TIMESTAMPTZ '2026-03-01 00:00:00Z'),
             ('r2', 'ana', 2, TIMESTAMPTZ '2026-03-02 00:00:00Z'),
             ('r3', NULL, 3, NULL)) AS rows(request_id, user_id, price, happened_at)"""
    )


def test_a_frame_is_ordered_whatever_the_order_of_measurements() -> None:
    measured = [Measurement("rows", "b"), Measurement("rows", "a"), Measurement("nulls", "z")]
    assert m.frame_of(measured)["subject"].tolist() == ["z", "a", "b"]
    assert m.frame_of(reversed(measured)).equals(m.frame_of(measured))


def test_a_statistic_is_read_back_as_it_was_measured() -> None:
    one = Measurement("rows", "a", rows=3)
    assert m.measured(m.frame_of([one, Measurement("nulls", "a")]), "rows") == [one]


def test_kinds_of_columns_are_the_words_of_the_contracts(engine: duckdb.DuckDBPyConnection) -> None:
    columns = m.measure_columns(engine, "log", ["happened_at", "price", "user_id", "missing", "price"])
    assert [(one.subject, one.value) for one in columns] == [
        ("happened_at", "time with zone"),
        ("price", "integer"),
        ("user_id", "string"),
    ]


def test_the_newest_row_has_the_latest_instant(engine: duckdb.DuckDBPyConnection) -> None:
    (newest,) = m.measure_newest(engine, "log", "happened_at")
    assert newest.value == "2026-03-02T00:00:00+00:00"
    engine.execute("DELETE FROM log WHERE happened_at IS NOT NULL")
    assert m.measure_newest(engine, "log", "happened_at") == []


def test_the_top_user_is_named_and_rows_without_a_user_count_among_all(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    (top,) = m.measure_top_user(engine, "log")
    assert (top.value, top.rows, top.of) == ("ana", 2, 3)


def test_broken_rows_are_named_by_their_keys(engine: duckdb.DuckDBPyConnection) -> None:
    broken = x.gt(x.column("price"), x.integer(1))
    assert m.find_examples(engine, "log", broken, count=2, key=("request_id", "user_id")) == "r2/ana; r3/null"
