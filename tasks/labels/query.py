"""A compiled label query: its relations, in the order of their dependencies.

::

    LabelQuery.rows          the selected rows of the log
      .creditings            per task, the events credited to impressions: a ``Crediting`` each
      .layers                facts, statuses and labels of the impressions
      .final                 the columns of the label store
    Horizon                  the instants up to which events are known and labels mature
    LabelDays                the days that the query writes and reads

In a session, the query's tables of credit are created from the files and days that it reads.

::

    signals                               a table
    windows x signals of equal keys       number of pairs that a join would visit
    join, or scan for many pairs          a table; intermediate relations are dropped
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels.windows import longest_reach, longest_window
from tasks.logs import rows
from tasks.logs.footers import File
from tasks.logs.rows import DayRange
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x

Relations = dict[str, exp.Query]

_SELECTIVE = ({c.REQUEST_ID}, {c.USER_ID, c.ITEM_ID})
"""Columns that few rows share; a match on one of these sets uses a join."""


class Form(StrEnum):
    """How windows and signals are matched."""

    JOIN = "join"
    SCAN = "scan"


@dataclass(frozen=True)
class Horizon:
    """The as-of of a build, and the instant up to which the log had arrived by then.

    Events are known by the former, labels mature by the latter, so a late log creates no negatives. None
    leaves the parameters ``as_of`` and ``arrived`` in the SQL.
    """

    as_of: x.AsOf
    arrived: x.AsOf

    @classmethod
    def whole(cls, as_of: x.AsOf) -> "Horizon":
        """Return the horizon of a log that has arrived up to the as-of."""
        return cls(as_of, as_of)


@dataclass(frozen=True)
class LabelDays:
    """The days whose labels a query writes, and the days of the rows that it reads; None for all.

    More days are read than written, because impressions of adjacent days compete for the same events.
    """

    write: Sequence[DayRange] | None = None
    impressions: Sequence[DayRange] | None = None
    events: Sequence[DayRange] | None = None


@dataclass(frozen=True)
class Crediting:
    """A relation that the labels join, its signals, and its possible forms.

    Signals are matched with the ``windows``, for which an engine can count the pairs that a join would visit.
    """

    name: str
    match: tuple[str, ...]
    signals: tuple[str, exp.Query]
    windows: exp.Select
    forms: Mapping[Form, Relations]

    @property
    def usual(self) -> Form:
        """The form that follows from the key alone."""
        selective = any(columns <= set(self.match) for columns in _SELECTIVE)
        return Form.JOIN if selective or Form.SCAN not in self.forms else Form.SCAN

    def relations(self, form: Form | None = None) -> Relations:
        """Return the relations in the order of their dependencies."""
        return {self.signals[0]: self.signals[1], **self.forms[form or self.usual]}


@dataclass(frozen=True)
class LabelQuery:
    """The relations of labels, and the query over them.

    ``creditings`` are by task, parents before children. ``forms`` gives the form of a crediting by its name;
    by default it is the usual form.
    """

    rows: Mapping[str, exp.Query]
    creditings: Mapping[str, Sequence[Crediting]]
    forms: Mapping[str, Form]
    layers: Mapping[str, exp.Query]
    final: exp.Select

    @property
    def on_the_cut(self) -> Relations:
        """The selected rows of a log whose repeated keys and ids are known."""
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
        """Name of the layer with every task's label."""
        return list(self.layers)[-1]

    def labels(self) -> exp.Select:
        """Return the query over ``rows`` and ``credit``."""
        return x.with_relations(self.final.copy(), self.layers.items())

    def statement(self) -> exp.Select:
        """Return the whole query as one SELECT."""
        credit = (relation for task in self.credit.values() for relation in task.items())
        return x.with_relations(self.final.copy(), (*self.rows.items(), *credit, *self.layers.items()))


MAX_FAN_OUT = 12
"""Pairs per window and signal above which a scan is used. It affects the duration, never the result."""

FEW_SIGNALS = 2
"""Signals of one key, in a sample of one eighth, up to which a join is used without counting pairs."""

_NEAR = "near"
_NO_TIME = timedelta()
_LOG = logging.getLogger("equipoise")


