"""The record of a build, the identity of its snapshot, and the label calendar.

::

    Basis     as-of, contract and columns: the inputs of every label
    Build     Basis, days of the store, days of the log as read     JSON in the metadata of the commit

A snapshot is identified by contract digest, as-of and content digest. The content digest covers key, labels,
statuses, instants and all other columns of every row. It depends neither on the order of the rows, nor on
the files, nor on the engine. With h, the 64-bit hash of a row's columns, it is::

    sum of h * 2^64 + sum of hash(h)   modulo 2^128

Both hashes are DuckDB's.

A build rewrites the days that may have changed since the last build.

::

    new            the log contains the day and the store does not
    contract       the day was built under another contract
    log            impressions that the last build read were changed, added or removed
    grown          impressions were added to the day after the last build
    matured        a label passed its maturity since the last build, or the arrival of the log went back
    events         an event that affects the day was changed, added late or removed; an event affects earlier
                   days within the windows of the tasks that read it
    left behind    an earlier build limited to other days should have rewritten the day
    lost           a file of the day is missing from the store, or differs from the written one

A day in the store that precedes the log stays unchanged under the same contract, because logs may be deleted
before labels. If its files are lost too, the day is dropped and an error is logged. A day that is missing
after the first day of the log was left out of it, and is dropped.

The label calendar is the state of every task's labels on every day, from the records of builds::

    not built       the log contains the day and the store does not
    outdated        an earlier build limited to other days should have rewritten the day
    immature        the log has not arrived up to the maturity of the day's last impression
    failed          validation of the newest build failed, and the day differs from the published one
    not validated   the newest build was not validated, and the day differs from the published one
    mature          published and available for training

The first matching state applies. No label is read: records of builds hold each day's rows and digest.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal, TypeVar

import duckdb
import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels.query import Horizon
from tasks.labels.windows import bearing, longest_reach, matures, matures_from
from tasks.logs.rows import DayRange, DaySum, LogDays, Stream, day_start
from tasks.sql import expressions as x
from tasks.stores.location import Location

STAMPS: Final = (c.CONTRACT_VERSION, c.CONTRACT_DIGEST)
"""Columns that a build adds to every row. The content digest omits them; the snapshot id covers them."""

_DIGESTS = """
    SELECT $day, count(*), sum(h), sum(hash(h))
    FROM (SELECT $day, $hashed AS h
          FROM read_parquet($paths, hive_partitioning = true, hive_types = {'ds': DATE}))
    GROUP BY 1
