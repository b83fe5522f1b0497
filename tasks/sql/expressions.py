"""The SQL expressions that labels are made of, as sqlglot trees: names are quoted, values are literals.

sqlglot's own builders copy the whole tree at every step; these put nodes together once.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from sqlglot import exp

AsOf = datetime | None
"""The instant of a build; None leaves a parameter ``as_of`` in the SQL."""

Join = tuple[exp.Expr, exp.Expr]
"""A table and the condition that it is joined on."""


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
    """Return a quoted table, under a quoted alias."""
    return exp.Table(this=name(text), alias=exp.TableAlias(this=name(alias)) if alias else None)


def subquery(query: exp.Query, alias: str) -> exp.Subquery:
    """Return a query in brackets, under a quoted alias."""
    return exp.Subquery(this=query, alias=exp.TableAlias(this=name(alias)))


def named(expression: exp.Expr, alias: str) -> exp.Alias:
    """Return ``expression AS "alias"``."""
    return exp.Alias(this=expression, alias=name(alias))


def select(
    expressions: Sequence[exp.Expr],
    source: exp.Expr,
    *,
    joins: Sequence[Join] = (),
    left: bool = False,
    where: Sequence[exp.Expr] = (),
    group: Sequence[exp.Expr] = (),
    having: exp.Expr | None = None,
    distinct: bool = False,
) -> exp.Select:
    """Put a SELECT together; ``left`` makes its joins left joins."""
    side = "LEFT" if left else None
    return exp.Select(
        expressions=list(expressions),
        from_=exp.From(this=source),
        joins=[exp.Join(this=joined, on=on, side=side) for joined, on in joins],
        where=exp.Where(this=all_of(*where)) if where else None,
        group=exp.Group(expressions=list(group)) if group else None,
        having=exp.Having(this=having) if having else None,
        distinct=exp.Distinct() if distinct else None,
    )


def with_relations(query: exp.Select, relations: Iterable[tuple[str, exp.Query]]) -> exp.Select:
    """Put ``WITH "name" AS (...)`` before a query."""
    named = [exp.CTE(this=inner, alias=exp.TableAlias(this=name(text))) for text, inner in relations]
    query.set("with_", exp.With(expressions=named))
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


def negated(condition: exp.Expr) -> exp.Expr:
    """Return ``NOT condition``."""
    return exp.Not(this=exp.Paren(this=condition) if isinstance(condition, exp.Connector) else condition)


def same(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Return ``left = right``."""
    return exp.EQ(this=left, expression=right)


def before(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Return ``left < right``."""
    return exp.LT(this=left, expression=right)


def until(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Return ``left <= right``."""
    return exp.LTE(this=left, expression=right)


def from_on(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Return ``left >= right``."""
    return exp.GTE(this=left, expression=right)


def after(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Return ``left > right``."""
    return exp.GT(this=left, expression=right)


def equal(names: Iterable[str], left: str, right: str) -> exp.Expr:
    """Return the equality of the named columns of two tables; nulls equal nothing."""
    return all_of(*(same(column(n, left), column(n, right)) for n in names))


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
    """Return the first that is not null."""
    first, *rest = expressions
    return exp.Coalesce(this=first, expressions=rest)


def over(
    fold: exp.Expr, partition: Sequence[exp.Expr], order: exp.Expr, *, back: timedelta | None = None
) -> exp.Window:
    """Return ``fold OVER (PARTITION BY ... ORDER BY ...)``: over all rows so far, or those some time back.

    Rows of one instant are seen together.
    """
    start = "UNBOUNDED" if back is None else span(back)
    spec = exp.WindowSpec(kind="RANGE", start=start, start_side="PRECEDING", end="CURRENT ROW")
    return exp.Window(
        this=fold, partition_by=list(partition), order=exp.Order(expressions=[order]), spec=spec
    )


def ahead(expression: exp.Expr, rows: int, partition: Sequence[exp.Expr], order: exp.Expr) -> exp.Window:
    """Return ``LEAD(expression, rows) OVER (PARTITION BY ... ORDER BY ...)``."""
    lead = exp.Lead(this=expression, offset=integer(rows))
    return exp.Window(this=lead, partition_by=list(partition), order=exp.Order(expressions=[order]))


def place(partition: Sequence[exp.Expr], order: Sequence[exp.Expr]) -> exp.Window:
    """Return ``ROW_NUMBER() OVER (PARTITION BY ... ORDER BY ...)``."""
    return exp.Window(
        this=exp.RowNumber(), partition_by=list(partition), order=exp.Order(expressions=list(order))
    )


def ascending(expression: exp.Expr) -> exp.Ordered:
    """Order from the least, a null before anything."""
    return exp.Ordered(this=expression, desc=False, nulls_first=True)


def descending(expression: exp.Expr) -> exp.Ordered:
    """Order from the greatest, a null after anything."""
    return exp.Ordered(this=expression, desc=True, nulls_first=False)


def call(function: str, *arguments: exp.Expr) -> exp.Expr:
    """Return a call of a function of the engine's own."""
    return exp.Anonymous(this=function, expressions=list(arguments))


def text(value: object) -> exp.Expr:
    """Return a string literal."""
    return exp.Literal.string(str(value))


def texts(values: Iterable[object]) -> exp.Expr:
    """Return a list of string literals."""
    return exp.Array(expressions=[text(value) for value in values])


def cast(expression: exp.Expr, to: str) -> exp.Cast:
    """Return ``CAST(expression AS to)``."""
    return exp.Cast(this=expression, to=_type(to).copy())


@cache
def _type(name: str) -> exp.DataType:
    return exp.DataType.build(name)


def integer(value: int) -> exp.Expr:
    """Return a number literal."""
    return exp.Literal.number(value)


def number(value: float) -> exp.Expr:
    """Return a double that reads back to exactly this value."""
    return cast(exp.Literal.string(repr(value)), "DOUBLE")


def instant(as_of: AsOf, *, minus: timedelta = timedelta()) -> exp.Expr:
    """Return the as-of less a duration: folded to one literal where the as-of is known."""
    if as_of is not None:
        text = (as_of.astimezone(UTC) - minus).isoformat(sep=" ")
        return cast(exp.Literal.string(text), "TIMESTAMPTZ")
    parameter = cast(exp.Placeholder(this="as_of"), "TIMESTAMPTZ")
    return exp.Sub(this=parameter, expression=span(minus)) if minus else parameter


def day_start(day: date) -> exp.Expr:
    """Return the first instant of a UTC day."""
    return instant(datetime.combine(day, time(), UTC))


def span(duration: timedelta) -> exp.Interval:
    """Return an interval in hours or a smaller unit: those have one length in every zone, days do not."""
    units = (("HOUR", timedelta(hours=1)), ("MINUTE", timedelta(minutes=1)), ("SECOND", timedelta(seconds=1)))
    for unit, length in units:
        if not duration % length:
            return _interval(duration // length, unit)
    return _interval(duration // timedelta(microseconds=1), "MICROSECOND")


def _interval(count: int, unit: str) -> exp.Interval:
    return exp.Interval(this=exp.Literal.string(str(count)), unit=exp.var(unit))
