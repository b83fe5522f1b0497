"""Summaries of the files of a log, computed once per file, so that a build reads only new files.

::

    file, read once ──> one summary: some rows of <store>/summaries/<surface>.parquet
      count     rows, future rows, invalid rows
      day       rows of a day (for events: and name), and the sum of their hashes
      extra     rows of a day that repeat a key of the file, by the hash of their request
      request   hashes of the file's requests: a key may be repeated if two files have the same request
      compared  compared summaries, and requests in several of them: duplicate_keys

The summary of a file whose rows all lie before the as-of stays valid for later instants. A file that the
as-of cuts gets a new summary for every as-of. A summary is identified by the file's identity (size, times,
inode or tag) and the columns that are read, so a rewritten file is read again. Summaries are a cache.

A build computes missing summaries in its session's folder and then rewrites the table without the summaries
of removed files and of earlier cuts. It stores invalid rows first, so after a killed build the files count as
new.
"""

import hashlib
import shutil
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.logs import rows
from tasks.logs.footers import File
from tasks.logs.rows import EVENTS, IMPRESSIONS, Cut
from tasks.logs.tables import LogTables, event_columns, time_column
from tasks.sql import expressions as x
from tasks.stores.files import PART, sweep_scratch
from tasks.stores.location import Location, relative_path, written

_FORMAT = "2"
"""Increase it when the meaning of a summary changes; stored summaries are then recomputed."""

_COUNT = """
    SELECT 'count' AS facet, NULL::DATE AS day, k::VARCHAR AS name, NULL::UBIGINT AS number, v AS n,
           NULL::DECIMAL(38, 0) AS total
    FROM (SELECT count(*) AS rows, count_if($later) AS later, count_if($bad) AS bad,
                 count_if($early) AS early FROM one_file)
    UNPIVOT (v FOR k IN (rows, later, bad, early))
"""
_DAY = """
    SELECT 'day', $day, $name, NULL, count(*), sum($row_hash)::DECIMAL(38, 0)
    FROM one_file WHERE $good GROUP BY ALL
"""
_REQUESTS = """
    CREATE OR REPLACE TEMP TABLE file_requests AS
    SELECT number, bit_count(bit_or(1::UBIGINT << (item & 63))) < count(*)
               AND bit_count(bit_or(1::UBIGINT << ((item >> 6) & 63))) < count(*)
               AND bit_count(bit_or(1::UBIGINT << ((item >> 12) & 63))) < count(*)
               AND bit_count(bit_or(1::UBIGINT << ((item >> 18) & 63))) < count(*) AS suspect
    FROM (SELECT $request AS number, $item AS item FROM one_file WHERE $good) GROUP BY number
"""
"""A request with as many bits as rows in one of four sets of its items contains no item twice."""

_KEPT: Final = "summaries"
_MAGIC: Final = b"PAR1"
_REQUEST = """
    SELECT 'request', NULL, NULL, number, NULL, NULL FROM file_requests
"""
_EXTRA = """
    SELECT 'extra', $day, NULL, $request, count(*), sum($row_hash)::DECIMAL(38, 0)
    FROM (SELECT *, $number AS $place FROM one_file
          WHERE ($good) AND $request IN (SELECT number FROM file_requests WHERE suspect))
    WHERE $place > 1 GROUP BY ALL
"""
_SUMMARIES = "CREATE OR REPLACE TEMP VIEW summaries AS SELECT * FROM read_parquet($paths)"
_NO_SUMMARY = """
    CREATE OR REPLACE TEMP VIEW summaries AS
    SELECT '' AS facet, NULL::DATE AS day, '' AS name, 0::UBIGINT AS number, 0::BIGINT AS n,
           0::DECIMAL(38, 0) AS total, '' AS summary
    FROM range(0)
"""
_COUNTED = """
    CREATE OR REPLACE TEMP TABLE counted AS SELECT * FROM summaries WHERE facet IN ('count', 'day', 'extra')
"""
_OF_FILES = "CREATE OR REPLACE TEMP TABLE $name AS SELECT * FROM counted WHERE summary IN ($own)"
_REQUESTS_OF = """
    CREATE OR REPLACE TEMP VIEW $name AS
    SELECT number, summary FROM summaries WHERE facet = 'request' AND summary IN ($own)
"""
_SAVE = "COPY (SELECT * FROM read_parquet($paths) WHERE summary IN ($kept)) TO $to (FORMAT parquet)"


@dataclass(frozen=True)
class Summary:
    """The summary of a file by its id, and the file of this session for a new summary."""

    file: File
    name: str
    computed: Path | None

    @property
    def is_missing(self) -> bool:
        """Whether the session must still compute it."""
        return self.computed is not None and not self.computed.is_file()


