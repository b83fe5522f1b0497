"""SQL expressions as sqlglot trees: names are quoted, values are literals.

sqlglot's own builders copy the whole tree at every step; these functions build each node once. ``fill``
inserts trees into DuckDB templates, ``render`` writes a tree in any dialect.

Examples
--------
>>> young = lt(column("age"), integer(30))
>>> select([alias(exp.Count(this=exp.Star()), "n")], table("users"), where=[young]).sql("duckdb")
'SELECT COUNT(*) AS "n" FROM "users" WHERE "age" < 30'
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from string import Template
from typing import Final

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

_PATTERN = re.compile(r"([*?[])")

AsOf = datetime | None
"""Instant of a build; None leaves a parameter ``as_of`` in the SQL."""

Join = tuple[exp.Expr, exp.Expr]
"""A table and its join condition."""


def name(text: str) -> exp.Identifier:
    """Return a quoted identifier."""
    return exp.to_identifier(text, quoted=True)


def column(text: str, table: str | None = None) -> exp.Column:
    """Return a quoted column, of a quoted table."""
    return exp.Column(this=name(text), table=name(table) if table else None)


def columns(names: Iterable[str], table: str | None = None) -> list[exp.Expr]:
    """Return each named column once, in order."""
    return [column(text, table) for text in dict.fromkeys(names)]


def table(text: str, alias: str | None = None) -> exp.Table:
    """Return a quoted table with a quoted alias."""
    return exp.Table(this=name(text), alias=exp.TableAlias(this=name(alias)) if alias else None)


def subquery(query: exp.Query, alias: str) -> exp.Subquery:
    """Return a query in parentheses with a quoted alias."""
    return exp.Subquery(this=query, alias=exp.TableAlias(this=name(alias)))


def alias(expression: exp.Expr, text: str) -> exp.Alias:
    """Return ``expression AS "text"``."""
    return exp.Alias(this=expression, alias=name(text))


def select(
    expressions: Sequence[exp.Expr],
    source: exp.Expr,
    *,
    joins: Sequence[Join] = (),
    left: bool = False,
    where: Sequence[exp.Expr] = (),
    group: Sequence[exp.Expr] = (),
) -> exp.Select:
    """Return a SELECT; ``left`` makes the joins left joins, ``where`` conditions are joined by AND."""
    side = "LEFT" if left else None
    return exp.Select(
        expressions=list(expressions),
        from_=exp.From(this=source),
        joins=[exp.Join(this=joined, on=on, side=side) for joined, on in joins],
        where=exp.Where(this=all_of(*where)) if where else None,
        group=exp.Group(expressions=list(group)) if group else None,
    )


def distinct(query: exp.Select) -> exp.Select:
    """Turn a query into ``SELECT DISTINCT``, in place."""
    query.set("distinct", exp.Distinct())
    return query


def order_by(query: exp.Select, keys: Iterable[exp.Expr], *, limit: int | None = None) -> exp.Select:
    """Add ``ORDER BY`` and ``LIMIT`` to a query, in place; a key without a direction is ascending."""
    ordered = [key if isinstance(key, exp.Ordered) else ascending(key) for key in keys]
    query.set("order", exp.Order(expressions=ordered))
    if limit is not None:
        query.set("limit", exp.Limit(expression=integer(limit)))
    return query


def with_relations(query: exp.Select, relations: Iterable[tuple[str, exp.Query]]) -> exp.Select:
    """Prepend ``WITH "name" AS (...)`` to a query, in place."""
    tables = [exp.CTE(this=inner, alias=exp.TableAlias(this=name(text))) for text, inner in relations]
    query.set("with_", exp.With(expressions=tables))
    return query


def all_of(*conditions: exp.Expr) -> exp.Expr:
    """Join conditions by AND."""
    this, *rest = (exp.Paren(this=c) if isinstance(c, exp.Or) else c for c in conditions)
    for condition in rest:
        this = exp.And(this=this, expression=condition)
    return this


def any_of(*conditions: exp.Expr) -> exp.Expr:
    """Join conditions by OR."""
    this, *rest = (exp.Paren(this=c) if isinstance(c, exp.And) else c for c in conditions)
    for condition in rest:
        this = exp.Or(this=this, expression=condition)
    return this


def not_(condition: exp.Expr) -> exp.Expr:
    """Return ``NOT condition``."""
    return exp.Not(this=exp.Paren(this=condition) if isinstance(condition, exp.Connector) else condition)


def eq(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Return ``left = right``."""
    return exp.EQ(this=left, expression=right)


