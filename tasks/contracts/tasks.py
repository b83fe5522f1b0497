"""``tasks.yaml``: the definition of each outcome.

The timeline of an impression::

    shown_at ----- within -----|            the window in which an event counts
    shown_at --- until ---|                 with ``until``: the window ends at a time in a column of the
                                            impression, at most ``within`` long; then the label is known
    shown_at ---------- maturity ------|    the label is known from here on
        parent_at ---- within ----|         with ``after``: the window opens at the parent's event
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Final, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from tasks.arrays import Floats
from tasks.columns import ITEM_ID, USER_ID
from tasks.contracts.base import (
    AsTuple,
    Closed,
    Columns,
    Description,
    EventNames,
    Fraction,
    Identifier,
    Identifiers,
    Number,
    Slug,
    Text,
    Version,
    find_repeated,
)
from tasks.contracts.durations import Duration
from tasks.errors import unknown

NEVER_TRAINED: Final = "is never trained (train: false)"
"""Text of problems about a task without a model."""


class Family(StrEnum):
    """The kind of outcome; negative and safety tasks are costs."""

    ENGAGEMENT = "engagement"
    CONVERSION = "conversion"
    SATISFACTION = "satisfaction"
    NEGATIVE = "negative"
    LONG_TERM = "long_term"
    SAFETY = "safety"

    @property
    def costs(self) -> bool:
        """Whether a weight of this family must be negative."""
        return self in {Family.NEGATIVE, Family.SAFETY}


Credit = Literal["every", "first_touch", "last_touch"]


def _family(name: object) -> object:
    if isinstance(name, str) and name not in set(Family):
        raise ValueError(unknown("family", name, [f.value for f in Family]))
    return Family(name) if isinstance(name, str) else name


_Family = Annotated[Family, BeforeValidator(_family)]


class Positive(Closed):
    """The event that makes an impression positive."""

    event: EventNames
    within: Duration
    until: Identifier | None = None
    match: Columns = (USER_ID, ITEM_ID)
    credit: Credit = "every"
    after: Identifier | None = None
    at_least: Annotated[int, Field(ge=1, le=10_000)] = 1
    value_at_least: Number | None = None
    value_below: Number | None = None

    @property
    def bounds_values(self) -> bool:
        """Whether an event counts depending on its value."""
        return self.value_at_least is not None or self.value_below is not None

    @model_validator(mode="after")
    def _some_value_counts(self) -> Self:
        least, below = self.value_at_least, self.value_below
        if least is not None and below is not None and below <= least:
            raise ValueError(f"no value is at least {least:g} and below {below:g}")
        return self


class ValueRule(Closed):
    """The events whose values a value task aggregates."""

    event: EventNames
    within: Duration
    until: Identifier | None = None
    aggregate: Literal["sum", "count", "max", "first"]
    match: Columns = (USER_ID, ITEM_ID)
    credit: Credit = "every"
    after: Identifier | None = None
    clip: Annotated[tuple[Number, Number], AsTuple] | None = None

    @model_validator(mode="after")
    def _clip_is_a_range(self) -> Self:
        if self.clip is not None and self.clip[0] >= self.clip[1]:
            raise ValueError(f"clip {list(self.clip)} is not a range: the first number must be the smaller")
        return self


class Compose(Closed):
    """A conjunction of other tasks' labels: all_of all 1, any_of at least one 1, none_of all 0."""

    all_of: Identifiers = ()
    any_of: Identifiers = ()
    none_of: Identifiers = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """All component tasks in declared order."""
        return self.all_of + self.any_of + self.none_of

    @model_validator(mode="after")
    def _has_parts_once(self) -> Self:
        if not self.parts:
            raise ValueError("names no part; give all_of, any_of or none_of")
        if twice := find_repeated(self.parts):
            raise ValueError(f"names a part twice: {', '.join(twice)}")
        return self


class ObservedWhen(Closed):
    """The condition under which a label exists; exactly one key."""

    column: Identifier | None = None
    event: EventNames | None = None
    task: Identifier | None = None

    @model_validator(mode="after")
    def _has_one_key(self) -> Self:
        if sum(x is not None for x in (self.column, self.event, self.task)) != 1:
            raise ValueError("takes exactly one of column, event, task")
        return self


