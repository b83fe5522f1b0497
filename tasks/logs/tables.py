"""A surface's log tables in a DuckDB session, under our column names.

::

    with session(home) as connection:
        log = LogTables.open(connection, logs, contracts)     checks files, columns and types
        log.cut(as_of)                                        relations of the rows that take part
        log.read("candidates", ["request_id", "price"], first_day=day, last_day=day)
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
import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import Contracts
from tasks.errors import DataError, unknown
from tasks.logs import columns as kinds
from tasks.logs import rows
from tasks.logs.checks import CANDIDATES, IDS, View, check_columns, check_same_kinds, rename
from tasks.logs.columns import File, Table, inspect
from tasks.logs.rows import EVENTS, IMPRESSIONS
from tasks.logs.schema import Log, match_columns
from tasks.logs.session import folder_of, set_up
from tasks.logs.spool import find
from tasks.sql import expressions as x
from tasks.sql.templates import Part, fill, render
from tasks.stores.location import Location

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
"""What a store has no type for, and the type that holds it."""

_WORD = re.compile(r"[A-Z][A-Z_0-9]*")

_KINDS = {
    kinds.STRING: "VARCHAR",
    kinds.INTEGER: "BIGINT",
    kinds.NUMBER: "DOUBLE",
    kinds.BOOLEAN: "BOOLEAN",
    kinds.INSTANT: "TIMESTAMPTZ",
}


_TYPED = (c.EVENT, c.HAPPENED_AT, c.SHOWN_AT, c.INGESTED_AT, c.VALUE, c.POSITION, c.PROPENSITY, c.SHOWN)
TWINS = "twins"


@dataclass(frozen=True)
class LogTables:
    """A surface's log tables as the views ``impressions``, ``events`` and, where logged, ``candidates``."""

    connection: duckdb.DuckDBPyConnection
    logs: Location
    contracts: Contracts
    log: Log
    candidates: tuple[str, ...]
    """Columns of the candidates; none where they are not logged."""
    views: Mapping[str, View]
    types: Mapping[str, Mapping[str, str]]
    """Of each table, our columns with their types."""

    @classmethod
    def open(cls, connection: duckdb.DuckDBPyConnection, logs: Location, contracts: Contracts) -> "LogTables":
        """Find the surface's files below ``logs``, check their columns and make the views.

        Raises
        ------
        ContractError
            A source leaves the logs folder.
        DataError
            A file, a column or a row is missing, or a column has another type than the contracts need.
        """
        found: dict[str, View] = {}
        surface, folder = contracts.surface, folder_of(connection)
        for table, source in surface.sources.model_dump(exclude_none=True).items():
            files = find(source, table=table, logs=logs, engine=surface.engine, folder=folder)
            view = rename(inspect(table, files.files, below=files.below), surface.columns)
            check_columns(view, contracts)
            found[table] = view
        shared = dict.fromkeys((*IDS, *match_columns(contracts.tasks)))
        check_same_kinds(found[IMPRESSIONS], found[EVENTS], shared)
        if CANDIDATES in found:
            check_same_kinds(found[IMPRESSIONS], found[CANDIDATES], IDS)
        types = {name: _types(connection, view, shared) for name, view in found.items()}
        columns = {name: tuple(of_table) for name, of_table in types.items()}
        log = Log(columns[IMPRESSIONS], columns[EVENTS])
        opened = cls(connection, logs, contracts, log, columns.get(CANDIDATES, ()), found, types)
        for name, view in found.items():
            opened.view(name, name, view.table.files)
        return opened

    @contextmanager
    def beside(self) -> Iterator["LogTables"]:
        """Yield the log in a connection of its own to the same session, for another thread."""
        with self.connection.cursor() as connection:
            set_up(connection)
            yield replace(self, connection=connection)

    @cached_property
    def folder(self) -> Path:
        """The session's own folder, which goes when it ends."""
        return folder_of(self.connection)

    @property
    def described(self) -> tuple[str, ...]:
        """Columns of the impressions with their types."""
        return tuple(f"{name} {kind}" for name, kind in self.types[IMPRESSIONS].items())

    def view(self, name: str, table: str, files: Sequence[File]) -> None:
        """Make a view of some files of a table under our column names; a column that they lack is null."""
        if not files:
            columns = [x.alias(x.cast(exp.Null(), kind), ours) for ours, kind in self.types[table].items()]
            self.create(name, x.select(columns, x.call("RANGE", x.integer(0))), view=True)
            return
        view = self.views[table]
        there = frozenset[str]().union(*(file.columns for file in files))
        columns = []
        for ours, kind in self.types[table].items():
            theirs = view.columns[ours].name
            columns.append(x.alias(x.cast(x.column(theirs) if theirs in there else exp.Null(), kind), ours))
        self.create(name, x.select(columns, _parquet(view.table, files)), view=True)

    def is_kept(self, table: str) -> bool:
        """Return whether a table's files lie in the log, and do not go with the session."""
        return not str(self.views[table].table.files[0].path).startswith(str(self.folder))

    def create(self, name: str, query: exp.Query, *, view: bool = False) -> None:
        """Make a relation of a query for the session, in place of an earlier one."""
        template = f"CREATE OR REPLACE TEMP {'VIEW' if view else 'TABLE'} $name AS $query"
        self.connection.execute(fill(template, name=x.name(name), query=query))

    def fetch(self, template: str, **parts: Part) -> list[tuple[Any, ...]]:
        """Run a query and return its rows, of which there are few."""
        found: list[tuple[Any, ...]] = self.connection.sql(fill(template, **parts)).fetchall()
        return found

    def cut(self, as_of: datetime, among: str = IMPRESSIONS) -> None:
        """Make the relations of the rows that take part: ``repeated``, ``twins``, ``shown``.

        ``twins`` are the impressions with a repeated key; the one of ``_place`` 1 stays.

        Parameters
        ----------
        among
            A relation that holds every impression whose key may be repeated.
        """
        names = self.log.impressions
        self.create(rows.REPEATED, rows.repeated_keys(as_of, among))
        self.create(TWINS, rows.placed_twins(as_of, names, among))
        self.create(rows.FIRST, rows.first_of(x.table(TWINS), names), view=True)
        self.create(rows.SHOWN, rows.shown_impressions(as_of, names, None), view=True)

    def read(
        self,
        table: str,
        names: Sequence[str],
        *,
        as_of: datetime,
        first_day: date | None = None,
        last_day: date | None = None,
    ) -> pa.Table:
        """Read a log table as of an instant, of some days, in an order that does not depend on the files.

        Impressions and candidates come once a key, the earliest of several; those without a key do not come.

        Raises
        ------
        DataError
            The table is not logged or lacks a column.
        """
        known = {IMPRESSIONS: self.log.impressions, EVENTS: self.log.events, CANDIDATES: self.candidates}
        for name in names:
            if name not in known[table]:
                raise DataError(unknown("column", name, known[table], where=table))
        at = c.HAPPENED_AT if table == EVENTS else c.SHOWN_AT
        where = [*_bounds(at, first_day, last_day)]
        if table == EVENTS:
            where.append(rows.known_as_of(as_of, ingested=c.INGESTED_AT in self.log.events))
            query, order = x.select(x.columns((*names, at)), x.table(table), where=where), [at, *names]
        else:
            where.append(rows.has_key(table, as_of))
            order = [c.SHOWN_AT, *c.IMPRESSION_KEY]
            query = _once_a_key(table, known[table], (*names, *order), where)
        x.order_by(query, x.columns(order))
        return self.connection.sql(render(query)).to_arrow_table().select(list(names))


