"""SQL templates of DuckDB filled with sqlglot expressions, so that every name is quoted; and their dialects.

Three expressions are written differently by each dialect. ``finite`` is null for NaN. ``ordered_sum`` adds
from the smallest value to the greatest, since adding doubles in another order changes the last bit.
``utc_day`` computes the day of an instant from its microseconds: DuckDB's own cast consults a calendar for
each row.

Examples
--------
>>> from tasks.sql import expressions as x
>>> fill("SELECT count(*) FROM $table WHERE $no_id", table=x.table("log"), no_id=x.is_null(x.column("id")))
'SELECT count(*) FROM "log" WHERE "id" IS NULL'
>>> for_dialect(utc_day(x.column("at")), "duckdb").sql("duckdb")
'CAST(MAKE_TIMESTAMP(EPOCH_US("at")) AS DATE)'
>>> for_dialect(ordered_sum(x.column("v")), "postgres").sql("postgres")
'SUM("v" ORDER BY "v" ASC NULLS FIRST)'
"""

from collections.abc import Sequence
from string import Template

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

from tasks.sql import expressions as x

_ORDERED_SUM, _UTC_DAY = "ORDERED_SUM", "UTC_DAY"
_NAN_EQUALS_NAN = {"postgres", "snowflake"}
Part = exp.Expr | Sequence[exp.Expr]


def finite(value: exp.Expr) -> exp.Expr:
    """Return a value as a double, null where it is NaN."""
    double = x.cast(value, "DOUBLE")
    return x.when(x.not_(exp.IsNan(this=double)), double.copy())


def ordered_sum(value: exp.Expr) -> exp.Expr:
    """Return the sum of a group's values, added from the smallest to the greatest."""
    return exp.Anonymous(this=_ORDERED_SUM, expressions=[value])


def utc_day(instant: exp.Expr) -> exp.Expr:
    """Return the day of an instant in UTC; on DuckDB whatever the session's zone is."""
    return exp.Anonymous(this=_UTC_DAY, expressions=[instant])


def for_dialect(query: exp.Expr, dialect: str) -> exp.Expr:
    """Return a query with the expressions of this module as the dialect writes them."""
    return query.transform(lambda node: _as_dialect_has(node, dialect))


def _as_dialect_has(node: exp.Expr, dialect: str) -> exp.Expr:
    if isinstance(node, exp.IsNan) and dialect in _NAN_EQUALS_NAN:
        return x.eq(node.this, x.cast(exp.Literal.string("NaN"), "DOUBLE"))
    if isinstance(node, exp.Anonymous) and node.this == _ORDERED_SUM:
        return _ordered_sum(node.expressions[0], dialect)
    if isinstance(node, exp.Anonymous) and node.this == _UTC_DAY:
        return x.cast(_utc(node.expressions[0], dialect), "DATE")
    return node


def _utc(instant: exp.Expr, dialect: str) -> exp.Expr:
    return x.call("MAKE_TIMESTAMP", x.call("EPOCH_US", instant)) if dialect == "duckdb" else instant


def _ordered_sum(value: exp.Expr, dialect: str) -> exp.Expr:
    if dialect == "duckdb":
        ordered = exp.Order(this=value, expressions=[x.ascending(value.copy())])
        return exp.Anonymous(this="LIST_SUM", expressions=[exp.ArrayAgg(this=ordered)])
    if dialect == "spark":
        values = exp.Anonymous(this="COLLECT_LIST", expressions=[value])
        smallest_first = exp.Anonymous(this="ARRAY_SORT", expressions=[values])
        total, following = exp.to_identifier("total"), exp.to_identifier("following")
        add = exp.Lambda(
            this=exp.Add(this=exp.Column(this=total), expression=exp.Column(this=following)),
            expressions=[total.copy(), following.copy()],
        )
        zero = x.cast(x.integer(0), "DOUBLE")
        return exp.Anonymous(this="AGGREGATE", expressions=[smallest_first, zero, add])
    if dialect == "postgres":
        return exp.Sum(this=exp.Order(this=value, expressions=[x.ascending(value.copy())]))
    return exp.Sum(this=value)


def fill(template: str, **parts: Part) -> str:
    """Return a template with expressions, or lists of them, in place of its ``$names``."""
    return Template(template).substitute({name: _sql(part) for name, part in parts.items()})


def _sql(part: Part) -> str:
    if isinstance(part, exp.Expr):
        return for_dialect(part, "duckdb").sql(dialect=DuckDB, identify=True, copy=False)
    return ", ".join(_sql(one) for one in part)


def render(query: exp.Expr, dialect: str = "duckdb") -> str:
    """Return a query as text of a dialect, every name quoted."""
    return for_dialect(query, dialect).sql(dialect=dialect, identify=True, pretty=True)
