"""Connections of one process share a database, but for what a fork or an error would break."""

import multiprocessing

import duckdb
import pytest

from tasks.logs.connections import configure, connect


def test_the_views_of_a_connection_end_with_it() -> None:
    with connect() as first:
        first.execute("CREATE TEMP VIEW seen AS SELECT 1 AS one")
        with connect() as second, pytest.raises(duckdb.CatalogException):
            second.sql("SELECT * FROM seen")


def test_times_are_in_utc_and_python_variables_are_no_tables() -> None:
    rows = {"one": [1]}  # noqa: F841 - a table if DuckDB looked for one
    with connect("1GB") as connection:
        assert connection.sql("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
        with pytest.raises(duckdb.CatalogException):
            connection.sql("SELECT * FROM rows")


def test_no_bar_is_printed() -> None:
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = true")  # DuckDB's default where a process has no script
        configure(connection)
        shown = connection.sql("SELECT current_setting('enable_progress_bar')").fetchall()
    assert shown == [(False,)]


def test_after_an_error_the_next_connection_opens_another_database() -> None:
    with pytest.raises(duckdb.ParserException), connect() as failed:
        failed.execute("CREATE TABLE left_over AS SELECT 1 AS one; SELEC")
    with connect() as connection, pytest.raises(duckdb.CatalogException):
        connection.sql("SELECT * FROM left_over")


def _count() -> None:
    with connect() as connection:
        assert connection.sql("SELECT count(*) FROM range(1000000)").fetchall() == [(1_000_000,)]


def test_a_forked_process_opens_its_own_database() -> None:
    _count()
    child = multiprocessing.get_context("fork").Process(target=_count)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    _count()
