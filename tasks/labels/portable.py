"""The two expressions that no dialect shares: NaN, and a sum that does not depend on the order of the rows.

Adding doubles in another order gives another last bit, so a rerun on two threads would give another
snapshot. The values are therefore added from the smallest to the greatest.
"""

from sqlglot import exp

from tasks.labels import expressions as x

ORDERED_SUM = "ORDERED_SUM"
_NAN_EQUALS_NAN = {"postgres", "snowflake"}


def finite(value: exp.Expr) -> exp.Expr:
    """Return a value as a double, null where it is NaN."""
    double = exp.cast(value, "DOUBLE")
    return x.when(exp.not_(exp.IsNan(this=double)), double.copy())


def for_dialect(query: exp.Expr, dialect: str) -> exp.Expr:
    """Return the query with those expressions written as the dialect has them."""

    def write(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.IsNan) and dialect in _NAN_EQUALS_NAN:
            return exp.EQ(this=node.this, expression=exp.cast(exp.Literal.string("NaN"), "DOUBLE"))
        if isinstance(node, exp.Anonymous) and node.this == ORDERED_SUM:
            return _ordered_sum(node.expressions[0], dialect)
        return node

    return query.transform(write)


def _ordered_sum(value: exp.Expr, dialect: str) -> exp.Expr:
    if dialect == "duckdb":
        ordered = exp.Order(this=value, expressions=[x.ascending(value.copy())])
        return exp.Anonymous(this="LIST_SUM", expressions=[exp.ArrayAgg(this=ordered)])
    if dialect == "spark":
        smallest_first = exp.func("ARRAY_SORT", exp.Anonymous(this="COLLECT_LIST", expressions=[value]))
        adding = exp.Lambda(
            this=exp.Add(this=exp.column("total"), expression=exp.column("next")),
            expressions=[exp.to_identifier("total"), exp.to_identifier("next")],
        )
        zero = exp.cast(exp.Literal.number(0), "DOUBLE")
        return exp.Anonymous(this="AGGREGATE", expressions=[smallest_first, zero, adding])
    if dialect == "postgres":
        return exp.Sum(this=exp.Order(this=value, expressions=[x.ascending(value.copy())]))
    return exp.Sum(this=value)
