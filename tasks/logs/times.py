"""Times that no calendar here has: before year 1, after year 9999, and infinite ones.

Databases know them (``infinity`` of PostgreSQL), and a wrong unit makes them (milliseconds for seconds).
They are refused wherever they stand, by the statistics of the files, or by a count where a writer kept
none.
"""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from tasks.errors import DataError

_EPOCH = date(1970, 1, 1).toordinal()
_DAY = 86_400
_FIRST, _LAST = (date.min.toordinal() - _EPOCH) * _DAY, (date.max.toordinal() + 1 - _EPOCH) * _DAY - 1
"""The first and the last second that a calendar has."""

FIRST, LAST = "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"
"""The same as an engine reads them, in UTC."""

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def is_time(kind: pa.DataType) -> bool:
    """Return whether values of a type are instants or days."""
    return bool(types.is_timestamp(kind) or types.is_date(kind))


def refuse_impossible_times(where: str, kind: pa.DataType, groups: Sequence[pq.Statistics | None]) -> bool:
    """Refuse a column that holds a time of no calendar; return whether its statistics tell.

    Parameters
    ----------
    where
        The table and the column, for the message.
    groups
        The column's statistics by row group.

    Raises
    ------
    DataError
        A time is infinite, or lies outside the years 1 to 9999.
    """
    first, last = _bounds(kind)
    for bound in _ends(groups):
        if bound is not None and not (isinstance(bound, int) and first <= bound <= last):
            raise impossible_time(where)
    return None not in _ends(groups)


def impossible_time(where: str) -> DataError:
    """Return the error of a time of no calendar."""
    return DataError(
        f"{where} holds a time that is infinite or lies outside the years 1 to 9999: is it written in "
        "another unit? Leave such rows or the column out, or write null where there is no time"
    )


def _ends(groups: Sequence[pq.Statistics | None]) -> Iterator[object]:
    """Yield the least and the greatest value of each row group, None where they are not told."""
    for group in groups:
        if group is not None and group.has_min_max:
            yield group.min_raw
            yield group.max_raw
        elif group is None or not group.has_null_count or group.num_values:
            yield None


def _bounds(kind: pa.DataType) -> tuple[int, int]:
    if types.is_date(kind):
        return _FIRST // _DAY, _LAST // _DAY
    unit = _PER_SECOND["ms" if kind.unit == "s" else kind.unit]
    return _FIRST * unit, (_LAST + 1) * unit - 1
