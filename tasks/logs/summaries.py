"""What each file of a log holds, computed once a file: a build reads what is new, not the whole log.

::

    file, read once ──> one summary, kept as Parquet below <store>/summaries/<surface>/
      count     rows, rows of the future, bad rows
      day       rows of a day (events: and name), and the sum of their hashes
      extra     of the rows of a day those that repeat a key of the file, by the hash of their request
      request   hash of a request that the file has rows of: what is in two files may repeat a key

A file whose rows all lie before the as-of says the same as of any later instant. One that the as-of cuts is
summarised anew as of it. A summary is found by the file's identity (size, times, inode or tag) and by the
columns that are read, so a file that was written again is read again. Losing one costs time only. It is kept
when the file's bad rows are: a build that is killed before finds the file new again.
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

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.logs import rows
from tasks.logs.columns import File, Span
from tasks.logs.participation import Cut, arrives, known, no_event, no_key, with_key
from tasks.logs.rows import EVENTS, IMPRESSIONS, DayRange
from tasks.logs.schema import event_columns
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.dialects import utc_day
from tasks.sql.templates import fill
from tasks.stores.location import Location, ObjectPath, way

_NO_SPAN = Span()
_MEANING = "1"
"""Another where what a summary says means something else: those that are kept are then made again."""


@dataclass(frozen=True)
class Summary:
    """The summary of a file: where it lies, and whether this session made it."""

    file: File
    path: Location
    made: bool

    @property
    def is_missing(self) -> bool:
        """Whether the session has still to make it."""
        return self.made and not self.path.is_file()


@dataclass(frozen=True)
class Summaries:
    """The summaries of one table's files as of an instant; files of the future alone have none."""

    table: str
    of_files: tuple[Summary, ...]
    future: tuple[File, ...]

    @property
    def new(self) -> tuple[File, ...]:
        """The files that no earlier build summarised."""
        return tuple(one.file for one in self.of_files if one.made)

    def files(self, paths: Iterable[str]) -> list[File]:
        """Return the files of some summaries."""
        wanted = set(paths)
        return [one.file for one in self.of_files if str(one.path) in wanted]


def summarise(log: LogTables, folder: Location, *, as_of: datetime) -> dict[str, Summaries]:
    """Find or make the summary of every file of both tables as of an instant.

    Parameters
    ----------
    folder
        Where summaries are kept; new ones lie in the session's folder until ``keep``.
    """
    kept = _names(folder)
    found = {table: _find(log, folder, kept, table, as_of) for table in (IMPRESSIONS, EVENTS)}
    _make(log, found, as_of)
    return found


def _find(log: LogTables, folder: Location, kept: set[str], table: str, as_of: datetime) -> Summaries:
    found: list[Summary] = []
    future: list[File] = []
    own = log.folder / ("summaries" if log.is_kept(table) else "passing")
    own.mkdir(exist_ok=True)
    for file in log.views[table].table.files:
        if _is_future(log, table, file, as_of):
            future.append(file)
            continue
        name = _name(log, table, file, None if is_settled(log, table, file, as_of) else as_of)
        made = name not in kept
        found.append(Summary(file, own / name if made else folder / name, made))
    return Summaries(table, tuple(found), tuple(future))


def keep(log: LogTables, folder: Location) -> None:
    """Keep the session's summaries, each whole or not at all; not those of files that go with the session."""
    own = log.folder / "summaries"
    if isinstance(folder, ObjectPath):
        folder.take(own)
        return
    folder.mkdir(parents=True, exist_ok=True)
    for file in own.glob("*"):
        part = folder / f".{file.name}.{uuid.uuid4().hex[:8]}"
        shutil.copyfile(file, part)
        part.replace(folder / file.name)


def is_settled(log: LogTables, table: str, file: File, as_of: datetime) -> bool:
    """Return whether all rows of a file lie before an instant, and had arrived before it."""
    times = (c.HAPPENED_AT, c.INGESTED_AT) if table == EVENTS else (c.SHOWN_AT,)
    spans = [_span(log, table, file, name) for name in times]
    return all(span is not None and (span.last is None or span.last < as_of) for span in spans)


def holds(log: LogTables, table: str, file: File, days: DayRange) -> bool:
    """Return whether a file may hold rows of some days."""
    span = _span(log, table, file, c.HAPPENED_AT if table == EVENTS else c.SHOWN_AT)
    if span is None:
        return True
    if span.first is None or span.last is None:
        return False
    return span.first.date() <= days.last and span.last.date() >= days.first


def _is_future(log: LogTables, table: str, file: File, as_of: datetime) -> bool:
    span = _span(log, table, file, c.HAPPENED_AT if table == EVENTS else c.SHOWN_AT)
    return span is not None and not span.nulls and span.first is not None and span.first >= as_of


def _span(log: LogTables, table: str, file: File, ours: str) -> Span | None:
    """Return the span of our column in a file; None where it is not known."""
    if ours not in log.types[table]:
        return _NO_SPAN
    return file.spans.get(log.views[table].columns[ours].name, _NO_SPAN)


def _name(log: LogTables, table: str, file: File, cut: Cut) -> str:
    """Return the name of a summary: another where the file, the columns, the cut or the engine is another."""
    read = [f"{ours} {log.views[table].columns[ours].name} {kind}" for ours, kind in log.types[table].items()]
    at = "settled" if cut is None else cut.astimezone(UTC).isoformat()
    path = str(way(log.logs, file.path) if log.is_kept(table) else file.path)
    hashed = ",".join(_hashed(log, table))
    said = "\n".join((_MEANING, duckdb.__version__, table, path, file.identity, at, hashed, *read))
    return hashlib.sha256(said.encode()).hexdigest()[:32] + ".parquet"


