"""The table of a surface's series: one row per figure, day, release and segment; rows are only appended.

::

    monitoring/<surface>    day, days, release, metric, task ..., segment, value, low, high, n, rows, events

``days`` is 1, or 7 for the week that ends with ``day``. ``release`` is null for all traffic. A day's figures
of one task are one commit, so a killed run leaves complete days, and the next run continues after them.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, TypedDict, cast

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.evaluation.figures import Figure
from tasks.evaluation.subjects import ALL, Subject
from tasks.stores import delta
from tasks.stores.location import Location
from tasks.stores.store import Store

ROWS: Final = "rows"
"""Metric of every computed day of a task; its subject has no task for the day's impressions."""
EARLY: Final = "early_calibration"
"""Metric of estimates before maturity; the subject's value is the age in days."""
RETURNED: Final = "returned_share"
"""Metric of every day on which the return of users is known."""
EVENT: Final = "event"
"""Metric of events in the audit; the figure is the row's number."""
_SUBJECT: Final = ("metric", "task", "feature", "constraint", "column", "value_of")
_TEXTS: Final = ("surface", *_SUBJECT, "segment", "segment_value", "contract")
_MOST_FILES: Final = 50
"""Number of files, one per commit, at which the next commit compacts the table for faster reads."""
_SCHEMA: Final = pa.schema(
    [
        ("surface", pa.string()),
        ("day", pa.date32()),
        ("days", pa.int32()),
        ("release", pa.int64()),
        *((name, pa.string()) for name in _SUBJECT),
        ("segment", pa.string()),
        ("segment_value", pa.string()),
        *((name, pa.float64()) for name in ("value", "low", "high")),
        *((name, pa.int64()) for name in ("n", "rows", "events")),
        ("contract", pa.string()),
        ("computed_at", pa.timestamp("us", "UTC")),
    ]
)


@dataclass(frozen=True)
class SeriesFigure:
    """A figure of the ``days`` that end with ``day``; ``release`` is None for all traffic."""

    day: date
    figure: Figure
    days: int = 1
    release: int | None = None


class SeriesLevel(TypedDict):
    """A figure of all traffic, as printed by `monitor`."""

    day: date
    days: int
    metric: str
    task: str
    feature: str
    constraint: str
    column: str
    value_of: str
    value: float
    low: float
    high: float
    n: int
    rows: int
    events: int


@dataclass(frozen=True)
class SeriesTable:
    """Series of one surface under its tasks' contract; figures of other contracts are not read."""

    store: Store
    surface: str
    contract: str

    @property
    def path(self) -> Location:
        """Path of the table."""
        return self.store.root / "monitoring" / self.surface

    def read(self) -> pd.DataFrame:
        """Return every row, oldest day first."""
        found = delta.read(self.path)
        if not found.num_rows:
            return _SCHEMA.empty_table().to_pandas()
        own = found.filter(pc.equal(found.column("contract"), self.contract))
        return own.sort_by([(name, "ascending") for name in ("day", "days", *_SUBJECT)]).to_pandas()

    def version(self) -> int | None:
        """Return the current version, which new figures are added to; None if there is no table."""
        delta.set_torn_commits_aside(self.path)
        return delta.version_of(self.path)

    def add(self, figures: Iterable[SeriesFigure], *, after: int | None) -> int:
        """Add figures in one commit after a version; return the new version.

        Raises
        ------
        Overtaken
            Another machine committed first; nothing was committed.
        """
        now = datetime.now(UTC)
        rows = [self._row(one) | {"computed_at": now} for one in figures]
        added = pa.Table.from_pylist(rows, schema=_SCHEMA)
        delta.append_after(self.path, added, version=after, most_files=_MOST_FILES)
        return 0 if after is None else after + 1

    def _row(self, one: SeriesFigure) -> dict[str, object]:
        figure, subject = one.figure, one.figure.subject
        return {
            "surface": self.surface,
            "contract": self.contract,
            "day": one.day,
            "days": one.days,
            "release": one.release,
            **{name: getattr(subject, name) for name in _SUBJECT[:-1]},
            "value_of": subject.value,
            "segment": figure.segment.column,
            "segment_value": figure.segment.value,
            **{name: getattr(figure, name) for name in ("value", "low", "high", "n", "rows", "events")},
        }


def find_stored(series: pd.DataFrame, metrics: Collection[str], *columns: str) -> set[Any]:
    """Return the tuples of some columns in the rows of metrics; of a single column, its values."""
    rows = series.loc[series["metric"].isin(metrics), [*columns]]
    return {*rows.itertuples(index=False, name=None)} if len(columns) > 1 else {*rows[columns[0]]}


def newest_levels(series: pd.DataFrame) -> list[SeriesLevel]:
    """Return the newest level of each series of all traffic, weekly if available."""
    of_weeks = (series["metric"] == ROWS) & (series["days"] > 1)
    kept = (
        series["release"].isna()
        & (series["segment"] == "")
        & ~of_weeks
        & ~series["metric"].isin([EARLY, EVENT])
    )
    newest = series[kept].sort_values(["days", "day"]).drop_duplicates([*_SUBJECT], keep="last")
    rows = newest.sort_values([*_SUBJECT])[[*SeriesLevel.__annotations__]].to_dict("records")
    return [cast("SeriesLevel", row) for row in rows]


def count_rows(task: str, rows: int, events: int = 0) -> Figure:
    """Return the number of rows of a task's daily figures, as a figure."""
    value = float(rows)
    return Figure(Subject(ROWS, task=task), ALL, value, value, value, rows, rows, events)
