"""A label snapshot: its identity, and its rows in a version of the label table.

Each process verifies the rows of a file with the content digest before it first reads them, and refuses days
whose rows differ from those that were built. Queries ignore the files' statistics, which the digest does not
cover.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb
import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.errors import DataError, StoreError, unknown
from tasks.labels.build_record import STAMPS, Build, sum_days
from tasks.logs.connections import connect
from tasks.sql import expressions as x
from tasks.stores import delta
from tasks.stores.delta import DataFile
from tasks.stores.location import Location, identity_of, locate

if TYPE_CHECKING:
    from tasks.stores.runs import StepRun

BUILD: Final = "equipoise.build"
"""Metadata key of a commit for the record of its build."""
CHANGED: Final = "equipoise.changed"
"""Metadata key of a commit for the observed labels that its build changed, by task."""

PIECE: Final = 1 << 17
"""Maximum rows of a piece of `Snapshot.stream`."""
_SORTED_AT_ONCE: Final = 1 << 20
"""Maximum rows of days that are sorted together; a larger day is sorted by itself."""
_ROWS = "rows"
_AS_VERIFIED = "SET disabled_optimizers = 'filter_pushdown, statistics_propagation'"
"""Do not skip parts of files based on their statistics."""
_READ_STAMPS = "SELECT max(hash($stamps)) FROM read_parquet($paths)"
_ATTACH = """
    CREATE OR REPLACE TEMP VIEW $name AS
    SELECT * FROM read_parquet($paths, hive_partitioning = true, hive_types = {'ds': DATE})
