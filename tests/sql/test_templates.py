"""Templates: expressions and lists of them, quoted and written for DuckDB."""

import pytest

from tasks.sql import expressions as x
from tasks.sql.dialects import utc_day
from tasks.sql.templates import fill, render


def test_a_list_of_expressions_is_separated_by_commas() -> None:
    assert fill("SELECT $names FROM t", names=x.columns(["a", 'b"c'])) == 'SELECT "a", "b""c" FROM t'


def test_a_part_of_the_template_that_is_not_given_is_an_error() -> None:
    with pytest.raises(KeyError, match="table"):
        fill("SELECT 1 FROM $table")


def test_expressions_are_written_for_the_dialect() -> None:
    query = x.select([utc_day(x.column("at"))], x.table("t"))
    assert fill("$query", query=query) == 'SELECT CAST(MAKE_TIMESTAMP(EPOCH_US("at")) AS DATE) FROM "t"'
    assert render(query, "spark").split() == ["SELECT", "CAST(`at`", "AS", "DATE)", "FROM", "`t`"]
