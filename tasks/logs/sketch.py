"""Examines a log without contracts, for a first draft of them.

::

    files of impressions and events -> footers -> standard columns -> counts of columns, events and days
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import log_sketch
from tasks.errors import ContractError
from tasks.logs.footers import BOOLEAN, OTHER, Table, read_footers
from tasks.logs.rows import CANDIDATES, EVENTS, IMPRESSIONS
from tasks.logs.session import session
from tasks.logs.sources import resolve_path
from tasks.sql import expressions as x

_NAMES = 200
"""Number of most frequent event names that are examined."""
_EVENTS = """
    SELECT CAST($event AS VARCHAR) AS name, count(*) AS n,
           avg(CAST($item IS NOT NULL AS DOUBLE)), avg(CAST($request IS NOT NULL AS DOUBLE)),
           avg(CAST($impression IS NOT NULL AS DOUBLE))
    FROM $source WHERE $event IS NOT NULL GROUP BY name ORDER BY n DESC, name LIMIT $most
"""
_DELAYS = """
    SELECT event.name, quantile_cont(epoch(event.at) - epoch(shown.at), 0.9) / 86400
    FROM (SELECT CAST($event AS VARCHAR) AS name, TRY_CAST($happened AS TIMESTAMPTZ) AS at,
                 concat_ws('/', $of_event) AS k FROM $events WHERE hash($of_event) % $part = 0) AS event
    ASOF JOIN (SELECT TRY_CAST($at AS TIMESTAMPTZ) AS at, concat_ws('/', $of_impression) AS k
               FROM $impressions) AS shown
    ON event.k = shown.k AND event.at >= shown.at GROUP BY event.name
"""
_DELAYED = 200_000
"""Approximate number of events whose delay is measured."""


def locate_sources(paths: Mapping[str, Path], *, logs: Path) -> tuple[Path, dict[str, str]]:
    """Return the logs folder, or the tables' common parent if they lie elsewhere, and paths below it."""
    absolute = {table: Path(os.path.normpath(path.absolute())) for table, path in paths.items()}
    base = Path(os.path.normpath(logs))
    if not all(path.is_relative_to(base) for path in absolute.values()):
        base = Path(os.path.commonpath([path.parent for path in absolute.values()]))
    if base == Path(base.anchor):
        listed = ", ".join(str(path) for path in absolute.values())
        raise ContractError(f"{listed} lie in no folder together: move them below {logs}")
    return base, {table: path.relative_to(base).as_posix() for table, path in absolute.items()}


def sketch_log(
    logs: Path, sources: Mapping[str, str], given: Mapping[str, str], *, home: Path
) -> log_sketch.LogSketch:
    """Examine a log's columns, events and days."""
    tables = {
        name: read_footers(name, resolve_path(source, logs=logs, table=name), below=logs)
        for name, source in sources.items()
    }
    found = log_sketch.find_columns({name: _kinds(table) for name, table in tables.items()}, given)
    name_here = {**found.get(CANDIDATES, {}), **found[EVENTS], **found[IMPRESSIONS]}
    with session(home) as connection:
        look = _Look(connection, tables, found)
        days, last, positions = look.days_and_positions()
        return log_sketch.LogSketch(
            sources=dict(sources),
            columns={name: name_in_log for name, name_in_log in name_here.items() if name != name_in_log},
            described=look.described(),
            events=look.events(),
            days=days,
            last=last,
            rows=tables[IMPRESSIONS].rows,
            positions=positions,
            has_visible=c.VISIBLE in found[IMPRESSIONS] and look.kind(c.VISIBLE) == BOOLEAN,
            impression=look.impression,
        )


def _kinds(table: Table) -> dict[str, str | None]:
    return {
        name: None if column.absent else column.kind if len(column.kinds) == 1 else OTHER
        for name, column in table.columns.items()
        if name != c.DAY
    }


