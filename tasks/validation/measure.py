"""Measures a snapshot for validation: its rows, the known events, and the rows in quarantine.

::

    labels          the snapshot's files         -> frames "impressions" and "labels"
    candidates      the log's, if logged         -> frame "candidates"
    known_events    the log's, as of snapshot    -> frame "events"
    quarantine      invalid rows up to the as-of -> frame of their table

The known events are measured by day and name, with their clocks and users.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

import duckdb
import pandas as pd
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import Contracts, TasksSpec
from tasks.errors import DataError, unknown
from tasks.labels import windows as w
from tasks.labels.snapshot import Snapshot
from tasks.logs.checks import needed_columns
from tasks.logs.rows import CANDIDATES, IMPRESSIONS, known_events
from tasks.logs.session import open_log
from tasks.logs.tables import LogTables, event_columns
from tasks.sql import expressions as x
from tasks.stores import delta
from tasks.stores.workspace import Workspace
from tasks.validation import measurements as m
from tasks.validation.label_measurements import (
    LABELS,
    measure_distributions,
    measure_labels,
    measure_negatives,
)
from tasks.validation.measurements import (
    Measurement,
    count_if,
    fetch,
    find_examples,
    frame_of,
    measure_columns,
    measure_newest,
    measure_top_user,
)
from tasks.validation.row_measurements import (
    REACHED,
    first_day_in_reach,
    measure_candidates,
    measure_constraints,
    measure_heavy_users,
    measure_impressions,
    measure_infinite,
    measure_requests,
    measure_unshown,
    numeric_columns,
)

_DAYS = 35
"""Number of days whose distributions are measured: the newest seven and four weeks of reference."""
_LONGEST = 300


def measure(workspace: Workspace, snapshot: Snapshot) -> Mapping[str, pd.DataFrame]:
    """Measure a snapshot and its log, by name of the suite that evaluates the measurements.

    Raises
    ------
    DataError
        The snapshot lacks a task of the contract, or a log table does not match the contracts.
    """
    contracts, as_of = workspace.contracts, snapshot.as_of
    with open_log(workspace) as log:
        connection = log.connection
        _open_labels(connection, snapshot, contracts)
        known = known_events(as_of, log.log.events, None, wanted=log.log.events)
        log.cut_events(as_of)
        log.create(KNOWN_EVENTS, known, view=True)
        _open_items(log)
        events = (*event_columns(contracts.tasks, log.log), *c.IMPRESSION_KEY, c.USER_ID)
        since = first_day_in_reach(contracts, as_of)
        measured = {
            "impressions": [
                *measure_impressions(connection, _columns_read(IMPRESSIONS, contracts), as_of=as_of),
                *measure_heavy_users(connection, list(contracts.tasks.tasks)),
                *measure_distributions(connection, contracts.surface, days=_DAYS),
                *_infinite(log, contracts, as_of=as_of),
                *measure_requests(connection, LABELS, since=since),
                *measure_constraints(connection, LABELS, contracts.utility, since=since),
            ],
            "events": [
                *measure_events(connection, events, tasks=contracts.tasks, as_of=as_of),
                *measure_equal_events(connection, since=since),
            ],
            "labels": [
                *measure_labels(connection, contracts.tasks, as_of=as_of),
                *measure_negatives(connection, contracts.surface, contracts.tasks, since=since),
            ],
        }
        if log.candidates:
            measured["candidates"] = _measure_candidates(log, contracts, as_of=as_of, since=since)
        for table, figures in measured.items():
            figures.extend(_quarantined(workspace, connection, snapshot, table, figures))
    return {table: frame_of(figures) for table, figures in measured.items()}


def _open_labels(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, contracts: Contracts) -> None:
    names = snapshot.schema().names
    for task in contracts.tasks.tasks:
        for name in (task, c.status(task)):
            if name not in names:
                raise DataError(unknown("column", name, names, where=f"label snapshot {snapshot.id}"))
    snapshot.attach(connection, LABELS)


def _open_items(log: LogTables) -> None:
    """Create the relation of the items that were shown or were candidates."""
    tables = [LABELS, *([CANDIDATES] if log.candidates else [])]
    items = [x.select([x.column(c.ITEM_ID)], x.table(table)) for table in tables]
    both = items[0] if len(items) == 1 else exp.Union(this=items[0], expression=items[1], distinct=False)
    log.create(SHOWN_ITEMS, x.distinct(x.select([exp.Star()], x.subquery(both, "items"))), view=True)


def _columns_read(table: str, contracts: Contracts) -> list[str]:
    """Return the columns of impressions or candidates that labels, heads or policies read."""
    return [*needed_columns(table, contracts), *contracts.utility.columns, *contracts.slate.columns]


def _measure_candidates(
    log: LogTables, contracts: Contracts, *, as_of: datetime, since: date
) -> list[Measurement]:
    """Measure the candidates of the days that a training slice can include."""
    connection, shown_at = log.connection, x.column(c.SHOWN_AT)
    reached = [x.ge(shown_at, x.day_start(since)), x.lt(shown_at.copy(), x.instant(as_of))]
    day = x.alias(x.utc_day(shown_at.copy()), c.DAY)
    log.create(REACHED, x.select([exp.Star(), day], x.table(CANDIDATES), where=reached), view=True)
    columns = _columns_read(CANDIDATES, contracts)
    ranked = [*contracts.surface.features.names, *contracts.utility.weighing_columns]
    return [
        *measure_impressions(connection, columns, as_of=as_of, table=REACHED, subject=CANDIDATES),
        *measure_requests(connection, REACHED, since=since),
        *measure_candidates(connection, since=since, columns=columns),
        *measure_unshown(connection, ranked),
        *measure_constraints(connection, REACHED, contracts.utility, since=since),
    ]


def _infinite(log: LogTables, contracts: Contracts, *, as_of: datetime) -> Iterator[Measurement]:
    """Count infinite numbers of the labelled impressions, and of the candidates if they are logged."""
    names, start = numeric_columns(contracts), first_day_in_reach(contracts, as_of)
    yield from measure_infinite(log.connection, LABELS, names, before=as_of, reached_from=start)
    if log.candidates:
        yield from measure_infinite(
            log.connection, CANDIDATES, names, before=as_of, reached_from=start, prefix="candidates."
        )


def _quarantined(
    workspace: Workspace,
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    table: str,
    measured: list[Measurement],
) -> list[Measurement]:
    """Count the invalid rows of a table by rule, with their reason and some examples."""
    quarantine = workspace.quarantine
    if delta.version_of(quarantine) is None:
        return []
    counted = fetch(
        connection,
        """SELECT rule, any_value(reason), count(*), min("row", 3) FROM read_parquet($paths)
           WHERE "table" = $table AND as_of <= $as_of GROUP BY 1 ORDER BY 1""",
        paths=x.file_names(str(file.path) for file in delta.files_of(quarantine)),
        table=x.text(table),
        as_of=x.instant(snapshot.as_of),
    )
    kept = sum(one.rows for one in measured if one.statistic == m.ROWS)
    return [
        Measurement(
            m.QUARANTINED,
            rule,
            reason,
            rows=n,
            of=kept + n,
            examples="; ".join(row[:_LONGEST] for row in few),
        )
        for rule, reason, n, few in counted
    ]


KNOWN_EVENTS = "known_events"
SHOWN_ITEMS = "shown_items"


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
        *(measure_top_user(connection, KNOWN_EVENTS) if c.USER_ID in present else ()),
        *(
            Measurement(m.ROWS if name in tasks.events else m.UNKNOWN_NAME, name, day=day, rows=n)
            for name, day, n in counted
        ),
    ]
    future = x.ge(x.column(c.HAPPENED_AT), x.instant(as_of))
    measured += _broken(connection, m.FUTURE, c.HAPPENED_AT, future)
    if c.INGESTED_AT in present:
        early = x.lt(x.column(c.INGESTED_AT), x.column(c.HAPPENED_AT))
        measured += _broken(connection, m.ARRIVED_EARLY, c.INGESTED_AT, early)
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
    examples = find_examples(connection, KNOWN_EVENTS, condition, count=count, key=(c.EVENT, c.HAPPENED_AT))
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
                    yield Measurement(m.NEGATIVES, task, event, day, rows.get((event, day), 0), of)


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
        yield Measurement(m.EQUAL, name, "", day, equal, rows, examples=examples.get(name, ""))


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
        yield Measurement(m.SKEWED, name, rows=early, of=rows, examples="; ".join(examples or ()))


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
            m.NEVER_SHOWN, c.ITEM_ID, rows=int(strange), of=int(rows), examples="; ".join(examples or ())
        )
