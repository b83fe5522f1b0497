"""Measures a snapshot for validation: its rows, the known events, and the rows in quarantine.

::

    labels          the snapshot's files         -> frames "impressions" and "labels"
    candidates      the log's, if logged         -> frame "candidates"
    known_events    the log's, as of snapshot    -> frame "events"
    quarantine      invalid rows up to the as-of -> frame of their table
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime

import duckdb
import pandas as pd
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import Contracts
from tasks.errors import DataError, unknown
from tasks.labels.snapshot import Snapshot
from tasks.logs import rows
from tasks.logs.checks import needed_columns
from tasks.logs.schema import event_columns
from tasks.logs.session import open_log
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.stores import delta
from tasks.stores.workspace import Workspace
from tasks.validation.event_measurements import (
    KNOWN_EVENTS,
    SHOWN_ITEMS,
    measure_equal_events,
    measure_events,
)
from tasks.validation.label_measurements import LABELS, measure_distributions, measure_labels
from tasks.validation.measurements import QUARANTINED, ROWS, Measurement, frame_of
from tasks.validation.row_measurements import (
    REACHED,
    first_day_in_reach,
    measure_candidates,
    measure_constraints,
    measure_heavy_users,
    measure_impressions,
    measure_infinite,
    measure_requests,
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
        _open_events(log, snapshot)
        _open_items(log)
        events = (*event_columns(contracts.tasks, log.log), *c.IMPRESSION_KEY, c.USER_ID)
        since = first_day_in_reach(contracts, as_of)
        measured = {
            "impressions": [
                *measure_impressions(
                    connection, list(needed_columns(rows.IMPRESSIONS, contracts)), as_of=as_of
                ),
                *measure_heavy_users(connection, list(contracts.tasks.tasks)),
                *measure_distributions(connection, contracts.surface, days=_DAYS),
                *_infinite(log, contracts, as_of=as_of),
                *measure_requests(connection, LABELS),
                *measure_constraints(connection, LABELS, contracts.utility, since=since),
            ],
            "events": [
                *measure_events(connection, events, tasks=contracts.tasks, as_of=as_of),
                *measure_equal_events(connection, since=since),
            ],
            "labels": measure_labels(connection, contracts.tasks, as_of=as_of),
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


def _open_events(log: LogTables, snapshot: Snapshot) -> None:
    log.cut_events(snapshot.as_of)
    log.create(
        KNOWN_EVENTS,
        rows.known_events(snapshot.as_of, log.log.events, None, wanted=log.log.events),
        view=True,
    )


def _open_items(log: LogTables) -> None:
    """Create the relation of the items that were shown or were candidates."""
    tables = [LABELS, *([rows.CANDIDATES] if log.candidates else [])]
    items = [x.select([x.column(c.ITEM_ID)], x.table(table)) for table in tables]
    both = items[0] if len(items) == 1 else exp.Union(this=items[0], expression=items[1], distinct=False)
    log.create(SHOWN_ITEMS, x.distinct(x.select([exp.Star()], x.subquery(both, "items"))), view=True)


def _measure_candidates(
    log: LogTables, contracts: Contracts, *, as_of: datetime, since: date
) -> list[Measurement]:
    """Measure the candidates of the days that a training slice can include."""
    connection, shown_at = log.connection, x.column(c.SHOWN_AT)
    reached = [x.ge(shown_at, x.day_start(since)), x.lt(shown_at.copy(), x.instant(as_of))]
    day = x.alias(x.utc_day(shown_at.copy()), c.DAY)
    log.create(REACHED, x.select([exp.Star(), day], x.table(rows.CANDIDATES), where=reached), view=True)
    columns = list(needed_columns(rows.CANDIDATES, contracts))
    return [
        *measure_impressions(connection, columns, as_of=as_of, table=REACHED, subject=rows.CANDIDATES),
        *measure_requests(connection, REACHED),
        *measure_candidates(connection, since=since),
        *measure_constraints(connection, REACHED, contracts.utility, since=since),
    ]


def _infinite(log: LogTables, contracts: Contracts, *, as_of: datetime) -> Iterator[Measurement]:
    """Count infinite numbers of the labelled impressions, and of the candidates if they are logged."""
    names, start = numeric_columns(contracts), first_day_in_reach(contracts, as_of)
    yield from measure_infinite(log.connection, LABELS, names, before=as_of, reached_from=start)
    if log.candidates:
        yield from measure_infinite(
            log.connection, rows.CANDIDATES, names, before=as_of, reached_from=start, prefix="candidates."
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
    counted = connection.sql(
        x.fill(
            """SELECT rule, any_value(reason), count(*), min("row", 3) FROM read_parquet($paths)
               WHERE "table" = $table AND as_of <= $as_of GROUP BY 1 ORDER BY 1""",
            paths=x.file_names(str(file.path) for file in delta.files_of(quarantine)),
            table=x.text(table),
            as_of=x.instant(snapshot.as_of),
        )
    ).fetchall()
    kept = sum(m.rows for m in measured if m.statistic == ROWS)
    return [
        Measurement(
            QUARANTINED, rule, reason, rows=n, of=kept + n, examples="; ".join(row[:_LONGEST] for row in few)
        )
        for rule, reason, n, few in counted
    ]
