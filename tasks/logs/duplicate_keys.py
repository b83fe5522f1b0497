"""Impressions that share a key, found without grouping the whole log.

::

    a key twice in one file      its summary says of which requests, and how many rows are too many
    a key in two files           possible only for a request that two files have rows of: ``spread_requests``;
                                 what a build found of these is kept, and the next compares the new files only
    suspects                     the impressions of all these requests, in the files that matter
    repeated, twins, shown       the cut of the log, among the suspects: see ``LogTables.cut``
"""

from collections.abc import Iterable
from datetime import date, datetime

from sqlglot import exp

from tasks import columns as c
from tasks.logs import rows
from tasks.logs.columns import File
from tasks.logs.rows import IMPRESSIONS
from tasks.logs.summaries import Summaries, is_settled, of_requests, row_hash
from tasks.logs.summary_relations import requests
from tasks.logs.tables import TWINS, LogTables
from tasks.sql import expressions as x
from tasks.sql.dialects import utc_day
from tasks.sql.templates import fill
from tasks.stores.location import Location

_COMPARED = "spread.parquet"

_SPREAD = """
    CREATE OR REPLACE TEMP TABLE spread_requests AS
    SELECT number FROM requests GROUP BY 1 HAVING count(*) > 1
"""
_SPREAD_BY_NEW = """
    CREATE OR REPLACE TEMP TABLE spread_requests AS
    SELECT number FROM $compared WHERE number IS NOT NULL
    UNION
    SELECT number FROM requests WHERE number IN (SELECT number FROM new_requests)
    GROUP BY 1 HAVING count(*) > 1
"""
_KEEP_COMPARED = """
    COPY (SELECT NULL::VARCHAR AS name, number FROM spread_requests
          UNION ALL SELECT unnest([$names]), NULL) TO $to (FORMAT parquet)
"""
_SPREAD_OVER = """
    SELECT DISTINCT summary FROM requests WHERE number IN (SELECT number FROM spread_requests)
"""
_SUSPECT_REQUESTS = """
    CREATE OR REPLACE TEMP TABLE suspect_requests AS
    SELECT number FROM spread_requests
    UNION SELECT number FROM impressions_now WHERE facet = 'extra' AND summary IN ($summaries)
"""
_EXTRAS_IN_FILES = """
    SELECT day, sum(n), sum(total) FROM $name
    WHERE facet = 'extra' AND number NOT IN (SELECT number FROM spread_requests) GROUP BY 1
"""
_EXTRAS_BETWEEN_FILES = """
    SELECT $day, count(*), sum($hashed)::DECIMAL(38, 0) FROM $twins WHERE $extra GROUP BY 1
"""


def find_spread_requests(log: LogTables, found: Summaries, folder: Location, as_of: datetime) -> None:
    """Make the relation ``spread_requests``: hashes of requests that several files have rows of.

    A build keeps beside the summaries which it compared, and what it found: the next compares the new ones.
    It may hold more: nothing but time is lost where a request is none of several files' any more.
    """
    names = {one.path.name: one for one in found.of_files}
    kept = folder / _COMPARED
    compared = _compared(log, kept) if kept.is_file() else set[str]()
    requests(log, "requests", found.of_files)
    if compared and compared <= names.keys():
        requests(log, "new_requests", (one for name, one in names.items() if name not in compared))
        log.connection.execute(fill(_SPREAD_BY_NEW, compared=x.call("READ_PARQUET", x.text(kept))))
    else:
        log.connection.execute(_SPREAD)
    settled = {n for n, one in names.items() if is_settled(log, IMPRESSIONS, one.file, as_of)}
    if settled and settled != compared and log.is_kept(IMPRESSIONS):
        to = log.folder / "summaries" / _COMPARED
        log.connection.execute(fill(_KEEP_COMPARED, names=list(map(x.text, sorted(settled))), to=x.text(to)))


def _compared(log: LogTables, kept: Location) -> set[str]:
    names = log.fetch("SELECT name FROM read_parquet($kept) WHERE name IS NOT NULL", kept=x.text(kept))
    return {name for (name,) in names}


def cut_files(log: LogTables, found: Summaries, files: Iterable[File], as_of: datetime) -> None:
    """Cut the log where only some of its files are read.

    Their repeated keys are found, and those of spread requests wherever they lie.
    """
    wanted = set(files)
    if log.fetch("SELECT count(*) FROM spread_requests")[0][0]:
        wanted |= set(found.files(path for (path,) in log.fetch(_SPREAD_OVER)))
    summaries = [one for one in found.of_files if one.file in wanted]
    log.connection.execute(
        fill(_SUSPECT_REQUESTS, summaries=[x.text(one.path) for one in summaries] or [exp.Null()])
    )
    log.view("suspect_files", IMPRESSIONS, [one.file for one in summaries])
    only_these = of_requests("suspect_requests")
    log.create("suspects", x.select([exp.Star()], x.table("suspect_files"), where=[only_these]))
    log.cut(as_of, among="suspects")


def extras(log: LogTables, name: str, *, before: datetime | None = None) -> list[tuple[date, int, int]]:
    """Return by day the impressions that are one too many of their key, and the sum of their hashes.

    Parameters
    ----------
    name
        The relation of the files' summaries.
    before
        Leave out what was shown from this instant on.
    """
    in_files = log.fetch(_EXTRAS_IN_FILES, name=x.table(name))
    shown = x.column(c.SHOWN_AT)
    extra = [x.gt(x.column(rows.PLACE), x.integer(1)), of_requests("spread_requests")]
    between = log.fetch(
        _EXTRAS_BETWEEN_FILES,
        day=utc_day(shown),
        hashed=row_hash(log, IMPRESSIONS),
        twins=x.table(TWINS),
        extra=x.all_of(*extra, *([x.lt(shown.copy(), x.instant(before))] if before else [])),
    )
    return [(day, int(n), int(total)) for day, n, total in (*in_files, *between)]
