"""The days on which a log has impressions, counted before any label is built."""

from collections.abc import Mapping
from datetime import date, datetime

from tasks import columns as c
from tasks.logs.rows import IMPRESSIONS, has_key
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x

_COUNT = """
    SELECT CAST($at AS DATE) AS day, count(*) FROM $source WHERE $known GROUP BY day ORDER BY day
"""


def count_days(log: LogTables, as_of: datetime) -> Mapping[date, int]:
    """Count the impressions that take part in a build as of an instant, by UTC day, oldest first."""
    parts = {"at": x.column(c.SHOWN_AT), "source": x.table(IMPRESSIONS), "known": has_key(None, as_of)}
    return dict(log.fetch(_COUNT, **parts))