def find_label_days(tasks: TasksSpec, days: Iterable[date]) -> LabelDays:
    """Return the days of competing impressions and of events to read for the labels of some days."""
    wanted, reach = list(days), longest_reach(tasks)
    return LabelDays(
        write=DayRange.spread(wanted, before=_NO_TIME, after=_NO_TIME),
        impressions=DayRange.spread(wanted, before=reach.before, after=reach.after),
        events=DayRange.spread(wanted, before=reach.before, after=reach.after + longest_window(tasks)),
    )


def find_files(log: LogTables, days: LabelDays) -> dict[str, list[File]]:
    """Return the files of the log that may hold rows of the days to read, of impressions and of events."""
    return {
        table: [
            file
            for file in log.views[table].table.files
            if read is None or any(log.may_hold(table, file, range_) for range_ in read)
        ]
        for table, read in ((rows.IMPRESSIONS, days.impressions), (rows.EVENTS, days.events))
    }


def cut_near(log: LogTables, days: LabelDays, *, as_of: datetime) -> None:
    """Cut the log like ``log.cut``, with only the repeated keys that the labels of some days need."""
    near, request = rows.in_days(c.SHOWN_AT, days.impressions or [DayRange()]), x.column(c.REQUEST_ID)
    requests = x.select([request], x.table(rows.IMPRESSIONS), where=[near])
    alike = exp.In(this=request.copy(), query=exp.Subquery(this=requests))
    log.create(_NEAR, x.select([exp.Star()], x.table(rows.IMPRESSIONS), where=[alike]), view=True)
    log.cut(as_of, _NEAR)
    log.cut_events(as_of)


def make_relations(log: LogTables, query: LabelQuery) -> None:
    """Create every relation of credit as a table in its usual form; requires the rows of the query."""
    for relations in query.credit.values():
        for name, relation in relations.items():
            log.create(name, relation)


def make_credit_tables(log: LogTables, creditings: Iterable[Crediting]) -> None:
    """Create the relations that the labels join, each in the form that suits its keys in this log.

    Requires the relations ``shown`` and ``known``, and those of a task's parents.
    """
    for crediting in creditings:
        log.create(*crediting.signals)
        relations = crediting.relations(_choose_form(log, crediting))
        for name, query in relations.items():
            if name != crediting.signals[0]:
                log.create(name, query)
        for name in relations:
            if name != crediting.name:
                log.connection.execute(x.fill("DROP TABLE $name", name=x.name(name)))


def _choose_form(log: LogTables, crediting: Crediting) -> Form:
    if Form.SCAN not in crediting.forms:
        return Form.JOIN
    if _count_most_frequent(log, crediting) <= FEW_SIGNALS:
        _LOG.debug("labels: %s by join: no key has many signals", crediting.name)
        return Form.JOIN
    pairs, windows, signals = _count_pairs(log, crediting)
    form = Form.SCAN if pairs > MAX_FAN_OUT * (windows + signals) else Form.JOIN
    message = "labels: %s by %s: %d pairs of %d windows and %d signals"
    _LOG.debug(message, crediting.name, form, pairs, windows, signals)
    return form


def _count_most_frequent(log: LogTables, crediting: Crediting) -> int:
    """Count the signals of the most frequent key in a sample of one eighth of the rows."""
    ((most,),) = log.fetch(
        """SELECT coalesce(max(n), 0)
           FROM (SELECT count(*) AS n FROM $signals WHERE rowid % 8 = 0 GROUP BY $match)""",
        signals=x.table(crediting.signals[0]),
        match=x.columns(crediting.match),
    )
    return int(most)


def _count_pairs(log: LogTables, crediting: Crediting) -> tuple[int, int, int]:
    """Count the pairs that a join would visit, the windows whose key has a signal, and the signals."""
    ((pairs, windows, signals),) = log.fetch(
        """SELECT coalesce(sum(n), 0), count(*), (SELECT count(*) FROM $signals)
           FROM ($windows)
           JOIN (SELECT $match, count(*) AS n FROM $signals GROUP BY $match) USING ($match)""",
        windows=crediting.windows,
        signals=x.table(crediting.signals[0]),
        match=x.columns(crediting.match),
    )
    return int(pairs), int(windows), int(signals)
