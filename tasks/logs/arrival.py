"""Whether the log has arrived up to an as-of: a retrain made earlier would learn from days that are missing.

::

    ----- rows of a table -----|                 newest before the as-of
                         [-- within --) as-of    it lies in here: the table has arrived
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlglot import exp

from tasks import columns as c
from tasks.contracts.durations import format_duration
from tasks.logs.rows import EVENTS, IMPRESSIONS
from tasks.logs.session import open_session
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.stores.workspace import Workspace, format_instant

_TIMES = {IMPRESSIONS: c.SHOWN_AT, EVENTS: c.HAPPENED_AT}
_LOG = logging.getLogger("equipoise")


@dataclass(frozen=True)
class ArrivalResult:
    """Whether every table has arrived; ``newest`` is each table's newest row before the as-of.

    A table has arrived when that row lies after ``wanted``; ``missing`` says in one line which have not.
    """

    as_of: str
    arrived: bool
    wanted: str
    newest: dict[str, str | None]
    missing: str


def run(workspace: Workspace, *, as_of: datetime) -> ArrivalResult:
    """Look whether impressions and events have arrived up to an as-of.

    Logs that have ended (``until``) need to reach their end only. One column of each table is read, and of
    that only the files whose statistics say that they may hold the newest row.

    Raises
    ------
    DataError
        A table has no file at all, or not the columns that the contracts need.
    """
    surface = workspace.contracts.surface
    until, within = min(as_of, surface.ends_at or as_of), surface.arrival.within
    with open_session(workspace) as connection:
        log = LogTables.open(connection, workspace.logs, workspace.contracts)
        newest = {table: _newest(log, table, as_of) for table in _TIMES}
    late = {table: at for table, at in newest.items() if at is None or at <= until - within}
    return ArrivalResult(
        as_of=format_instant(as_of),
        arrived=not late,
        wanted=format_instant(until - within),
        newest={table: _told(at) for table, at in newest.items()},
        missing=_missing(late, until=until, within=within) if late else "",
    )


def warn(workspace: Workspace, *, as_of: datetime) -> None:
    """Say in the log what has not arrived, for a retrain that does not wait."""
    found = run(workspace, as_of=as_of)
    if not found.arrived:
        _LOG.warning("The log has not arrived up to %s: %s", found.as_of, found.missing)


def _newest(log: LogTables, table: str, as_of: datetime) -> datetime | None:
    at = x.column(_TIMES[table])
    newest = x.select([exp.Max(this=at.copy())], x.table(table), where=[x.lt(at, x.instant(as_of))])
    found: datetime | None = log.fetch("$query", query=newest)[0][0]
    return found


def _missing(late: Mapping[str, datetime | None], *, until: datetime, within: timedelta) -> str:
    ends = (
        f"{table} {'end at ' + format_instant(at) if at else 'hold nothing before it'}"
        for table, at in late.items()
    )
    return (
        f"{', '.join(ends)}; wanted are rows after {format_instant(until - within)} (arrival.within "
        f"{format_duration(within)})"
    )


def _told(at: datetime | None) -> str | None:
    return None if at is None else format_instant(at)
