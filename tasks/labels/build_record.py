"""The record of a build, JSON in its commit: what the store holds after it, and the log that it read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from tasks.labels.query import Horizon
from tasks.logs.days import DaySum, Stream
from tasks.stores.location import Location


@dataclass(frozen=True)
class WrittenFile:
    """A Parquet file of one day, and its size in bytes."""

    path: Location
    rows: int
    size: int
    day: date


@dataclass(frozen=True)
class Written:
    """The files of a build, their columns, and each day's rows and sum of digests."""

    files: tuple[WrittenFile, ...]
    schema: pa.Schema
    days: Mapping[date, tuple[int, int]]


@dataclass(frozen=True)
class Basis:
    """What every label of a build depends on: as-of, digest of the tasks, impressions' columns with types.

    ``arrived`` is the instant up to which the log had arrived, None where that is the as-of.
    """

    as_of: datetime
    contract: str
    columns: tuple[str, ...]
    arrived: datetime | None = field(default=None, kw_only=True)

    @property
    def mature_by(self) -> datetime:
        """The instant up to which the log had arrived: what matures by it is known."""
        return self.arrived or self.as_of

    @property
    def horizon(self) -> Horizon:
        """The instants by which events are known, and labels mature."""
        return Horizon(self.as_of, self.mature_by)


@dataclass(frozen=True)
class Day:
    """A day of the store: its rows and the sum of their digests.

    ``left_behind`` says that an earlier build should have rewritten the day and was confined to others.
    """

    rows: int
    content: int
    left_behind: bool = False


@dataclass(frozen=True)
class Build(Basis):
    """The days of the store, and those of the log as the build read them, written or not."""

    days: Mapping[date, Day]
    impressions: Mapping[date, DaySum]
    events: Mapping[Stream, DaySum]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; sums are strings, as they exceed a double."""
        return {
            "as_of": self.as_of.astimezone(UTC).isoformat(),
            **({"arrived": self.arrived.astimezone(UTC).isoformat()} if self.arrived else {}),
            "contract": self.contract,
            "columns": list(self.columns),
            "days": {str(d): [x.rows, str(x.content), x.left_behind] for d, x in sorted(self.days.items())},
            "impressions": {str(day): _to_pair(total) for day, total in sorted(self.impressions.items())},
            "events": _streams_to_json(self.events),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Build":
        """Read the JSON of ``to_json``."""
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


def _streams_to_json(streams: Mapping[Stream, DaySum]) -> dict[str, dict[str, list[Any]]]:
    days: dict[str, dict[str, list[Any]]] = {}
    for (day, name), total in sorted(streams.items()):
        days.setdefault(str(day), {})[name] = _to_pair(total)
    return days


def _to_pair(total: DaySum) -> list[Any]:
    return [total.rows, str(total.sum)]


def _from_pair(rows: int, total: str) -> DaySum:
    return DaySum(rows, int(total))
