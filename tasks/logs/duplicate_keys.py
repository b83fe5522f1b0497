"""Impressions that share a key, found without grouping the whole log.

::

    a key twice in one file        its summary has the requests, and the number of extra rows
    a key in two files             possible only for requests of two files, the ``spread_requests``;
                                   a build stores those that it found, the next compares new files only
    suspects                       the impressions of all these requests, in the files that matter
    repeated, duplicates, shown    the cut of the log, among the suspects: see ``LogTables.cut``
"""

from collections.abc import Iterable
from datetime import date, datetime

from sqlglot import exp

from tasks import columns as c
from tasks.logs import rows
from tasks.logs.footers import File
from tasks.logs.rows import IMPRESSIONS
from tasks.logs.summaries import Summaries, SummaryTable, make_request_view, of_requests, row_hash
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import fill, utc_day
from tasks.stores.files import sha256

_COMPARED = "SELECT name, summary FROM summaries WHERE facet = 'compared' AND number IS NULL"
_SPREAD = """
    CREATE OR REPLACE TEMP TABLE spread_requests AS
    SELECT number FROM requests GROUP BY 1 HAVING count(*) > 1
"""
_SPREAD_BY_NEW = """
    CREATE OR REPLACE TEMP TABLE spread_requests AS
    SELECT number FROM summaries WHERE facet = 'compared' AND number IS NOT NULL
    UNION
    SELECT number FROM requests WHERE number IN (SELECT number FROM new_requests)
    GROUP BY 1 HAVING count(*) > 1
"""
_STORE_COMPARED = """
    COPY (SELECT 'compared' AS facet, NULL::DATE AS day, name, number, NULL::BIGINT AS n,
                 NULL::DECIMAL(38, 0) AS total, $summary AS summary
          FROM (SELECT NULL::VARCHAR AS name, number FROM spread_requests
                UNION ALL SELECT unnest([$names]), NULL)) TO $to (FORMAT parquet)
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
    SELECT $day, count(*), sum($hashed)::DECIMAL(38, 0) FROM $duplicates WHERE $extra GROUP BY 1
"""


def find_spread_requests(table: SummaryTable, summaries: Summaries, as_of: datetime) -> None:
    """Make the relation ``spread_requests``: hashes of requests that several files have rows of.

    A build stores the summaries it compared and the requests it found; the next compares new ones only.
    The relation may hold requests that are no longer in several files, which costs time only.
    """
    log, names = table.log, {one.name: one for one in summaries.of_files}
    compared = dict(log.fetch(_COMPARED))
    make_request_view(log, "requests", summaries.of_files)
    if compared and compared.keys() <= names.keys():
        make_request_view(log, "new_requests", (one for name, one in names.items() if name not in compared))
        log.connection.execute(_SPREAD_BY_NEW)
    else:
        log.connection.execute(_SPREAD)
    settled = sorted(n for n, one in names.items() if log.is_settled(IMPRESSIONS, one.file, as_of))
    if not settled or settled == sorted(compared):
        table.kept.update(compared.values())
    elif log.is_kept(IMPRESSIONS):
        summary = sha256("\n".join(settled).encode())[:32]
        to = table.computed(summary, IMPRESSIONS)
        names_of_settled = [x.text(name) for name in settled]
        log.connection.execute(
            fill(_STORE_COMPARED, summary=x.text(summary), names=names_of_settled, to=x.text(to))
        )
        table.kept.add(summary)


def cut_files(log: LogTables, summaries: Summaries, files: Iterable[File], as_of: datetime) -> None:
    """Cut the log for a build that reads only some of its files.

    The repeated keys of those files are found, and those of spread requests in every file.
    """
    wanted = set(files)
    if log.fetch("SELECT count(*) FROM spread_requests")[0][0]:
        wanted |= set(summaries.files(name for (name,) in log.fetch(_SPREAD_OVER)))
    read = [one for one in summaries.of_files if one.file in wanted]
    log.connection.execute(
        fill(_SUSPECT_REQUESTS, summaries=[x.text(one.name) for one in read] or [exp.Null()])
    )
    log.view("suspect_files", IMPRESSIONS, [one.file for one in read])
    only_these = of_requests("suspect_requests")
    log.create("suspects", x.select([exp.Star()], x.table("suspect_files"), where=[only_these]))
    log.cut(as_of, among="suspects")


def count_extras(log: LogTables, name: str, *, before: datetime | None = None) -> list[tuple[date, int, int]]:
    """Return by day the number of impressions left out as duplicates, and the sum of their hashes."""
    in_files = log.fetch(_EXTRAS_IN_FILES, name=x.table(name))
    shown = x.column(c.SHOWN_AT)
    extra = [x.gt(x.column(rows.PLACE), x.integer(1)), of_requests("spread_requests")]
    between = log.fetch(
        _EXTRAS_BETWEEN_FILES,
        day=utc_day(shown),
        hashed=row_hash(log, IMPRESSIONS),
        duplicates=x.table(rows.DUPLICATES),
        extra=x.all_of(*extra, *([x.lt(shown.copy(), x.instant(before))] if before else [])),
    )
    return [(day, int(n), int(total)) for day, n, total in (*in_files, *between)]
