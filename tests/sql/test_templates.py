"""Templates: expressions and lists of them, quoted and written for DuckDB."""

import duckdb
import pytest
from sqlglot import exp

from tasks.sql import expressions as x
from tasks.sql.templates import fill, finite, for_dialect, ordered_sum, render, utc_day


def value_of(connection: duckdb.DuckDBPyConnection, expression: exp.Expr, rows: str) -> object:
    query = for_dialect(x.select([expression], x.table("t")), "duckdb")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE t AS {rows}")
    ((value,),) = connection.sql(query.sql("duckdb", identify=True)).fetchall()
    return value


@pytest.mark.parametrize("order", ["1e16, 1.0, -1e16, 1.0", "1.0, 1.0, 1e16, -1e16", "-1e16, 1e16, 1.0, 1.0"])
def test_a_sum_does_not_depend_on_the_order_of_the_rows(order: str) -> None:
    with duckdb.connect() as connection:
        total = value_of(connection, ordered_sum(x.column("v")), f"SELECT unnest([{order}])::DOUBLE AS v")
    assert total == ((-1e16 + 1.0) + 1.0) + 1e16


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_day_is_a_utc_day_in_any_session(zone: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{zone}'")
        day = value_of(
            connection, utc_day(x.column("at")), "SELECT '2026-03-02 23:30:00+00'::TIMESTAMPTZ AS at"
        )
    assert str(day) == "2026-03-02"


@pytest.mark.parametrize(("value", "number"), [("'NaN'::DOUBLE", None), ("2.5", 2.5), ("NULL", None)])
def test_nan_is_null(value: str, number: float | None) -> None:
    with duckdb.connect() as connection:
        assert value_of(connection, finite(x.column("v")), f"SELECT {value} AS v") == number


def test_a_dialect_whose_nan_equals_itself_compares_with_it() -> None:
    sql = for_dialect(finite(x.column("v")), "postgres").sql("postgres")
    assert "= CAST('NaN' AS DOUBLE PRECISION)" in sql


def test_spark_sorts_an_array_and_the_rest_sum_as_they_can() -> None:
    written = {d: for_dialect(ordered_sum(x.column("v")), d).sql(d) for d in ("spark", "bigquery")}
    assert "ARRAY_SORT(COLLECT_LIST(" in written["spark"]
    assert written["bigquery"] == "SUM(`v`)"


def test_a_list_of_expressions_is_separated_by_commas() -> None:
    assert fill("SELECT $names FROM t", names=x.columns(["a", 'b"c'])) == 'SELECT "a", "b""c" FROM t'


def test_a_part_of_the_template_that_is_not_given_is_an_error() -> None:
    with pytest.raises(KeyError, match="table"):
        fill("SELECT 1 FROM $table")


def test_expressions_are_written_for_the_dialect() -> None:
    query = x.select([utc_day(x.column("at"))], x.table("t"))
    assert fill("$query", query=query) == 'SELECT CAST(MAKE_TIMESTAMP(EPOCH_US("at")) AS DATE) FROM "t"'
    assert render(query, "spark").split() == ["SELECT", "CAST(`at`", "AS", "DATE)", "FROM", "`t`"]
