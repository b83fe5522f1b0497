"""What each file of a log holds, computed once a file: a build reads what is new, not the whole log.

::

    file, read once ──> one summary, kept as Parquet below <store>/summaries/<surface>/
      count     rows, rows of the future, bad rows
      day       rows of a day (events: and name), and the sum of their hashes
      repeated  hash of the request of a key that the file holds more than once
      request   hash of a request that the file has rows of: what is in two files may repeat a key
      item      hash of an item; of events also the item and its rows

A file whose rows all lie before the as-of says the same as of any later instant. One that the as-of cuts is
summarised anew as of it. A summary is found by the file's identity (size, times, inode or tag) and by the
columns that are read, so a file that was written again is read again. Losing one costs time only.
"""

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.engines.checks import CANDIDATES
from tasks.engines.columns import File, Span
from tasks.engines.duckdb import LogTables
from tasks.engines.participation import Cut, arrives, known, no_event, no_key, with_key
from tasks.labels import expressions as x
from tasks.labels.compile import event_columns
from tasks.labels.rows import EVENTS, IMPRESSIONS, DayRange
from tasks.labels.statements import fill
from tasks.location import Location, identity_of, way

_NO_SPAN = Span()


@dataclass(frozen=True)
class Summary:
    """Where the summary of a file lies, and the as-of that cut the file."""

    file: File
    cut: Cut
    path: Location


@dataclass(frozen=True)
class Summaries:
    """The summaries of one table's files as of an instant; files of the future alone have none."""

    table: str
    of_files: tuple[Summary, ...]
    future: tuple[File, ...]

    @property
    def paths(self) -> list[Location]:
        """Where they lie."""
        return [one.path for one in self.of_files]


def summarise(log: LogTables, folder: Location, *, table: str, as_of: datetime) -> Summaries:
    """Find or make the summary of every file of a table as of an instant.

    Parameters
    ----------
    folder
        Where summaries are kept.
    """
    found: list[Summary] = []
    future: list[File] = []
    for file in log.views[table].table.files:
        if _is_future(log, table, file, as_of):
            future.append(file)
        else:
            cut = None if is_settled(log, table, file, as_of) else as_of
            found.append(Summary(file, cut, folder / f"{_key(log, table, file, cut)}.parquet"))
    there = _there(folder)
    missing = [one for one in found if str(one.path) not in there]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        _summarise(log, table, one)
    return Summaries(table, tuple(found), tuple(future))


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


def _key(log: LogTables, table: str, file: File, cut: Cut) -> str:
    """Return the name of a summary: another where the file, the columns, the cut or the engine is another."""
    read = [f"{ours} {log.views[table].columns[ours].name} {kind}" for ours, kind in log.types[table].items()]
    at = "settled" if cut is None else cut.astimezone(UTC).isoformat()
    hashed = ",".join(_hashed(log, table))
    name = way(log.logs, file.path) if str(file.path).startswith(str(log.logs)) else file.path
    said = (duckdb.__version__, table, str(name), identity_of(file.path), at, hashed, *read)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]


def _there(folder: Location) -> set[str]:
    return {str(path) for path in folder.iterdir()} if folder.is_dir() else set()


def _hashed(log: LogTables, table: str) -> tuple[str, ...]:
    """Return the columns that a row's hash covers."""
    if table == EVENTS:
        return tuple(n for n in event_columns(log.contracts.tasks, log.log) if n != c.INGESTED_AT)
    return log.log.impressions if table == IMPRESSIONS else (c.ITEM_ID,)


def row_hash(log: LogTables, table: str) -> exp.Expr:
    """Return the hash of a row of a table, over the columns that bear on labels."""
    return x.call("HASH", *x.columns(_hashed(log, table)))


def request_hash() -> exp.Expr:
    """Return the hash by which summaries know a request."""
    return x.call("HASH", x.column(c.REQUEST_ID))


def _summarise(log: LogTables, table: str, one: Summary) -> None:
    """Write a summary, whole or not at all."""
    local = isinstance(one.path, Path)
    to = one.path.with_name(f".{one.path.name}.{uuid.uuid4().hex[:8]}") if local else one.path
    log.view("one_file", table, [one.file])
    facets = " UNION ALL ".join(_FACETS[table])
    log.connection.execute(
        fill(f"COPY ({facets}) TO $to (FORMAT parquet)", to=x.text(to), **_parts(log, table, one.cut))
    )
    if isinstance(to, Path) and isinstance(one.path, Path):
        to.replace(one.path)


def _parts(log: LogTables, table: str, cut: Cut) -> dict[str, exp.Expr]:
    """Return what the facets are made of: conditions and hashes of a row."""
    events, item = table == EVENTS, c.ITEM_ID in log.types[table]
    at = x.column(c.HAPPENED_AT if events else c.SHOWN_AT)
    kept = x.all_of(x.not_null(x.column(c.EVENT)), known(log, cut)) if events else with_key(cut)
    early = x.before(x.column(c.INGESTED_AT), at.copy()) if events and arrives(log) else exp.false()
    return {
        "kept": kept,
        "bad": no_event(log, cut) if events else no_key(cut),
        "later": exp.false() if cut is None else x.from_on(at.copy(), x.instant(cut)),
        "early": early,
        "day": x.cast(at, "DATE"),
        "name": x.column(c.EVENT) if events else exp.Null(),
        "row_hash": row_hash(log, table),
        "request": request_hash(),
        "key": x.call("HASH", *x.columns(c.IMPRESSION_KEY)),
        "item": x.column(c.ITEM_ID) if item else exp.Null(),
        "item_text": x.cast(x.column(c.ITEM_ID), "VARCHAR") if events and item else exp.Null(),
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
_REPEATED = """
    SELECT 'repeated', NULL, NULL, any_value($request), count(*), NULL
    FROM one_file WHERE $kept GROUP BY $key HAVING count(*) > 1
"""
_REQUEST = """
    SELECT DISTINCT 'request', NULL::DATE, NULL::VARCHAR, $request, NULL::BIGINT, NULL::DECIMAL(38, 0)
    FROM one_file WHERE $kept
"""
_ITEM = """
    SELECT 'item', NULL, $item_text, hash($item), count(*), NULL
    FROM one_file WHERE ($kept) AND $item IS NOT NULL GROUP BY $item
"""

_FACETS = {
    IMPRESSIONS: (_COUNT, _DAY, _REPEATED, _REQUEST, _ITEM),
    EVENTS: (_COUNT, _DAY, _ITEM),
    CANDIDATES: (_COUNT, _ITEM),
}


def opened(log: LogTables, name: str, found: Summaries | Iterable[Location]) -> None:
    """Make the relation of some summaries: facet, day, name, number, n, total, and the summary's file."""
    paths = found.paths if isinstance(found, Summaries) else list(found)
    statement = _OPENED if paths else _NOTHING
    log.connection.execute(fill(statement, name=x.name(name), paths=x.texts(paths)))


_OPENED = """
    CREATE OR REPLACE TEMP VIEW $name AS
    SELECT facet, day, name, number, n, total, filename AS summary FROM read_parquet($paths, filename = true)
"""
_NOTHING = """
    CREATE OR REPLACE TEMP VIEW $name AS
    SELECT ''::VARCHAR AS facet, NULL::DATE AS day, ''::VARCHAR AS name, 0::UBIGINT AS number, 0::BIGINT AS n,
           0::DECIMAL(38, 0) AS total, ''::VARCHAR AS summary
    FROM range(0)
"""
