"""A surface's log tables in a DuckDB session, under standard column names, and rows as pandas frames.

::

    with open_log(workspace) as log:     session.py: finds the files, checks their columns, creates the views
        log.cut(as_of)                   relations of the selected rows
        log.read("candidates", ["request_id", "price"], as_of=as_of, first_day=day, last_day=day)

pandas would round integers to floats in columns with nulls, so candidate rows are converted by column.
Decimal numbers become doubles, as in the label store: 3.00 is spelled as 3, and equals 3.0.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import Contracts, SurfaceSpec, TasksSpec
from tasks.errors import DataError, unknown
from tasks.logs import footers as kinds
from tasks.logs import rows
from tasks.logs.connections import configure
from tasks.logs.footers import File, Table, TimeSpan, View
from tasks.logs.rows import CANDIDATES, EVENTS, IMPRESSIONS, DayRange
from tasks.sql import expressions as x
from tasks.stores.location import Location

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
        pa.field(field.name, pa.float64())
        if pa.types.is_decimal(field.type) and field.name not in IDS
        else field
        for field in table.schema
    ]
    frame = table.cast(pa.schema(fields)).to_pandas(ignore_metadata=True)
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if _loses_digits(name, column):
            frame.isetitem(place, pd.Series(column.to_pylist(), index=frame.index, dtype=object))
    return frame


def _loses_digits(name: str, column: pa.ChunkedArray) -> bool:
    """Whether floats would lose information; user ids are never floats, since 5.0 is spelled unlike 5."""
    if not column.null_count or not pa.types.is_integer(column.type):
        return False
    ends = pc.min_max(column).as_py()
    return name == c.USER_ID or any(end is not None and abs(end) > _EXACT for end in ends.values())


_STORED = {
    "DECIMAL": "DOUBLE",
    "ENUM": "VARCHAR",
    "UTINYINT": "SMALLINT",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
    "UBIGINT": "BIGINT",
    "HUGEINT": "DOUBLE",
    "UHUGEINT": "DOUBLE",
    "TIME": "VARCHAR",
    "TIME_NS": "VARCHAR",
    "UUID": "VARCHAR",
    "TIMESTAMP_NS": "TIMESTAMP",
    "TIMESTAMPTZ_NS": "TIMESTAMPTZ",
}
"""Types that a label store does not support, each with a type that can hold its values."""

_WORD = re.compile(r"[A-Z][A-Z_0-9]*")

_KINDS = {
    kinds.STRING: "VARCHAR",
    kinds.INTEGER: "BIGINT",
    kinds.NUMBER: "DOUBLE",
    kinds.BOOLEAN: "BOOLEAN",
    kinds.INSTANT: "TIMESTAMPTZ",
}


_TYPED = (
    c.EVENT, c.EVENT_ID, c.HAPPENED_AT, c.SHOWN_AT, c.INGESTED_AT, c.VALUE, c.POSITION, c.PROPENSITY, c.SHOWN,
)  # fmt: skip
_NO_SPAN = TimeSpan()
_HASHED = "SELECT count(*), sum(h), sum(hash(h)) FROM (SELECT $hashed AS h FROM $read)"


def session_folder(connection: duckdb.DuckDBPyConnection) -> Path:
    """Return the folder of a connection's session, which is removed when the session ends."""
    ((folder,),) = connection.sql("SELECT current_setting('temp_directory')").fetchall()
    return Path(folder)


def time_column(table: str) -> str:
    """Return the column with the time of a row of a log table."""
    return c.HAPPENED_AT if table == EVENTS else c.SHOWN_AT


