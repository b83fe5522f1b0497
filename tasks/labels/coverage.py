"""Which days a build rewrites: those where something can have changed since the last one, and no other.

::

    new            the day is in the log and not in the store
    contract       the day was built under another contract
    log            impressions that the last build had read have changed, appeared or gone
    grown          impressions were shown on the day after the last build
    matured        some label crossed its maturity since the last build, or the log has fallen behind it
    events         an event that bears on the day changed, appeared late, or is gone; an event bears on the
                   days before it as far as the windows of the tasks that read it reach
    left behind    an earlier build should have rewritten the day and was confined to others
    lost           a file of the day is missing from the store, or is not as it was written

A day that is in the store and no longer in the log stays as it was built, as long as the contract does: logs
may be kept for less long than labels. If the store has lost it too, it is dropped, and an error is logged.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeVar

from tasks.contracts import TasksSpec
from tasks.labels.build_record import Basis, Build
from tasks.labels.maturity import bearing, longest_reach, matures, matures_from
from tasks.logs.days import ONE_DAY, DaySum, LogDays, day_start, list_days, spread_days
from tasks.logs.rows import DayRange

_Key = TypeVar("_Key")
_EVERY_DAY = DayRange()


@dataclass(frozen=True)
class Coverage:
    """The days that a build writes, each with its reason, and the fate of the other days of the store.

    Attributes
    ----------
    touched : days on which an event changed, appeared late, or is gone.
    lost : days whose files are missing or torn.
    gone : days that the log no longer has.
    replace_all : whether no day of the last build stays, since the contract or the log's columns are others.
    """

    write: Mapping[date, str]
    left_behind: frozenset[date] = frozenset()
    touched: frozenset[date] = frozenset()
    lost: frozenset[date] = frozenset()
    gone: frozenset[date] = frozenset()
    replace_all: bool = False

    @property
    def dropped(self) -> frozenset[date]:
        """Days that neither the store nor the log has any more."""
        return frozenset() if self.replace_all else self.lost & self.gone

    @property
    def replaced(self) -> list[str] | Literal["everything"]:
        """The days whose earlier files a commit removes."""
        return "everything" if self.replace_all else [str(day) for day in (*self.write, *self.dropped)]


def cover_days(
    last: Build | None,
    log: LogDays,
    tasks: TasksSpec,
    *,
    basis: Basis,
    lost: Collection[date] = (),
    within: DayRange = _EVERY_DAY,
) -> Coverage:
    """Find the days to write.

    Parameters
    ----------
    last
        The store's last build; None where there is no store.
    basis
        Of the build to make. Where its contract or columns are not the last build's, every day is rewritten,
        also outside ``within``: days of two contracts are never mixed.
    lost
        Days of the store whose files are missing or torn.
    within
        Confine the build; days outside that should have been rewritten are then recorded as left behind.
    """
    if last is None:
        return Coverage({day: "new" for day in sorted(log.impressions) if day in within}, replace_all=True)
    gone = frozenset(last.days) - set(log.impressions)
    if (last.contract, last.columns) != (basis.contract, basis.columns):
        return Coverage(dict.fromkeys(sorted(log.impressions), "contract"), gone=gone, replace_all=True)
    touched = frozenset(_touched(last, log, tasks)) & set(log.impressions)
    reasons: dict[date, str] = dict.fromkeys((day for day in lost if day in log.impressions), "lost")
    for day, reason in _reasons(last, log, tasks, basis):
        if day in log.impressions:
            reasons.setdefault(day, reason)
    for day in touched:
        reasons.setdefault(day, "events")
    write = {day: reason for day, reason in sorted(reasons.items()) if day in within}
    return Coverage(
        write,
        left_behind=frozenset((set(reasons) - set(write)) & set(last.days)),
        touched=touched & set(last.days),
        lost=frozenset(lost),
        gone=gone,
    )


def _reasons(last: Build, log: LogDays, tasks: TasksSpec, basis: Basis) -> Iterator[tuple[date, str]]:
    reach = longest_reach(tasks)
    gone = set(last.impressions) - set(log.impressions)
    changed = _differing(last.impressions, log.impressions_before) - gone
    for day, now in log.impressions.items():
        if day not in last.days:
            yield day, "new"
        elif last.days[day].left_behind:
            yield day, "left behind"
        elif day in changed:
            yield day, "log"
        elif now != last.impressions.get(day):
            yield day, "grown"
        elif _matures_between(day, tasks, last.mature_by, basis.mature_by):
            yield day, "matured"
    beside = spread_days(changed, before=reach.after, after=reach.before)
    yield from ((day, "log") for day in list_days(beside))


def _touched(last: Build, log: LogDays, tasks: TasksSpec) -> Iterator[date]:
    """Yield the days on which an event bears that changed, appeared late, or is gone."""
    streams = log.late | _differing(last.events, log.events_before)
    for name in {name for _, name in streams} & tasks.events:
        days = [day for day, of_day in streams if of_day == name]
        back, reach = bearing(tasks, name)
        yield from list_days(spread_days(days, before=back + reach, after=reach))


def _differing(then: Mapping[_Key, DaySum], now: Mapping[_Key, DaySum]) -> set[_Key]:
    return {key for key in {*then, *now} if then.get(key) != now.get(key)}


def _matures_between(day: date, tasks: TasksSpec, one: datetime, other: datetime) -> bool:
    """Return whether a label of some instant of the day matures after one instant and up to another.

    In either order: a log that has since fallen behind its as-of takes back what it had not yet brought.
    """
    after, until = sorted((one, other))
    return after < until and any(
        day_start(day) + least <= until and day_start(day) + ONE_DAY + most > after
        for least, most in {(matures_from(tasks, task), matures(tasks, task)) for task in tasks.tasks}
    )
