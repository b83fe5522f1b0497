"""What is measured of the impressions of a snapshot: rows and nulls by day, keys, users."""

from collections.abc import Sequence
from datetime import datetime

import duckdb

from tasks import columns as c
from tasks.sql import expressions as x
from tasks.validation.label_measurements import LABELS
from tasks.validation.measurements import (
    FUTURE,
    KEYS,
    NULLS,
    ROWS,
    Measurement,
    count_if,
    fetch,
    find_examples,
    measure_columns,
    measure_newest,
    measure_top_user,
)

IMPRESSIONS = "impressions"


def measure_impressions(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[str], *, as_of: datetime
) -> list[Measurement]:
    """Measure the impressions of the relation ``labels``: its rows are whole impressions.

    Parameters
    ----------
    columns : what the contracts speak of.
    """
    types = measure_columns(connection, LABELS, columns)
    present = [kind.subject for kind in types]
    future = x.ge(x.column(c.SHOWN_AT), x.instant(as_of))
    counted = fetch(
        connection,
        "SELECT $day, count(*), $future, $nulls FROM $labels GROUP BY 1 ORDER BY 1",
        day=x.column(c.DAY),
        future=count_if(future),
        nulls=[count_if(x.is_null(x.column(name))) for name in present],
        labels=x.table(LABELS),
    )
    rows, later = sum(row[1] for row in counted), sum(row[2] for row in counted)
    key = {name: x.column(name) for name in c.IMPRESSION_KEY}
    examples = find_examples(connection, LABELS, future, key) if later else ""
    measured = [
        *types,
        *measure_newest(connection, LABELS, c.SHOWN_AT),
        *measure_top_user(connection, LABELS, c.USER_ID),
        Measurement(FUTURE, c.SHOWN_AT, rows=later, of=rows, examples=examples),
        _keys(connection, rows),
    ]
    for day, count, _, *nulls in counted:
        measured.append(Measurement(ROWS, IMPRESSIONS, day=day, rows=count))
        measured += (Measurement(NULLS, n, "", day, k, count) for n, k in zip(present, nulls, strict=True))
    return measured


def _keys(connection: duckdb.DuckDBPyConnection, rows: int) -> Measurement:
    """Count the rows that share their key or lack a part of it.

    As many hashes as rows prove that none does, in a fraction of the memory.
    """
    subject, columns = "/".join(c.IMPRESSION_KEY), x.columns(c.IMPRESSION_KEY)
    whole = x.all_of(*(x.not_null(column.copy()) for column in columns))
    ((hashes,),) = fetch(
        connection,
        "SELECT count(DISTINCT hash($key)) FROM $labels WHERE $whole",
        key=columns,
        labels=x.table(LABELS),
        whole=whole,
    )
    if hashes == rows:
        return Measurement(KEYS, subject, of=rows)
    repeated = fetch(
        connection,
        """SELECT count(*), sum(count(*)) OVER (), $key FROM $labels
           GROUP BY ALL HAVING count(*) > 1 OR NOT ($whole) ORDER BY ALL LIMIT 3""",
        key=columns,
        labels=x.table(LABELS),
        whole=whole.copy(),
    )
    broken = int(repeated[0][1]) if repeated else 0
    return Measurement(
        KEYS, subject, rows=broken, of=rows, examples="; ".join(_format_key(row[2:]) for row in repeated)
    )


def _format_key(key: Sequence[object]) -> str:
    return "/".join("null" if part is None else str(part) for part in key)
