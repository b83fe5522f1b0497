"""The columns of a log under standard names, the columns that labels depend on, and rows as pandas frames.

pandas would round integers to floats in columns with nulls, so candidate rows are converted by column.
Decimal numbers become doubles, as in the label store: 3.00 is spelled as 3, and equals 3.0.
"""

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks import columns as c
from tasks.contracts import SurfaceSpec, TasksSpec

IDS = (c.REQUEST_ID, c.USER_ID, c.ITEM_ID)


@dataclass(frozen=True)
class Log:
    """The columns of the log under standard names, in the tables' order."""

    impressions: tuple[str, ...]
    events: tuple[str, ...]

    @property
    def has_arrival(self) -> bool:
        """Whether the events have an arrival time."""
        return c.INGESTED_AT in self.events

    @property
    def has_event_ids(self) -> bool:
        """Whether events with the same id count once."""
        return c.EVENT_ID in self.events


def contract_log(surface: SurfaceSpec, tasks: TasksSpec) -> Log:
    """Return the columns that the contracts name, without reading the log."""
    observing = [t.observed_when.column for t in tasks.tasks.values() if t.observed_when]
    match = match_columns(tasks)
    segments = [s.column for s in surface.segments]
    values = surface.values  # noqa: PD011 - a field of the contract, not a frame
    impressions = (
        c.REQUEST_ID, c.USER_ID, c.ITEM_ID, c.SHOWN_AT, c.POSITION,
        *surface.features.names, *segments, *values, *(name for name in observing if name), *match,
        *tasks.deadlines,
    )  # fmt: skip
    events = (c.EVENT, c.HAPPENED_AT, c.USER_ID, c.ITEM_ID, c.VALUE, c.INGESTED_AT, *match)
    events = (*events, *([c.EVENT_ID] if c.EVENT_ID in surface.columns else []))
    return Log(tuple(dict.fromkeys(impressions)), tuple(dict.fromkeys(events)))


def match_columns(tasks: TasksSpec) -> tuple[str, ...]:
    """Return the columns that match events with impressions in the contracts."""
    rules = [t.rule.match for t in tasks.tasks.values() if t.rule]
    exclusions = [exclusion.on for t in tasks.tasks.values() for exclusion in t.exclude]
    return tuple(dict.fromkeys(name for names in (*rules, *exclusions) for name in names))


def event_columns(tasks: TasksSpec, log: Log) -> tuple[str, ...]:
    """Return the columns of the events that labels depend on."""
    wanted = {c.EVENT, c.HAPPENED_AT, c.VALUE, c.INGESTED_AT, c.EVENT_ID, *match_columns(tasks)}
    return tuple(name for name in log.events if name in wanted)


_EXACT = 2**53
"""Largest bound up to which floats represent every integer exactly."""


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return candidate rows as a frame, converted by column; large integers keep every digit.

    Examples
    --------
    >>> table = pa.table({"user_id": [9007199254740993, None]})
    >>> to_frame(table)["user_id"].tolist()
    [9007199254740993, None]
    """
    fields = [
        pa.field(field.name, pa.float64()) if _is_read_as_double(field) else field for field in table.schema
    ]
    frame = table.cast(pa.schema(fields)).to_pandas(ignore_metadata=True)
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if _loses_digits(name, column):
            frame.isetitem(place, pd.Series(column.to_pylist(), index=frame.index, dtype=object))
    return frame


def _is_read_as_double(field: pa.Field) -> bool:
    return pa.types.is_decimal(field.type) and field.name not in IDS


def _loses_digits(name: str, column: pa.ChunkedArray) -> bool:
    """Whether floats would lose information; user ids are never floats, since 5.0 is spelled unlike 5."""
    if not column.null_count or not pa.types.is_integer(column.type):
        return False
    ends = pc.min_max(column).as_py()
    return name == c.USER_ID or any(end is not None and abs(end) > _EXACT for end in ends.values())