@dataclass(frozen=True)
class LogTables:
    """A surface's log tables as the views ``impressions``, ``events`` and, if logged, ``candidates``.

    ``types``: by table, the standard columns with their types. ``candidates``: the columns of the candidates,
    empty if they are not logged.
    """

    connection: duckdb.DuckDBPyConnection
    logs: Location
    contracts: Contracts
    log: Log
    candidates: tuple[str, ...]
    views: Mapping[str, View]
    types: Mapping[str, Mapping[str, str]]

    @contextmanager
    def beside(self) -> Iterator["LogTables"]:
        """Yield the log in another connection to the same session, for another thread."""
        with self.connection.cursor() as connection:
            configure(connection)
            yield replace(self, connection=connection)

    @cached_property
    def folder(self) -> Path:
        """Folder of the session, which is removed when the session ends."""
        return session_folder(self.connection)

    @property
    def described(self) -> tuple[str, ...]:
        """Columns of the impressions with their types."""
        return tuple(f"{name} {kind}" for name, kind in self.types[IMPRESSIONS].items())

    def view_sources(self) -> None:
        """Create the views of the log tables in this connection."""
        for name, view in self.views.items():
            self.view(name, name, view.table.files)

    def view(self, name: str, table: str, files: Sequence[File]) -> None:
        """Create a view of some files of a table under standard column names; missing columns are null."""
        if not files:
            columns = [
                x.alias(x.cast(exp.Null(), kind), name_here) for name_here, kind in self.types[table].items()
            ]
            self.create(name, x.select(columns, x.call("RANGE", x.integer(0))), view=True)
            return
        view = self.views[table]
        there = frozenset[str]().union(*(file.columns for file in files))
        columns = []
        for name_here, kind in self.types[table].items():
            column = view.columns[name_here]
            value: exp.Expr = x.column(column.name) if column.name in there else exp.Null()
            if column.nanoseconds and kind in x.TIMES:
                value = x.round_down(value, kind)
            read = x.finite(value) if self.nan_is_null(name_here, kind) else x.cast(value, kind)
            columns.append(x.alias(read, name_here))
        self.create(name, x.select(columns, _parquet(view.table, files)), view=True)

    def nan_is_null(self, name_here: str, kind: str) -> bool:
        """Return whether NaN in a column is read as null because rows are matched on it or ordered by it.

        Engines order NaN above every number, and treat it as equal to itself.
        """
        return kind == _KINDS[kinds.NUMBER] and name_here in {
            c.POSITION,
            *match_columns(self.contracts.tasks),
        }

    def is_kept(self, table: str) -> bool:
        """Return whether a table's files lie in the log, as opposed to the session's folder."""
        return not str(self.views[table].table.files[0].path).startswith(str(self.folder))

    def create(self, name: str, query: exp.Query, *, view: bool = False) -> None:
        """Create or replace a relation of the session from a query."""
        template = f"CREATE OR REPLACE TEMP {'VIEW' if view else 'TABLE'} $name AS $query"
        self.connection.execute(x.fill(template, name=x.name(name), query=query))

    def fetch(self, template: str, **parts: x.Part) -> list[tuple[Any, ...]]:
        """Run a query with a small result and return its rows."""
        return self.connection.sql(x.fill(template, **parts)).fetchall()

    def span(self, table: str, file: File, name_here: str) -> TimeSpan | None:
        """Return the span of a standard column in a file; None if unknown."""
        if name_here not in self.types[table]:
            return _NO_SPAN
        return file.spans.get(self.views[table].columns[name_here].name, _NO_SPAN)

    def is_settled(self, table: str, file: File, as_of: datetime) -> bool:
        """Return whether all rows of a file lie before an instant and had arrived by then."""
        times = (c.HAPPENED_AT, c.INGESTED_AT) if table == EVENTS else (c.SHOWN_AT,)
        spans = [self.span(table, file, name) for name in times]
        return all(span is not None and (span.last is None or span.last < as_of) for span in spans)

    def is_future(self, table: str, file: File, as_of: datetime) -> bool:
        """Return whether every row of a file has a time at or after an instant."""
        span = self.span(table, file, time_column(table))
        return span is not None and not span.nulls and span.first is not None and span.first >= as_of

    def may_hold(self, table: str, file: File, days: DayRange) -> bool:
        """Return whether a file may contain rows of some days."""
        span = self.span(table, file, time_column(table))
        if span is None:
            return True
        if span.first is None or span.last is None:
            return False
        return span.first.date() <= days.last and span.last.date() >= days.first

    def cut(self, as_of: datetime, among: str = IMPRESSIONS) -> None:
        """Create the relations of the selected impressions: ``repeated``, ``duplicates``, ``shown``.

        ``duplicates`` contains the impressions with a repeated key; the one with ``_place`` 1 is selected.
        """
        names = self.log.impressions
        self.create(rows.REPEATED, rows.repeated_keys(as_of, among))
        self.create(rows.DUPLICATES, rows.duplicates(as_of, names, among))
        self.create(rows.FIRST, rows.first_of(x.table(rows.DUPLICATES), names), view=True)
        self.create(rows.SHOWN, rows.shown_impressions(as_of, names, None), view=True)

    def cut_events(self, as_of: datetime) -> None:
        """Create the relations of events with a repeated id in the whole log; none are created without ids.

        They are ``repeated_events``, ``duplicate_events``, ``first_events`` and ``conflicting_events``.
        """
        if not self.log.has_event_ids:
            return
        names, every = self.log.events, "every_event"
        self.view(every, EVENTS, self.views[EVENTS].table.files)
        self.create(rows.REPEATED_EVENTS, rows.repeated_events(as_of, names, every))
        self.create(rows.DUPLICATE_EVENTS, rows.duplicate_events(as_of, names, every))
        self.create(rows.FIRST_EVENTS, rows.first_of(x.table(rows.DUPLICATE_EVENTS), names), view=True)
        content = event_columns(self.contracts.tasks, self.log)
        self.create(rows.CONFLICTING_EVENTS, rows.conflicting_events(names, content), view=True)

    def read(
        self,
        table: str,
        names: Sequence[str],
        *,
        as_of: datetime,
        first_day: date | None = None,
        last_day: date | None = None,
    ) -> pa.Table:
        """Read some days of a log table as of an instant, in an order independent of the files.

        Only the earliest impression or candidate of each key is returned; rows without a key are omitted.
        """
        known = self._known(table)
        for name in names:
            if name not in known:
                raise DataError(unknown("column", name, known, where=table))
        at = time_column(table)
        where = [*_bounds(at, first_day, last_day)]
        if table == EVENTS:
            where.append(rows.known_as_of(as_of, ingested=self.log.has_arrival))
            query, order = x.select(x.columns((*names, at)), x.table(table), where=where), [at, *names]
        else:
            where.append(rows.has_key(table, as_of))
            order = [c.SHOWN_AT, *c.IMPRESSION_KEY]
            query = _once_a_key(table, known, (*names, *order), where)
        x.order_by(query, x.columns(order))
        return self.connection.sql(x.render(query)).to_arrow_table().select(list(names))

    def hash_day(
        self, table: str, names: Sequence[str], *, as_of: datetime, day: date
    ) -> tuple[int, int, int]:
        """Return the number of a day's rows that `read` gives, and the sums of their hashes and rehashes."""
        where = [*_bounds(time_column(table), day, day), rows.has_key(table, as_of)]
        query = _once_a_key(table, self._known(table), names, where)
        hashed, read = x.call("HASH", *x.columns(names)), x.subquery(query, "read")
        ((count, hashes, rehashes),) = self.fetch(_HASHED, hashed=hashed, read=read)
        return count, int(hashes or 0), int(rehashes or 0)

    def _known(self, table: str) -> Sequence[str]:
        known = {IMPRESSIONS: self.log.impressions, EVENTS: self.log.events, CANDIDATES: self.candidates}
        return known[table]


