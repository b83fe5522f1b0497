"""Labels made where the log is: each task's relations in turn, then one pass that writes Parquet by day.

::

    shown, known           views on the log, of the days that are read
    <task>__credited ...   tables, as small as the outcomes; what only leads to them is dropped again
    facts ... labels       one streaming pass: log -> joins -> status and label -> ds=.../part-<uuid>.parquet
    digests                one pass over the files that were written
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.engines.duckdb import LogTables
from tasks.labels import expressions as x
from tasks.labels import rows
from tasks.labels.compile import LabelQuery, label_query
from tasks.labels.coverage import spread
from tasks.labels.digest import row_digest
from tasks.labels.maturity import longest_reach, longest_window
from tasks.labels.statements import fill
from tasks.location import Location, locate

_LOG = logging.getLogger("equipoise")
_HALF = 1 << 64
_NO_TIME = timedelta()


@dataclass(frozen=True)
class WrittenFile:
    """A Parquet file of one day."""

    path: Location
    rows: int
    size: int
    day: date


@dataclass(frozen=True)
class Written:
    """The files of a build, their columns, and each day's rows and sum of digests."""

    files: tuple[WrittenFile, ...]
    schema: pa.Schema
    days: Mapping[date, tuple[int, int]]


def write_labels(log: LogTables, folder: Location, *, as_of: datetime, days: Iterable[date]) -> Written:
    """Label the impressions of some days, and write them below a folder as ``ds=<day>/part-<uuid>.parquet``.

    Impressions that compete for the same events are read from the days around; needs ``log.cut(as_of)``.
    """
    wanted = sorted(days)
    query = _query(log, as_of, wanted)
    for task, relations in query.credit.items():
        _LOG.info("labels: crediting %s", task)
        _materialise(log, relations)
    labels = query.labels()
    empty = fill("SELECT * FROM ($labels) LIMIT 0", labels=labels)
    schema = log.connection.sql(empty).to_arrow_table().schema
    _LOG.info("labels: writing %d day(s)", len(wanted))
    files = _copy(log, labels, folder)
    return Written(files, schema, _digests(log, files))


def _query(log: LogTables, as_of: datetime, days: Sequence[date]) -> LabelQuery:
    tasks, reach = log.contracts.tasks, longest_reach(log.contracts.tasks)
    query = label_query(
        tasks,
        as_of,
        log=log.log,
        write=spread(days, before=_NO_TIME, after=_NO_TIME),
        read=spread(days, before=reach, after=reach),
        events=spread(days, before=reach, after=reach + longest_window(tasks)),
    )
    log.create(rows.SHOWN, query.rows[rows.SHOWN], view=True)
    log.create(rows.KNOWN, query.rows[rows.KNOWN], view=True)
    return query


def _materialise(log: LogTables, relations: Mapping[str, exp.Query]) -> None:
    """Make a task's relations, and drop those that only led to what the labels join."""
    for name, query in relations.items():
        log.create(name, query)
    for name in relations:
        if name.endswith(("signals", "windows", "touched")):
            log.connection.execute(fill("DROP TABLE $name", name=x.name(name)))


def _copy(log: LogTables, labels: exp.Query, folder: Location) -> tuple[WrittenFile, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    statement = fill(
        """COPY (SELECT * REPLACE ($statuses) FROM ($labels)) TO $folder
           (FORMAT parquet, PARTITION_BY ($day), APPEND true,
            FILENAME_PATTERN 'part-{uuid}', RETURN_STATS)""",
        statuses=[_as_enum(c.status(task)) for task in log.contracts.tasks.tasks],
        labels=labels,
        folder=x.text(folder),
        day=x.name(c.DAY),
    )
    copied = log.connection.execute(statement).fetchall()
    return tuple(
        WrittenFile(locate(path), count, size, date.fromisoformat(partition[c.DAY]))
        for path, count, size, _, _, partition, *_ in copied
    )


def _as_enum(status: str) -> exp.Expr:
    """Keep a status in one byte while it is sorted into days; in the file it is a string all the same."""
    words = ", ".join(f"'{word}'" for word in c.Status)
    return x.named(x.cast(x.column(status), f"ENUM({words})"), status)


def _digests(log: LogTables, files: Sequence[WrittenFile]) -> dict[date, tuple[int, int]]:
    """Read the files again: rows of each day and the sum of their digests, halves of 64 bits apart."""
    found = log.fetch(
        """SELECT $day, count(*), sum((h >> 64)::UBIGINT), sum((h & $half::UHUGEINT)::UBIGINT)
           FROM (SELECT $day, $digest AS h
                 FROM read_parquet($paths, hive_partitioning = true, hive_types = {'ds': DATE}))
           GROUP BY 1""",
        day=x.column(c.DAY),
        half=x.integer(_HALF - 1),
        digest=row_digest(log.contracts.tasks, log.log.impressions),
        paths=x.texts(file.path for file in files),
    )
    return {day: (count, int(high) * _HALF + int(low)) for day, count, high, low in found}
