"""Reads one impression's labels from the relations of a label query, with everything that led to them.

The relations are those of a build over the days around the impression. So the facts are those that a build as
of the same instant would store.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels import windows as w
from tasks.labels.explanation import Event, Events, Facts, Impression, LabelValue
from tasks.labels.query import Horizon, LabelQuery
from tasks.labels.status import Why, causes, credit
from tasks.logs import rows
from tasks.logs.schema import Log
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import Part, fill

EXPLAINED = "explained"
MINE = "_mine"
_TOUCHED = "_touched"

Key = Mapping[str, Any]
"""The impression's key by column."""

MOST = 20
"""Events of a window that are read one by one; the others are counted."""

_SOME_EVENTS = """
    SELECT *, count(*) OVER () AS _number, count(*) FILTER ($own) OVER () AS _credited
    FROM ($events) ORDER BY ($own AND $at = $crediting) DESC NULLS LAST, $at, $rest LIMIT $most
"""


def why_column(task: str, number: int) -> str:
    """Name the column that says whether a task's n-th cause holds."""
    return f"{task}__why_{number}"


def credited_column(column: str) -> str:
    """Name the column that holds this column of the impression to which an event is credited."""
    return f"_to_{column}"


def of_key(key: Key, table: str | None = None) -> exp.Expr:
    """Return that a row has the key."""
    return x.all_of(*(x.eq(x.column(name, table), _literal(value)) for name, value in key.items()))


def explained_row(tasks: TasksSpec, query: LabelQuery, key: Key, arrived: x.AsOf) -> exp.Select:
    """Return the impression's row of the last layer, with every cause of every task."""
    columns = [
        x.alias(cause.holds, why_column(task, n))
        for task in tasks.tasks
        for n, cause in enumerate(causes(tasks, task, arrived))
    ]
    row = x.select([exp.Star(), *columns], x.table(query.last_layer), where=[of_key(key)])
    return x.with_relations(row, query.layers.items())


def events_in_window(tasks: TasksSpec, task: str, key: Key, as_of: x.AsOf, *, log: Log) -> exp.Select:
    """Return the known events in a task's window: needs ``explained`` and the task's own relations."""
    rule = w.event_rule(tasks, task)
    names = (*rule.event, *w.answers(tasks, task))
    signals = _known(log, as_of, names, [x.alias(w.counts(rule), w.COUNTS)])
    wanted = [*x.columns((*log.events, w.COUNTS), w.SIGNALS)]
    joins: list[x.Join] = [(_window(rule, rule.match), w.inside(rule, rule.match))]
    if rule.credit == "every":
        wanted.append(x.alias(exp.true(), MINE))
    else:
        winner = {k: x.column(k, w.WINDOWS if k in rule.match else _TOUCHED) for k in c.IMPRESSION_KEY}
        won = x.all_of(*(x.eq(of.copy(), x.column(k, rows.SHOWN)) for k, of in winner.items()))
        instant = (*rule.match, c.HAPPENED_AT)
        joins += [(x.table(w.touched(task), _TOUCHED), x.eq_columns(instant, w.SIGNALS, _TOUCHED))]
        joins += [(x.table(rows.SHOWN), won)]
        wanted.append(x.alias(of_key(key, rows.SHOWN), MINE))
        of_winner = (*c.IMPRESSION_KEY, c.SHOWN_AT)
        wanted += [x.alias(x.column(name, rows.SHOWN), credited_column(name)) for name in of_winner]
    return x.select(wanted, x.subquery(signals, w.SIGNALS), joins=joins)


def exclusions_in_window(tasks: TasksSpec, task: str, number: int, as_of: x.AsOf, *, log: Log) -> exp.Select:
    """Return the known events of a task's n-th exclusion in its window: needs ``explained``."""
    rule, out = w.event_rule(tasks, task), tasks.tasks[task].exclude[number]
    signals = _known(log, as_of, out.event, [])
    joins: list[x.Join] = [(_window(rule, out.on), w.inside(rule, out.on))]
    wanted = [*x.columns(log.events, w.SIGNALS), x.alias(exp.true(), w.COUNTS), x.alias(exp.true(), MINE)]
    return x.select(wanted, x.subquery(signals, w.SIGNALS), joins=joins)


