"""The log by day, as a build records it for the next build to detect changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from tasks.logs.rows import DayRange

ONE_DAY = timedelta(days=1)

Stream = tuple[date, str]
"""The events of one name on a day."""


@dataclass(frozen=True)
class DaySum:
    """Number of rows of a day, and the sum of their hashes."""

    rows: int
    sum: int


@dataclass(frozen=True)
class LogDays:
    """The log by day as of a build, and the same for the rows that the previous build knew.

    ``late``: streams with events that happened before the previous build and arrived after it.
    """

    impressions: Mapping[date, DaySum]
    events: Mapping[Stream, DaySum]
    impressions_before: Mapping[date, DaySum] = field(default_factory=dict)
    events_before: Mapping[Stream, DaySum] = field(default_factory=dict)
    late: frozenset[Stream] = frozenset()


def day_start(day: date) -> datetime:
    """Return the first instant of a UTC day.

    Examples
    --------
    >>> day_start(date(2026, 3, 2)).isoformat()
    '2026-03-02T00:00:00+00:00'
    """
    return datetime.combine(day, time(), UTC)


def spread_days(days: Iterable[date], *, before: timedelta, after: timedelta) -> list[DayRange]:
    """Return the ranges of days that contain every instant from ``before`` a day to ``after`` it.

    Examples
    --------
    >>> spread_days([date(2024, 3, 5), date(2024, 3, 7)], before=timedelta(), after=timedelta(hours=30))
    [DayRange(first=datetime.date(2024, 3, 5), last=datetime.date(2024, 3, 9))]
    """
    ranges: list[DayRange] = []
    for day in sorted(days):
        first = (day_start(day) - before).date()
        last = (day_start(day) + ONE_DAY + after - timedelta(microseconds=1)).date()
        if ranges and first <= ranges[-1].last + ONE_DAY:
            ranges[-1] = DayRange(ranges[-1].first, max(last, ranges[-1].last))
        else:
            ranges.append(DayRange(first, last))
    return ranges


def list_days(ranges: Iterable[DayRange]) -> list[date]:
    """Return every day of the given ranges.

    Examples
    --------
    >>> [str(day) for day in list_days([DayRange(date(2024, 2, 28), date(2024, 3, 1))])]
    ['2024-02-28', '2024-02-29', '2024-03-01']
    """
    return [days.first + n * ONE_DAY for days in ranges for n in range((days.last - days.first).days + 1)]
