"""Layers from credited events to status and label, each task after the tasks that it depends on.

::

    facts      impression columns + <task>__credit | <task>__amount | <task>__answer | <task>__out_<k>
    statuses   + <task>__status    immature | not_applicable | excluded | observed: the first match applies
    labels     + <task>            null unless observed
               + <task>__known     observed, or 0 because a parent is known to be 0; read by composites
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TaskSpec, TasksSpec
from tasks.contracts.tasks import Compose
from tasks.labels.windows import (
    AMOUNT,
    ANSWERED,
    AT,
    closes,
    credit_joins,
    credited,
    excluded,
    exclusion_joins,
    is_mature,
)
from tasks.logs import rows
from tasks.sql import expressions as x


def credit(task: str) -> str:
    """Return the column of a task's crediting event, whatever the status."""
    return f"{task}__credit"


def amount(task: str) -> str:
    """Return the column of a value task's aggregate, null if no event had a value."""
    return f"{task}__amount"


def answer(task: str) -> str:
    """Return the column that contains whether the observing event was credited."""
    return f"{task}__answer"


def out(task: str, number: int) -> str:
    """Return the column of the first event of a task's exclusion rule."""
    return f"{task}__out_{number}"


def known(task: str) -> str:
    """Return the column of a task that composites read."""
    return f"{task}__known"


def order_levels(spec: TasksSpec) -> list[list[str]]:
    """Return the tasks in layers; each depends only on earlier layers."""
    depth: dict[str, int] = {}
    for task in spec.order():
        depth[task] = max((depth[other] + 1 for other in spec.needs(task)), default=0)
    return [[t for t in spec.tasks if depth[t] == d] for d in range(max(depth.values()) + 1)]


class Why(StrEnum):
    """Reasons why a label is not observed."""

    MATURITY = "maturity"
    PART = "part"
    MATCH = "match"
    COLUMN = "column"
    ANSWER = "answer"
    PARENT = "parent"
    DEADLINE = "deadline"
    VALUE = "value"
    EXCLUSION = "exclusion"


@dataclass(frozen=True)
class Cause:
    """A reason why a label is not observed: status, component, column, parent or rule, and a condition."""

    status: c.Status
    why: Why
    of: str
    holds: exp.Expr


def causes(spec: TasksSpec, name: str, arrived: x.AsOf) -> Iterator[Cause]:
    """Yield the possible reasons why a task's label is not observed; the first match gives the status."""
    yield Cause(c.Status.IMMATURE, Why.MATURITY, name, x.not_(is_mature(spec, name, arrived)))
    for why, of, missing in _not_applicable(spec, name):
        yield Cause(c.Status.NOT_APPLICABLE, why, of, missing)
    for k, excludes in enumerate(_excluded(spec.tasks[name], name)):
        yield Cause(c.Status.EXCLUDED, Why.EXCLUSION, str(k), excludes)


def label_layers(
    spec: TasksSpec, arrived: x.AsOf, names: Sequence[str], write: Sequence[rows.DayRange] | None
) -> dict[str, exp.Query]:
    """Return the layers by name: ``facts``, then ``statuses_<n>`` and ``labels_<n>`` for each level of tasks.

    Parameters
    ----------
    arrived
        The instant up to which the log had arrived: see ``Horizon``.
    names
        The impressions' columns.
    write
        The days whose impressions are labelled; None for all.
    """
    layers: dict[str, exp.Query] = {"facts": _facts(spec, names, write)}
    for n, level in enumerate(order_levels(spec)):
        layers[f"statuses_{n}"] = _add(status_columns(spec, level, arrived), list(layers)[-1])
        layers[f"labels_{n}"] = _add(label_columns(spec, level), list(layers)[-1])
    return layers


def select_labels(spec: TasksSpec, names: Sequence[str], layer: str) -> exp.Select:
    """Select the columns of the label store from the last layer.

    They are the impression, its day, and every task's label, status and crediting instant, in declared order.
    """
    columns: list[exp.Expr] = [*x.columns((*names, c.DAY))]
    for name, task in spec.tasks.items():
        label = x.cast(x.column(name), "TINYINT" if task.kind == "binary" else "DOUBLE")
        at = x.when(_observed(name), x.column(credit(name))) if task.positive else exp.Null()
        columns += [x.alias(label, name), x.column(c.status(name))]
        columns.append(x.alias(x.cast(at, "TIMESTAMPTZ"), c.at(name)))
    return x.select(columns, x.table(layer))


def status_columns(spec: TasksSpec, tasks: Iterable[str], arrived: x.AsOf) -> Iterator[exp.Expr]:
    """Yield ``<task>__status`` of each task."""
    for name in tasks:
        by_status = groupby(causes(spec, name, arrived), key=lambda cause: cause.status)
        branches = [
            (x.any_of(*(cause.holds for cause in group)), _word(status)) for status, group in by_status
        ]
        yield x.alias(x.case(branches, _word(c.Status.OBSERVED)), c.status(name))


def label_columns(spec: TasksSpec, tasks: Iterable[str]) -> Iterator[exp.Expr]:
    """Yield ``<task>`` of each task, and ``<task>__known`` of each task that a composite depends on."""
    bearing = _bearing_on_composites(spec)
    for name in tasks:
        label = x.when(_observed(name), _value(spec.tasks[name], name))
        yield x.alias(label, name)
        if name in bearing:
            yield x.alias(_known(spec.tasks[name], label.copy()), known(name))


