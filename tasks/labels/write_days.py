"""Writes labels where the log is: each task's credit in turn, then one pass that writes Parquet by day.

::

    shown, known           views on the log, of the days that are read
    <task>__credited ...   tables, as small as the outcomes
    facts ... labels       one streaming pass: log -> joins -> status and label -> ds=.../part-<uuid>.parquet
    digests                one pass over the files that were written
"""

import logging
from collections.abc import Sequence
from datetime import date

import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import Contracts
from tasks.labels.build_record import Written, WrittenFile
from tasks.labels.digest import row_hash, sum_days
from tasks.labels.query import LabelQuery
from tasks.labels.relations import make_credit_tables
from tasks.labels.spark_build import Files, write_with_spark
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import fill
from tasks.stores.location import Location, locate

_LOG = logging.getLogger("equipoise")
_AS_WRITTEN = "SET disabled_optimizers = 'build_side_probe_side'"
"""Hash the side of a join that is written second. Left alone, DuckDB estimates a log of some days at a fifth
of its size, and hashes the impressions instead of the outcomes."""

_COPY = """
    COPY ($labels) TO $folder
    (FORMAT parquet, PARTITION_BY ($day), APPEND true, FILENAME_PATTERN 'part-{uuid}', RETURN_STATS)
"""


def write_labels(log: LogTables, query: LabelQuery, read: Files, folder: Location) -> Written:
    """Label the impressions of a compiled query, and write them below a folder.

    The files are ``ds=<day>/part-<uuid>.parquet``. Needs ``log.cut`` and the views of ``compile_days``.

    Parameters
    ----------
    read
        Of each log table, the files that the query reads.
    """
    labels = stamp_contract(query.labels(), log.contracts)
    if log.contracts.surface.engine.name == "spark":
        schema = _columns(log, stamp_contract(query.statement(), log.contracts))
        files = write_with_spark(log, query, labels, read, folder, schema=schema)
    else:
        files = _write_with_duckdb(log, query, labels, folder)
        schema = _columns(log, labels)
    hashed = row_hash(log.contracts.tasks, log.log.impressions)
    return Written(files, schema, sum_days(log.connection, (file.path for file in files), hashed))


def stamp_contract(labels: exp.Query, contracts: Contracts) -> exp.Select:
    """Add to every row the version and the digest of the contract."""
    version = x.alias(x.cast(x.integer(contracts.tasks.version), "INT"), c.CONTRACT_VERSION)
    digest = x.alias(x.text(contracts.digests["tasks"]), c.CONTRACT_DIGEST)
    return x.select([exp.Star(), version, digest], x.subquery(labels, "labels"))


def _columns(log: LogTables, labels: exp.Query) -> pa.Schema:
    empty = fill("SELECT * FROM ($labels) LIMIT 0", labels=labels)
    return log.connection.sql(empty).to_arrow_table().schema


def _write_with_duckdb(
    log: LogTables, query: LabelQuery, labels: exp.Query, folder: Location
) -> tuple[WrittenFile, ...]:
    log.connection.execute(_AS_WRITTEN)
    for task, creditings in query.creditings.items():
        _LOG.info("labels: crediting %s", task)
        make_credit_tables(log, creditings)
    folder.mkdir(parents=True, exist_ok=True)
    labels = _encode_words(labels, tuple(c.Status), (log.contracts.digests["tasks"],))
    statement = fill(_COPY, labels=labels, folder=x.text(folder), day=x.name(c.DAY))
    copied = log.connection.execute(statement).fetchall()
    log.connection.execute("RESET disabled_optimizers")
    return tuple(
        WrittenFile(locate(path), count, size, date.fromisoformat(partition[c.DAY]))
        for path, count, size, _, _, partition, *_ in copied
    )


def _encode_words(labels: exp.Query, *enums: Sequence[str]) -> exp.Query:
    """Turn words into enums of one byte each until they are in the file, where they are strings again."""
    encoded = labels.copy()
    for words in enums:
        kind = f"ENUM({', '.join(map(repr, map(str, words)))})"
        for literal in list(encoded.find_all(exp.Literal)):
            if literal.is_string and literal.this in words:
                literal.replace(x.cast(literal.copy(), kind))
    return encoded
