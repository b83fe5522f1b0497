"""Which days a build rewrites: those where something can have changed since the last one, and no other.

::

    new            the day is in the log and not in the store
    contract       the day was built under another contract
    log            impressions that the last build had read have changed, appeared or gone
    grown          impressions were shown on the day after the last build
    matured        some label crossed its maturity since the last build
    events         an event that bears on the day changed, appeared late, or is gone; an event bears on the
                   days before it as far as the windows of the tasks that read it reach
    left behind    an earlier build should have rewritten the day and was confined to others
    lost           a file of the day is missing from the store, or is not as it was written

A day that is in the store and no longer in the log stays as it was built, as long as the contract does: logs
may be kept for less long than labels. Where it is lost from the store too, it is dropped, and that is told.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from tasks.contracts import TasksSpec
from tasks.labels.maturity import bearing, longest_reach, matures
from tasks.logs.days import ONE_DAY, DaySum, LogDays, Stream, day_start, list_days, spread_days

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Day:
    """A day of the store: its rows and the sum of their digests."""

    rows: int
    content: int
    left_behind: bool = False


@dataclass(frozen=True)
class Build:
    """What the store holds, and the days of the log as that build saw them, written or not."""

    as_of: datetime
    contract: str
    columns: tuple[str, ...]
    days: Mapping[date, Day]
    impressions: Mapping[date, DaySum]
    events: Mapping[Stream, DaySum]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; sums are strings, they do not fit a double."""
        return {
            "as_of": self.as_of.astimezone(UTC).isoformat(),
            "contract": self.contract,
            "columns": list(self.columns),
            "days": {str(d): [x.rows, str(x.content), x.left_behind] for d, x in sorted(self.days.items())},
            "impressions": _sums_to_json(self.impressions),
            "events": _streams_to_json(self.events),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Build":
        """Read what ``to_json`` wrote."""
        days = {
            date.fromisoformat(day): Day(rows, int(digest), behind)
            for day, (rows, digest, behind) in content["days"].items()
        }
        return cls(
            datetime.fromisoformat(content["as_of"]),
            content["contract"],
            tuple(content["columns"]),
            days,
            _sums_from_json(content["impressions"]),
            _streams_from_json(content["events"]),
        )


@dataclass(frozen=True)
class Coverage:
    """The days that a build writes, each with its reason, and what becomes of the others."""

    write: Mapping[date, str]
    left_behind: frozenset[date]
    touched: frozenset[date]
    """Days of the store on which an event changed, appeared late, or is gone."""
    lost: frozenset[date]
    """Days of the store whose files are missing or torn."""
    gone: frozenset[date]
    """Days of the store that the log no longer has."""
    replace_all: bool
    """Whether no day of the last build stays: the contract or the log's columns are others."""

    @property
    def dropped(self) -> frozenset[date]:
        """Days that neither the store nor the log has any more."""
        return frozenset() if self.replace_all else self.lost & self.gone


def cover(
    last: Build | None,
    log: LogDays,
    tasks: TasksSpec,
    *,
    as_of: datetime,
    contract: str,
    columns: tuple[str, ...],
    lost: Collection[date] = (),
    first_day: date | None = None,
    last_day: date | None = None,
) -> Coverage:
    """Find the days to write.

    Parameters
    ----------
    last
        The store's last build; None where there is no store.
    contract, columns
        Digest of the tasks, and the impressions' columns with their types; where either is another, every day
        is rewritten, also outside the range: days of two contracts are never mixed.
    lost
        Days of the store whose files are missing or torn.
    first_day, last_day
        Confine the build; days that should have been rewritten are then remembered.
    """
    if last is None or (last.contract, last.columns) != (contract, columns):
        reason = "new" if last is None else "contract"
        gone = frozenset(last.days if last else ()) - set(log.impressions)
        return _confined(
            dict.fromkeys(log.impressions, reason), last, gone, (first_day, last_day), replace_all=True
        )
    touched = frozenset(_touched(last, log, tasks)) & set(log.impressions)
    reasons: dict[date, str] = dict.fromkeys((day for day in lost if day in log.impressions), "lost")
    for day, reason in _reasons(last, log, tasks, as_of):
        if day in log.impressions:
            reasons.setdefault(day, reason)
    for day in touched:
        reasons.setdefault(day, "events")
    gone = frozenset(last.days) - set(log.impressions)
    return _confined(
        reasons, last, gone, (first_day, last_day), replace_all=False, touched=touched, lost=frozenset(lost)
    )


def _confined(
    reasons: dict[date, str],
    last: Build | None,
    gone: frozenset[date],
    days: tuple[date | None, date | None],
    *,
    replace_all: bool,
    touched: frozenset[date] = frozenset(),
    lost: frozenset[date] = frozenset(),
) -> Coverage:
    first, final = days[0] or date.min, days[1] or date.max
    keep_all = replace_all and last is not None
    write = {d: r for d, r in sorted(reasons.items()) if keep_all or first <= d <= final}
    known = set(last.days) if last and not replace_all else set()
    left_behind = frozenset((set(reasons) - set(write)) & known)
    return Coverage(write, left_behind, touched & known, lost, gone, replace_all)


def _reasons(last: Build, log: LogDays, tasks: TasksSpec, as_of: datetime) -> Iterator[tuple[date, str]]:
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
        elif _matured(day, tasks, after=last.as_of, until=as_of):
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


def _sums_to_json(days: Mapping[date, DaySum]) -> dict[str, list[Any]]:
    return {str(day): [total.rows, str(total.sum)] for day, total in sorted(days.items())}


def _sums_from_json(content: Mapping[str, list[Any]]) -> dict[date, DaySum]:
    return {date.fromisoformat(day): DaySum(rows, int(total)) for day, (rows, total) in content.items()}


def _streams_to_json(streams: Mapping[Stream, DaySum]) -> dict[str, dict[str, list[Any]]]:
    days: dict[str, dict[str, list[Any]]] = {}
    for (day, name), total in sorted(streams.items()):
        days.setdefault(str(day), {})[name] = [total.rows, str(total.sum)]
    return days


def _streams_from_json(content: Mapping[str, Mapping[str, list[Any]]]) -> dict[Stream, DaySum]:
    return {
        (date.fromisoformat(day), name): DaySum(rows, int(total))
        for day, names in content.items()
        for name, (rows, total) in names.items()
    }


def _matured(day: date, tasks: TasksSpec, *, after: datetime, until: datetime) -> bool:
    """Return whether a label of some instant of the day matures in (after, until]."""
    return after < until and any(
        day_start(day) + maturity <= until and day_start(day) + ONE_DAY + maturity > after
        for maturity in {matures(tasks, task) for task in tasks.tasks}
    )
