"""Arrival of the log: a retrain before the as-of's rows arrive would learn from incomplete days.

::

    ----- rows of a table -----|                 newest row before the as-of
                         [-- within --) as-of    the table has arrived if the row lies in this interval
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlglot import exp

from tasks import columns as c
from tasks.contracts.durations import format_duration
from tasks.logs import rows
from tasks.logs.rows import EVENTS, IMPRESSIONS, has_key
from tasks.logs.session import open_log
from tasks.logs.tables import LogTables, time_column
from tasks.sql import expressions as x
from tasks.stores.workspace import Workspace, format_instant

_UNSETTLED = "unsettled"
_LOG = logging.getLogger("equipoise")

_COUNT = """
    SELECT CAST($at AS DATE) AS day, count(*) FROM $source WHERE $known GROUP BY day ORDER BY day
"""


@dataclass(frozen=True)
class ArrivalResult:
    """Whether every table has arrived: whether its newest row before the as-of is later than ``wanted``.

    ``missing`` lists in one line the tables that have not arrived.
    """

    as_of: str
    arrived: bool
    wanted: str
    missing: str


def run(workspace: Workspace, *, as_of: datetime) -> ArrivalResult:
    """Check whether impressions and events have arrived up to an as-of.

    Logs that have ended (``until``) must reach only their end. One column of each table is read, in the files
    whose statistics do not give the newest row.
    """
    surface = workspace.contracts.surface
    until, within = min(as_of, surface.ends_at or as_of), surface.arrival.within
    with open_log(workspace) as log:
        newest = {table: _newest(log, table, as_of) for table in (IMPRESSIONS, EVENTS)}
    late = {table: at for table, at in newest.items() if at is None or at <= until - within}
    wanted = format_instant(until - within)
    ends = ", ".join(
        f"{table} {'end at ' + format_instant(at) if at else 'hold nothing before it'}"
        for table, at in late.items()
    )
    missing = f"{ends}; rows after {wanted} are expected (arrival.within {format_duration(within)})"
    return ArrivalResult(format_instant(as_of), not late, wanted, missing if late else "")


def warn(workspace: Workspace, *, as_of: datetime) -> None:
    """Log a warning if tables have not arrived, for a retrain that does not wait."""
    result = run(workspace, as_of=as_of)
    if not result.arrived:
        _LOG.warning(
            "The log has not arrived up to %s: %s. If it is complete, set `until` in surface.yaml to its "
            "last day",
            result.as_of,
            result.missing,
        )


def last_midnight(workspace: Workspace, *, as_of: datetime) -> datetime:
    """Return the last midnight before the newest traffic at an as-of; outcomes arrive for long afterwards."""
    with open_log(workspace) as log:
        arrived = _arrived(log, _newest(log, IMPRESSIONS, as_of), as_of)
    return arrived.replace(hour=0, minute=0, second=0, microsecond=0)


def find_arrived(log: LogTables, *, as_of: datetime) -> datetime:
    """Return the instant up to which a log had arrived at an as-of; later windows give no negatives.

    It is the as-of if the newest known row of either table is less than ``arrival.within`` older, else that
    row's time. A log that has ended (``until``) arrives at most up to its end.
    """
    ends = [at for table in (IMPRESSIONS, EVENTS) if (at := _newest(log, table, as_of))]
    return _arrived(log, max(ends, default=None), as_of)


def _arrived(log: LogTables, newest: datetime | None, as_of: datetime) -> datetime:
    surface = log.contracts.surface
    wanted = min(as_of, surface.ends_at or as_of)
    return wanted if newest is None or newest > wanted - surface.arrival.within else newest


def _newest(log: LogTables, table: str, as_of: datetime) -> datetime | None:
    """Return the time of a table's newest row that is known as of an instant.

    For files whose rows were all known by then, the statistics are sufficient.
    """
    files = {file: log.is_settled(table, file, as_of) for file in log.views[table].table.files}
    log.view(_UNSETTLED, table, [file for file, settled in files.items() if not settled])
    spans = (log.span(table, file, time_column(table)) for file, settled in files.items() if settled)
    ends = [span.last for span in spans if span is not None and span.last is not None]
    at = x.column(time_column(table))
    ingested = table == EVENTS and log.log.has_arrival
    known = rows.known_as_of(as_of, ingested=ingested) if table == EVENTS else x.lt(at, x.instant(as_of))
    newest = x.select([exp.Max(this=at.copy())], x.table(_UNSETTLED), where=[known])
    ((last,),) = log.fetch("$query", query=newest)
    return max((*ends, *((last,) if last else ())), default=None)


def count_days(log: LogTables, as_of: datetime) -> Mapping[date, int]:
    """Count the valid impressions as of an instant by UTC day, oldest first."""
    parts = {"at": x.column(c.SHOWN_AT), "source": x.table(IMPRESSIONS), "known": has_key(None, as_of)}
    return dict(log.fetch(_COUNT, **parts))
