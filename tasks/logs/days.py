"""."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

Stream = tuple[date, str]
"""The events of one name that happened on a day."""


@dataclass(frozen=True)
class DaySum:
    """Rows of a day and the sum of their hashes."""

    rows: int
    sum: int


@dataclass(frozen=True)
class LogDays:
    """The log by day as of a build, and, of the rows known at the previous build, what they are now."""

    impressions: Mapping[date, DaySum]
    events: Mapping[Stream, DaySum]
    impressions_before: Mapping[date, DaySum] = field(default_factory=dict)
    events_before: Mapping[Stream, DaySum] = field(default_factory=dict)
    late: frozenset[Stream] = frozenset()
    """Events that happened before the previous build and arrived since."""