@dataclass(frozen=True)
class Summaries:
    """The summaries of one table's files as of an instant; ``future`` files, wholly after it, have none."""

    table: str
    of_files: tuple[Summary, ...]
    future: tuple[File, ...]

    @property
    def new(self) -> tuple[File, ...]:
        """The files without a summary by an earlier build."""
        return tuple(one.file for one in self.of_files if one.computed)

    def files(self, names: Iterable[str]) -> list[File]:
        """Return the files of the given summaries."""
        wanted = set(names)
        return [one.file for one in self.of_files if one.name in wanted]


@dataclass
class SummaryTable:
    """The table of a surface's summaries, as one build reads and rewrites it.

    ``kept``: ids of the summaries to retain, which this build uses or which cover whole files.
    """

    log: LogTables
    location: Location
    kept: set[str] = field(default_factory=set)

    @cached_property
    def stored(self) -> Path | None:
        """The stored table, or a copy of the object; None if it is missing or damaged."""
        if not self.location.is_file():
            return None
        if isinstance(self.location, Path):
            return self.location if _is_whole(self.location) else None
        copy = self.log.folder / f"stored-{uuid.uuid4()}.parquet"
        with self.location.open() as opened, copy.open("wb") as file:
            shutil.copyfileobj(opened, file)
        return copy

    @cached_property
    def names(self) -> frozenset[str]:
        """Ids of the stored summaries."""
        if self.stored is None:
            return frozenset()
        query = "SELECT DISTINCT summary FROM read_parquet($stored)"
        return frozenset(name for (name,) in self.log.fetch(query, stored=x.file_names([self.stored])))

    def computed(self, name: str, table: str) -> Path:
        """Return the session's file of a summary; summaries of temporary files are not stored."""
        own = self.log.folder / (_KEPT if self.log.is_kept(table) else "passing")
        own.mkdir(exist_ok=True)
        return own / f"{name}.parquet"

    def find(self, as_of: datetime, previous: datetime | None) -> dict[str, Summaries]:
        """Find or compute the summary of every file of both log tables as of an instant.

        Creates the relations ``impressions_now`` and ``events_now`` with all facets but requests, and for the
        instant of a ``previous`` build ``impressions_before`` and ``events_before``.
        """
        now = {table: self._find(table, as_of) for table in (IMPRESSIONS, EVENTS)}
        before = {table: self._find(table, previous) for table in now} if previous else {}
        _compute_missing(self.log, now, as_of)
        if previous:
            _compute_missing(self.log, before, previous)
        self._make_relations({f"{t}_now": now[t] for t in now} | {f"{t}_before": before[t] for t in before})
        return now

    def save(self) -> None:
        """Rewrite the table atomically if summaries were added or removed."""
        if isinstance(self.location, Path):
            sweep_scratch(self.location.parent, PART)
        own = self.log.folder / _KEPT
        files = (own / f"{name}.parquet" for name in sorted(self.kept - self.names))
        new = [file for file in files if file.is_file()]
        if not new and self.names <= self.kept:
            return
        paths, kept = [*filter(None, [self.stored]), *new], [x.text(name) for name in sorted(self.kept)]
        with written(self.location) as part:
            self.log.connection.execute(
                x.fill(_SAVE, paths=x.file_names(paths), kept=kept or [exp.Null()], to=x.text(part))
            )

    def _find(self, table: str, as_of: datetime) -> Summaries:
        log, future, summaries = self.log, list[File](), list[Summary]()
        for file in log.views[table].table.files:
            settled = _name(log, table, file, None)
            if log.is_kept(table):
                self.kept.add(settled)
            if log.is_future(table, file, as_of):
                future.append(file)
                continue
            name = settled if log.is_settled(table, file, as_of) else _name(log, table, file, as_of)
            if log.is_kept(table):
                self.kept.add(name)
            computed = None if name in self.names else self.computed(name, table)
            summaries.append(Summary(file, name, computed))
        return Summaries(table, tuple(summaries), tuple(future))

    def _make_relations(self, summaries: Mapping[str, Summaries]) -> None:
        new = (one.computed for of_table in summaries.values() for one in of_table.of_files)
        paths = [*dict.fromkeys(path for path in (self.stored, *new) if path)]
        execute = self.log.connection.execute
        execute(x.fill(_SUMMARIES if paths else _NO_SUMMARY, paths=x.file_names(paths)))
        execute(_COUNTED)
        for name, of_table in summaries.items():
            execute(x.fill(_OF_FILES, name=x.table(name), own=_names(of_table.of_files)))


def _is_whole(file: Path) -> bool:
    """Whether a file ends as Parquet does; summaries that a power failure emptied are computed again."""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - len(_MAGIC)))
        return opened.read() == _MAGIC


def _names(summaries: Iterable[Summary]) -> list[exp.Expr]:
    return [x.text(one.name) for one in summaries] or [exp.Null()]


