"""What is measured of a label snapshot: each day's labels by task and status, and the rows that break a rule.

One scan counts everything; only for a rule that is broken the rows are looked at again, for examples.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.columns import Status
from tasks.contracts import TasksSpec
from tasks.contracts.training import LARGEST_LABEL
from tasks.labels.windows import is_mature
from tasks.sql import expressions as x
from tasks.validation.measurements import (
    POSITIVES,
    ROWS,
    STATUS,
    Measurement,
    count_if,
    fetch,
    find_examples,
)

LABELS = "labels"
EARLY, UNMASKED, PARENTLESS, MEANINGLESS = "early", "unmasked", "parentless", "meaningless"
BEYOND, MISDATED = "beyond", "misdated"

Rules = Mapping[tuple[str, str], exp.Expr]
"""By rule and task: the condition of a row that breaks it."""


def label_rules(tasks: TasksSpec, as_of: datetime) -> Rules:
    """Return what no label may be.

    early         observed although its maturity lies after the as-of
    unmasked      with a value and not observed, or observed and without one
    parentless    observed although its parent is not positive
    meaningless   with a status that is none of the four
    beyond        a value that trees cannot hold, infinite or not a number
    misdated      without a label because its deadline does not lie after it, or too far after it
    """
    rules: dict[tuple[str, str], exp.Expr] = {}
    for task, spec in tasks.tasks.items():
        status, observed = x.column(c.status(task)), _observed(task)
        rules[EARLY, task] = x.all_of(observed, x.not_(is_mature(tasks, task, as_of)))
        rules[UNMASKED, task] = exp.NEQ(
            this=observed.copy(), expression=_bracketed(x.not_null(x.column(task)))
        )
        known = x.coalesce(x.one_of(status, [str(s) for s in Status]), exp.false())
        rules[MEANINGLESS, task] = x.not_(known)
        if spec.value is not None:
            size = x.call("ABS", x.cast(x.column(task), "DOUBLE"))
            rules[BEYOND, task] = x.gt(size, x.number(LARGEST_LABEL))
        if spec.rule and spec.rule.until:
            opens, due = x.column(c.SHOWN_AT), x.column(spec.rule.until)
            latest = exp.Add(this=opens.copy(), expression=x.interval(tasks.window(task)))
            rules[MISDATED, task] = x.any_of(x.le(due, opens), x.gt(due.copy(), latest))
        if parent := tasks.window_opener(task):
            positive = x.coalesce(x.eq(x.column(parent), x.integer(1)), exp.false())
            rules[PARENTLESS, task] = x.all_of(observed.copy(), x.not_(positive))
    return rules


def measure_labels(
    connection: duckdb.DuckDBPyConnection, tasks: TasksSpec, *, as_of: datetime
) -> list[Measurement]:
    """Measure the relation ``labels``."""
    rules = label_rules(tasks, as_of)
    figures: list[exp.Expr] = [count_if(broken) for broken in rules.values()]
    for task in tasks.tasks:
        figures += _figures(task)
    counted_days = fetch(
        connection,
        "SELECT $day, count(*), $figures FROM $labels GROUP BY 1 ORDER BY 1",
        day=x.column(c.DAY),
        figures=figures,
        labels=x.table(LABELS),
    )
    measured: list[Measurement] = []
    broken, rows = [0] * len(rules), 0
    for day, count, *counted in counted_days:
        measured.append(Measurement(ROWS, LABELS, day=day, rows=count))
        broken = [a + b for a, b in zip(broken, counted[: len(rules)], strict=True)]
        rows += count
        numbers = iter(counted[len(rules) :])
        for task in tasks.tasks:
            statuses = {status: next(numbers) for status in Status}
            measured += (Measurement(STATUS, task, s, day, n, count) for s, n in statuses.items())
            positive, total = next(numbers), next(numbers)
            measured.append(
                Measurement(POSITIVES, task, "", day, positive, statuses[Status.OBSERVED], total or 0.0)
            )
    return [*measured, *_broken(connection, rules, broken, rows)]


def _figures(task: str) -> Iterator[exp.Expr]:
    for status in Status:
        yield count_if(x.eq(x.column(c.status(task)), x.text(status)))
    yield count_if(x.gt(x.column(task), x.integer(0)))
    yield exp.Sum(this=x.column(task))


def _broken(
    connection: duckdb.DuckDBPyConnection, rules: Rules, broken: list[int], rows: int
) -> Iterator[Measurement]:
    key = {name: x.column(name) for name in c.IMPRESSION_KEY}
    for ((rule, task), condition), count in zip(rules.items(), broken, strict=True):
        examples = find_examples(connection, LABELS, condition, key) if count else ""
        yield Measurement(rule, task, rows=count, of=rows, examples=examples)


def _observed(task: str) -> exp.Expr:
    return x.coalesce(x.eq(x.column(c.status(task)), x.text(Status.OBSERVED)), exp.false())


def _bracketed(condition: exp.Expr) -> exp.Expr:
    return exp.Paren(this=condition)