def lt(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Return ``left < right``."""
    return exp.LT(this=left, expression=right)


def le(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Return ``left <= right``."""
    return exp.LTE(this=left, expression=right)


def ge(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Return ``left >= right``."""
    return exp.GTE(this=left, expression=right)


def gt(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Return ``left > right``."""
    return exp.GT(this=left, expression=right)


def eq_columns(names: Iterable[str], left: str, right: str) -> exp.Expr:
    """Return the equality of the named columns of two tables; a null equals nothing.

    Examples
    --------
    >>> eq_columns(["user", "item"], "a", "b").sql()
    '"a"."user" = "b"."user" AND "a"."item" = "b"."item"'
    """
    return all_of(*(eq(column(n, left), column(n, right)) for n in names))


def is_null(expression: exp.Expr) -> exp.Expr:
    """Return ``expression IS NULL``."""
    return exp.Is(this=expression, expression=exp.Null())


def not_null(expression: exp.Expr) -> exp.Expr:
    """Return ``NOT expression IS NULL``."""
    return exp.Not(this=is_null(expression))


def one_of(expression: exp.Expr, words: Iterable[str]) -> exp.Expr:
    """Return ``expression IN ('a', 'b')``."""
    return exp.In(this=expression, expressions=[exp.Literal.string(word) for word in words])


def exists(source: exp.Expr, condition: exp.Expr) -> exp.Expr:
    """Return ``EXISTS (SELECT 1 FROM source WHERE condition)``."""
    return exp.Exists(this=select([integer(1)], source, where=[condition]))


def when(condition: exp.Expr, then: exp.Expr, otherwise: exp.Expr | None = None) -> exp.Case:
    """Return ``CASE WHEN condition THEN then [ELSE otherwise] END``."""
    return case([(condition, then)], otherwise)


def case(branches: Iterable[tuple[exp.Expr, exp.Expr]], otherwise: exp.Expr | None = None) -> exp.Case:
    """Return ``CASE WHEN ... THEN ... [WHEN ...] [ELSE otherwise] END``."""
    return exp.Case(ifs=[exp.If(this=test, true=then) for test, then in branches], default=otherwise)


def coalesce(*expressions: exp.Expr) -> exp.Expr:
    """Return the first non-null expression."""
    first, *rest = expressions
    return exp.Coalesce(this=first, expressions=rest)


def over(
    fold: exp.Expr, partition: Sequence[exp.Expr], order: exp.Expr, *, back: timedelta | None = None
) -> exp.Window:
    """Return ``fold OVER (PARTITION BY ... ORDER BY ... RANGE ...)``.

    The frame contains all rows up to the current one, or those within the duration ``back`` before it. Rows
    of the same instant are in each other's frames.
    """
    start = "UNBOUNDED" if back is None else interval(back)
    spec = exp.WindowSpec(kind="RANGE", start=start, start_side="PRECEDING", end="CURRENT ROW")
    return exp.Window(
        this=fold, partition_by=list(partition), order=exp.Order(expressions=[order]), spec=spec
    )


def lead(expression: exp.Expr, rows: int, partition: Sequence[exp.Expr], order: exp.Expr) -> exp.Window:
    """Return ``LEAD(expression, rows) OVER (PARTITION BY ... ORDER BY ...)``."""
    ahead = exp.Lead(this=expression, offset=integer(rows))
    return exp.Window(this=ahead, partition_by=list(partition), order=exp.Order(expressions=[order]))


def row_number(partition: Sequence[exp.Expr], order: Sequence[exp.Expr]) -> exp.Window:
    """Return ``ROW_NUMBER() OVER (PARTITION BY ... ORDER BY ...)``."""
    return exp.Window(
        this=exp.RowNumber(), partition_by=list(partition), order=exp.Order(expressions=list(order))
    )


def ascending(expression: exp.Expr) -> exp.Ordered:
    """Return an ascending sort key, nulls first."""
    return exp.Ordered(this=expression, desc=False, nulls_first=True)


def descending(expression: exp.Expr) -> exp.Ordered:
    """Return a descending sort key, nulls last."""
    return exp.Ordered(this=expression, desc=True, nulls_first=False)


def call(function: str, *arguments: exp.Expr) -> exp.Expr:
    """Return a call of an engine's function."""
    return exp.Anonymous(this=function, expressions=list(arguments))


def text(value: object) -> exp.Expr:
    """Return a string literal."""
    return exp.Literal.string(str(value))


def file_names(paths: Iterable[object]) -> exp.Expr:
    """Return a list of exact file names, escaped because DuckDB interprets names as patterns.

    Examples
    --------
    >>> file_names(["logs/[01].parquet"]).sql()
    "ARRAY('logs/[[]01].parquet')"
    """
    return exp.Array(expressions=[text(_PATTERN.sub(r"[\1]", str(path))) for path in paths])


def cast(expression: exp.Expr, to: str) -> exp.Cast:
    """Return ``CAST(expression AS to)``."""
    return exp.Cast(this=expression, to=_type(to).copy())


@cache
def _type(name: str) -> exp.DataType:
    return exp.DataType.build(name)


TIMES: Final = ("TIMESTAMP", "TIMESTAMPTZ")
"""DuckDB's microsecond types that also have a nanosecond version."""


def round_down(instant: exp.Expr, to: str) -> exp.Expr:
    r"""Return a time in nanoseconds as DuckDB's type of microseconds, rounded down.

    A cast rounds to nearest, so the last nanosecond of a day would move to the next day. DATE_TRUNC rounds
    the same way for times without a zone.

    Examples
    --------
    >>> round_down(column("at"), "TIMESTAMPTZ").sql("duckdb")
    'DATE_TRUNC(\'microsecond\', CAST("at" AS TIMESTAMPTZ_NS))'
    """
    fine = exp.Cast(this=instant, to=exp.DataType.build(f"{to}_NS", udt=True))
    if to == "TIMESTAMPTZ":
        return call("DATE_TRUNC", text("microsecond"), fine)
    return call("MAKE_TIMESTAMP", call("EPOCH_US", fine))


def integer(value: int) -> exp.Expr:
    """Return a number literal."""
    return exp.Literal.number(value)


def number(value: float) -> exp.Expr:
    """Return a double that reads back to exactly this value.

    Examples
    --------
    >>> number(0.1).sql()
    "CAST('0.1' AS DOUBLE)"
    """
    return cast(exp.Literal.string(repr(value)), "DOUBLE")


def instant(as_of: AsOf, *, minus: timedelta = timedelta(), parameter: str = "as_of") -> exp.Expr:
    """Return an instant minus a duration: one literal for a known instant, else a parameter.

    Examples
    --------
    >>> instant(datetime(2026, 3, 2, 1, tzinfo=UTC), minus=timedelta(hours=1)).sql()
    "CAST('2026-03-02 00:00:00+00:00' AS TIMESTAMPTZ)"
    """
    if as_of is not None:
        text = (as_of.astimezone(UTC) - minus).isoformat(sep=" ")
        return cast(exp.Literal.string(text), "TIMESTAMPTZ")
    placeholder = cast(exp.Placeholder(this=parameter), "TIMESTAMPTZ")
    return exp.Sub(this=placeholder, expression=interval(minus)) if minus else placeholder


def day_start(day: date) -> exp.Expr:
    """Return the first instant of a UTC day."""
    return instant(datetime.combine(day, time(), UTC))


def interval(duration: timedelta) -> exp.Interval:
    """Return an interval in hours or a smaller unit, whose length does not depend on the zone as days do.

    Examples
    --------
    >>> interval(timedelta(days=7)).sql(), interval(timedelta(seconds=90)).sql()
    ("INTERVAL '168' HOUR", "INTERVAL '90' SECOND")
    """
    units = ("hours", "minutes", "seconds", "microseconds")
    unit, length = next((u, timedelta(**{u: 1})) for u in units if not duration % timedelta(**{u: 1}))
    return exp.Interval(this=text(duration // length), unit=exp.var(unit[:-1].upper()))


_ORDERED_SUM, _UTC_DAY = "ORDERED_SUM", "UTC_DAY"
_NAN_EQUALS_NAN = {"postgres", "snowflake"}
Part = exp.Expr | Sequence[exp.Expr]


def finite(value: exp.Expr) -> exp.Expr:
    """Return a value as a double, with NaN replaced by null."""
    double = cast(value, "DOUBLE")
    return when(not_(exp.IsNan(this=double)), double.copy())


def ordered_sum(value: exp.Expr) -> exp.Expr:
    """Return the sum of a group's values, added in ascending order."""
    return exp.Anonymous(this=_ORDERED_SUM, expressions=[value])


def utc_day(instant: exp.Expr) -> exp.Expr:
    """Return the UTC day of an instant, in DuckDB whatever the session's zone."""
    return exp.Anonymous(this=_UTC_DAY, expressions=[instant])


def for_dialect(query: exp.Expr, dialect: str) -> exp.Expr:
    """Return a query with this module's expressions in the dialect's form."""
    return query.transform(lambda node: _as_dialect_has(node, dialect))


def _as_dialect_has(node: exp.Expr, dialect: str) -> exp.Expr:
    if isinstance(node, exp.IsNan) and dialect in _NAN_EQUALS_NAN:
        return eq(node.this, cast(exp.Literal.string("NaN"), "DOUBLE"))
    if isinstance(node, exp.Anonymous) and node.this == _ORDERED_SUM:
        return _ordered_sum(node.expressions[0], dialect)
    if isinstance(node, exp.Anonymous) and node.this == _UTC_DAY:
        return cast(_utc(node.expressions[0], dialect), "DATE")
    return node


def _utc(instant: exp.Expr, dialect: str) -> exp.Expr:
    return call("MAKE_TIMESTAMP", call("EPOCH_US", instant)) if dialect == "duckdb" else instant


def _ordered_sum(value: exp.Expr, dialect: str) -> exp.Expr:
    if dialect == "duckdb":
        ordered = exp.Order(this=value, expressions=[ascending(value.copy())])
        return exp.Anonymous(this="LIST_SUM", expressions=[exp.ArrayAgg(this=ordered)])
    if dialect == "spark":
        values = exp.Anonymous(this="COLLECT_LIST", expressions=[value])
        smallest_first = exp.Anonymous(this="ARRAY_SORT", expressions=[values])
        total, following = exp.to_identifier("total"), exp.to_identifier("following")
        add = exp.Lambda(
            this=exp.Add(this=exp.Column(this=total), expression=exp.Column(this=following)),
            expressions=[total.copy(), following.copy()],
        )
        zero = cast(integer(0), "DOUBLE")
        return exp.Anonymous(this="AGGREGATE", expressions=[smallest_first, zero, add])
    if dialect == "postgres":
        return exp.Sum(this=exp.Order(this=value, expressions=[ascending(value.copy())]))
    return exp.Sum(this=value)


def fill(template: str, **parts: Part) -> str:
    """Return a template with its ``$names`` replaced by expressions or lists of them."""
    return Template(template).substitute({name: _sql(part) for name, part in parts.items()})


def _sql(part: Part) -> str:
    if isinstance(part, exp.Expr):
        return for_dialect(part, "duckdb").sql(dialect=DuckDB, identify=True, copy=False)
    return ", ".join(_sql(one) for one in part)


def render(query: exp.Expr, dialect: str = "duckdb") -> str:
    """Return a query as text in a dialect, with every name quoted."""
    return for_dialect(query, dialect).sql(dialect=dialect, identify=True, pretty=True)
