"""Measurements of the events known as of a snapshot: rows by day and name, clocks, users."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels import windows as w
from tasks.sql import expressions as x
from tasks.validation.label_measurements import LABELS
from tasks.validation.measurements import (
    ARRIVED_EARLY,
    EQUAL,
    FUTURE,
    NEGATIVES,
    NEVER_SHOWN,
    ROWS,
    SKEWED,
    UNKNOWN_NAME,
    Measurement,
    count_if,
    fetch,
    find_examples,
    measure_columns,
    measure_newest,
    measure_top_user,
)

KNOWN_EVENTS = "known_events"
SHOWN_ITEMS = "shown_items"
_NAMED_BY = (c.EVENT, c.HAPPENED_AT)


def measure_events(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[str], *, tasks: TasksSpec, as_of: datetime
) -> list[Measurement]:
    """Measure the relation ``known_events``, whose rows have a name and a time; requires ``shown_items``."""
    types = measure_columns(connection, KNOWN_EVENTS, columns)
    present = {kind.subject for kind in types}
    counted = fetch(
        connection,
        "SELECT $event, $at::DATE, count(*) FROM $events GROUP BY ALL ORDER BY ALL",
        event=x.column(c.EVENT),
        at=x.column(c.HAPPENED_AT),
        events=x.table(KNOWN_EVENTS),
    )
    measured = [
        *types,
        *measure_newest(connection, KNOWN_EVENTS, c.HAPPENED_AT),
        *(measure_top_user(connection, KNOWN_EVENTS, c.USER_ID) if c.USER_ID in present else ()),
        *(
            Measurement(ROWS if name in tasks.events else UNKNOWN_NAME, name, day=day, rows=n)
            for name, day, n in counted
        ),
    ]
    future = x.ge(x.column(c.HAPPENED_AT), x.instant(as_of))
    measured += _broken(connection, FUTURE, c.HAPPENED_AT, future)
    if c.INGESTED_AT in present:
        early = x.lt(x.column(c.INGESTED_AT), x.column(c.HAPPENED_AT))
        measured += _broken(connection, ARRIVED_EARLY, c.INGESTED_AT, early)
    measured += _negatives(connection, tasks, as_of)
    if {*c.IMPRESSION_KEY} <= present:
        measured += _skewed(connection)
    if c.ITEM_ID in present:
        measured += _never_shown(connection)
    return measured


def _broken(
    connection: duckdb.DuckDBPyConnection, rule: str, subject: str, condition: exp.Expr
) -> Iterator[Measurement]:
    ((rows, count),) = fetch(
        connection,
        "SELECT count(*), $broken FROM $events",
        broken=count_if(condition),
        events=x.table(KNOWN_EVENTS),
    )
    key = {name: x.column(name) for name in _NAMED_BY}
    examples = find_examples(connection, KNOWN_EVENTS, condition.copy(), key) if count else ""
    yield Measurement(rule, subject, rows=count, of=rows, examples=examples)


def _negatives(
    connection: duckdb.DuckDBPyConnection, tasks: TasksSpec, as_of: datetime
) -> Iterator[Measurement]:
    """Count the events of negative and safety tasks for the impressions of each day.

    A day is included once its events must have arrived, that is, after maturity. Days within a window of the
    first day of the log are omitted, since they have fewer events than later ones. A composite has no events
    of its own: cost tasks among its components are measured themselves, and its labels are evaluated by day
    as well. Other components read common events, such as purchases, which stop on holidays.
    """
    shown = fetch(
        connection,
        "SELECT $day, count(*) FROM $labels GROUP BY 1 ORDER BY 1",
        day=x.column(c.DAY),
        labels=x.table(LABELS),
    )
    for task, spec in tasks.tasks.items():
        rule = spec.rule
        if rule is None or not spec.family.costs:
            continue
        begun = shown[0][0] + tasks.window(task) if shown else date.max
        last = (as_of - (tasks.maturity(task) - tasks.window(task))).date() - timedelta(days=1)
        counted = fetch(
            connection,
            "SELECT $event, $at::DATE, count(*) FROM $events WHERE $counts GROUP BY ALL",
            event=x.column(c.EVENT),
            at=x.column(c.HAPPENED_AT),
            events=x.table(KNOWN_EVENTS),
            counts=x.all_of(w.counts(rule), *(x.not_null(x.column(name)) for name in rule.match)),
        )
        rows = {(event, day): n for event, day, n in counted}
        for event in rule.event:
            for day, of in shown:
                if begun <= day <= last:
                    yield Measurement(NEGATIVES, task, event, day, rows.get((event, day), 0), of)


def measure_equal_events(connection: duckdb.DuckDBPyConnection, *, since: date) -> Iterator[Measurement]:
    """Count, by name and day, events without an id that equal another except for ``ingested_at``."""
    described = fetch(connection, "DESCRIBE SELECT * FROM $events", events=x.table(KNOWN_EVENTS))
    names = [name for name, *_ in described]
    content = x.columns(name for name in names if name not in {c.INGESTED_AT, c.EVENT_ID})
    where = [x.ge(x.column(c.HAPPENED_AT), x.day_start(since))]
    where += [x.is_null(x.column(c.EVENT_ID))] if c.EVENT_ID in names else []
    counted = fetch(
        connection,
        """SELECT $event, $at::DATE, count(*) - count(DISTINCT hash($content)), count(*) FROM $events
           WHERE $where GROUP BY 1, 2 ORDER BY 1, 2""",
        event=x.column(c.EVENT),
        at=x.column(c.HAPPENED_AT),
        content=content,
        events=x.table(KNOWN_EVENTS),
        where=x.all_of(*where),
    )
    examples = {name: "" for name, _, equal, _ in counted if equal}
    for name in examples:
        named = [n for n in (c.USER_ID, c.ITEM_ID, c.HAPPENED_AT) if n in names]
        found = fetch(
            connection,
            """SELECT min(concat_ws('/', $named), 3) FROM (
                 SELECT $content FROM $events WHERE $where GROUP BY ALL HAVING count(*) > 1)""",
            named=x.columns(named),
            content=[column.copy() for column in content],
            events=x.table(KNOWN_EVENTS),
            where=x.all_of(x.eq(x.column(c.EVENT), x.text(name)), *(one.copy() for one in where)),
        )
        examples[name] = "; ".join(found[0][0] or ())
    for name, day, equal, rows in counted:
        yield Measurement(EQUAL, name, "", day, equal, rows, examples=examples.get(name, ""))


def _skewed(connection: duckdb.DuckDBPyConnection) -> Iterator[Measurement]:
    """Count, by name, the events that happened before their impression was shown."""
    counted = fetch(
        connection,
        """SELECT $event, count(*), count(*) FILTER (early), min(example, 3) FILTER (early)
           FROM (SELECT $named, $happened < $shown AS early, concat_ws('/', $key) AS example
                 FROM $events JOIN $labels ON $same)
           GROUP BY 1 ORDER BY 1""",
        event=x.column(c.EVENT),
        named=x.column(c.EVENT, KNOWN_EVENTS),
        happened=x.column(c.HAPPENED_AT, KNOWN_EVENTS),
        shown=x.column(c.SHOWN_AT, LABELS),
        key=x.columns(c.IMPRESSION_KEY, LABELS),
        events=x.table(KNOWN_EVENTS),
        labels=x.table(LABELS),
        same=x.eq_columns(c.IMPRESSION_KEY, KNOWN_EVENTS, LABELS),
    )
    for name, rows, early, examples in counted:
        yield Measurement(SKEWED, name, rows=early, of=rows, examples="; ".join(examples or ()))


def _never_shown(connection: duckdb.DuckDBPyConnection) -> Iterator[Measurement]:
    """Count the events of items that are neither in the impressions nor in the candidates."""
    ((rows, strange, examples),) = fetch(
        connection,
        """SELECT sum(n), coalesce(sum(n) FILTER (unknown), 0), min(example, 3) FILTER (unknown)
           FROM (SELECT n, named.$item::VARCHAR AS example, shown.$item IS NULL AS unknown
                 FROM (SELECT $item, count(*) AS n FROM $events WHERE $item IS NOT NULL GROUP BY 1) AS named
                 LEFT JOIN $items AS shown USING ($item))""",
        item=x.column(c.ITEM_ID),
        events=x.table(KNOWN_EVENTS),
        items=x.table(SHOWN_ITEMS),
    )
    if rows:
        yield Measurement(
            NEVER_SHOWN, c.ITEM_ID, rows=int(strange), of=int(rows), examples="; ".join(examples or ())
        )