"""
_HALF, _MODULUS = 1 << 64, 1 << 128


@dataclass(frozen=True)
class Basis:
    """The inputs of every label of a build: as-of, digest of the tasks, impressions' columns with types.

    ``arrived`` is the instant up to which the log had arrived, None if it equals the as-of.
    """

    as_of: datetime
    contract: str
    columns: tuple[str, ...]
    arrived: datetime | None = field(default=None, kw_only=True)

    @property
    def mature_by(self) -> datetime:
        """The instant up to which the log had arrived; labels that mature by then are final."""
        return self.arrived or self.as_of

    @property
    def horizon(self) -> Horizon:
        """The instants up to which events are known and labels mature."""
        return Horizon(self.as_of, self.mature_by)


@dataclass(frozen=True)
class Day:
    """A day of the store: its number of rows and the sum of their digests.

    ``left_behind``: an earlier build limited to other days should have rewritten the day.
    """

    rows: int
    content: int
    left_behind: bool = False


@dataclass(frozen=True)
class Build(Basis):
    """The days of the store, and the days of the log as the build read them."""

    days: Mapping[date, Day]
    impressions: Mapping[date, DaySum]
    events: Mapping[Stream, DaySum]

    def snapshot_facts(self) -> dict[str, Any]:
        """Return the identity of the snapshot of these days, as JSON."""
        rows = sum(day.rows for day in self.days.values())
        content = content_digest(rows, (day.content for day in self.days.values()))
        return {
            "id": snapshot_id(self.contract, self.as_of, content),
            "as_of": self.as_of.astimezone(UTC).isoformat(),
            "contract_digest": self.contract,
            "content_digest": content,
            "rows": rows,
            "first_day": str(min(self.days)),
            "last_day": str(max(self.days)),
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; sums are strings because they exceed a double's precision."""
        days: dict[str, dict[str, list[Any]]] = {}
        for (day, name), total in sorted(self.events.items()):
            days.setdefault(str(day), {})[name] = _to_pair(total)
        return {
            "as_of": self.as_of.astimezone(UTC).isoformat(),
            **({"arrived": self.arrived.astimezone(UTC).isoformat()} if self.arrived else {}),
            "contract": self.contract,
            "columns": list(self.columns),
            "days": {str(d): [x.rows, str(x.content), x.left_behind] for d, x in sorted(self.days.items())},
            "impressions": {str(day): _to_pair(total) for day, total in sorted(self.impressions.items())},
            "events": days,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Build":
        """Parse the JSON of ``to_json``."""
        return cls(
            datetime.fromisoformat(content["as_of"]),
            content["contract"],
            tuple(content["columns"]),
            {
                date.fromisoformat(day): Day(rows, int(digest), behind)
                for day, (rows, digest, behind) in content["days"].items()
            },
            {date.fromisoformat(day): _from_pair(*pair) for day, pair in content["impressions"].items()},
            {
                (date.fromisoformat(day), name): _from_pair(*pair)
                for day, names in content["events"].items()
                for name, pair in names.items()
            },
            arrived=datetime.fromisoformat(content["arrived"]) if "arrived" in content else None,
        )


def _to_pair(total: DaySum) -> list[Any]:
    return [total.rows, str(total.sum)]


def _from_pair(rows: int, total: str) -> DaySum:
    return DaySum(rows, int(total))


def row_hash(schema: pa.Schema) -> exp.Expr:
    """Return the DuckDB expression of the 64-bit hash of a row of the label store."""
    return x.call("HASH", *x.columns(name for name in schema.names if name not in {c.DAY, *STAMPS}))


def sum_days(
    connection: duckdb.DuckDBPyConnection, files: Iterable[Location], schema: pa.Schema
) -> dict[date, tuple[int, int]]:
    """Read label files and return each day's rows and sum of digests."""
    query = x.fill(_DIGESTS, day=x.column(c.DAY), hashed=row_hash(schema), paths=x.file_names(files))
    sums = connection.execute(query).fetchall()
    return {day: (count, combine_sums(int(first), int(second))) for day, count, first, second in sums}


def combine_sums(hashes: int, rehashes: int) -> int:
    """Combine the sum of the rows' hashes and the sum of the hashes' hashes into one sum of digests.

    Examples
    --------
    >>> combine_sums(3, 5) == 3 * 2**64 + 5
    True
    """
    return (hashes * _HALF + rehashes) % _MODULUS


def content_digest(rows: int, sums: Iterable[int]) -> str:
    """Return the digest of a snapshot's content from its number of rows and its days' sums of digests.

    Examples
    --------
    >>> content_digest(2, [8, 9]) == content_digest(2, [17])
    True
    >>> content_digest(2, [17])[:12]
    '04fb747d3abb'
    """
    return hashlib.sha256(f"{rows}:{sum(sums) % _MODULUS}".encode()).hexdigest()


def snapshot_id(contract: str, as_of: datetime, content: str) -> str:
    """Return the id of a snapshot, which follows from contract, as-of and content.

    Examples
    --------
    >>> snapshot_id("contract", datetime(2026, 3, 2, tzinfo=UTC), "content")
    'a9dc1b301d9df3a7'
    """
    text = f"{contract}|{as_of.astimezone(UTC).isoformat()}|{content}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_Key = TypeVar("_Key")
_EVERY_DAY = DayRange()


@dataclass(frozen=True)
class Coverage:
    """The days that a build writes, each with its reason, and the handling of the store's other days.

    Attributes
    ----------
    touched : days affected by an event that was changed, added late or removed.
    lost : days whose files are missing or damaged.
    gone : days that the log no longer contains.
    left_out : those of them after the first day of the log.
    replace_all : whether all days of the last build are replaced because the contract or the columns changed.
    """

    write: Mapping[date, str]
    left_behind: frozenset[date] = frozenset()
    touched: frozenset[date] = frozenset()
    lost: frozenset[date] = frozenset()
    gone: frozenset[date] = frozenset()
    left_out: frozenset[date] = frozenset()
    replace_all: bool = False

    @property
    def dropped(self) -> frozenset[date]:
        """Days that the store no longer contains after the build."""
        return frozenset() if self.replace_all else (self.lost & self.gone) | self.left_out

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
        The store's last build, or None for a new store.
    basis
        Basis of the new build. If its contract or columns differ from the last build's, every day is
        rewritten, also outside ``within``, because one table never mixes contracts.
    lost
        Days of the store whose files are missing or damaged.
    within
        Limit the build. Days outside that should have been rewritten are recorded as left behind.
    """
    if last is None:
        return Coverage({day: "new" for day in sorted(log.impressions) if day in within}, replace_all=True)
    gone = frozenset(last.days) - set(log.impressions)
    if (last.contract, last.columns) != (basis.contract, basis.columns):
        return Coverage(dict.fromkeys(sorted(log.impressions), "contract"), gone=gone, replace_all=True)
    first = min(log.impressions, default=date.max)
    left_out = frozenset(day for day in gone if day > first)
    touched = frozenset(_touched(last, log, tasks)) & set(log.impressions)
    reasons: dict[date, str] = dict.fromkeys((day for day in lost if day in log.impressions), "lost")
    for day, reason in _reasons(last, log, tasks, basis, deleted=gone - left_out):
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
        left_out=left_out,
    )


def _reasons(
    last: Build, log: LogDays, tasks: TasksSpec, basis: Basis, *, deleted: Collection[date]
) -> Iterator[tuple[date, str]]:
    reach = longest_reach(tasks)
    changed = _differing(last.impressions, log.impressions_before).difference(deleted)
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
    beside = DayRange.spread(changed, before=reach.after, after=reach.before)
    yield from ((day, "log") for days in beside for day in days.days)


def _touched(last: Build, log: LogDays, tasks: TasksSpec) -> Iterator[date]:
    """Yield the days affected by an event that was changed, added late or removed."""
    streams = log.late | _differing(last.events, log.events_before)
    for name in {name for _, name in streams} & tasks.events:
        days = [day for day, of_day in streams if of_day == name]
        back, reach = bearing(tasks, name)
        for touched in DayRange.spread(days, before=back + reach, after=reach):
            yield from touched.days


def _differing(then: Mapping[_Key, DaySum], now: Mapping[_Key, DaySum]) -> set[_Key]:
    return {key for key in {*then, *now} if then.get(key) != now.get(key)}


def _matures_between(day: date, tasks: TasksSpec, one: datetime, other: datetime) -> bool:
    """Return whether any label of the day matures between two instants, given in either order.

    The order is reversed if the log's arrival has fallen further behind its as-of since the last build.
    """
    after, until = sorted((one, other))
    return after < until and any(
        day_start(day) + least <= until and day_start(day) + _DAY + most > after
        for least, most in {(matures_from(tasks, task), matures(tasks, task)) for task in tasks.tasks}
    )


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
