"""A label snapshot: its identity, and its rows, read from the version of the table that it points to."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import duckdb
import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.errors import DataError, StoreError, unknown
from tasks.logs.tables import configure
from tasks.sql import expressions as x
from tasks.sql.templates import fill, render
from tasks.stores import delta
from tasks.stores.delta import DataFile
from tasks.stores.location import locate, register_objects

BUILD: Final = "equipoise.build"
"""The key in a commit's metadata of the record of its build."""

CHANGED: Final = "equipoise.changed"
"""The key in a commit's metadata of the observed labels that its build changed, by task."""

_ROWS = "rows"
_ATTACH = """
    CREATE OR REPLACE TEMP VIEW $name AS
    SELECT * FROM read_parquet($paths, hive_partitioning = true, hive_types = {'ds': DATE})
"""


@dataclass(frozen=True)
class Snapshot:
    """The labels as of an instant under one contract."""

    id: str
    surface: str
    as_of: datetime
    contract_digest: str
    content_digest: str
    path: str
    version: int
    rows: int
    first_day: date
    last_day: date

    def schema(self) -> pa.Schema:
        """Return the columns."""
        return delta.schema_of(locate(self.path), self.version)

    def tasks(self) -> tuple[str, ...]:
        """Return the tasks that there are labels of."""
        names = self.schema().names
        return tuple(name for name in names if c.status(name) in names)

    def files(self, first: date = date.min, last: date = date.max) -> list[DataFile]:
        """Return the files of some days, sorted."""
        files = delta.files_of(locate(self.path), self.version)
        wanted = [f for f in files if first <= date.fromisoformat(f.partition[c.DAY]) <= last]
        return sorted(wanted, key=lambda file: str(file.path))

    def changed(self) -> dict[str, int]:
        """Return by task the observed labels that the snapshot's build changed, through late events."""
        return json.loads(self._metadata().get(CHANGED, "{}"))

    def mature_by(self) -> datetime:
        """Return the instant up to which the log had arrived: the as-of, or an earlier one."""
        build = json.loads(self._metadata().get(BUILD, "{}"))
        return datetime.fromisoformat(build["arrived"]) if "arrived" in build else self.as_of

    def _metadata(self) -> Mapping[str, str]:
        return dict(delta.history(locate(self.path))).get(self.version, {})

    def read(
        self,
        columns: Sequence[str],
        *,
        first_day: date | None = None,
        last_day: date | None = None,
        where: str | None = None,
    ) -> pa.Table:
        """Read columns, ordered by shown_at, request_id, item_id.

        Parameters
        ----------
        where
            A condition in SQL on any of the snapshot's columns.

        Raises
        ------
        DataError
            The snapshot lacks a column.
        """
        schema = self.schema()
        for name in columns:
            if name not in schema.names:
                raise DataError(unknown("column", name, schema.names, where=f"label snapshot {self.id}"))
        query = x.select(
            x.columns(columns),
            x.table(_ROWS),
            where=[exp.condition(where, dialect="duckdb")] if where else [],
        )
        x.order_by(query, x.columns((c.SHOWN_AT, *c.IMPRESSION_KEY)))
        rows = self.query(query, first_day or date.min, last_day or date.max)
        wanted = pa.schema([schema.field(name) for name in columns])
        return wanted.empty_table() if rows is None else rows.cast(wanted)

    def days(self) -> pa.Table:
        """Return each day's rows and, per task, how many labels are observed and positive: above 0."""
        counts: list[exp.Expr] = [x.alias(exp.Count(this=exp.Star()), "rows")]
        for task in self.tasks():
            positive = x.when(x.gt(x.column(task), x.integer(0)), x.integer(1))
            counts.append(x.alias(exp.Count(this=x.column(task)), f"{task}__observed"))
            counts.append(x.alias(exp.Count(this=positive), f"{task}__positive"))
        query = x.select([x.column(c.DAY), *counts], x.table(_ROWS), group=[x.column(c.DAY)])
        x.order_by(query, [x.column(c.DAY)])
        days = self.query(query)
        assert days is not None  # noqa: S101 - a snapshot has a row
        return days

    def dates(self) -> list[date]:
        """Return the days of its rows, in order."""
        return self.days().column(c.DAY).to_pylist()

    def query(self, query: exp.Query, first: date = date.min, last: date = date.max) -> pa.Table | None:
        """Run a query on the relation ``rows``: the rows of some days; None where there is none."""
        with self.opened(first, last) as connection:
            return None if connection is None else connection.sql(render(query)).to_arrow_table()

    @contextmanager
    def opened(
        self, first: date = date.min, last: date = date.max
    ) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """Open the rows of some days as the relation ``rows``; None where there is none.

        Raises
        ------
        StoreError
            Files of the snapshot are gone.
        """
        files = self.files(first, last)
        if not files:
            yield None
            return
        with duckdb.connect() as connection:
            configure(connection)
            register_objects(connection)
            with self._reading():
                _attach(connection, _ROWS, files)
                yield connection

    def attach(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        """Make a view of all rows in a session.

        Raises
        ------
        StoreError
            Files of the snapshot are gone.
        """
        with self._reading():
            _attach(connection, name, self.files())

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn a failure to read into a StoreError, which names the days whose files are gone."""
        try:
            yield
        except duckdb.IOException as error:
            lost = delta.lost_files(locate(self.path), self.version)
            if not lost:
                raise StoreError(f"The labels at {self.path} cannot be read: {error}") from error
            days = sorted({file.partition[c.DAY] for file in lost})
            raise StoreError(
                f"Label snapshot {self.id} has lost files of {len(days)} day(s), the first is {days[0]}: "
                "`labels vacuum` swept them, or somebody removed them. Build the labels again: what the log "
                "still has is written anew"
            ) from error


def _attach(connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[DataFile]) -> None:
    paths = x.file_names(file.path for file in files)
    connection.execute(fill(_ATTACH, name=x.name(name), paths=paths))
