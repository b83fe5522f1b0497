"""Compiles tasks.yaml to SQL: one query, whose relations can run as one statement or one by one.

::

    impressions, events                      the log, under the standard column names
      repeated, first_of_repeated, shown     logs/rows.py   known before the as-of, one row per key
      repeated_events, first_events, known                  known before the as-of, one event per id
      <task>__signals ... <task>__credited   credit.py      events credited to an impression
      facts, statuses_<n>, labels_<n>        status.py      status and label, parents before children
      -> impression columns, ds, and <task>, <task>__status, <task>__at of every task

Provisional labels of immature days count the outcomes so far, as if no more events arrived. They are not
used as training labels, since a later purchase may still arrive. Estimates that know the share of events
that have arrived may read them.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime

import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import Contracts, TasksSpec
from tasks.contracts.durations import format_duration
from tasks.errors import ContractError
from tasks.labels.credit import list_creditings
from tasks.labels.query import (
    Form,
    Horizon,
    LabelDays,
    LabelQuery,
    cut_near,
    find_files,
    find_label_days,
    make_credit_tables,
)
from tasks.labels.status import label_layers, select_labels
from tasks.labels.windows import ARRIVED, matures
from tasks.logs import rows
from tasks.logs.rows import EVENTS, IMPRESSIONS
from tasks.logs.session import open_log
from tasks.logs.tables import Log, LogTables, contract_log, event_columns
from tasks.sql import expressions as x
from tasks.stores.workspace import Workspace

DIALECTS = ("duckdb", "spark", "postgres", "bigquery", "snowflake")
_ALL_DAYS = LabelDays()

_HEAD = """\
-- Labels of {surface}, as the contract {contract}, version {version}, defines them
-- (digest {digest}).
--
-- {as_of} is the instant of the build, a time with a zone: an impression takes part that was shown before it,
-- an event that had happened before it and, where {ingested_at} says when, had arrived. {arrived} is the
-- instant up to which the log had arrived by then: {as_of} itself, where the newest known row of both tables
-- lies less than {within} before it (`arrival`), else that row's time. What is not mature by then has the
-- status immature and no label.
-- Reads the tables {impressions} and {events}, under the column names of the contracts. The session's time
-- zone must be UTC: days are UTC days.
"""


def labels_sql(tasks: TasksSpec, horizon: Horizon, dialect: str = "duckdb", *, log: Log) -> str:
    """Return the labels as one statement over ``impressions`` and ``events``; see ``label_query``."""
    if dialect not in DIALECTS:
        raise ContractError(f"Unknown dialect '{dialect}'. Known: {', '.join(DIALECTS)}")
    return x.render(label_query(tasks, horizon, log=log).statement(), dialect)


def label_query(
    tasks: TasksSpec,
    horizon: Horizon,
    *,
    log: Log,
    days: LabelDays = _ALL_DAYS,
    forms: Mapping[str, Form] | None = None,
    labels_only: bool = False,
) -> LabelQuery:
    """Compile a contract for a log.

    Parameters
    ----------
    forms
        The form of a crediting by its name, such as ``click__credited`` or ``click__out_0``. By default it
        follows from the key.
    labels_only
        Credit only impressions that affect the labels of the days to write: no immature impressions, and
        other days only if they compete for events. An explanation also lists events that came too early, so
        it needs all impressions.
    """
    refuse_name_clashes(tasks, log.impressions)
    names = tuple(n for n in log.impressions if n != c.DAY)
    layers = label_layers(tasks, horizon.arrived, names, days.write)
    return LabelQuery(
        rows=_rows_taking_part(tasks, horizon, log, days, labels_only=labels_only),
        creditings={
            task: list_creditings(
                tasks, task, horizon.arrived, has_position=c.POSITION in names, labels_only=labels_only
            )
            for task in tasks.order()
            if tasks.tasks[task].rule
        },
        forms=forms or {},
        layers=layers,
        final=select_labels(tasks, names, list(layers)[-1]),
    )


def _rows_taking_part(
    tasks: TasksSpec, horizon: Horizon, log: Log, days: LabelDays, *, labels_only: bool
) -> dict[str, exp.Query]:
    """Select the impressions and events that can affect a label, by name of the relation."""
    as_of = horizon.as_of
    names = tuple(n for n in log.impressions if n != c.DAY)
    taking_part = {
        rows.REPEATED: rows.repeated_keys(as_of),
        rows.FIRST: rows.first_of_repeated(as_of, names),
        rows.SHOWN: rows.shown_impressions(as_of, names, days.impressions),
    }
    if labels_only:
        taking_part[rows.WRITTEN] = rows.written_impressions(as_of, names, days.write)
    of_events = event_columns(tasks, log)
    if log.has_event_ids:
        taking_part[rows.REPEATED_EVENTS] = rows.repeated_events(as_of, of_events)
        taking_part[rows.FIRST_EVENTS] = rows.first_events(as_of, of_events)
    taking_part[rows.KNOWN] = rows.known_events(as_of, of_events, sorted(tasks.events), days.events)
    return taking_part


def compile_days(
    log: LogTables, tasks: TasksSpec, *, horizon: Horizon, days: LabelDays, labels_only: bool
) -> LabelQuery:
    """Compile the labels of some days, and create the views of the rows that they read.

    Afterwards the log tables consist of the files that may hold rows of the days to read. Requires
    ``log.cut``; see ``label_query``.
    """
    for table, files in find_files(log, days).items():
        log.view(table, table, files)
    query = label_query(tasks, horizon, log=log.log, days=days, labels_only=labels_only)
    for name, relation in query.on_the_cut.items():
        log.create(name, relation, view=True)
    return query


def refuse_name_clashes(tasks: TasksSpec, impressions: Iterable[str]) -> None:
    """Refuse columns of the log that have the name of a label column."""
    taken = {name.lower(): name for name in tasks.tasks}
    for column in impressions:
        if column.lower() in {c.CONTRACT_VERSION, c.CONTRACT_DIGEST}:
            raise ContractError(f"The impressions' column '{column}' has a name that labels take: rename it")
        task = taken.get(column.lower().split("__", maxsplit=1)[0])
        if task is not None and (column.lower() == task.lower() or "__" in column):
            raise ContractError(
                f"The impressions' column '{column}' has a name that labels of task '{task}' take: rename it"
            )


def labels_script(contracts: Contracts, dialect: str = "duckdb") -> str:
    """Return the SQL of a surface's labels in a dialect, with a comment header.

    Raises
    ------
    ContractError
        The dialect is unknown.
    """
    tasks, log = contracts.tasks, contract_log(contracts.surface, contracts.tasks)
    sql = labels_sql(tasks, Horizon.whole(None), dialect, log=log)
    head = _HEAD.format(
        surface=contracts.surface.surface,
        contract=tasks.contract,
        version=tasks.version,
        digest=contracts.digests["tasks"],
        as_of=exp.Placeholder(this="as_of").sql(dialect=dialect),
        arrived=exp.Placeholder(this=ARRIVED).sql(dialect=dialect),
        within=format_duration(contracts.surface.arrival.within),
        ingested_at=c.INGESTED_AT,
        impressions=IMPRESSIONS,
        events=EVENTS,
    )
    return head + sql


def query_provisional(
    log: LogTables, tasks: TasksSpec, days: Iterable[date], *, as_of: datetime
) -> LabelQuery:
    """Return the provisional label query of some days' impressions, and create the tables that it reads.

    Parameters
    ----------
    as_of : later known events are ignored.
    """
    wanted = find_label_days(tasks, days)
    cut_near(log, wanted, as_of=as_of)
    late = as_of + max(matures(tasks, task) for task in tasks.tasks)
    query = compile_days(log, tasks, horizon=Horizon(as_of, late), days=wanted, labels_only=True)
    for creditings in query.creditings.values():
        make_credit_tables(log, creditings)
    return query


def read_provisional(workspace: Workspace, days: Iterable[date], *, as_of: datetime) -> pa.Table:
    """Return key, labels and crediting instants of some days' impressions from the events known so far.

    Parameters
    ----------
    days : days of impressions; labels of mature days equal those of the label store.
    as_of : later known events are ignored.
    """
    with open_log(workspace) as log:
        tasks = log.contracts.tasks
        query = query_provisional(log, tasks, days, as_of=as_of)
        names = [*c.IMPRESSION_KEY, *tasks.tasks, *map(c.at, tasks.tasks)]
        found = x.select(x.columns(names), x.subquery(query.labels(), "labels"))
        return log.connection.sql(x.render(found)).to_arrow_table()