def _bounds(at: str, first: date | None, last: date | None) -> Iterator[exp.Expr]:
    if first is not None:
        yield x.ge(x.column(at), x.day_start(first))
    if last is not None:
        yield x.lt(x.column(at), x.day_start(last + timedelta(days=1)))


def _once_a_key(
    table: str, columns: Sequence[str], names: Sequence[str], where: Sequence[exp.Expr]
) -> exp.Select:
    place = x.alias(rows.place_of_twin(table, columns), rows.PLACE)
    placed = x.select([*x.columns(names), place], x.table(table), where=where)
    return rows.first_of(x.subquery(placed, "placed"), names)


def _types(connection: duckdb.DuckDBPyConnection, view: View, shared: Collection[str]) -> dict[str, str]:
    """Return our columns of a table with the types that they are read as, but for those without any value."""
    source = _parquet(view.table, view.table.files)
    found = connection.sql(fill("DESCRIBE SELECT * FROM $source", source=source)).fetchall()
    types = {name: str(kind) for name, kind, *_ in found}
    present = {column.name: ours for ours, column in view.columns.items() if not column.absent}
    wanted = {present[name]: name for name in types if name in present}
    return {ours: _type(view, ours, types[name], shared) for ours, name in wanted.items()}


def _type(view: View, ours: str, found: str, shared: Collection[str]) -> str:
    column = view.columns[ours]
    if ours in {*shared, *_TYPED} and column.kind in _KINDS:
        return _KINDS[column.kind]
    inside = set(_WORD.findall(found.replace("TIMESTAMP WITH TIME ZONE", ""))) - {"DECIMAL", "ENUM"}
    if found.endswith(("]", ")")) and inside & _STORED.keys():
        raise DataError(
            f"{view.table.name}: column '{column.name}' is of type {found}, which no label store holds: "
            "write it in another type, or leave it out"
        )
    return _STORED.get(found.strip('"').split("(", maxsplit=1)[0], found)


def _parquet(table: Table, files: Sequence[File]) -> exp.Expr:
    options = {"union_by_name": True, "hive_partitioning": table.in_folders, "hive_types_autocast": False}
    named = [exp.PropertyEQ(this=exp.to_identifier(n), expression=exp.convert(v)) for n, v in options.items()]
    return x.call("READ_PARQUET", x.texts(file.path for file in files), *named)
