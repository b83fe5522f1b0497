"""Labels of days that are not mature yet, as if nothing more came: what has happened so far.

They are no labels to learn from: who has not bought yet may buy tomorrow. Estimates that know which share of
the events has come by now may read them.
"""

from collections.abc import Iterable
from datetime import date, datetime

import pyarrow as pa

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels.compile import compile_days
from tasks.labels.maturity import matures
from tasks.labels.query import Horizon, LabelQuery
from tasks.labels.relations import cut_near, find_label_days, make_credit_tables
from tasks.logs.session import open_log
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import render
from tasks.stores.workspace import Workspace


def query_provisional(
    log: LogTables, tasks: TasksSpec, days: Iterable[date], *, as_of: datetime
) -> LabelQuery:
    """Return the query of the labels of impressions of some days, with the tables that it reads made.

    Parameters
    ----------
    as_of : events that are known later take no part.
    """
    wanted = find_label_days(tasks, days)
    cut_near(log, wanted, as_of=as_of)
    late = as_of + max(matures(tasks, task) for task in tasks.tasks)
    query = compile_days(log, tasks, horizon=Horizon(as_of, late), days=wanted, labels_only=True)
    for creditings in query.creditings.values():
        make_credit_tables(log, creditings)
    return query


def read_provisional(workspace: Workspace, days: Iterable[date], *, as_of: datetime) -> pa.Table:
    """Return key, labels and crediting instants of the impressions of some days, by the events known so far.

    Parameters
    ----------
    days : of impressions; the labels of a mature day are those of the label store.
    as_of : events that are known later take no part.
    """
    with open_log(workspace) as log:
        tasks = log.contracts.tasks
        query = query_provisional(log, tasks, days, as_of=as_of)
        names = [*c.IMPRESSION_KEY, *tasks.tasks, *map(c.at, tasks.tasks)]
        found = x.select(x.columns(names), x.subquery(query.labels(), "labels"))
        return log.connection.sql(render(found)).to_arrow_table()
