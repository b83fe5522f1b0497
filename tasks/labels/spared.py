"""What ``before_positive`` does to a base rate.

::

    shown_at ---- positive ---- exclusion ----|      before_positive: true    1      it was positive by then
                                                     before_positive: false   excluded
    shown_at ------------------ exclusion ----|      either way               excluded

So of the rows that an exclusion hits, ``true`` keeps early positives and drops every negative: the rate reads
too high. The other rate leaves those positives out too.
"""

from collections.abc import Iterator

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels.status import causes
from tasks.sql import expressions as x


def sparing(tasks: TasksSpec) -> tuple[str, ...]:
    """Return the binary tasks with an exclusion that spares rows that were positive before it."""
    return tuple(
        name
        for name, task in tasks.tasks.items()
        if task.positive and any(out.before_positive for out in task.exclude)
    )


def alone(tasks: TasksSpec, name: str) -> TasksSpec:
    """Return the contract of one task and of what it builds on."""
    kept = set(_needed(tasks, name))
    return TasksSpec(
        contract=tasks.contract,
        version=tasks.version,
        tasks={n: task for n, task in tasks.tasks.items() if n in kept},
    )


def taken_out(tasks: TasksSpec, name: str) -> exp.Expr:
    """Return that an exclusion event lies in a task's window, also where the row was positive before it."""
    task = tasks.tasks[name]
    strict = tuple(out.model_copy(update={"before_positive": False}) for out in task.exclude)
    other = TasksSpec(
        contract=tasks.contract,
        version=tasks.version,
        tasks={**tasks.tasks, name: task.model_copy(update={"exclude": strict})},
    )
    outs = [cause.holds for cause in causes(other, name, None) if cause.status is c.Status.EXCLUDED]
    return x.any_of(*outs)


def _needed(tasks: TasksSpec, name: str) -> Iterator[str]:
    yield name
    for other in tasks.needs(name):
        yield from _needed(tasks, other)
