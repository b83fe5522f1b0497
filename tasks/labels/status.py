"""From credited events to status and label, task by task in the order in which they build on each other.

::

    facts      impression columns + <task>__credit | <task>__amount | <task>__answer | <task>__out_<k>
    statuses   + <task>__status    immature | not_applicable | excluded | observed: the first that applies
    labels     + <task>            null unless observed
               + <task>__known     observed, or 0 because a parent is known to be 0: what composites read
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TaskSpec, TasksSpec
from tasks.contracts.tasks import Compose
from tasks.labels.maturity import matures
from tasks.sql import expressions as x


def credit(task: str) -> str:
    """Name the column of a task's crediting event, whatever the status."""
    return f"{task}__credit"


def amount(task: str) -> str:
    """Name the column of a value task's aggregate, null where no event had a value."""
    return f"{task}__amount"


def answer(task: str) -> str:
    """Name the column that says whether the observing event was credited."""
    return f"{task}__answer"


def out(task: str, number: int) -> str:
    """Name the column of the first event of a task's exclusion rule."""
    return f"{task}__out_{number}"


def known(task: str) -> str:
    """Name the column of what a composite may read of a task."""
    return f"{task}__known"


def levels(spec: TasksSpec) -> list[list[str]]:
    """Return the tasks in layers: each builds only on layers before its own."""
    depth: dict[str, int] = {}
    for task in spec.order():
        depth[task] = max((depth[other] + 1 for other in spec.needs(task)), default=0)
    return [[t for t in spec.tasks if depth[t] == d] for d in range(max(depth.values()) + 1)]


class Why(StrEnum):
    """What a cause looks at."""

    MATURITY = "maturity"
    PART = "part"
    MATCH = "match"
    COLUMN = "column"
    ANSWER = "answer"
    PARENT = "parent"
    VALUE = "value"
    EXCLUSION = "exclusion"


@dataclass(frozen=True)
class Cause:
    """What keeps a label from being observed: the status, which part, column, parent or rule, and when."""

    status: c.Status
    why: Why
    of: str
    holds: exp.Expr


def causes(spec: TasksSpec, name: str, as_of: x.AsOf) -> Iterator[Cause]:
    """Yield what can keep a task's label from being observed; the first that holds gives the status."""
    immature = x.gt(x.column(c.SHOWN_AT), x.instant(as_of, minus=matures(spec, name)))
    yield Cause(c.Status.IMMATURE, Why.MATURITY, name, immature)
    for why, of, missing in _not_applicable(spec, name):
        yield Cause(c.Status.NOT_APPLICABLE, why, of, missing)
    for k, out_of_it in enumerate(_excluded(spec.tasks[name], name)):
        yield Cause(c.Status.EXCLUDED, Why.EXCLUSION, str(k), out_of_it)


def status_columns(spec: TasksSpec, tasks: Iterable[str], as_of: x.AsOf) -> Iterator[exp.Expr]:
    """Yield ``<task>__status`` of each task."""
    for name in tasks:
        by_status = groupby(causes(spec, name, as_of), key=lambda cause: cause.status)
        branches = [(x.any_of(*(cause.holds for cause in group)), _word(told)) for told, group in by_status]
        yield x.alias(x.case(branches, _word(c.Status.OBSERVED)), c.status(name))


def label_columns(spec: TasksSpec, tasks: Iterable[str]) -> Iterator[exp.Expr]:
    """Yield ``<task>`` of each task, and ``<task>__known`` of each that bears on a composite."""
    bearing = _bearing_on_composites(spec)
    for name in tasks:
        label = x.when(_observed(name), _value(spec.tasks[name], name))
        yield x.alias(label, name)
        if name in bearing:
            yield x.alias(_known(spec.tasks[name], label.copy()), known(name))


def final_columns(spec: TasksSpec) -> Iterator[exp.Expr]:
    """Yield the columns of the label store in declared order."""
    for name, task in spec.tasks.items():
        yield x.alias(x.cast(x.column(name), "TINYINT" if task.kind == "binary" else "DOUBLE"), name)
        yield x.column(c.status(name))
        at = x.when(_observed(name), x.column(credit(name))) if task.positive else exp.Null()
        yield x.alias(x.cast(at, "TIMESTAMPTZ"), c.at(name))


def _bearing_on_composites(spec: TasksSpec) -> set[str]:
    """Return the parts of composites, and the tasks that those depend on."""
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
    if task.observed_when and (seen := task.observed_when.column):
        yield Why.COLUMN, seen, x.not_(x.coalesce(x.column(seen), exp.false()))
    if task.observed_when and (events := task.observed_when.event):
        yield Why.ANSWER, ", ".join(events), x.is_null(x.column(answer(name)))
    if parent := conditional_on(task):
        other = exp.NEQ(this=x.coalesce(x.column(parent), x.integer(0)), expression=x.integer(1))
        yield Why.PARENT, parent, other
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
    raised = exp.Greatest(this=total, expressions=[x.number(clip[0])])
    return exp.Least(this=raised, expressions=[x.number(clip[1])])


def _composed(parts: Compose) -> exp.Expr:
    conditions = [_known_as(part, 1) for part in parts.all_of]
    if parts.any_of:
        conditions.append(x.any_of(*(_known_as(part, 1) for part in parts.any_of)))
    return x.all_of(*conditions, *(_known_as(part, 0) for part in parts.none_of))


def _known(task: TaskSpec, label: exp.Expr) -> exp.Expr:
    parent = conditional_on(task)
    return label if parent is None else x.coalesce(label, x.when(_known_as(parent, 0), x.integer(0)))
