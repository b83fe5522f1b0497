"""Reads one impression's labels from the relations of a label query, with everything that led to them.

The relations are those of a build over the days around the impression. So the facts are those that a build as
of the same instant would store.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels import explanation_query as q
from tasks.labels import windows as w
from tasks.labels.explanation import Event, Events, Facts, Impression, Label
from tasks.labels.query import Horizon, LabelQuery
from tasks.labels.status import Why, causes, credit
from tasks.logs import rows
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import Part, fill

MOST = 20
"""Events of a window that are read one by one; the others are counted."""

_SOME_EVENTS = """
    SELECT *, count(*) OVER () AS _number, count(*) FILTER ($own) OVER () AS _credited
    FROM ($events) ORDER BY ($own AND $at = $crediting) DESC NULLS LAST, $at, $rest LIMIT $most
"""


def read_facts(log: LogTables, query: LabelQuery, key: q.Key, *, horizon: Horizon) -> Facts | None:
    """Read what the relations hold of one impression; None where the log does not have it.

    Needs the relations of the query: see ``make_relations``.
    """
    tasks, as_of = log.contracts.tasks, horizon.as_of
    log.create(q.EXPLAINED, q.explained_row(tasks, query, key, horizon.arrived))
    labels = x.select([exp.Star()], x.subquery(query.labels(), "labels"), where=[q.of_key(key)])
    labelled = _rows(log, "$labels", labels=labels)
    if not labelled:
        return None
    (row,) = _rows(log, "FROM $explained", explained=x.table(q.EXPLAINED))
    with_rule = [task for task in tasks.order() if tasks.tasks[task].rule]
    return Facts(
        row=row,
        labels={t: Label(*(labelled[0][name] for name in (t, c.status(t), c.at(t)))) for t in tasks.tasks},
        causes={task: _causes(tasks, task, row) for task in tasks.tasks},
        events={task: _in_window(log, task, key, as_of, row) for task in with_rule},
        exclusions={task: _exclusions(log, task, as_of) for task in with_rule},
        duplicates=_duplicates(log, key),
    )


def _causes(tasks: TasksSpec, task: str, row: Mapping[str, Any]) -> list[tuple[str, Why, str]]:
    possible = enumerate(causes(tasks, task, None))
    return [(cause.status, cause.why, cause.of) for n, cause in possible if row[q.why_column(task, n)]]


def _duplicates(log: LogTables, key: q.Key) -> tuple[datetime, ...]:
    query = x.select(
        [x.column(c.SHOWN_AT), x.column(rows.PLACE)], x.table(rows.DUPLICATES), where=[q.of_key(key)]
    )
    others = _rows(
        log,
        "FROM ($duplicates) WHERE $place > 1 ORDER BY $place",
        duplicates=query,
        place=x.column(rows.PLACE),
    )
    return tuple(row[c.SHOWN_AT] for row in others)


def _in_window(log: LogTables, task: str, key: q.Key, as_of: x.AsOf, row: Mapping[str, Any]) -> Events:
    events = q.events_in_window(log.contracts.tasks, task, key, as_of, log=log.log)
    return _events(log, events, row.get(credit(task)))


def _exclusions(log: LogTables, task: str, as_of: x.AsOf) -> list[Events]:
    tasks = log.contracts.tasks
    return [
        _events(log, q.exclusions_in_window(tasks, task, k, as_of, log=log.log), None)
        for k in range(len(tasks.tasks[task].exclude))
    ]


def _events(log: LogTables, events: exp.Query, crediting: datetime | None) -> Events:
    read = _rows(
        log,
        _SOME_EVENTS,
        events=events,
        own=x.all_of(x.column(w.COUNTS), x.column(q.MINE)),
        at=x.column(c.HAPPENED_AT),
        crediting=x.instant(crediting) if crediting else exp.Null(),
        rest=x.columns(log.log.events),
        most=x.integer(MOST),
    )
    if not read:
        return Events()
    some = sorted((_event(row) for row in read), key=lambda event: event.at)
    return Events(tuple(some), read[0]["_number"], read[0]["_credited"])


def _event(row: Mapping[str, Any]) -> Event:
    own = {c.EVENT, c.HAPPENED_AT, c.VALUE, c.INGESTED_AT}
    elsewhere = None
    if not row[q.MINE]:
        elsewhere = Impression(*(row[q.credited_column(name)] for name in (*c.IMPRESSION_KEY, c.SHOWN_AT)))
    columns = {
        name: value
        for name, value in row.items()
        if name not in own and not name.startswith("_") and value is not None
    }
    return Event(
        name=row[c.EVENT],
        at=row[c.HAPPENED_AT],
        value=row.get(c.VALUE),
        arrived=row.get(c.INGESTED_AT),
        columns=columns,
        counts=row[w.COUNTS],
        credited_to=elsewhere,
    )


def _rows(log: LogTables, template: str, **parts: Part) -> list[dict[str, Any]]:
    return log.connection.sql(fill(template, **parts)).to_arrow_table().to_pylist()
