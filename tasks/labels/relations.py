"""The relations that labels are made from: for a build, and for questions that no stored label answers."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels.compile import LabelQuery, label_query
from tasks.labels.maturity import longest_reach, longest_window
from tasks.logs import rows
from tasks.logs.days import spread_days
from tasks.logs.footers import File
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x

_NEAR = "near"
_NO_TIME = timedelta()


def cut_near(log: LogTables, *, as_of: datetime, day: date) -> None:
    """Cut the log as ``log.cut`` does, with repeated keys only as far as the labels of one day need them."""
    reach, request = longest_reach(log.contracts.tasks), x.column(c.REQUEST_ID)
    around = rows.in_days(c.SHOWN_AT, spread_days([day], before=reach.before, after=reach.after))
    requests = x.select([request], x.table(rows.IMPRESSIONS), where=[around])
    alike = exp.In(this=request.copy(), query=exp.Subquery(this=requests))
    log.create(_NEAR, x.select([exp.Star()], x.table(rows.IMPRESSIONS), where=[alike]), view=True)
    log.cut(as_of, _NEAR)


def files_read(log: LogTables, table: str, days: Iterable[date]) -> list[File]:
    """Return the files of a log table that a build of some days reads."""
    read = _read_days(log.contracts.tasks, days)[table]
    return [f for f in log.views[table].table.files if any(log.may_hold(table, f, range_) for range_ in read)]


def compiled(
    log: LogTables, tasks: TasksSpec, *, as_of: datetime, days: Iterable[date], labels_only: bool
) -> LabelQuery:
    """Compile the labels of some days, and make the relations of the rows that they are made from.

    Impressions that compete for the same events are read from the days around. From here on the log tables
    are the files that may hold rows of all these days; needs a log that is cut. See ``label_query``.
    """
    wanted = sorted(days)
    read = _read_days(tasks, wanted)
    for table in read:
        log.view(table, table, files_read(log, table, wanted))
    query = label_query(
        tasks,
        as_of,
        log=log.log,
        write=spread_days(wanted, before=_NO_TIME, after=_NO_TIME),
        read=read[rows.IMPRESSIONS],
        events=read[rows.EVENTS],
        labels_only=labels_only,
    )
    for name, relation in query.on_the_cut.items():
        log.create(name, relation, view=True)
    return query


def make_relations(log: LogTables, tasks: TasksSpec, *, as_of: datetime, days: Iterable[date]) -> LabelQuery:
    """Make and keep every relation of the tasks for the impressions of some days; needs a log that is cut."""
    query = compiled(log, tasks, as_of=as_of, days=days, labels_only=False)
    for relations in query.credit.values():
        for name, relation in relations.items():
            log.create(name, relation)
    return query


def _read_days(tasks: TasksSpec, days: Iterable[date]) -> dict[str, list[rows.DayRange]]:
    """Return the days of impressions that compete, and of events that bear on some days."""
    wanted, reach = list(days), longest_reach(tasks)
    return {
        rows.IMPRESSIONS: spread_days(wanted, before=reach.before, after=reach.after),
        rows.EVENTS: spread_days(wanted, before=reach.before, after=reach.after + longest_window(tasks)),
    }
