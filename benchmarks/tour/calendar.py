"""The calendar of the tour: the work of its team, and the faults of the feed.

::

    week   the team                                     the feed
    1      first release, approved in Airflow
    2      retrain                                      a creator begins to send spam
    3      a weight changes, nothing is trained
    4      retrain; a harmful policy is proposed        a feature breaks on the last day
    5      retrain                                      delays become half as long again
    6      a weight changes; its canary is deployed with an error
    7      retrain
    8      retrain

While a release ramps, the next work waits. Who notices what, and when, comes out of the run.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from tasks.datasets.world.entities import Drift
from tasks.datasets.world.loop import ClosedLoop
from tasks.monitoring.alarms import HISTORY

FIRST_DAY: Final = date(2026, 1, 5)
"""The Monday on which the first release begins to serve."""


class Work(StrEnum):
    """What the team sets out to do on a day."""

    FIRST_RELEASE = "first release"
    RETRAIN = "retrain"
    WEIGHTS = "weight change, nothing trained"
    HARMFUL_POLICY = "policy without the cost of hides"


@dataclass(frozen=True)
class Fault:
    """A fault of the feed: the day of the tour from which it is there, and how it is mended if it is."""

    drift: Drift
    day: int
    name: str
    mended: str = ""


AGENDA: Final = (
    (0, Work.FIRST_RELEASE),
    (7, Work.RETRAIN),
    (14, Work.WEIGHTS),
    (21, Work.RETRAIN),
    (24, Work.HARMFUL_POLICY),
    (28, Work.RETRAIN),
    (35, Work.WEIGHTS),
    (42, Work.RETRAIN),
    (49, Work.RETRAIN),
)
FAULTS: Final = (
    Fault(Drift.SPAM_CREATOR, 9, "a creator sends spam", mended="the creator is barred from spam"),
    Fault(Drift.BROKEN_FEATURE, 27, "a feature breaks", mended="the feature is repaired"),
    Fault(Drift.DELAY_CHANGE, 31, "orders and complaints come later"),
)


@dataclass(frozen=True)
class Plan:
    """What is played.

    Attributes
    ----------
    before : days of the log before the first release, by the feed's own ranker; alarms need as many.
    watched_every : days between two runs of the monitor.
    breaks : the day from which the next canary is deployed without the cost of hides.
    """

    requests_per_day: int = 300
    before: int = HISTORY
    weeks: int = 8
    seed: int = 2
    watched_every: int = 4
    breaks: int = 35
    agenda: tuple[tuple[int, Work], ...] = AGENDA
    faults: tuple[Fault, ...] = FAULTS

    @property
    def days(self) -> int:
        """Days of the tour."""
        return 7 * self.weeks

    @property
    def start(self) -> date:
        """The first day of the log."""
        return FIRST_DAY - timedelta(days=self.before)

    @property
    def drifts(self) -> dict[Drift, int]:
        """The faults by day of the log."""
        return {one.drift: self.before + one.day for one in self.faults}

    def open_loop(self) -> ClosedLoop:
        """Return a feed at the first day of its log."""
        return ClosedLoop(
            seed=self.seed,
            requests_per_day=self.requests_per_day,
            days=self.before + self.days,
            start=self.start,
            drifts=self.drifts,
        )


def date_of(day: int) -> date:
    """Return the date of a day of the tour.

    Examples
    --------
    >>> date_of(7)
    datetime.date(2026, 1, 12)
    """
    return FIRST_DAY + timedelta(days=day)
