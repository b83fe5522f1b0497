"""Measurements of a table: few rows, however large the table is.

::

    statistic     subject      value     day         rows    of      total  examples
    rows          impressions            2026-01-05  9600
    positives     click_30m              2026-01-05  912     9100    912.0
    values        category     toys      2026-01-05  1400    9600
    early         click_30m                          3       384000         q1/i2; q7/i1

DuckDB computes the counts; the suites of ``expectations/`` evaluate these rows.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

import duckdb
import pandas as pd
from sqlglot import exp

from tasks.columns import IMPRESSION_KEY, USER_ID
from tasks.sql import expressions as x

ROWS: Final = "rows"
COLUMN: Final = "column"
NEWEST: Final = "newest"
NULLS: Final = "nulls"
INFINITE: Final = "infinite"
INFINITE_EARLIER: Final = "infinite_earlier"
KEYS: Final = "repeated_key"
FUTURE: Final = "future"
USER: Final = "top_user"
VALUES: Final = "values"
POSITIVES: Final = "positives"
STATUS: Final = "status"
SKEWED: Final = "before_impression"
NEVER_SHOWN: Final = "item_never_shown"
ARRIVED_EARLY: Final = "ingested_before_happened"
UNKNOWN_NAME: Final = "unknown_name"
KEPT: Final = "kept"
CONSTRAINT_NULLS: Final = "constraint_nulls"
POSITION: Final = "position"
USERS: Final = "users"
SHOWN: Final = "shown"
UNMATCHED: Final = "unmatched"
NO_CANDIDATES: Final = "no_candidates"
DISAGREEING: Final = "disagreeing"
RARELY_SHOWN: Final = "rarely_shown"
EQUAL: Final = "equal_event"
NEGATIVES: Final = "negatives"
NEGATIVES_OF_PART: Final = "negatives_of_part"
WITH_USERS: Final = "with_users"
WITHOUT_USER: Final = "without_user"
QUARANTINED: Final = "quarantined"
EXAMPLES: Final = 3

_KINDS: Final = {
    "VARCHAR": "string",
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT"), "integer"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "number"),
    "BOOLEAN": "boolean",
    "TIMESTAMP WITH TIME ZONE": "time with zone",
}
"""Names in the contracts for DuckDB's types."""


class Measurement(NamedTuple):
    """One statistic: ``rows`` of ``of`` rows; ``total`` is a sum over them."""

    statistic: str
    subject: str
    value: str = ""
    day: date | None = None
    rows: int = 0
    of: int = 0
    total: float = 0.0
    examples: str = ""


def frame_of(measured: Iterable[Measurement]) -> pd.DataFrame:
    """Collect measurements in a sorted frame for a suite.

    Examples
    --------
    >>> frame_of([Measurement("rows", "b", rows=2), Measurement("rows", "a", rows=1)])["subject"].tolist()
    ['a', 'b']
    """
    ordered = sorted(measured, key=lambda m: (m.statistic, m.subject, m.value, m.day or date.min))
    return pd.DataFrame(ordered, columns=Measurement._fields)


def measured(frame: pd.DataFrame, statistic: str) -> list[Measurement]:
    """Return a statistic's measurements."""
    rows = frame.loc[frame["statistic"] == statistic].itertuples(index=False, name=None)
    return [Measurement(*row) for row in rows]


def last_whole_day(as_of: str) -> date:
    """Return the newest day that had ended at an instant.

    Examples
    --------
    >>> last_whole_day("2026-03-02T00:00:00Z"), last_whole_day("2026-03-02T23:00:00Z")
    (datetime.date(2026, 3, 1), datetime.date(2026, 3, 1))
    """
    return (datetime.fromisoformat(as_of) - timedelta(days=1)).date()


def fetch(connection: duckdb.DuckDBPyConnection, template: str, **parts: x.Part) -> list[tuple[Any, ...]]:
    """Run a query with a small result and return its rows."""
    return connection.sql(x.fill(template, **parts)).fetchall()


def count_if(condition: exp.Expr) -> exp.Expr:
    """Return ``COUNT(*) FILTER (WHERE condition)``."""
    counted = exp.Count(this=exp.Star())
    return exp.Filter(this=counted, expression=exp.Where(this=condition))


def find_examples(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    broken: exp.Expr,
    *,
    count: int,
    key: Iterable[str] = IMPRESSION_KEY,
) -> str:
    """Return up to three of the ``count`` rows that break a rule, as text of the columns of their key."""
    if not count:
        return ""
    parts = (x.coalesce(x.cast(x.column(name), "VARCHAR"), x.text("null")) for name in key)
    ((examples,),) = fetch(
        connection,
        "SELECT min($key, $few) FROM $table WHERE $broken",
        key=x.call("CONCAT_WS", x.text("/"), *parts),
        few=x.integer(EXAMPLES),
        table=x.table(table),
        broken=broken.copy(),
    )
    return "; ".join(examples or ())


def measure_newest(connection: duckdb.DuckDBPyConnection, table: str, at: str) -> list[Measurement]:
    """Return the newest instant of a table as text."""
    ((newest,),) = fetch(connection, "SELECT max($at) FROM $table", at=x.column(at), table=x.table(table))
    return [] if newest is None else [Measurement(NEWEST, table, newest.isoformat())]


def measure_columns(
    connection: duckdb.DuckDBPyConnection, table: str, names: Iterable[str]
) -> list[Measurement]:
    """Return the kind of each of the named columns in a table."""
    described = fetch(connection, "DESCRIBE SELECT * FROM $table", table=x.table(table))
    types = {name: str(kind) for name, kind, *_ in described}
    return [
        Measurement(COLUMN, name, _KINDS.get(types[name], types[name]))
        for name in dict.fromkeys(names)
        if name in types
    ]


def measure_top_user(connection: duckdb.DuckDBPyConnection, table: str) -> list[Measurement]:
    """Return the user with the most rows, with the number of rows in the table."""
    users = fetch(
        connection,
        """SELECT $user, count(*) AS n, (SELECT count(*) FROM $table)
           FROM $table WHERE $user IS NOT NULL GROUP BY 1 ORDER BY n DESC, 1 LIMIT 1""",
        user=x.column(USER_ID),
        table=x.table(table),
    )
    return [Measurement(USER, table, str(name), rows=n, of=total) for name, n, total in users]
