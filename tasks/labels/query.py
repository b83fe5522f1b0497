"""A compiled label query: its relations, in the order in which they build on each other.

::

    LabelQuery.rows          the rows of the log that take part
      .creditings            per task, which events an impression is credited with: a ``Crediting`` each
      .layers                facts, statuses and labels of the impressions
      .final                 the columns of the label store
    Horizon                  the instants by which events are known, and labels mature
    LabelDays                the days that the query writes and reads
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlglot import exp

from tasks import columns as c
from tasks.logs import rows
from tasks.logs.rows import DayRange
from tasks.sql import expressions as x

Relations = dict[str, exp.Query]

_SELECTIVE = ({c.REQUEST_ID}, {c.USER_ID, c.ITEM_ID})
"""Columns that few rows share: a match that holds one of these sets is joined."""


class Form(StrEnum):
    """How windows and signals find each other."""

    JOIN = "join"
    SCAN = "scan"


@dataclass(frozen=True)
class Horizon:
    """The instant of a build, and the same or an earlier one up to which the log had arrived by then.

    An event is known by the former, a label is mature by the latter: what has not arrived is no negative.
    None leaves the parameters ``as_of`` and ``arrived`` in the SQL.
    """

    as_of: x.AsOf
    arrived: x.AsOf

    @classmethod
    def whole(cls, as_of: x.AsOf) -> "Horizon":
        """Return the horizon of a log that has arrived up to the as-of."""
        return cls(as_of, as_of)


@dataclass(frozen=True)
class LabelDays:
    """The days whose labels a query writes, and those whose impressions and events it reads; all where None.

    More days are read than written: impressions around a day compete with its own for the same events.
    """

    write: Sequence[DayRange] | None = None
    impressions: Sequence[DayRange] | None = None
    events: Sequence[DayRange] | None = None


@dataclass(frozen=True)
class Crediting:
    """A relation that the labels join, the signals that it needs, and the forms in which it can be made.

    The signals meet the ``windows``: an engine can count the pairs of both that a join would visit.
    """

    name: str
    match: tuple[str, ...]
    signals: tuple[str, exp.Query]
    windows: exp.Select
    forms: Mapping[Form, Relations]

    @property
    def usual(self) -> Form:
        """The form by the key alone."""
        selective = any(columns <= set(self.match) for columns in _SELECTIVE)
        return Form.JOIN if selective or Form.SCAN not in self.forms else Form.SCAN

    def relations(self, form: Form | None = None) -> Relations:
        """Return the relations in the order in which they build on each other."""
        return {self.signals[0]: self.signals[1], **self.forms[form or self.usual]}


@dataclass(frozen=True)
class LabelQuery:
    """The relations of labels, and the query over them.

    ``creditings`` are by task, parents before children; ``forms`` names the form of a crediting by its name,
    and one that is not named takes its usual form.
    """

    rows: Mapping[str, exp.Query]
    creditings: Mapping[str, Sequence[Crediting]]
    forms: Mapping[str, Form]
    layers: Mapping[str, exp.Query]
    final: exp.Select

    @property
    def on_the_cut(self) -> Relations:
        """The rows that take part, of a log whose repeated keys and ids are known."""
        return {name: query for name, query in self.rows.items() if name not in rows.CUT}

    @property
    def credit(self) -> dict[str, Relations]:
        """Each task's relations, parents before children."""
        return {
            task: {
                name: relation
                for crediting in of_task
                for name, relation in crediting.relations(self.forms.get(crediting.name)).items()
            }
            for task, of_task in self.creditings.items()
        }

    @property
    def last_layer(self) -> str:
        """The name of the layer that holds every task's label."""
        return list(self.layers)[-1]

    def labels(self) -> exp.Select:
        """Return the query over ``rows`` and ``credit``."""
        return x.with_relations(self.final.copy(), self.layers.items())

    def statement(self) -> exp.Select:
        """Return all of it as one SELECT."""
        credit = (relation for task in self.credit.values() for relation in task.items())
        return x.with_relations(self.final.copy(), (*self.rows.items(), *credit, *self.layers.items()))
