"""The relations of a label query in a session: the files and days that it reads, and its tables of credit.

::

    signals                               a table
    windows x signals of equal keys       counted: the pairs that a join would visit
    join, or scan where they are many     a table; the relations that only lead to it are dropped again
"""

import logging
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels.maturity import longest_reach, longest_window
from tasks.labels.query import Crediting, Form, LabelDays, LabelQuery
from tasks.logs import rows
from tasks.logs.days import spread_days
from tasks.logs.footers import File
from tasks.logs.rows import DayRange
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import fill

MAX_FAN_OUT = 12
"""Pairs for each window and signal above which a scan is taken. It decides how long, never what."""

FEW_SIGNALS = 2
"""Signals of one key in an eighth of them up to which a join is taken without counting the pairs."""

_NEAR = "near"
_NO_TIME = timedelta()
_LOG = logging.getLogger("equipoise")


def find_label_days(tasks: TasksSpec, days: Iterable[date]) -> LabelDays:
    """Return the days to read for the labels of some days: of competing impressions, and of events."""
    wanted, reach = list(days), longest_reach(tasks)
    return LabelDays(
        write=spread_days(wanted, before=_NO_TIME, after=_NO_TIME),
        impressions=spread_days(wanted, before=reach.before, after=reach.after),
        events=spread_days(wanted, before=reach.before, after=reach.after + longest_window(tasks)),
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
    """Cut the log like ``log.cut``, with repeated keys only as far as the labels of some days need them."""
    near, request = rows.in_days(c.SHOWN_AT, days.impressions or [DayRange()]), x.column(c.REQUEST_ID)
    requests = x.select([request], x.table(rows.IMPRESSIONS), where=[near])
    alike = exp.In(this=request.copy(), query=exp.Subquery(this=requests))
    log.create(_NEAR, x.select([exp.Star()], x.table(rows.IMPRESSIONS), where=[alike]), view=True)
    log.cut(as_of, _NEAR)
    log.cut_events(as_of)


def make_relations(log: LogTables, query: LabelQuery) -> None:
    """Make every relation of credit as a table, each in its usual form; needs the rows of the query."""
    for relations in query.credit.values():
        for name, relation in relations.items():
            log.create(name, relation)


def make_credit_tables(log: LogTables, creditings: Iterable[Crediting]) -> None:
    """Make the relations that the labels join, each in the form that its keys in this log ask for.

    Needs the relations ``shown`` and ``known``, and those of a task's parents.
    """
    for crediting in creditings:
        log.create(*crediting.signals)
        relations = crediting.relations(_choose_form(log, crediting))
        for name, query in relations.items():
            if name != crediting.signals[0]:
                log.create(name, query)
        for name in relations:
            if name != crediting.name:
                log.connection.execute(fill("DROP TABLE $name", name=x.name(name)))


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
    """Count the signals of the most frequent key in an eighth of them: a frequent key has some there."""
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
