"""The expressions that no dialect shares: NaN, the day in UTC, a sum that does not depend on the rows' order.

Adding doubles in another order gives another last bit, so a rerun on two threads would give another
snapshot. The values are therefore added from the smallest to the greatest. DuckDB's cast of an instant to a
day asks the calendar of the session's zone for each row; the microseconds need no calendar.
"""

from sqlglot import exp

from tasks.sql import expressions as x

_ORDERED_SUM, _UTC_DAY = "ORDERED_SUM", "UTC_DAY"
_NAN_EQUALS_NAN = {"postgres", "snowflake"}


def finite(value: exp.Expr) -> exp.Expr:
    """Return a value as a double, null where it is NaN."""
    double = x.cast(value, "DOUBLE")
    return x.when(x.negated(exp.IsNan(this=double)), double.copy())


def ordered_sum(value: exp.Expr) -> exp.Expr:
    """Return the sum of a group's values, added from the smallest to the greatest."""
    return exp.Anonymous(this=_ORDERED_SUM, expressions=[value])


def utc_day(instant: exp.Expr) -> exp.Expr:
    """Return the day of an instant in UTC, whatever the session's zone where the dialect can."""
    return exp.Anonymous(this=_UTC_DAY, expressions=[instant])


def for_dialect(query: exp.Expr, dialect: str) -> exp.Expr:
    """Return a query with those expressions as the dialect has them."""
    return query.transform(lambda node: _as_dialect_has(node, dialect))


def _as_dialect_has(node: exp.Expr, dialect: str) -> exp.Expr:
    if isinstance(node, exp.IsNan) and dialect in _NAN_EQUALS_NAN:
        return x.same(node.this, x.cast(exp.Literal.string("NaN"), "DOUBLE"))
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
        adding = exp.Lambda(
            this=exp.Add(this=exp.Column(this=total), expression=exp.Column(this=following)),
            expressions=[total.copy(), following.copy()],
        )
        zero = x.cast(x.integer(0), "DOUBLE")
        return exp.Anonymous(this="AGGREGATE", expressions=[smallest_first, zero, adding])
    if dialect == "postgres":
        return exp.Sum(this=exp.Order(this=value, expressions=[x.ascending(value.copy())]))
    return exp.Sum(this=value)
