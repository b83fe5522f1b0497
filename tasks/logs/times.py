"""Times that no calendar here has: before year 1, after year 9999, and infinite ones.

Databases know them (``infinity`` of PostgreSQL), and a wrong unit makes them (milliseconds for seconds).
They are refused wherever they stand, by the statistics of the files, or by a count where a writer kept
none.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from tasks.errors import DataError
from tasks.logs.parquet_footer import Chunk

FIRST, LAST = "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"
"""The first and the last instant that a calendar has, as an engine reads them in UTC."""

_OF_THE_CALENDAR = re.compile(r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9:.]+(\+00)?)?")


def is_time(kind: str) -> bool:
    """Return whether values of one of DuckDB's types are instants or days.

    Examples
    --------
    >>> is_time("DATE"), is_time("TIMESTAMPTZ_NS"), is_time("TIME"), is_time("TIMESTAMP[]")
    (True, True, False, False)
    """
    return kind == "DATE" or (kind.startswith("TIMESTAMP") and not kind.endswith("]"))


def read_time(written: str) -> datetime:
    """Return an instant as DuckDB writes it, in whole microseconds; earlier ones are rounded down.

    Examples
    --------
    >>> read_time("2024-03-02 00:00:00.000123999+00").isoformat()
    '2024-03-02T00:00:00.000123+00:00'
    """
    return datetime.fromisoformat(written).astimezone(UTC)


def refuse_impossible_times(where: str, chunks: Sequence[Chunk]) -> bool:
    """Refuse a column that holds a time of no calendar; return whether its statistics tell.

    Parameters
    ----------
    where
        The table and the column, for the message.
    chunks
        The column's statistics by row group.

    Raises
    ------
    DataError
        A time is infinite, or lies outside the years 1 to 9999.
    """
    for chunk in chunks:
        for end in (chunk.least, chunk.greatest):
            if end is not None and not _OF_THE_CALENDAR.fullmatch(end):
                raise impossible_time(where)
    return all(_has_bounds(chunk) for chunk in chunks)


def _has_bounds(chunk: Chunk) -> bool:
    """Return whether the ends of a row group are known, or it has no value."""
    return None not in (chunk.least, chunk.greatest) or chunk.nulls == chunk.values


def impossible_time(where: str) -> DataError:
    """Return the error of a time of no calendar."""
    return DataError(
        f"{where} holds a time that is infinite or lies outside the years 1 to 9999: is it written in "
        "another unit? Leave such rows or the column out, or write null where there is no time"
    )
