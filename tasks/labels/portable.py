"""The two expressions that no dialect shares: NaN, and a sum that does not depend on the order of the rows.

Adding doubles in another order gives another last bit, so a rerun on two threads would give another
snapshot. The values are therefore added from the smallest to the greatest.
"""

from sqlglot import exp

from tasks.labels import expressions as x

_ORDERED_SUM = "ORDERED_SUM"
_NAN_EQUALS_NAN = {"postgres", "snowflake"}


def finite(value: exp.Expr) -> exp.Expr:
    """Return a value as a double, null where it is NaN."""
    double = x.cast(value, "DOUBLE")
    return x.when(x.negated(exp.IsNan(this=double)), double.copy())


def ordered_sum(value: exp.Expr) -> exp.Expr:
    """Return the sum of a group's values, added from the smallest to the greatest."""
    return exp.Anonymous(this=_ORDERED_SUM, expressions=[value])


def for_dialect(query: exp.Expr, dialect: str) -> exp.Expr:
    """Rewrite those expressions of a query, in place, as the dialect has them."""
    for node in query.find_all(exp.IsNan, exp.Anonymous):
        if isinstance(node, exp.IsNan) and dialect in _NAN_EQUALS_NAN:
            node.replace(x.same(node.this, x.cast(exp.Literal.string("NaN"), "DOUBLE")))
        if isinstance(node, exp.Anonymous) and node.this == _ORDERED_SUM:
            node.replace(_ordered_sum(node.expressions[0], dialect))
    return query


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
