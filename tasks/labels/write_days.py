"""Labels made where the log is: each task's relations in turn, then one pass that writes Parquet by day.

::

    shown, known           views on the log, of the days that are read
    <task>__credited ...   tables, as small as the outcomes; what only leads to them is dropped again
    facts ... labels       one streaming pass: log -> joins -> status and label -> ds=.../part-<uuid>.parquet
    digests                one pass over the files that were written
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import date, datetime

import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import Contracts
from tasks.labels.compile import LabelQuery
from tasks.labels.credit_tables import credit
from tasks.labels.digest import row_hash, total
from tasks.labels.files import Written, WrittenFile
from tasks.labels.relations import compiled, files_read
from tasks.labels.spark_build import write_with_spark
from tasks.logs import rows
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import fill
from tasks.stores.location import Location, locate

_LOG = logging.getLogger("equipoise")
_AS_WRITTEN = "SET disabled_optimizers = 'build_side_probe_side'"
"""A join hashes the side that is written second. Left alone, DuckDB takes a log of some days for a fifth of
what it is, and hashes the impressions instead of the outcomes."""


def write_labels(log: LogTables, folder: Location, *, as_of: datetime, days: Iterable[date]) -> Written:
    """Label the impressions of some days, and write them below a folder as ``ds=<day>/part-<uuid>.parquet``.

    Impressions that compete for the same events are read from the days around; needs ``log.cut(as_of)``.
    """
    wanted = sorted(days)
    read = {table: files_read(log, table, wanted) for table in (rows.IMPRESSIONS, rows.EVENTS)}
    query = compiled(log, log.contracts.tasks, as_of=as_of, days=wanted, labels_only=True)
    labels = stamped(query.labels(), log.contracts)
    _LOG.info("labels: writing %d day(s)", len(wanted))
    if log.contracts.surface.engine.name == "spark":
        schema = _columns(log, stamped(query.statement(), log.contracts))
        files = write_with_spark(log, query, labels, read, folder, schema=schema)
    else:
        files = _write(log, query, labels, folder)
        schema = _columns(log, labels)
    return Written(files, schema, _digests(log, files))


def stamped(labels: exp.Query, contracts: Contracts) -> exp.Select:
    """Let every row say which contract its labels are of."""
    version = x.alias(x.cast(x.integer(contracts.tasks.version), "INT"), c.CONTRACT_VERSION)
    digest = x.alias(x.text(contracts.digests["tasks"]), c.CONTRACT_DIGEST)
    return x.select([exp.Star(), version, digest], x.subquery(labels, "labels"))


def _columns(log: LogTables, labels: exp.Query) -> pa.Schema:
    empty = fill("SELECT * FROM ($labels) LIMIT 0", labels=labels)
    return log.connection.sql(empty).to_arrow_table().schema


def _write(log: LogTables, query: LabelQuery, labels: exp.Query, folder: Location) -> tuple[WrittenFile, ...]:
    log.connection.execute(_AS_WRITTEN)
    for task, creditings in query.creditings.items():
        _LOG.info("labels: crediting %s", task)
        credit(log, creditings)
    files = _copy(log, labels, folder)
    log.connection.execute("RESET disabled_optimizers")
    return files


def _copy(log: LogTables, labels: exp.Query, folder: Location) -> tuple[WrittenFile, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    statement = fill(
        """COPY ($labels) TO $folder
           (FORMAT parquet, PARTITION_BY ($day), APPEND true,
            FILENAME_PATTERN 'part-{uuid}', RETURN_STATS)""",
        labels=_in_bytes(labels, tuple(c.Status), (log.contracts.digests["tasks"],)),
        folder=x.text(folder),
        day=x.name(c.DAY),
    )
    copied = log.connection.execute(statement).fetchall()
    return tuple(
        WrittenFile(locate(path), count, size, date.fromisoformat(partition[c.DAY]))
        for path, count, size, _, _, partition, *_ in copied
    )


def _in_bytes(labels: exp.Query, *enums: Sequence[str]) -> exp.Query:
    """Let words be one byte each until they are in the file, where they are strings all the same."""
    found = labels.copy()
    for words in enums:
        kind = f"ENUM({', '.join(map(repr, map(str, words)))})"
        for literal in list(found.find_all(exp.Literal)):
            if literal.is_string and literal.this in words:
                literal.replace(x.cast(literal.copy(), kind))
    return found


def _digests(log: LogTables, files: Sequence[WrittenFile]) -> dict[date, tuple[int, int]]:
    """Read the files again: rows of each day and the sum of their digests."""
    found = log.fetch(
        """SELECT $day, count(*), sum(h), sum(hash(h))
           FROM (SELECT $day, $hashed AS h
                 FROM read_parquet($paths, hive_partitioning = true, hive_types = {'ds': DATE}))
           GROUP BY 1""",
        day=x.column(c.DAY),
        hashed=row_hash(log.contracts.tasks, log.log.impressions),
        paths=x.texts(file.path for file in files),
    )
    return {day: (count, total(int(first), int(second))) for day, count, first, second in found}
