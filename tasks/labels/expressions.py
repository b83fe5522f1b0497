"""The SQL expressions that labels are made of, as sqlglot trees: names are quoted, values are literals."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta

from sqlglot import exp

AsOf = datetime | None
"""The instant of a build; None leaves a parameter ``as_of`` in the SQL."""


def name(text: str) -> exp.Identifier:
    """Return a quoted identifier."""
    return exp.to_identifier(text, quoted=True)


def column(text: str, table: str | None = None) -> exp.Column:
    """Return a quoted column, of a quoted table."""
    return exp.column(name(text), table=name(table) if table else None)


def columns(names: Iterable[str], table: str | None = None) -> list[exp.Expr]:
    """Return each named column once, in order."""
    return [column(text, table) for text in dict.fromkeys(names)]


def table(text: str, alias: str | None = None) -> exp.Table:
    """Return a quoted table, under a quoted alias."""
    return exp.table_(name(text), alias=name(alias) if alias else None)


def named(expression: exp.Expr, alias: str) -> exp.Alias:
    """Return ``expression AS "alias"``."""
    return exp.Alias(this=expression, alias=name(alias))


def instant(as_of: AsOf, *, minus: timedelta = timedelta()) -> exp.Expr:
    """Return the as-of less a duration: folded to one literal where the as-of is known."""
    if as_of is not None:
        text = (as_of.astimezone(UTC) - minus).isoformat(sep=" ")
        return exp.cast(exp.Literal.string(text), "TIMESTAMPTZ")
    parameter = exp.cast(exp.Placeholder(this="as_of"), "TIMESTAMPTZ")
    return exp.Sub(this=parameter, expression=span(minus)) if minus else parameter


def span(duration: timedelta) -> exp.Interval:
    """Return an interval in hours, minutes or seconds: those have one length in every zone, days do not."""
    seconds = int(duration.total_seconds())
    for unit, length in (("HOUR", 3600), ("MINUTE", 60)):
        if seconds % length == 0:
            return _interval(seconds // length, unit)
    return _interval(seconds, "SECOND")


def _interval(count: int, unit: str) -> exp.Interval:
    return exp.Interval(this=exp.Literal.string(str(count)), unit=exp.var(unit))


def one_of(expression: exp.Expr, words: Iterable[str]) -> exp.Expr:
    """Return ``expression IN ('a', 'b')``."""
    return exp.In(this=expression, expressions=[exp.Literal.string(word) for word in words])


def is_null(expression: exp.Expr) -> exp.Expr:
    """Return ``expression IS NULL``."""
    return exp.Is(this=expression, expression=exp.Null())


def not_null(expression: exp.Expr) -> exp.Expr:
    """Return ``NOT expression IS NULL``."""
    return exp.not_(is_null(expression))


def equal(names: Iterable[str], left: str, right: str) -> exp.Expr:
    """Return the equality of the named columns of two tables; nulls equal nothing."""
    return exp.and_(*(column(n, left).eq(column(n, right)) for n in names), wrap=False)


def when(condition: exp.Expr, then: exp.Expr, otherwise: exp.Expr | None = None) -> exp.Case:
    """Return ``CASE WHEN condition THEN then [ELSE otherwise] END``."""
    case = exp.Case().when(condition, then)
    return case.else_(otherwise) if otherwise is not None else case


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


def integer(value: int) -> exp.Expr:
    """Return a number literal."""
    return exp.Literal.number(value)


def number(value: float) -> exp.Expr:
    """Return a double that reads back to exactly this value."""
    return exp.cast(exp.Literal.string(repr(value)), "DOUBLE")


def day_start(day: date) -> exp.Expr:
    """Return the first instant of a UTC day."""
    return instant(datetime.combine(day, time(), UTC))


def day_end(day: date) -> exp.Expr:
    """Return the first instant after a UTC day."""
    return instant(datetime.combine(day, time(), UTC), minus=timedelta(days=-1))
