"""Counts the observed labels that a rewritten day changed: only late events and corrected rows change any."""

from collections.abc import Iterable

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.sql import expressions as x
from tasks.sql.templates import fill
from tasks.stores.location import Location

_COUNT = """
    SELECT $counts FROM read_parquet($before) AS before JOIN read_parquet($after) AS after USING ($key)
"""


def count_changed_labels(
    connection: duckdb.DuckDBPyConnection,
    tasks: Iterable[str],
    *,
    before: Iterable[Location],
    after: Iterable[Location],
) -> dict[str, int]:
    """Count by task the labels that were observed and are no longer, or have another value.

    Parameters
    ----------
    before, after
        The files of the same days, of the earlier and of the later build.
    """
    names = list(tasks)
    statement = fill(
        _COUNT,
        counts=[x.call("COUNT_IF", _changed(task)) for task in names],
        before=x.file_names(before),
        after=x.file_names(after),
        key=x.columns(c.IMPRESSION_KEY),
    )
    (counts,) = connection.sql(statement).fetchall()
    return dict(zip(names, counts, strict=True))


def _changed(task: str) -> exp.Expr:
    was_observed = x.eq(x.column(c.status(task), "before"), x.text(c.Status.OBSERVED))
    other = exp.NullSafeNEQ(this=x.column(task, "before"), expression=x.column(task, "after"))
    return x.all_of(was_observed, other)
