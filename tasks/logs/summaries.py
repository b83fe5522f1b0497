"""What each file of a log holds, computed once a file: a build reads new files, not the whole log.

::

    file, read once ──> one summary, stored as Parquet below <store>/summaries/<surface>/
      count     rows, rows of the future, bad rows
      day       rows of a day (events: and name), and the sum of their hashes
      extra     of the rows of a day those that repeat a key of the file, by the hash of their request
      request   hash of a request that the file has rows of: a key may be repeated where two files have it

The summary of a file whose rows all lie before the as-of holds for any later instant. One that the as-of
cuts is computed again for every as-of. A summary is found by the file's identity (size, times, inode or tag)
and by the columns that are read, so a file that was written again is read again. Losing one costs time only.
It is stored after the file's bad rows are: a build that is killed before finds the file new again.
"""

import hashlib
import shutil
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Final

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.logs import rows
from tasks.logs.footers import File
from tasks.logs.rows import EVENTS, IMPRESSIONS, Cut
from tasks.logs.schema import event_columns
from tasks.logs.tables import LogTables, time_column
from tasks.sql import expressions as x
from tasks.sql.templates import fill, utc_day
from tasks.stores.files import flush_files
from tasks.stores.location import Location, ObjectPath, relative_path

_FORMAT = "1"
"""Raise it when the meaning of a summary changes: the stored ones are then computed again."""

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
"""A request that has as many bits as rows in one of four sets of its items has no item twice."""

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
_READ = """
    CREATE OR REPLACE TEMP TABLE summaries AS
    SELECT facet, day, name, number, n, total, filename AS summary FROM read_parquet($paths, filename = true)
    WHERE facet <> 'request'
"""
_NO_SUMMARY = """
    CREATE OR REPLACE TEMP TABLE summaries (
      facet VARCHAR, day DATE, name VARCHAR, number UBIGINT, n BIGINT, total DECIMAL(38, 0), summary VARCHAR)
"""
_OF_FILES = "CREATE OR REPLACE TEMP TABLE $name AS SELECT * FROM summaries WHERE summary IN ($own)"
_REQUESTS_OF = """
    CREATE OR REPLACE TEMP VIEW $name AS
    SELECT number, filename AS summary FROM read_parquet($paths, filename = true) WHERE facet = 'request'
"""
_NO_REQUEST = "CREATE OR REPLACE TEMP VIEW $name AS SELECT 0::UBIGINT AS number, '' AS summary FROM range(0)"


@dataclass(frozen=True)
class Summary:
    """The summary of a file: where it lies, and whether it is new, computed in this session."""

    file: File
    path: Location
    is_new: bool

    @property
    def is_missing(self) -> bool:
        """Whether the session has still to compute it."""
        return self.is_new and not self.path.is_file()


@dataclass(frozen=True)
class Summaries:
    """The summaries of one table's files as of an instant; ``future`` files, wholly after it, have none."""

    table: str
    of_files: tuple[Summary, ...]
    future: tuple[File, ...]

    @property
    def new(self) -> tuple[File, ...]:
        """The files that no earlier build summarised."""
        return tuple(one.file for one in self.of_files if one.is_new)

    def files(self, paths: Iterable[str]) -> list[File]:
        """Return the files of some summaries."""
        wanted = set(paths)
        return [one.file for one in self.of_files if str(one.path) in wanted]


def summarise_files(log: LogTables, folder: Location, *, as_of: datetime) -> dict[str, Summaries]:
    """Find or compute the summary of every file of both tables as of an instant.

    Parameters
    ----------
    folder
        Where summaries are stored; new ones lie in the session's folder until ``store_summaries``.
    """
    stored = {path.name for path in folder.iterdir() if _is_whole(path)} if folder.is_dir() else set[str]()
    summaries = {table: _find(log, folder, stored, table, as_of) for table in (IMPRESSIONS, EVENTS)}
    _compute_missing(log, summaries, as_of)
    return summaries


def store_summaries(log: LogTables, folder: Location) -> None:
    """Store the session's summaries, each whole or not at all; not those of the session's own files."""
    own = log.folder / "summaries"
    if isinstance(folder, ObjectPath):
        folder.take(own)
        return
    folder.mkdir(parents=True, exist_ok=True)
    for file in own.glob("*"):
        part = folder / f".{file.name}.{uuid.uuid4().hex[:8]}"
        shutil.copyfile(file, part)
        flush_files([part])
        part.replace(folder / file.name)


def _is_whole(summary: Location) -> bool:
    """Whether a file ends as Parquet does: one that a power cut emptied is computed again."""
    if isinstance(summary, ObjectPath):
        return True
    with summary.open("rb") as opened:
        opened.seek(max(0, summary.stat().st_size - len(_MAGIC)))
        return opened.read() == _MAGIC


