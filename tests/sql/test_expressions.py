"""Expressions run on DuckDB: what they mean, not how they are spelled."""

from datetime import UTC, date, datetime, timedelta, timezone

import duckdb
import pytest
from sqlglot import exp

from tasks.sql import expressions as x
from tasks.sql.expressions import fill, finite, for_dialect, ordered_sum, render, utc_day

AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)


def value_of(expression: exp.Expr) -> object:
    ((value,),) = duckdb.sql(render(exp.Select(expressions=[expression]))).fetchall()
    return value


@pytest.mark.parametrize(
    ("compare", "outcomes"),
    [
        (x.lt, (True, False, False)),
        (x.le, (True, True, False)),
        (x.eq, (False, True, False)),
        (x.ge, (False, True, True)),
        (x.gt, (False, False, True)),
    ],
)
def test_comparisons_are_those_of_their_names(compare: type, outcomes: tuple[bool, bool, bool]) -> None:
    assert tuple(value_of(compare(x.integer(n), x.integer(2))) for n in (1, 2, 3)) == outcomes


def test_conditions_keep_their_grouping_inside_each_other() -> None:
    yes, no = exp.true(), exp.false()
    assert value_of(x.all_of(x.any_of(yes, no), no.copy())) is False
    assert value_of(x.any_of(x.all_of(yes.copy(), no.copy()), yes.copy())) is True
    assert value_of(x.not_(x.any_of(yes.copy(), no.copy()))) is False


@pytest.mark.parametrize("number", [0.1, 1e300, -2.5, 1 / 3])
def test_a_double_reads_back_exactly(number: float) -> None:
    assert value_of(x.number(number)) == number


def test_an_instant_is_written_in_utc() -> None:
    there = AS_OF.astimezone(timezone(timedelta(hours=9)))
    assert x.instant(there) == x.instant(AS_OF)


def test_an_unknown_as_of_stays_a_parameter() -> None:
    assert x.instant(None).sql("duckdb") == "CAST($as_of AS TIMESTAMPTZ)"
    assert x.instant(None, minus=timedelta(hours=2)).sql("duckdb").endswith("- INTERVAL '2' HOUR")


def test_a_day_starts_at_midnight_utc() -> None:
    assert x.day_start(date(2026, 3, 2)) == x.instant(datetime(2026, 3, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    "duration", [timedelta(days=7), timedelta(minutes=30), timedelta(seconds=1), timedelta(microseconds=7)]
)
def test_an_interval_has_the_length_of_its_duration(duration: timedelta) -> None:
    assert value_of(x.interval(duration)) == duration


def test_names_are_quoted_and_words_are_literals() -> None:
    query = x.select([x.column("select")], x.table("from"), where=[x.one_of(x.column("a"), ["it's"])])
    assert query.sql() == """SELECT "select" FROM "from" WHERE "a" IN ('it''s')"""


def test_a_select_orders_limits_and_drops_what_is_equal() -> None:
    duckdb.sql("CREATE OR REPLACE TEMP TABLE numbers AS SELECT unnest([3, NULL, 1, 3, 2]) AS n")
    query = x.order_by(x.distinct(x.select([x.column("n")], x.table("numbers"))), [x.column("n")], limit=3)
    assert duckdb.sql(render(query)).fetchall() == [(None,), (1,), (2,)]
    x.order_by(query, [x.descending(x.column("n"))], limit=1)
    assert duckdb.sql(render(query)).fetchall() == [(3,)]


def test_a_left_join_keeps_rows_without_a_partner() -> None:
    duckdb.sql("CREATE OR REPLACE TEMP TABLE l AS SELECT unnest([1, 2]) AS k")
    duckdb.sql("CREATE OR REPLACE TEMP TABLE r AS SELECT 2 AS k, 'b' AS v")
    joins = [(x.table("r"), x.eq_columns(["k"], "l", "r"))]
    rows = {
        left: duckdb.sql(
            render(x.select([x.column("k", "l"), x.column("v", "r")], x.table("l"), joins=joins, left=left))
        ).fetchall()
        for left in (False, True)
    }
    assert rows[False] == [(2, "b")]
    assert sorted(rows[True]) == [(1, None), (2, "b")]


def test_windows_number_look_ahead_and_fold() -> None:
    duckdb.sql("CREATE OR REPLACE TEMP TABLE seen AS SELECT unnest([1, 2, 2, 5]) AS n")
    n, order = x.column("n"), x.ascending(x.column("n"))
    columns = [
        x.row_number([], [order]),
        x.lead(n, 2, [], order.copy()),
        x.over(exp.Count(this=exp.Star()), [], order.copy()),
    ]
    query = x.select(
        [x.alias(column, name) for column, name in zip(columns, "abc", strict=True)], x.table("seen")
    )
    rows = duckdb.sql(render(x.order_by(query, [x.column("a")]))).fetchall()
    assert rows == [(1, 2, 1), (2, 5, 3), (3, None, 3), (4, None, 4)]


def value_on(connection: duckdb.DuckDBPyConnection, expression: exp.Expr, rows: str) -> object:
    query = for_dialect(x.select([expression], x.table("t")), "duckdb")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE t AS {rows}")
    ((value,),) = connection.sql(query.sql("duckdb", identify=True)).fetchall()
    return value


@pytest.mark.parametrize("order", ["1e16, 1.0, -1e16, 1.0", "1.0, 1.0, 1e16, -1e16", "-1e16, 1e16, 1.0, 1.0"])
def test_a_sum_does_not_depend_on_the_order_of_the_rows(order: str) -> None:
    with duckdb.connect() as connection:
        total = value_on(connection, ordered_sum(x.column("v")), f"SELECT unnest([{order}])::DOUBLE AS v")
    assert total == ((-1e16 + 1.0) + 1.0) + 1e16


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_day_is_a_utc_day_in_any_session(zone: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{zone}'")
        day = value_on(
            connection, utc_day(x.column("at")), "SELECT '2026-03-02 23:30:00+00'::TIMESTAMPTZ AS at"
        )
    assert str(day) == "2026-03-02"


@pytest.mark.parametrize(("value", "number"), [("'NaN'::DOUBLE", None), ("2.5", 2.5), ("NULL", None)])
def test_nan_is_null(value: str, number: float | None) -> None:
    with duckdb.connect() as connection:
        assert value_on(connection, finite(x.column("v")), f"SELECT {value} AS v") == number


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