"""

_VERIFIED: Final[set[tuple[Location, str]]] = set()
"""Files that this process has verified, with the identity that each had at that time."""


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
        """Return the labelled tasks."""
        names = self.schema().names
        return tuple(name for name in names if c.status(name) in names)

    def files(self, first: date = date.min, last: date = date.max) -> list[DataFile]:
        """Return the files of some days, sorted."""
        files = delta.files_of(locate(self.path), self.version)
        wanted = [f for f in files if first <= file_day(f) <= last]
        return sorted(wanted, key=lambda file: str(file.path))

    def changed(self) -> dict[str, int]:
        """Return by task the observed labels that late events changed in the snapshot's build."""
        return json.loads(self._metadata().get(CHANGED, "{}"))

    def mature_by(self) -> datetime:
        """Return the instant up to which the log had arrived: the as-of, or an earlier one."""
        build = json.loads(self._metadata().get(BUILD, "{}"))
        return datetime.fromisoformat(build["arrived"]) if "arrived" in build else self.as_of

    def build(self) -> Build:
        """Return the record of the build that made the snapshot."""
        return Build.from_json(json.loads(self._metadata()[BUILD]))

    def log_to(self, run: "StepRun", *, context: str) -> None:
        """Record in a run that it read these labels, and in which context."""
        name = f"{self.surface} labels"
        run.dataset(name, digest=self.content_digest, source=self.path, context=context)

    def _metadata(self) -> Mapping[str, str]:
        return delta.commit_info(locate(self.path), self.version)

    def read(
        self,
        columns: Sequence[str],
        *,
        first_day: date | None = None,
        last_day: date | None = None,
        where: str | None = None,
    ) -> pa.Table:
        """Read columns, ordered by shown_at, request_id, item_id; parameters and errors as `stream`."""
        pieces = self.stream(columns, first_day=first_day, last_day=last_day, where=where)
        return pa.concat_tables([self._select(columns).empty_table(), *pieces])

    def stream(
        self,
        columns: Sequence[str],
        *,
        first_day: date | None = None,
        last_day: date | None = None,
        where: str | None = None,
    ) -> Iterator[pa.Table]:
        """Read columns as `read` does, at most `PIECE` rows at a time.

        Parameters
        ----------
        where
            A condition in SQL on any of the snapshot's columns.

        Raises
        ------
        DataError
            The snapshot lacks a column.
        """
        wanted = self._select(columns)
        query = x.select(
            x.columns(columns),
            x.table(_ROWS),
            where=[exp.condition(where, dialect="duckdb")] if where else [],
        )
        x.order_by(query, x.columns((c.SHOWN_AT, *c.IMPRESSION_KEY)))
        first, last = first_day or date.min, last_day or date.max
        with self.opened(first, last) as connection:
            if connection is None:
                return
            for files in self._files_to_sort(first, last):
                _attach(connection, _ROWS, files)
                for batch in connection.sql(x.render(query)).to_arrow_reader(PIECE):
                    yield pa.Table.from_batches([batch]).cast(wanted)

    def _select(self, columns: Sequence[str]) -> pa.Schema:
        schema = self.schema()
        for name in columns:
            if name not in schema.names:
                raise DataError(unknown("column", name, schema.names, where=f"label snapshot {self.id}"))
        return pa.schema([schema.field(name) for name in columns])

    def _files_to_sort(self, first: date, last: date) -> Iterator[list[DataFile]]:
        """Group the files of successive small days; a large day is sorted by itself."""
        recorded, gathered, rows = self.build().days, list[DataFile](), 0
        for day, files in groupby(sorted(self.files(first, last), key=file_day), key=file_day):
            if gathered and rows + recorded[day].rows > _SORTED_AT_ONCE:
                yield gathered
                gathered, rows = [], 0
            gathered, rows = [*gathered, *files], rows + recorded[day].rows
        yield gathered

    def days(self) -> pa.Table:
        """Return each day's rows and, per task, the numbers of observed and of positive (above 0) labels."""
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
        """Return the days with rows, in order."""
        return self.days().column(c.DAY).to_pylist()

    def query(self, query: exp.Query, first: date = date.min, last: date = date.max) -> pa.Table | None:
        """Run a query on the relation ``rows`` of some days' rows; None if there are none."""
        with self.opened(first, last) as connection:
            return None if connection is None else connection.sql(x.render(query)).to_arrow_table()

    @contextmanager
    def opened(
        self, first: date = date.min, last: date = date.max
    ) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """Open some days' rows as the relation ``rows``; None if there are none.

        Raises
        ------
        StoreError
            Files of the snapshot are missing, or contain other rows than were built.
        """
        files = self.files(first, last)
        if not files:
            yield None
            return
        with connect() as connection, self._reading():
            self._verify(connection, files)
            connection.execute(_AS_VERIFIED)
            _attach(connection, _ROWS, files)
            yield connection

    def attach(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        """Create a view of all rows in a session.

        Raises
        ------
        StoreError
            Files of the snapshot are missing, or contain other rows than were built.
        """
        with self._reading():
            self._verify(connection, files := self.files())
            _attach(connection, name, files)

    def verify(self, connection: duckdb.DuckDBPyConnection, days: Collection[date]) -> None:
        """Verify that some days contain the rows that were built, as the connection reads them.

        Raises
        ------
        StoreError
            Files of the snapshot are missing, or contain other rows than were built.
        """
        with self._reading():
            self._verify(connection, [file for file in self.files() if file_day(file) in days])
            connection.execute(_AS_VERIFIED)

    def _verify(self, connection: duckdb.DuckDBPyConnection, files: Sequence[DataFile]) -> None:
        """Refuse files that contain other rows than were built; each process checks a file once."""
        unread = [file for file in files if (file.path, _identity(file)) not in _VERIFIED]
        if not unread:
            return
        days = {file_day(file) for file in unread}
        of_days = [file for file in files if file_day(file) in days]
        if damaged := self._differing(connection, of_days):
            changed = ", ".join(str(file.path) for file in of_days if file_day(file) in damaged)
            way_out = f"Move away {changed} and build"
            raise StoreError(self._refusal("holds other rows than were built on", damaged, way_out))
        _VERIFIED.update((file.path, _identity(file)) for file in of_days)

    def _differing(self, connection: duckdb.DuckDBPyConnection, files: Sequence[DataFile]) -> list[date]:
        """Return the days whose rows differ from those that were built."""
        recorded = self._recorded_days()
        schema = self.schema()
        days = sorted({file_day(file) for file in files})
        sums: dict[date, tuple[int, int]] = {}
        try:
            sums = _sum_days(connection, files, schema)
        except duckdb.Error:  # at least one file is unreadable: check day by day
            if not all(file.path.is_file() for file in files):
                raise
            for day in days:
                with suppress(duckdb.Error):
                    sums |= _sum_days(connection, [file for file in files if file_day(file) == day], schema)
        return [day for day in days if sums.get(day) != recorded.get(day)]

    def _recorded_days(self) -> dict[date, tuple[int, int]]:
        """Return each day's rows and sum of digests, from the record that the snapshot id was computed from.

        Raises
        ------
        StoreError
            The record does not match the snapshot id.
        """
        build = self.build()
        if self.id != build.snapshot_facts()["id"]:
            raise StoreError(
                f"The record of the build at {self.path}, version {self.version}, is not that of label "
                f"snapshot {self.id}: the table was changed. Restore it from a backup, or move it away and "
                "build again"
            )
        return {day: (recorded.rows, recorded.content) for day, recorded in build.days.items()}

    def _refusal(self, what: str, days: Sequence[date], way_out: str) -> str:
        return (
            f"Label snapshot {self.id} {what} {len(days)} day(s), the first is {days[0]}. {way_out} "
            f"it again: `equipoise labels build {self.surface} --as-of {self.as_of.isoformat()}`"
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Convert read failures to a StoreError that names the days with missing files."""
        try:
            yield
        except duckdb.IOException as error:
            lost = delta.lost_files(locate(self.path), self.version)
            if not lost:
                raise StoreError(f"The labels at {self.path} cannot be read: {error}") from error
            days = sorted({file_day(file) for file in lost})
            swept = "`labels vacuum` or somebody removed them. Build"
            raise StoreError(self._refusal("has lost files of", days, swept)) from error


def _attach(connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[DataFile]) -> None:
    paths = x.file_names(file.path for file in files)
    connection.execute(x.fill(_ATTACH, name=x.name(name), paths=paths))


def _sum_days(
    connection: duckdb.DuckDBPyConnection, files: Sequence[DataFile], schema: pa.Schema
) -> dict[date, tuple[int, int]]:
    """Sum the digests of files' rows by day, reading every column."""
    paths = [file.path for file in files]
    if not paths:
        return {}
    connection.execute(x.fill(_READ_STAMPS, stamps=x.columns(STAMPS), paths=x.file_names(paths))).fetchall()
    return sum_days(connection, paths, schema)


def file_day(file: DataFile) -> date:
    """Return the day of a file of the label store."""
    return date.fromisoformat(file.partition[c.DAY])


def _identity(file: DataFile) -> str:
    """Return an identity that changes when a local file is rewritten; objects are never rewritten."""
    return identity_of(file.path) if isinstance(file.path, Path) and file.path.is_file() else ""
