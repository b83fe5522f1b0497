"""From credited events to status and label, task by task in the order in which they build on each other.

::

    facts      impression columns + <task>__credit | <task>__amount | <task>__answer | <task>__out_<k>
    statuses   + <task>__status    immature | not_applicable | excluded | observed: the first that applies
    labels     + <task>            null unless observed
               + <task>__known     observed, or 0 because a parent is known to be 0: what composites read
"""

from collections.abc import Iterable, Iterator

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TaskSpec, TasksSpec
from tasks.labels import expressions as x
from tasks.labels.maturity import matures


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


def status_columns(spec: TasksSpec, tasks: Iterable[str], as_of: x.AsOf) -> Iterator[exp.Expr]:
    """Yield ``<task>__status`` of each task."""
    for name in tasks:
        immature = exp.GT(
            this=x.column(c.SHOWN_AT), expression=x.instant(as_of, minus=matures(spec, name))
        )
        case = exp.Case().when(immature, _word(c.Status.IMMATURE))
        if missing := list(_not_applicable(spec, name)):
            case = case.when(exp.or_(*missing), _word(c.Status.NOT_APPLICABLE))
        if outs := list(_excluded(spec.tasks[name], name)):
            case = case.when(exp.or_(*outs), _word(c.Status.EXCLUDED))
        yield x.named(case.else_(_word(c.Status.OBSERVED)), c.status(name))


def label_columns(spec: TasksSpec, tasks: Iterable[str]) -> Iterator[exp.Expr]:
    """Yield ``<task>`` of each task, and ``<task>__known`` of each binary one."""
    for name in tasks:
        label = x.when(_observed(name), _value(spec, name))
        yield x.named(label, name)
        if spec.tasks[name].kind == "binary":
            yield x.named(_known(spec, name, label), known(name))


def final_columns(spec: TasksSpec) -> Iterator[exp.Expr]:
    """Yield the columns of the label store in declared order."""
    for name, task in spec.tasks.items():
        yield x.named(exp.cast(x.column(name), "TINYINT" if task.kind == "binary" else "DOUBLE"), name)
        yield x.column(c.status(name))
        at = x.when(_observed(name), x.column(credit(name))) if task.positive else exp.Null()
        yield x.named(exp.cast(at, "TIMESTAMPTZ"), c.at(name))


def _word(status: c.Status) -> exp.Expr:
    return exp.Literal.string(status.value)


def _observed(task: str) -> exp.Expr:
    return x.column(c.status(task)).eq(_word(c.Status.OBSERVED))


def _conditions(task: TaskSpec) -> str | None:
    """Return the task whose observed positives are this task's rows."""
    if task.rule and task.rule.after:
        return task.rule.after
    return task.observed_when.task if task.observed_when else None


def _not_applicable(spec: TasksSpec, name: str) -> Iterator[exp.Expr]:
    task = spec.tasks[name]
    for part in spec.parts(name):
        yield x.is_null(x.column(known(part)))
    for match in task.rule.match if task.rule else ():
        yield x.is_null(x.column(match))
    if task.observed_when and task.observed_when.column:
        seen = exp.func("COALESCE", x.column(task.observed_when.column), exp.false())
        yield exp.not_(seen)
    if task.observed_when and task.observed_when.event:
        yield x.is_null(x.column(answer(name)))
    if parent := _conditions(task):
        yield exp.func("COALESCE", x.column(parent), x.integer(0)).neq(x.integer(1))
    if task.value and task.value.aggregate in {"first", "max"}:
        yield x.is_null(x.column(amount(name)))


def _excluded(task: TaskSpec, name: str) -> Iterator[exp.Expr]:
    for k, rule in enumerate(task.exclude):
        happened = x.column(out(name, k))
        if rule.before_positive and task.positive:
            own = x.column(credit(name))
            yield exp.and_(
                x.not_null(happened),
                exp.or_(x.is_null(own), exp.LT(this=happened.copy(), expression=own.copy())),
            )
        else:
            yield x.not_null(happened)


def _value(spec: TasksSpec, name: str) -> exp.Expr:
    task = spec.tasks[name]
    if task.compose:
        return x.when(_composed(task), x.integer(1), x.integer(0))
    if task.positive:
        return x.when(x.not_null(x.column(credit(name))), x.integer(1), x.integer(0))
    total = exp.func("COALESCE", exp.cast(x.column(amount(name)), "DOUBLE"), x.number(0.0))
    clip = task.value.clip if task.value else None
    if clip is None:
        return total
    return exp.func("LEAST", exp.func("GREATEST", total, x.number(clip[0])), x.number(clip[1]))


def _composed(task: TaskSpec) -> exp.Expr:
    assert task.compose is not None  # noqa: S101 - called for composites
    parts = task.compose
    conditions: list[exp.Expr] = [x.column(known(p)).eq(x.integer(1)) for p in parts.all_of]
    if parts.any_of:
        conditions.append(exp.or_(*(x.column(known(p)).eq(x.integer(1)) for p in parts.any_of)))
    conditions += [x.column(known(p)).eq(x.integer(0)) for p in parts.none_of]
    return exp.and_(*conditions)


def _known(spec: TasksSpec, name: str, label: exp.Expr) -> exp.Expr:
    parent = _conditions(spec.tasks[name])
    if parent is None:
        return label.copy()
    follows = x.when(x.column(known(parent)).eq(x.integer(0)), x.integer(0))
    return exp.func("COALESCE", label.copy(), follows)