def _bounds(at: str, first: date | None, last: date | None) -> Iterator[exp.Expr]:
    if first is not None:
        yield x.ge(x.column(at), x.day_start(first))
    if last is not None:
        yield x.lt(x.column(at), x.day_start(last + timedelta(days=1)))


def _once_a_key(
    table: str, columns: Sequence[str], names: Sequence[str], where: Sequence[exp.Expr]
) -> exp.Select:
    place = x.alias(rows.number_duplicates(table, columns), rows.PLACE)
    placed = x.select([*x.columns(names), place], x.table(table), where=where)
    return rows.first_of(x.subquery(placed, "placed"), names)


def read_types(connection: duckdb.DuckDBPyConnection, view: View, shared: Collection[str]) -> dict[str, str]:
    """Return a table's standard columns that contain values, with the types that they are read as."""
    source = _parquet(view.table, view.table.files)
    described = connection.sql(x.fill("DESCRIBE SELECT * FROM $source", source=source)).fetchall()
    types = {name: str(kind) for name, kind, *_ in described}
    present = {column.name: name_here for name_here, column in view.columns.items() if not column.absent}
    wanted = {present[name]: name for name in types if name in present}
    return {name_here: _type(view, name_here, types[name], shared) for name_here, name in wanted.items()}


def _type(view: View, name_here: str, kind: str, shared: Collection[str]) -> str:
    column = view.columns[name_here]
    if name_here in {*shared, *_TYPED} and column.kind in _KINDS:
        return _KINDS[column.kind]
    inside = set(_WORD.findall(kind.replace("TIMESTAMP WITH TIME ZONE", ""))) - {"DECIMAL", "ENUM"}
    if kind.endswith(("]", ")")) and inside & _STORED.keys():
        raise DataError(
            f"{view.table.name}: column '{column.name}' is of type {kind}, which no label store holds: "
            "write it in another type, or leave it out"
        )
    return _STORED.get(kind.strip('"').split("(", maxsplit=1)[0], kind)


def _parquet(table: Table, files: Sequence[File]) -> exp.Expr:
    options = {"union_by_name": True, "hive_partitioning": table.in_folders, "hive_types_autocast": False}
    named = [exp.PropertyEQ(this=exp.to_identifier(n), expression=exp.convert(v)) for n, v in options.items()]
    return x.call("READ_PARQUET", x.file_names(file.path for file in files), *named)