def _exclusion_columns(on: object) -> object:
    named = {"item": ITEM_ID, "user": USER_ID}
    return (named.get(on, on),) if isinstance(on, str) else on


class Exclusion(Closed):
    """An event inside the window that excludes the row."""

    event: EventNames
    on: Annotated[Columns, BeforeValidator(_exclusion_columns)]
    before_positive: bool = False


class Sampling(Closed):
    """The share of negatives used in training, corrected exactly in the probabilities.

    ``by``: column -> value -> share, for single segments; the greatest share applies if several match a row.
    """

    negatives: Fraction
    by: dict[Identifier, dict[Text, Fraction]] = {}


class TaskSpec(Closed):
    """One outcome, defined by exactly one of ``positive``, ``value`` and ``compose``.

    ``description`` completes the sentence "people ...", as in "took another product". A task with
    ``train: false`` is labelled, measured and monitored, but never has a model.
    """

    family: _Family
    description: Description = None
    kind: Literal["binary", "value"] = "binary"
    positive: Positive | None = None
    value: ValueRule | None = None
    compose: Compose | None = None
    maturity: Duration | None = None
    observed_when: ObservedWhen | None = None
    exclude: Annotated[tuple[Exclusion, ...], AsTuple] = ()
    cadence: Literal["fast", "slow"] = "fast"
    level: Literal["impression", "request"] = "impression"
    loss_weight: Annotated[Number, Field(ge=1e-6, le=1e6)] = 1.0
    sampling: Sampling | None = None
    train: bool = True

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if sum(x is not None for x in (self.positive, self.value, self.compose)) != 1:
            raise ValueError("needs exactly one of positive, value, compose")
        if (self.value is not None) != (self.kind == "value"):
            raise ValueError("a rule under value goes with kind: value, and only there")
        if self.compose is not None and (self.observed_when or self.exclude or self.maturity):
            raise ValueError("a composite takes maturity, observed_when and exclude from its parts")
        if self.rule and self.rule.after and self.observed_when:
            raise ValueError(_two_conditions(self.rule.after))
        if self.sampling and self.kind == "value":
            raise ValueError("sampling of negatives is for binary tasks")
        if not self.train and (self.sampling or self.loss_weight != 1.0):
            raise ValueError(f"sampling and loss_weight are for a task that is trained: it {NEVER_TRAINED}")
        return self

    @property
    def rule(self) -> Positive | ValueRule | None:
        """The event rule; None for a composite."""
        return self.positive or self.value

    @property
    def comes_late(self) -> bool:
        """Whether the label is 0 until an event of the task, so that an early outcome can be corrected.

        This does not hold for composites and values, or for surveys, whose label is unknown until the answer.
        """
        when = self.observed_when
        return self.positive is not None and (when is None or when.column is not None)

    @property
    def events(self) -> tuple[str, ...]:
        """Names of the events that the task reads."""
        observed = (self.observed_when.event or ()) if self.observed_when else ()
        excluded = tuple(e for exclusion in self.exclude for e in exclusion.event)
        return (self.rule.event if self.rule else ()) + observed + excluded


