"""The identity of a label snapshot: contract digest + as-of + content digest.

The content digest covers every row: key, labels, statuses, instants and all other columns, so that corrected
features make another snapshot. It is a sum over the rows, so it does not depend on their order or on the
files, and it is computed from the files that were written, whichever engine wrote them. A row counts with the
hash h of its columns in 64 bits, and with the hash of h::

    sum of h * 2^64 + sum of hash(h)   modulo 2^128

Both hashes are DuckDB's own.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.sql import expressions as x
from tasks.sql.templates import fill
from tasks.stores.location import Location

_DIGESTS = """
    SELECT $day, count(*), sum(h), sum(hash(h))
    FROM (SELECT $day, $hashed AS h
          FROM read_parquet($paths, hive_partitioning = true, hive_types = {'ds': DATE}))
    GROUP BY 1
"""
_HALF, _MODULUS = 1 << 64, 1 << 128


def row_hash(tasks: TasksSpec, names: Sequence[str]) -> exp.Expr:
    """Return the DuckDB expression of a row's hash, a number of 64 bits.

    Parameters
    ----------
    names
        The impressions' columns.
    """
    labels = [name for task in tasks.tasks for name in (task, c.status(task), c.at(task))]
    return x.call("HASH", *x.columns((*names, *labels)))


def sum_days(
    connection: duckdb.DuckDBPyConnection, files: Iterable[Location], hashed: exp.Expr
) -> dict[date, tuple[int, int]]:
    """Read label files and return each day's rows and the sum of their digests.

    Parameters
    ----------
    hashed
        The expression of a row's hash.
    """
    query = fill(_DIGESTS, day=x.column(c.DAY), hashed=hashed, paths=x.file_names(files))
    sums = connection.execute(query).fetchall()
    return {day: (count, combine_sums(int(first), int(second))) for day, count, first, second in sums}


def combine_sums(hashes: int, rehashes: int) -> int:
    """Return the sum of digests of the sum of the rows' hashes and the sum of the hashes' hashes.

    Examples
    --------
    >>> combine_sums(3, 5) == 3 * 2**64 + 5
    True
    """
    return (hashes * _HALF + rehashes) % _MODULUS


def add_sums(left: int, right: int) -> int:
    """Return the sum of digests of two sets of rows.

    Examples
    --------
    >>> add_sums(2**128 - 1, 3)
    2
    """
    return (left + right) % _MODULUS


def content_digest(rows: int, total: int) -> str:
    """Return the digest of a snapshot's rows, from their number and the sum of their digests.

    Examples
    --------
    >>> content_digest(2, 17)[:12]
    '04fb747d3abb'
    """
    return hashlib.sha256(f"{rows}:{total}".encode()).hexdigest()


def snapshot_id(contract: str, as_of: datetime, content: str) -> str:
    """Return the name of a snapshot: equal where contract, as-of and content are.

    Examples
    --------
    >>> snapshot_id("contract", datetime(2026, 3, 2, tzinfo=UTC), "content")
    'a9dc1b301d9df3a7'
    """
    text = f"{contract}|{as_of.astimezone(UTC).isoformat()}|{content}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
