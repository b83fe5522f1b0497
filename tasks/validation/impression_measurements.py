"""What is measured of impressions, and of candidates: rows and nulls by day, keys, users."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import duckdb
from sqlglot import exp

from tasks import columns as c
from tasks.sql import expressions as x
from tasks.validation.label_measurements import LABELS
from tasks.validation.measurements import (
    FUTURE,
    KEYS,
    NULLS,
    ROWS,
    USER,
    WITH_USERS,
    WITHOUT_USER,
    Measurement,
    count_if,
    fetch,
    find_examples,
    measure_columns,
    measure_newest,
)

IMPRESSIONS = "impressions"
_LEAST_REQUESTS, _MOST_USERS = 50, 10


def measure_impressions(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[str],
    *,
    as_of: datetime,
    table: str = LABELS,
    subject: str = IMPRESSIONS,
) -> list[Measurement]:
    """Measure a relation of impressions or candidates with their day; the rows of ``labels`` are impressions.

    Parameters
    ----------
    columns : what the contracts speak of.
    subject : what the rows are called.
    """
    types = measure_columns(connection, table, columns)
    present = [kind.subject for kind in types]
    future = x.ge(x.column(c.SHOWN_AT), x.instant(as_of))
    counted = fetch(
        connection,
        "SELECT $day, count(*), $future, $nulls FROM $table GROUP BY 1 ORDER BY 1",
        day=x.column(c.DAY),
        future=count_if(future),
        nulls=[count_if(x.is_null(x.column(name))) for name in present],
        table=x.table(table),
    )
    rows, later = sum(row[1] for row in counted), sum(row[2] for row in counted)
    key = {name: x.column(name) for name in c.IMPRESSION_KEY}
    examples = find_examples(connection, table, future, key) if later else ""
    measured = [
        *types,
        *measure_newest(connection, table, c.SHOWN_AT),
        Measurement(FUTURE, c.SHOWN_AT, rows=later, of=rows, examples=examples),
        _keys(connection, table, rows),
    ]
    for day, count, _, *nulls in counted:
        measured.append(Measurement(ROWS, subject, day=day, rows=count))
        measured += (Measurement(NULLS, n, "", day, k, count) for n, k in zip(present, nulls, strict=True))
    return measured


def measure_heavy_users(connection: duckdb.DuckDBPyConnection, tasks: Sequence[str]) -> Iterator[Measurement]:
    """Return the users with the most requests, and each task's labels with and without each of them.

    A user with fewer than 50 requests is left out, as is one with at most twice the median user's.

    Parameters
    ----------
    tasks : label columns.
    """
    heavy = fetch(
        connection,
        """WITH users AS (SELECT $user AS named, count(DISTINCT hash($request)) AS n FROM $labels
                          WHERE $user IS NOT NULL GROUP BY 1)
           SELECT named, n, (SELECT count(DISTINCT hash($request)) FROM $labels) AS total FROM users
           WHERE n >= $least AND n > 2 * (SELECT median(n) FROM users)
           ORDER BY n DESC, 1 LIMIT $most""",
        user=x.column(c.USER_ID),
        request=x.column(c.REQUEST_ID),
        labels=x.table(LABELS),
        least=x.integer(_LEAST_REQUESTS),
        most=x.integer(_MOST_USERS),
    )
    if not heavy:
        return
    sums = [of(this=x.column(task)) for task in tasks for of in (exp.Sum, exp.Count)]
    ((*whole,),) = fetch(connection, "SELECT $sums FROM $labels", sums=sums, labels=x.table(LABELS))
    own = fetch(
        connection,
        "SELECT $user, $sums FROM $labels WHERE $user IN ($heavy) GROUP BY 1",
        user=x.column(c.USER_ID),
        sums=sums,
        labels=x.table(LABELS),
        heavy=[exp.convert(user) for user, *_ in heavy],
    )
    of_user = {user: figures for user, *figures in own}
    for user, requests, total in heavy:
        yield Measurement(USER, IMPRESSIONS, str(user), rows=requests, of=total)
        for n, task in enumerate(tasks):
            (sum_, count), (less, fewer) = whole[2 * n : 2 * n + 2], of_user[user][2 * n : 2 * n + 2]
            rest = (sum_ or 0) - (less or 0)
            yield Measurement(WITH_USERS, task, of=count, total=float(sum_ or 0))
            yield Measurement(WITHOUT_USER, task, str(user), of=count - fewer, total=float(rest))


def _keys(connection: duckdb.DuckDBPyConnection, table: str, rows: int) -> Measurement:
    """Count the rows that share their key or lack a part of it.

    As many hashes as rows prove that none does, in a fraction of the memory.
    """
    subject, columns = "/".join(c.IMPRESSION_KEY), x.columns(c.IMPRESSION_KEY)
    whole = x.all_of(*(x.not_null(column.copy()) for column in columns))
    ((hashes,),) = fetch(
        connection,
        "SELECT count(DISTINCT hash($key)) FROM $table WHERE $whole",
        key=columns,
        table=x.table(table),
        whole=whole,
    )
    if hashes == rows:
        return Measurement(KEYS, subject, of=rows)
    repeated = fetch(
        connection,
        """SELECT count(*), sum(count(*)) OVER (), $key FROM $table
           GROUP BY ALL HAVING count(*) > 1 OR NOT ($whole) ORDER BY ALL LIMIT 3""",
        key=columns,
        table=x.table(table),
        whole=whole.copy(),
    )
    broken = int(repeated[0][1]) if repeated else 0
    return Measurement(
        KEYS, subject, rows=broken, of=rows, examples="; ".join(_format_key(row[2:]) for row in repeated)
    )


def _format_key(key: Sequence[object]) -> str:
    return "/".join("null" if part is None else str(part) for part in key)