class TasksSpec(Closed):
    """The whole file, with the relations between tasks."""

    contract: Slug
    version: Version
    tasks: Annotated[dict[Identifier, TaskSpec], Field(min_length=1)]

    @property
    def costs(self) -> frozenset[str]:
        """Negative and safety tasks."""
        return frozenset(name for name, task in self.tasks.items() if task.family.costs)

    def window_opener(self, name: str) -> str | None:
        """Return the task whose crediting event opens this task's window."""
        rule = self.tasks[name].rule
        return rule.after if rule else None

    def parts(self, name: str) -> tuple[str, ...]:
        """Return the component tasks of a composite, else an empty tuple."""
        compose = self.tasks[name].compose
        return compose.parts if compose else ()

    def window_chain(self, name: str) -> tuple[str, ...]:
        """Return root, ..., task: each task's event opens the window of the next."""
        opener = self.window_opener(name)
        return (*(self.window_chain(opener) if opener else ()), name)

    def parent(self, name: str) -> str | None:
        """Return the task on whose positives a task is trained: its ``after``, or its ``observed_when``."""
        when = self.tasks[name].observed_when
        return self.window_opener(name) or (when.task if when else None)

    def chain(self, name: str) -> tuple[str, ...]:
        """Return root, ..., parent, task: each task is trained on the positives of the previous one."""
        parent = self.parent(name)
        return (*(self.chain(parent) if parent else ()), name)

    def own_window(self, name: str) -> timedelta:
        """Return the task's own ``within``; for a composite, the longest of its components."""
        rule = self.tasks[name].rule
        return rule.within if rule else max(self.own_window(part) for part in self.parts(name))

    def window(self, name: str) -> timedelta:
        """Return the time after shown_at in which an event can still count: the sum along the chain."""
        if parts := self.parts(name):
            return max(self.window(part) for part in parts)
        return sum((self.own_window(link) for link in self.window_chain(name)), timedelta())

    def maturity(self, name: str) -> timedelta:
        """Return the time after shown_at at which the label is known."""
        if parts := self.parts(name):
            return max(self.maturity(part) for part in parts)
        return self.tasks[name].maturity or self.window(name)

    @property
    def deadlines(self) -> tuple[str, ...]:
        """Columns of the impressions with times at which windows end."""
        rules = (task.rule for task in self.tasks.values())
        return tuple(dict.fromkeys(rule.until for rule in rules if rule and rule.until))

    def needs(self, name: str) -> tuple[str, ...]:
        """Return the tasks that must be labelled before this one."""
        task = self.tasks[name]
        observed_by = task.observed_when.task if task.observed_when else None
        named = (*self.parts(name), self.window_opener(name), observed_by)
        return tuple(dict.fromkeys(n for n in named if n is not None))

    def order(self) -> tuple[str, ...]:
        """Return the tasks in an order with parents and components before the tasks that depend on them."""
        done: dict[str, None] = {}

        def visit(name: str) -> None:
            for other in self.needs(name):
                visit(other)
            done.setdefault(name)

        for name in self.tasks:
            visit(name)
        return tuple(done)

    @property
    def trained(self) -> tuple[str, ...]:
        """Tasks with a model, parents and components first; the others are `measured`."""
        return tuple(name for name in self.order() if self.tasks[name].train)

    @property
    def measured(self) -> tuple[str, ...]:
        """Tasks that are never trained but labelled, measured and monitored, in declared order."""
        return tuple(name for name, task in self.tasks.items() if not task.train)

    @cached_property
    def events(self) -> frozenset[str]:
        """Names of all events that tasks read."""
        return frozenset(e for task in self.tasks.values() for e in task.events)

    def by_cadence(self, cadence: Literal["fast", "slow"]) -> tuple[str, ...]:
        """Return the tasks with a training schedule, in declared order."""
        return tuple(n for n, task in self.tasks.items() if task.cadence == cadence)


def _two_conditions(parent: str) -> str:
    """Explain why a task with a parent has no `observed_when`, and what to write instead."""
    return (
        f"a task has one condition, and after: {parent} already is observed_when: {{task: {parent}}}; leave "
        f"observed_when out, or put its column on {parent}, or declare the task of the answering event after "
        f"{parent}, and this one observed_when that task"
    )


def join_outcomes(labels: Mapping[str, Floats], chain: Sequence[str]) -> Floats:
    """Return the known outcomes of the last task of a chain, shape [rows].

    An impression without a purchase has no return. An unknown chain gives NaN, never a negative.

    Parameters
    ----------
    labels : by task, the label where observed, else NaN, shape [rows].
    chain : root, ..., task.

    Examples
    --------
    >>> bought = np.array([0.0, 1.0, 1.0, np.nan])
    >>> returned = np.array([np.nan, 1.0, np.nan, np.nan])
    >>> join_outcomes({"bought": bought, "returned": returned}, ["bought", "returned"])
    array([ 0.,  1., nan, nan])
    """
    known = np.asarray(labels[chain[0]], dtype=np.float64)
    for task in chain[1:]:
        known = np.where(known == 0.0, 0.0, np.asarray(labels[task], dtype=np.float64))
    return known
