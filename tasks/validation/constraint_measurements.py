"""What hard constraints keep of a table, day by day, and where the columns that they read have no value.

::

    kept               name          day   rows kept, of all rows; total: rows without a value
    constraint_nulls   column              rows without a value, of all rows

A constraint fails closed: a column that is null throughout keeps nothing, and every request goes unanswered.
"""

from collections.abc import Iterator, Mapping
from datetime import date

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import UtilitySpec
from tasks.contracts.conditions import Condition
from tasks.contracts.utility import HardConstraint
from tasks.sql import expressions as x
from tasks.sql.dialects import finite
from tasks.validation.measurements import (
    CONSTRAINT_NULLS,
    KEPT,
    Measurement,
    count_if,
    fetch,
    find_examples,
    measure_columns,
)


def measure_constraints(
    connection: duckdb.DuckDBPyConnection, table: str, utility: UtilitySpec, *, since: date
) -> Iterator[Measurement]:
    """Measure the hard constraints of a policy on a relation of impressions or candidates with their day.

    A constraint of a context is measured on the rows that meet the context; one whose column the relation
    lacks is left out.

    Parameters
    ----------
    since : the first day that counts.
    """
    wanted: list[tuple[HardConstraint, Mapping[str, object]]] = [
        (one, {}) for one in utility.hard_constraints
    ]
    wanted += [(one, context.when) for context in utility.contexts for one in context.hard_constraints]
    asked = [_condition(one).column for one, _ in wanted] + [name for _, when in wanted for name in when]
    present = {one.subject for one in measure_columns(connection, table, asked)}
    reached = x.ge(x.column(c.DAY), x.day_start(since))
    for constraint, when in wanted:
        column = _condition(constraint).column
        if not {column, *when} <= present:
            continue
        meets = x.all_of(exp.true(), *(_is_one_of(name, values) for name, values in when.items()))
        counted = fetch(
            connection,
            """SELECT $day, $kept, $unknown, count(*) FROM $table WHERE $reached AND $meets
               GROUP BY 1 ORDER BY 1""",
            day=x.column(c.DAY),
            kept=count_if(keeps(constraint)),
            unknown=count_if(x.is_null(x.column(column))),
            table=x.table(table),
            reached=reached,
            meets=meets,
        )
        for day, kept, unknown, rows in counted:
            yield Measurement(KEPT, constraint.name, "", day, kept, rows, float(unknown))
        yield _nulls(connection, table, column, x.all_of(reached.copy(), meets.copy()))


def keeps(constraint: HardConstraint) -> exp.Expr:
    """Return that a constraint keeps a row, whose column is known."""
    condition = _condition(constraint)
    value: exp.Expr = x.column(condition.column)
    number = finite(value.copy())
    if condition.above is not None:
        holds: exp.Expr = x.gt(number, x.number(condition.above))
    elif condition.below is not None:
        holds = x.lt(number, x.number(condition.below))
    else:
        holds = _is_one_of(condition.column, condition.one_of or (condition.equals,))
    return x.coalesce(holds if constraint.keep_when else x.not_(exp.Paren(this=holds)), exp.false())


def _condition(constraint: HardConstraint) -> Condition:
    condition = constraint.keep_when or constraint.drop_when
    if condition is None:
        raise ValueError(f"{constraint.name} has no condition")
    return condition


def _is_one_of(name: str, values: object) -> exp.Expr:
    operands = list(values) if isinstance(values, tuple | list) else [values]
    column: exp.Expr = x.column(name)
    if any(isinstance(operand, str) for operand in operands):
        column = x.cast(column, "VARCHAR")
    return exp.In(this=column, expressions=[exp.convert(operand) for operand in operands])


def _nulls(connection: duckdb.DuckDBPyConnection, table: str, column: str, where: exp.Expr) -> Measurement:
    unknown = x.is_null(x.column(column))
    ((nulls, rows),) = fetch(
        connection,
        "SELECT $nulls, count(*) FROM $table WHERE $where",
        nulls=count_if(unknown),
        table=x.table(table),
        where=where,
    )
    key = {name: x.column(name) for name in c.IMPRESSION_KEY}
    examples = find_examples(connection, table, x.all_of(unknown.copy(), where.copy()), key) if nulls else ""
    return Measurement(CONSTRAINT_NULLS, column, rows=nulls, of=rows, examples=examples)