def _names(folder: Location) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _hashed(log: LogTables, table: str) -> tuple[str, ...]:
    """Return the columns that a row's hash covers."""
    if table == EVENTS:
        return tuple(n for n in event_columns(log.contracts.tasks, log.log) if n != c.INGESTED_AT)
    return log.log.impressions


def row_hash(log: LogTables, table: str) -> exp.Expr:
    """Return the hash of a row of a table, over the columns that bear on labels."""
    return x.call("HASH", *x.columns(_hashed(log, table)))


def request_hash() -> exp.Expr:
    """Return the hash by which summaries know a request."""
    return x.call("HASH", x.column(c.REQUEST_ID))


def _make(log: LogTables, found: Mapping[str, Summaries], as_of: datetime) -> None:
    """Make what is missing, a file a thread: one file alone seldom keeps every core busy."""
    missing = [(table, one) for table in found for one in found[table].of_files if one.is_missing]
    if not missing:
        return
    statements = {(table, cut): _statements(log, table, cut) for table in found for cut in (None, as_of)}
    free = SimpleQueue[LogTables]()

    def make(wanted: tuple[str, Summary]) -> None:
        own, (table, one) = free.get(), wanted
        try:
            own.view("one_file", table, [one.file])
            requests, facets = statements[table, None if is_settled(log, table, one.file, as_of) else as_of]
            if table == IMPRESSIONS:
                own.connection.execute(requests)
            own.connection.sql(facets).write_parquet(str(one.path))
        finally:
            free.put(own)

    with ExitStack() as ends, ThreadPoolExecutor(_threads(log)) as pool:
        for _ in range(_threads(log)):
            free.put(ends.enter_context(log.beside()))
        for _ in pool.map(make, missing):
            pass


def _threads(log: LogTables) -> int:
    return int(log.fetch("SELECT current_setting('threads')")[0][0])


def _statements(log: LogTables, table: str, cut: Cut) -> tuple[str, str]:
    """Return what makes the requests of the relation ``one_file``, and the query of its whole summary."""
    facets = [_COUNT, _DAY, *([_REQUEST, _EXTRA] if table == IMPRESSIONS else [])]
    parts = _parts(log, table, cut)
    return fill(_REQUESTS, **parts), fill(" UNION ALL ".join(facets), **parts)


def of_requests(relation: str) -> exp.Expr:
    """Return that an impression is of one of the requests whose hashes a relation holds."""
    hashes = exp.Subquery(this=x.select([exp.Star()], x.table(relation)))
    return exp.In(this=request_hash(), query=hashes)


def _parts(log: LogTables, table: str, cut: Cut) -> dict[str, exp.Expr]:
    """Return what the facets are made of: conditions and hashes of a row."""
    events = table == EVENTS
    at = x.column(c.HAPPENED_AT if events else c.SHOWN_AT)
    kept = x.all_of(x.not_null(x.column(c.EVENT)), known(log, cut)) if events else with_key(cut)
    early = x.lt(x.column(c.INGESTED_AT), at.copy()) if events and arrives(log) else exp.false()
    return {
        "kept": kept,
        "bad": no_event(log, cut) if events else no_key(cut),
        "later": exp.false() if cut is None else x.ge(at.copy(), x.instant(cut)),
        "early": early,
        "day": utc_day(at),
        "name": x.column(c.EVENT) if events else exp.Null(),
        "row_hash": row_hash(log, table),
        "request": request_hash(),
        "item": x.call("HASH", x.column(c.ITEM_ID)),
        "twin": rows.place_of_twin("one_file", log.log.impressions),
        "place": x.column(rows.PLACE),
    }


_COUNT = """
    SELECT 'count' AS facet, NULL::DATE AS day, k::VARCHAR AS name, NULL::UBIGINT AS number, v AS n,
           NULL::DECIMAL(38, 0) AS total
    FROM (SELECT count(*) AS rows, count_if($later) AS later, count_if($bad) AS bad,
                 count_if($early) AS early FROM one_file)
    UNPIVOT (v FOR k IN (rows, later, bad, early))
"""
_DAY = """
    SELECT 'day', $day, $name, NULL, count(*), sum($row_hash)::DECIMAL(38, 0)
    FROM one_file WHERE $kept GROUP BY ALL
"""
_REQUESTS = """
    CREATE OR REPLACE TEMP TABLE file_requests AS
    SELECT number, bit_count(bit_or(1::UBIGINT << (item & 63))) < count(*)
               AND bit_count(bit_or(1::UBIGINT << ((item >> 6) & 63))) < count(*)
               AND bit_count(bit_or(1::UBIGINT << ((item >> 12) & 63))) < count(*)
               AND bit_count(bit_or(1::UBIGINT << ((item >> 18) & 63))) < count(*) AS suspect
    FROM (SELECT $request AS number, $item AS item FROM one_file WHERE $kept) GROUP BY number
"""
"""A request that has as many bits as rows in one of four sets of its items has no item twice."""

_REQUEST = """
    SELECT 'request', NULL, NULL, number, NULL, NULL FROM file_requests
"""
_EXTRA = """
    SELECT 'extra', $day, NULL, $request, count(*), sum($row_hash)::DECIMAL(38, 0)
    FROM (SELECT *, $twin AS $place FROM one_file
          WHERE ($kept) AND $request IN (SELECT number FROM file_requests WHERE suspect))
    WHERE $place > 1 GROUP BY ALL
"""
