"""The effect of ``before_positive`` on a base rate.

::

    shown_at ---- positive ---- exclusion ----|      before_positive: true    1      it was positive by then
                                                     before_positive: false   excluded
    shown_at ------------------ exclusion ----|      either way               excluded

So of the rows that an exclusion hits, ``true`` keeps early positives and drops every negative: the rate reads
too high. The other rate leaves those positives out too.
"""

from collections.abc import Mapping

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TaskSpec, TasksSpec
from tasks.labels.status import causes
from tasks.sql import expressions as x


def list_sparing_tasks(tasks: TasksSpec) -> tuple[str, ...]:
    """Return the binary tasks with an exclusion that spares rows that were positive before it."""
    return tuple(
        name
        for name, task in tasks.tasks.items()
        if task.positive and any(exclusion.before_positive for exclusion in task.exclude)
    )


def keep_chain(tasks: TasksSpec, name: str) -> TasksSpec:
    """Return the contract of one task and of the tasks that it builds on."""
    needed = [name]
    for task in needed:
        needed += tasks.needs(task)
    return _with_tasks(tasks, {n: task for n, task in tasks.tasks.items() if n in needed})


def has_exclusion(tasks: TasksSpec, name: str) -> exp.Expr:
    """Return that an exclusion event lies in a task's window, also where the row was positive before it."""
    task = tasks.tasks[name]
    strict = tuple(out.model_copy(update={"before_positive": False}) for out in task.exclude)
    other = _with_tasks(tasks, {**tasks.tasks, name: task.model_copy(update={"exclude": strict})})
    return x.any_of(
        *(cause.holds for cause in causes(other, name, None) if cause.status is c.Status.EXCLUDED)
    )


def _with_tasks(spec: TasksSpec, tasks: Mapping[str, TaskSpec]) -> TasksSpec:
    return TasksSpec(contract=spec.contract, version=spec.version, tasks=dict(tasks))