def _known(log: Log, as_of: x.AsOf, events: Sequence[str], more: Sequence[exp.Expr]) -> exp.Select:
    known = rows.known_events(as_of, log.events, list(dict.fromkeys(events)), wanted=log.events)
    return x.select([*x.columns(log.events), *more], x.subquery(known, rows.KNOWN))


def _window(rule: w.Rule, match: Sequence[str]) -> exp.Subquery:
    """Return the impression's window: its match columns and where it opens, which may be nowhere."""
    opens = x.column(credit(rule.after) if rule.after else c.SHOWN_AT)
    keys = [name for name in c.IMPRESSION_KEY if name not in match]
    columns = [*x.columns((*match, *keys)), x.alias(opens, w.OPENS), *w.ends(rule, opens.copy())]
    return x.subquery(x.select(columns, x.table(EXPLAINED)), w.WINDOWS)


def _literal(value: Any) -> exp.Expr:
    return x.integer(value) if isinstance(value, int) else x.text(value)


def read_facts(log: LogTables, query: LabelQuery, key: Key, *, horizon: Horizon) -> Facts | None:
    """Read what the relations hold of one impression; None where the log does not have it.

    Needs the relations of the query: see ``make_relations``.
    """
    tasks, as_of = log.contracts.tasks, horizon.as_of
    log.create(EXPLAINED, explained_row(tasks, query, key, horizon.arrived))
    labels = x.select([exp.Star()], x.subquery(query.labels(), "labels"), where=[of_key(key)])
    labelled = _rows(log, "$labels", labels=labels)
    if not labelled:
        return None
    (row,) = _rows(log, "FROM $explained", explained=x.table(EXPLAINED))
    with_rule = [task for task in tasks.order() if tasks.tasks[task].rule]
    return Facts(
        row=row,
        labels={
            t: LabelValue(*(labelled[0][name] for name in (t, c.status(t), c.at(t)))) for t in tasks.tasks
        },
        causes={task: _causes(tasks, task, row) for task in tasks.tasks},
        events={task: _in_window(log, task, key, as_of, row) for task in with_rule},
        exclusions={task: _exclusions(log, task, as_of) for task in with_rule},
        duplicates=_duplicates(log, key),
    )


def _causes(tasks: TasksSpec, task: str, row: Mapping[str, Any]) -> list[tuple[str, Why, str]]:
    possible = enumerate(causes(tasks, task, None))
    return [(cause.status, cause.why, cause.of) for n, cause in possible if row[why_column(task, n)]]


def _duplicates(log: LogTables, key: Key) -> tuple[datetime, ...]:
    query = x.select(
        [x.column(c.SHOWN_AT), x.column(rows.PLACE)], x.table(rows.DUPLICATES), where=[of_key(key)]
    )
    others = _rows(
        log,
        "FROM ($duplicates) WHERE $place > 1 ORDER BY $place",
        duplicates=query,
        place=x.column(rows.PLACE),
    )
    return tuple(row[c.SHOWN_AT] for row in others)


def _in_window(log: LogTables, task: str, key: Key, as_of: x.AsOf, row: Mapping[str, Any]) -> Events:
    events = events_in_window(log.contracts.tasks, task, key, as_of, log=log.log)
    return _events(log, events, row.get(credit(task)))


def _exclusions(log: LogTables, task: str, as_of: x.AsOf) -> list[Events]:
    tasks = log.contracts.tasks
    return [
        _events(log, exclusions_in_window(tasks, task, k, as_of, log=log.log), None)
        for k in range(len(tasks.tasks[task].exclude))
    ]


def _events(log: LogTables, events: exp.Query, crediting: datetime | None) -> Events:
    read = _rows(
        log,
        _SOME_EVENTS,
        events=events,
        own=x.all_of(x.column(w.COUNTS), x.column(MINE)),
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
    if not row[MINE]:
        elsewhere = Impression(*(row[credited_column(name)] for name in (*c.IMPRESSION_KEY, c.SHOWN_AT)))
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