def _add(columns: Iterable[exp.Expr], layer: str) -> exp.Select:
    return x.select([exp.Star(), *columns], x.table(layer))


def _facts(spec: TasksSpec, names: Sequence[str], write: Sequence[rows.DayRange] | None) -> exp.Select:
    day = x.alias(x.utc_day(x.column(c.SHOWN_AT, rows.SHOWN)), c.DAY)
    facts, joins = [*x.columns(names, rows.SHOWN), day], []
    for task in spec.order():
        if spec.tasks[task].rule:
            facts += _facts_of(spec.tasks[task], task)
            joins += [credit_joins(spec, task)[-1], *exclusion_joins(spec, task)]
    days = [rows.in_days(c.SHOWN_AT, write, rows.SHOWN)] if write is not None else []
    return x.select(facts, x.table(rows.SHOWN), joins=joins, left=True, where=days)


def _facts_of(task: TaskSpec, name: str) -> Iterator[exp.Expr]:
    if task.positive:
        yield x.alias(x.column(AT, credited(name)), credit(name))
    else:
        yield x.alias(x.column(AMOUNT, credited(name)), amount(name))
    if task.observed_when and task.observed_when.event:
        answered = exp.Nullif(this=x.column(ANSWERED, credited(name)), expression=x.integer(0))
        yield x.alias(answered, answer(name))
    for k in range(len(task.exclude)):
        yield x.alias(x.column(AT, excluded(name, k)), out(name, k))


def _bearing_on_composites(spec: TasksSpec) -> set[str]:
    """Return the components of composites, and the tasks that those depend on."""
    bearing: set[str] = set()
    waiting = [part for task in spec.tasks for part in spec.parts(task)]
    while waiting:
        name = waiting.pop()
        bearing.add(name)
        waiting += [parent] if (parent := conditional_on(spec.tasks[name])) else []
    return bearing


def _word(status: c.Status) -> exp.Expr:
    return exp.Literal.string(status.value)


def _observed(task: str) -> exp.Expr:
    return x.eq(x.column(c.status(task)), _word(c.Status.OBSERVED))


def _known_as(task: str, value: int) -> exp.Expr:
    return x.eq(x.column(known(task)), x.integer(value))


def conditional_on(task: TaskSpec) -> str | None:
    """Return the task whose observed positives are this task's rows."""
    if task.rule and task.rule.after:
        return task.rule.after
    return task.observed_when.task if task.observed_when else None


def _not_applicable(spec: TasksSpec, name: str) -> Iterator[tuple[Why, str, exp.Expr]]:
    task = spec.tasks[name]
    for part in spec.parts(name):
        yield Why.PART, part, x.is_null(x.column(known(part)))
    for match in task.rule.match if task.rule else ():
        yield Why.MATCH, match, x.is_null(x.column(match))
    if task.observed_when and (column := task.observed_when.column):
        yield Why.COLUMN, column, x.not_(x.coalesce(x.column(column), exp.false()))
    if task.observed_when and (events := task.observed_when.event):
        yield Why.ANSWER, ", ".join(events), x.is_null(x.column(answer(name)))
    if parent := conditional_on(task):
        other = exp.NEQ(this=x.coalesce(x.column(parent), x.integer(0)), expression=x.integer(1))
        yield Why.PARENT, parent, other
    if task.rule and task.rule.until:
        opens = x.column(credit(task.rule.after) if task.rule.after else c.SHOWN_AT)
        ends_later = x.gt(closes(task.rule, opens), opens.copy())
        yield Why.DEADLINE, task.rule.until, x.not_(x.coalesce(ends_later, exp.false()))
    if task.value and task.value.aggregate in {"first", "max"}:
        yield Why.VALUE, task.value.aggregate, x.is_null(x.column(amount(name)))


def _excluded(task: TaskSpec, name: str) -> Iterator[exp.Expr]:
    for k, rule in enumerate(task.exclude):
        happened = x.not_null(x.column(out(name, k)))
        if rule.before_positive and task.positive:
            own = x.column(credit(name))
            earlier = x.lt(x.column(out(name, k)), own.copy())
            yield x.all_of(happened, x.any_of(x.is_null(own), earlier))
        else:
            yield happened


def _value(task: TaskSpec, name: str) -> exp.Expr:
    if task.compose:
        return x.when(_composed(task.compose), x.integer(1), x.integer(0))
    if task.positive:
        return x.when(x.not_null(x.column(credit(name))), x.integer(1), x.integer(0))
    total = x.coalesce(x.cast(x.column(amount(name)), "DOUBLE"), x.number(0.0))
    clip = task.value.clip if task.value else None
    if clip is None:
        return total
    floored = exp.Greatest(this=total, expressions=[x.number(clip[0])])
    return exp.Least(this=floored, expressions=[x.number(clip[1])])


def _composed(parts: Compose) -> exp.Expr:
    conditions = [_known_as(part, 1) for part in parts.all_of]
    if parts.any_of:
        conditions.append(x.any_of(*(_known_as(part, 1) for part in parts.any_of)))
    return x.all_of(*conditions, *(_known_as(part, 0) for part in parts.none_of))


def _known(task: TaskSpec, label: exp.Expr) -> exp.Expr:
    parent = conditional_on(task)
    return label if parent is None else x.coalesce(label, x.when(_known_as(parent, 0), x.integer(0)))