@dataclass(frozen=True)
class _Look:
    connection: duckdb.DuckDBPyConnection
    tables: Mapping[str, Table]
    found: Mapping[str, Mapping[str, str]]

    def kind(self, name_here: str) -> str | None:
        return _kinds(self.tables[IMPRESSIONS])[self.found[IMPRESSIONS][name_here]]

    @property
    def impression(self) -> str:
        return log_sketch.find_impression({name: _kinds(self.tables[name]) for name in self.found})

    def days_and_positions(self) -> tuple[int, date, int]:
        """Count the days with impressions; return the last one and the greatest position."""
        columns = self.found[IMPRESSIONS]
        position = x.column(columns[c.POSITION]) if c.POSITION in columns else exp.Null()
        ((days, last, greatest),) = self._fetch(
            "SELECT count(DISTINCT CAST($at AS DATE)), max(CAST($at AS DATE)), "
            "max(TRY_CAST($position AS BIGINT)) FROM $source",
            IMPRESSIONS,
            at=x.column(columns[c.SHOWN_AT]),
            position=position,
        )
        return int(days), last, max(int(greatest or 0), 0)

    def described(self) -> tuple[log_sketch.ColumnSketch, ...]:
        """Return the columns of the impressions without a standard name, in the order of the files."""
        kinds = _kinds(self.tables[IMPRESSIONS])
        taken = set(self.found[IMPRESSIONS].values())
        names = [name for name, kind in kinds.items() if kind is not None and name not in taken]
        if not names:
            return ()
        counts = [x.call("APPROX_COUNT_DISTINCT", x.column(name)) for name in names]
        (distinct,) = self._fetch("SELECT $counts FROM $source", IMPRESSIONS, counts=counts)
        return tuple(
            log_sketch.ColumnSketch(name, str(kinds[name]), int(number))
            for name, number in zip(names, distinct, strict=True)
        )

    def events(self) -> tuple[log_sketch.EventSketch, ...]:
        """Return the most frequent events, with the numbers that name an item, a request, an impression."""
        columns = self.found[EVENTS]
        request = x.column(columns[c.REQUEST_ID]) if c.REQUEST_ID in columns else exp.Null()
        impression = x.column(self.impression) if self.impression else exp.Null()
        rows = self._fetch(
            _EVENTS,
            EVENTS,
            most=x.integer(_NAMES),
            event=x.column(columns[c.EVENT]),
            item=x.column(columns[c.ITEM_ID]) if {c.USER_ID, c.ITEM_ID} <= columns.keys() else impression,
            request=request,
            impression=impression,
        )
        delays = self._delays()
        return tuple(replace(log_sketch.EventSketch(*row), delay=delays.get(row[0], 0.0)) for row in rows)

    def _delays(self) -> dict[str, float]:
        """Return by name the 90 % quantile of the events' delay in days since the newest matching impression.

        Impressions match by their own id, else by request and item, else by user and item.
        """
        events, shown = self.found[EVENTS], self.found[IMPRESSIONS]
        name_here = (c.REQUEST_ID if c.REQUEST_ID in events else c.USER_ID, c.ITEM_ID)
        named = [self.impression] if self.impression else []
        rows = self._fetch(
            _DELAYS,
            EVENTS,
            event=x.column(events[c.EVENT]),
            happened=x.column(events[c.HAPPENED_AT]),
            at=x.column(shown[c.SHOWN_AT]),
            of_event=x.columns(named or [events[one] for one in name_here]),
            of_impression=x.columns(named or [shown[one] for one in name_here]),
            events=self._source(EVENTS),
            impressions=self._source(IMPRESSIONS),
            part=x.integer(max(1, self.tables[EVENTS].rows // _DELAYED)),
        )
        return dict(rows)

    def _fetch(self, template: str, table: str, **parts: x.Part) -> list[tuple[Any, ...]]:
        return self.connection.sql(x.fill(template, source=self._source(table), **parts)).fetchall()

    def _source(self, table: str) -> exp.Expr:
        files = x.file_names(file.path for file in self.tables[table].files)
        union = exp.PropertyEQ(this=exp.to_identifier("union_by_name"), expression=exp.convert(True))
        folders = exp.PropertyEQ(
            this=exp.to_identifier("hive_partitioning"),
            expression=exp.convert(self.tables[table].in_folders),
        )
        return x.call("READ_PARQUET", files, union, folders)
