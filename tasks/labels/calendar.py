"""The label calendar: what every day's labels of every task are good for, as the record of a build has it.

::

    not built       the log holds the day and the store does not
    outdated        an earlier build should have rewritten the day and was confined to others
    immature        the log has not arrived up to the maturity of the day's last impression
    failed          the newest build's validation failed, and the day is not as it was published before
    not validated   likewise, and that build was not validated yet
    mature          published: training may learn from it

The first that applies. No label is read: records of builds hold each day's rows and digest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from tasks.contracts import TasksSpec
from tasks.labels.build_record import Build
from tasks.labels.maturity import matures
from tasks.logs.days import day_start

_DAY: Final = timedelta(days=1)


class DayState(StrEnum):
    """What a day's labels of one task are good for."""

    MATURE = "mature"
    IMMATURE = "immature"
    FAILED = "failed"
    NOT_VALIDATED = "not_validated"
    OUTDATED = "outdated"
    NOT_BUILT = "not_built"


@dataclass(frozen=True)
class DayStates:
    """The days of one task, oldest first."""

    task: str
    days: tuple[tuple[date, DayState], ...]

    @property
    def mature_to(self) -> date | None:
        """The newest day that training may learn from; None where there is none."""
        return max((day for day, state in self.days if state is DayState.MATURE), default=None)

    def count(self, state: DayState) -> int:
        """Return how many days are in a state."""
        return sum(found is state for _, found in self.days)


def day_states(
    spec: TasksSpec, newest: Build, published: Build | None, *, newest_failed: bool, last: int
) -> Iterator[DayStates]:
    """Yield the newest days of every task, in declared order.

    Parameters
    ----------
    newest, published : the records of the newest build and of the published one, if there is one.
    newest_failed : whether the newest build failed its validation.
    last : how many days, counted back from the newest of log and store; a day that neither holds is left out.
    """
    known = sorted({*newest.days, *newest.impressions})
    days = [day for day in known if day > known[-1] - last * _DAY] if known else []
    for task in spec.tasks:
        cut = newest.mature_by - matures(spec, task)
        yield DayStates(
            task, tuple((day, _state(newest, published, day, cut, failed=newest_failed)) for day in days)
        )


def _state(newest: Build, published: Build | None, day: date, cut: datetime, *, failed: bool) -> DayState:
    stored = newest.days.get(day)
    if stored is None:
        return DayState.NOT_BUILT
    if stored.left_behind:
        return DayState.OUTDATED
    if day_start(day + _DAY) > cut:
        return DayState.IMMATURE
    before = None if published is None else published.days.get(day)
    if before is not None and (before.rows, before.content) == (stored.rows, stored.content):
        return DayState.MATURE
    return DayState.FAILED if failed else DayState.NOT_VALIDATED
