"""Time range of a label, for whole chains of tasks.

::

    shown_at |-- window (sum along the chain) --|            events that can count
    shown_at |---------- matures ------------------|         label, parents and components are known
    shown_at |-------- known_at ------|                      earlier, if a deadline column ends a window
     |-- before --| shown_at |-- after --|                   reach: impressions that compete for its events
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tasks import columns as c
from tasks.contracts import TasksSpec

_NONE = timedelta()


def matures(spec: TasksSpec, task: str) -> timedelta:
    """Return the time after shown_at at which a label and all tasks that it depends on are known."""
    return max(spec.maturity(task), *(matures(spec, other) for other in spec.needs(task)), _NONE)


def label_basis(spec: TasksSpec, task: str) -> dict[str, str | None]:
    """Return the tasks whose events decide when a label is known, each with its deadline column."""
    found: dict[str, str | None] = {}
    for other in spec.needs(task):
        found |= label_basis(spec, other)
    rule = spec.tasks[task].rule
    return found if rule is None else {**found, task: rule.until}


def grace(spec: TasksSpec, task: str) -> timedelta:
    """Return the delay between the end of the window and the maturity of the label."""
    return spec.maturity(task) - spec.window(task)


def known_at(spec: TasksSpec, task: str, row: Mapping[str, Any]) -> datetime:
    """Return the instant at which the label of an impression is known."""
    shown_at: datetime = row[c.SHOWN_AT]
    known = [shown_at]
    for name, until in label_basis(spec, task).items():
        latest = shown_at + spec.maturity(name)
        due: datetime | None = row[until] if until else None
        known.append(latest if due is None else min(latest, due + grace(spec, name)))
    return max(known)


def matures_from(spec: TasksSpec, task: str) -> timedelta:
    """Return the minimum time after shown_at at which a label can be known."""
    fixed = [name for name, until in label_basis(spec, task).items() if until is None]
    return max(map(spec.maturity, fixed), default=_NONE)


def longest_window(spec: TasksSpec) -> timedelta:
    """Return the time after shown_at in which an event can affect any label."""
    return max(spec.window(task) for task in spec.tasks)


@dataclass(frozen=True)
class Reach:
    """Time before and after an impression within which other impressions can compete for its events."""

    before: timedelta
    after: timedelta


def reach(spec: TasksSpec, task: str) -> Reach:
    """Return the reach of impressions that compete for events of this task or of its parents.

    Competing impressions have the same event in their windows, so they lie within one window of each other.
    Last touch prefers the later impression, first touch the earlier one. The distances add up along a chain
    if the window opens at a parent's event that is itself competed for.
    """

    def added(credit: str) -> timedelta:
        links = (link for link in spec.window_chain(task) if _credit(spec, link) == credit)
        return sum((spec.window(link) for link in links), _NONE)

    return Reach(before=added("first_touch"), after=added("last_touch"))


def longest_reach(spec: TasksSpec) -> Reach:
    """Return the maximum reach of all tasks; zero if every task credits every impression."""
    of_tasks = [reach(spec, task) for task in spec.tasks]
    return Reach(max(r.before for r in of_tasks), max(r.after for r in of_tasks))


def credits_alone(spec: TasksSpec, task: str) -> bool:
    """Return whether the credit of one impression affects no other impression's label."""
    below = (link for other in spec.tasks for link in (task, *_after(spec, other, task)))
    return not any(_touch(spec, link) for link in below)


def bearing(spec: TasksSpec, event: str) -> tuple[timedelta, timedelta]:
    """Return how long before an event an affected impression can be, and the reach beyond it.

    An event affects the tasks that read it. If it changes their crediting event, it shifts the windows of the
    tasks after them. Under touch credit this moves credit between neighbouring impressions.
    """
    readers = [task for task in spec.tasks if event in spec.tasks[task].events]
    back = max((spec.window(task) for task in readers), default=_NONE)
    beyond = [
        sum((spec.window(link) for link in _after(spec, task, reader) if _touch(spec, link)), _NONE)
        for task in spec.tasks
        for reader in readers
    ]
    return back, max(beyond, default=_NONE)


def _after(spec: TasksSpec, task: str, reader: str) -> tuple[str, ...]:
    """Return the links of a task's chain after another task; empty if that task is not in the chain."""
    chain = spec.window_chain(task)
    return chain[chain.index(reader) + 1 :] if reader in chain else ()


def _credit(spec: TasksSpec, task: str) -> str | None:
    rule = spec.tasks[task].rule
    return rule.credit if rule else None


def _touch(spec: TasksSpec, task: str) -> bool:
    return _credit(spec, task) not in {None, "every"}
