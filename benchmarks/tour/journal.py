"""What is written down during the tour: events by day, and who noticed which fault."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from benchmarks.tour.figures import DayFigures
from tasks.reports.numbers import format_counted


class EventKind(StrEnum):
    """What happened; also the class of its colour."""

    RELEASE = "release"
    CANARY = "canary"
    HELD = "held"
    FAULT = "fault"
    NOTICE = "notice"
    MENDED = "mended"
    ROLLBACK = "rollback"
    QUESTION = "question"
    ALARM = "alarm"


@dataclass(frozen=True)
class Event:
    """What happened on a day of the tour, and who did it."""

    day: int
    kind: EventKind
    words: str
    by: str = ""


@dataclass(frozen=True)
class Notice:
    """Who noticed a fault or a harmful release, on which day, and by which evidence.

    Attributes
    ----------
    began : the day from which it was there.
    """

    fault: str
    began: int
    by: str
    day: int
    evidence: str


@dataclass
class Journal:
    """The record of eight weeks; `say` receives each event at once."""

    say: Callable[[str], object] = lambda _: None
    days: list[DayFigures] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def tell(self, day: int, kind: EventKind, words: str, *, by: str = "") -> None:
        """Write an event down."""
        self.events.append(Event(day, kind, words, by))
        self.say(f"day {day:2d}  {kind:8s}  {words}{f' ({by})' if by else ''}")

    def notice(self, fault: str, *, began: int, day: int, by: str, evidence: str) -> bool:
        """Write down who noticed a fault, once for each who does; return whether nobody had before."""
        known = [one for one in self.notices if one.fault == fault]
        if any(one.by == by for one in known):
            return False
        self.notices.append(Notice(fault, began, by, day, evidence))
        after = format_counted(day - began, "day")
        self.tell(day, EventKind.NOTICE, f"{fault}: noticed after {after}", by=by)
        return not known
