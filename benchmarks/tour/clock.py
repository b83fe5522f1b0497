"""A store whose audit rows bear the time of the simulated feed."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import Any

from tasks.stores.audit import Audit, Entry
from tasks.stores.store import Store


@dataclass
class Clock:
    """The time of the feed."""

    now: datetime


@dataclass(frozen=True)
class ClockedAudit(Audit):
    """An audit whose rows bear the clock's time."""

    clock: Clock

    def append(self, entry: Entry, **given: Any) -> Entry:
        """Add a row as of the clock's time."""
        return super().append(replace(entry, at=entry.at or self.clock.now), **given)


@dataclass(frozen=True)
class ClockedStore(Store):
    """A store whose audits are clocked."""

    clock: Clock = field(compare=False)

    def audit(self, surface: str) -> Audit:
        """Return the audit of a surface's releases."""
        return ClockedAudit(self.root, surface, self.clock)


def midnight(day: date) -> datetime:
    """Return the instant at which a day begins."""
    return datetime.combine(day, time(), UTC)