def make_summary_tables(log: LogTables, summaries: Mapping[str, Summaries]) -> None:
    """Make relations of summaries by name, of all facets but requests; each file is read once.

    Their columns are facet, day, name, number, n, total, and ``summary``, the summary's file.
    """
    paths = dict.fromkeys(one.path for of_table in summaries.values() for one in of_table.of_files)
    log.connection.execute(fill(_READ if paths else _NO_SUMMARY, paths=x.file_names(paths)))
    for name, of_table in summaries.items():
        own = [x.text(one.path) for one in of_table.of_files] or [exp.Null()]
        log.connection.execute(fill(_OF_FILES, name=x.table(name), own=own))


def make_request_view(log: LogTables, name: str, summaries: Iterable[Summary]) -> None:
    """Make a view of the requests of some impressions' summaries: number, and the summary's file."""
    paths = [one.path for one in summaries]
    log.connection.execute(
        fill(_REQUESTS_OF if paths else _NO_REQUEST, name=x.table(name), paths=x.file_names(paths))
    )


def row_hash(log: LogTables, table: str) -> exp.Expr:
    """Return the hash of a row of a table, over the columns that bear on labels."""
    return x.call("HASH", *x.columns(_hashed_columns(log, table)))


def of_requests(relation: str) -> exp.Expr:
    """Return that an impression is of one of the requests whose hashes a relation holds."""
    hashes = exp.Subquery(this=x.select([exp.Star()], x.table(relation)))
    return exp.In(this=_request_hash(), query=hashes)


def _find(log: LogTables, folder: Location, stored: set[str], table: str, as_of: datetime) -> Summaries:
    own = log.folder / ("summaries" if log.is_kept(table) else "passing")
    own.mkdir(exist_ok=True)
    future, summaries = list[File](), list[Summary]()
    for file in log.views[table].table.files:
        if log.is_future(table, file, as_of):
            future.append(file)
            continue
        name = _file_name(log, table, file, None if log.is_settled(table, file, as_of) else as_of)
        is_new = name not in stored
        summaries.append(Summary(file, own / name if is_new else folder / name, is_new))
    return Summaries(table, tuple(summaries), tuple(future))


def _file_name(log: LogTables, table: str, file: File, cut: Cut) -> str:
    """Return the name of a summary, which changes with the file, the columns, the cut and the engine."""
    columns, types = log.views[table].columns, log.types[table]
    read = [
        f"{ours} {columns[ours].name} {kind}{' down' if columns[ours].nanoseconds else ''}"
        for ours, kind in types.items()
    ]
    at = "settled" if cut is None else cut.astimezone(UTC).isoformat()
    path = str(relative_path(log.logs, file.path) if log.is_kept(table) else file.path)
    hashed = ",".join(_hashed_columns(log, table))
    parts = (_FORMAT, duckdb.__version__, table, path, file.identity, at, hashed, *read)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32] + ".parquet"


def _hashed_columns(log: LogTables, table: str) -> tuple[str, ...]:
    if table == EVENTS:
        return tuple(n for n in event_columns(log.contracts.tasks, log.log) if n != c.INGESTED_AT)
    return log.log.impressions


def _request_hash() -> exp.Expr:
    return x.call("HASH", x.column(c.REQUEST_ID))


def _compute_missing(log: LogTables, summaries: Mapping[str, Summaries], as_of: datetime) -> None:
    """Compute missing summaries, one file a thread: a single file seldom keeps every core busy."""
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
            own.connection.sql(facets).write_parquet(str(one.path))
        finally:
            free.put(own)

    with ExitStack() as ends, ThreadPoolExecutor(threads) as pool:
        for _ in range(threads):
            free.put(ends.enter_context(log.beside()))
        for _ in pool.map(compute, missing):
            pass


def _statements(log: LogTables, table: str, cut: Cut) -> tuple[str, str]:
    """Return the statement that makes the requests of ``one_file``, and the query of its whole summary."""
    facets = [_COUNT, _DAY, *([_REQUEST, _EXTRA] if table == IMPRESSIONS else [])]
    parts = _parts(log, table, cut)
    return fill(_REQUESTS, **parts), fill(" UNION ALL ".join(facets), **parts)


def _parts(log: LogTables, table: str, cut: Cut) -> dict[str, exp.Expr]:
    """Return the conditions and hashes of a row that the facets are made of."""
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
        "day": utc_day(at),
        "name": name,
        "row_hash": row_hash(log, table),
        "request": _request_hash(),
        "item": x.call("HASH", x.column(c.ITEM_ID)),
        "number": rows.number_duplicates("one_file", log.log.impressions),
        "place": x.column(rows.PLACE),
    }
