"""The label calendar: the state of every task's labels on every day, from the records of builds.

::

    not built       the log contains the day and the store does not
    outdated        an earlier build limited to other days should have rewritten the day
    immature        the log has not arrived up to the maturity of the day's last impression
    failed          validation of the newest build failed, and the day differs from the published one
    not validated   the newest build was not validated, and the day differs from the published one
    mature          published and available for training

The first matching state applies. No label is read: records of builds hold each day's rows and digest.
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
    """State of a day's labels of one task."""

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
        """The newest day available for training, or None."""
        return max((day for day, state in self.days if state is DayState.MATURE), default=None)

    def count(self, state: DayState) -> int:
        """Return the number of days in a state."""
        return sum(found is state for _, found in self.days)


def day_states(
    spec: TasksSpec, newest: Build, published: Build | None, *, newest_failed: bool, last: int
) -> Iterator[DayStates]:
    """Yield the newest days of every task, in declared order.

    Parameters
    ----------
    newest, published : records of the newest build and of the published one, if any.
    newest_failed : whether the newest build failed its validation.
    last : number of days, counted back from the newest of log and store; days in neither are omitted.
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
