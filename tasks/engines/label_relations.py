"""The relations that labels are made from, made and kept for questions that no stored label answers."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.engines.duckdb import LogTables
from tasks.labels import expressions as x
from tasks.labels import rows
from tasks.labels.compile import LabelQuery, label_query
from tasks.labels.coverage import spread
from tasks.labels.maturity import longest_reach, longest_window

_NEAR = "near"
_NO_TIME = timedelta()


def cut_near(log: LogTables, *, as_of: datetime, day: date) -> None:
    """Cut the log as ``log.cut`` does, with repeated keys only as far as the labels of one day need them."""
    reach, request = longest_reach(log.contracts.tasks), x.column(c.REQUEST_ID)
    around = rows.in_days(c.SHOWN_AT, spread([day], before=reach, after=reach))
    requests = x.select([request], x.table(rows.IMPRESSIONS), where=[around])
    alike = exp.In(this=request.copy(), query=exp.Subquery(this=requests))
    log.create(_NEAR, x.select([exp.Star()], x.table(rows.IMPRESSIONS), where=[alike]), view=True)
    log.cut(as_of, _NEAR)


def make_relations(log: LogTables, tasks: TasksSpec, *, as_of: datetime, days: Iterable[date]) -> LabelQuery:
    """Make every relation of the tasks for the impressions of some days; needs a log that is cut.

    Impressions that compete for the same events are read from the days around, as in a build.
    """
    wanted, reach = sorted(days), longest_reach(tasks)
    query = label_query(
        tasks,
        as_of,
        log=log.log,
        write=spread(wanted, before=_NO_TIME, after=_NO_TIME),
        read=spread(wanted, before=reach, after=reach),
        events=spread(wanted, before=reach, after=reach + longest_window(tasks)),
    )
    log.create(rows.SHOWN, query.rows[rows.SHOWN], view=True)
    log.create(rows.KNOWN, query.rows[rows.KNOWN], view=True)
    for relations in query.credit.values():
        for name, relation in relations.items():
            log.create(name, relation)
    return query