def make_request_view(log: LogTables, name: str, summaries: Iterable[Summary]) -> None:
    """Create a view of the requests in summaries of impressions: number, and the summary's id."""
    log.connection.execute(x.fill(_REQUESTS_OF, name=x.table(name), own=_names(summaries)))


def row_hash(log: LogTables, table: str) -> exp.Expr:
    """Return the hash of a row over the columns that labels depend on."""
    return x.call("HASH", *x.columns(_hashed_columns(log, table)))


def of_requests(relation: str) -> exp.Expr:
    """Condition that an impression belongs to one of the requests whose hashes a relation contains."""
    hashes = exp.Subquery(this=x.select([exp.Star()], x.table(relation)))
    return exp.In(this=_request_hash(), query=hashes)


def _name(log: LogTables, table: str, file: File, cut: Cut) -> str:
    """Return the id of a summary, which changes with the file, the columns, the cut and the engine."""
    columns, types = log.views[table].columns, log.types[table]
    read = [
        f"{name_here} {columns[name_here].name} {kind}{' down' if columns[name_here].nanoseconds else ''}"
        for name_here, kind in types.items()
    ]
    at = "settled" if cut is None else cut.astimezone(UTC).isoformat()
    path = str(relative_path(log.logs, file.path) if log.is_kept(table) else file.path)
    hashed = ",".join(_hashed_columns(log, table))
    parts = (_FORMAT, duckdb.__version__, table, path, file.identity, at, hashed, *read)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _hashed_columns(log: LogTables, table: str) -> tuple[str, ...]:
    if table == EVENTS:
        return tuple(n for n in event_columns(log.contracts.tasks, log.log) if n != c.INGESTED_AT)
    return log.log.impressions


def _request_hash() -> exp.Expr:
    return x.call("HASH", x.column(c.REQUEST_ID))


def _compute_missing(log: LogTables, summaries: Mapping[str, Summaries], as_of: datetime) -> None:
    """Compute missing summaries with one thread per file, since a single file rarely uses all cores."""
    missing = [(table, one) for table in summaries for one in summaries[table].of_files if one.is_missing]
    if not missing:
        return
    statements = {(table, cut): _statements(log, table, cut) for table in summaries for cut in (None, as_of)}
    threads = int(log.fetch("SELECT current_setting('threads')")[0][0])
    free = SimpleQueue[LogTables]()

    def compute(wanted: tuple[str, Summary]) -> None:
        own, (table, one) = free.get(), wanted
        try:
            own.view("one_file", table, [one.file])
            cut = None if log.is_settled(table, one.file, as_of) else as_of
            requests, facets = statements[table, cut]
            if table == IMPRESSIONS:
                own.connection.execute(requests)
            named = duckdb.ConstantExpression(one.name).alias("summary")
            rows_of_file = own.connection.sql(facets).select(duckdb.StarExpression(), named)
            rows_of_file.write_parquet(str(one.computed))
        finally:
            free.put(own)

    with ExitStack() as ends, ThreadPoolExecutor(threads) as pool:
        for _ in range(threads):
            free.put(ends.enter_context(log.beside()))
        for _ in pool.map(compute, missing):
            pass


def _statements(log: LogTables, table: str, cut: Cut) -> tuple[str, str]:
    """Return the statement that creates the requests of ``one_file``, and the query of its whole summary."""
    facets = [_COUNT, _DAY, *([_REQUEST, _EXTRA] if table == IMPRESSIONS else [])]
    parts = _parts(log, table, cut)
    return x.fill(_REQUESTS, **parts), x.fill(" UNION ALL ".join(facets), **parts)


def _parts(log: LogTables, table: str, cut: Cut) -> dict[str, exp.Expr]:
    """Return the conditions and hashes of a row that the facets are computed from."""
    at, ingested = x.column(time_column(table)), log.log.has_arrival
    name: exp.Expr = exp.Null()
    if table == EVENTS:
        good = x.all_of(x.not_null(x.column(c.EVENT)), rows.is_known(cut, ingested=ingested))
        bad, name = rows.lacks_event(cut, ingested=ingested), x.column(c.EVENT)
        early = x.lt(x.column(c.INGESTED_AT), at.copy()) if ingested else exp.false()
    else:
        good, bad, early = rows.takes_part(cut), rows.lacks_key(cut), exp.false()
    return {
        "good": good,
        "bad": bad,
        "later": exp.false() if cut is None else x.ge(at.copy(), x.instant(cut)),
        "early": early,
        "day": x.utc_day(at),
        "name": name,
        "row_hash": row_hash(log, table),
        "request": _request_hash(),
        "item": x.call("HASH", x.column(c.ITEM_ID)),
        "number": rows.number_duplicates("one_file", log.log.impressions),
        "place": x.column(rows.PLACE),
    }
