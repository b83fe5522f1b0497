"""The rows of a log that take no part in any build, each with its rule and reason, as JSON.

The relation ``bad_rows`` has a digest per row, so that a row that is already in the quarantine is not put there
again; of rows that are equal in everything each has its own.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sqlglot import exp

from tasks.engines.duckdb import TWINS, LogTables
from tasks.engines.profile import NO_EVENT, NO_KEY, REPEATED_KEY, no_event, no_key
from tasks.engines.statements import fill
from tasks.labels import expressions as x
from tasks.labels import rows

BAD_ROWS = "bad_rows"
REASONS = {
    REPEATED_KEY: "another impression has the same request_id and item_id and was shown earlier, or comes first",
    NO_KEY: "request_id, item_id or shown_at is null",
    NO_EVENT: "the event has no name or no time",
}


def find_bad_rows(log: LogTables, *, as_of: datetime) -> None:
    """Make the relation ``bad_rows``: table, rule, reason, as_of, row, digest. Needs ``log.cut(as_of)``."""
    later = x.after(x.column(rows.PLACE), x.integer(1))
    sources = (
        (
            rows.IMPRESSIONS,
            REPEATED_KEY,
            x.select(x.columns(log.log.impressions), x.table(TWINS), where=[later]),
        ),
        (rows.IMPRESSIONS, NO_KEY, _where(rows.IMPRESSIONS, no_key(as_of))),
        (rows.EVENTS, NO_EVENT, _where(rows.EVENTS, no_event(log, as_of))),
    )
    union = " UNION ALL ".join(_described(table, rule, query) for table, rule, query in sources)
    log.connection.execute(
        fill(
            f"""CREATE OR REPLACE TEMP TABLE $name AS
                SELECT *, md5(concat_ws('|', "table", rule, "row", n)) AS digest
                FROM (SELECT "table", rule, reason, $as_of AS as_of, "row",
                             row_number() OVER (PARTITION BY "table", rule, "row") AS n FROM ({union}))""",
            name=x.name(BAD_ROWS),
            as_of=x.instant(as_of),
        )
    )


def copy_new_bad_rows(log: LogTables, to: Path, *, known: Sequence[Path]) -> tuple[int, int]:
    """Write the bad rows that no known file holds as Parquet; return how many and the file's size."""
    to.parent.mkdir(parents=True, exist_ok=True)
    paths = exp.Array(expressions=[exp.Literal.string(str(path)) for path in known])
    seen = "WHERE digest NOT IN (SELECT digest FROM read_parquet($paths))" if known else ""
    ((count,),) = log.connection.execute(
        fill(
            f"""COPY (SELECT "table", rule, reason, as_of, "row", digest FROM $name {seen})
                TO $to (FORMAT parquet)""",
            name=x.name(BAD_ROWS),
            to=exp.Literal.string(str(to)),
            **({"paths": paths} if known else {}),
        )
    ).fetchall()
    return int(count), to.stat().st_size


def _where(table: str, condition: exp.Expr) -> exp.Select:
    return x.select([exp.Star()], x.table(table), where=[condition])


def _described(table: str, rule: str, query: exp.Query) -> str:
    return fill(
        """SELECT $table AS "table", $rule AS rule, $reason AS reason, to_json(bad)::VARCHAR AS "row"
           FROM ($query) AS bad""",
        table=exp.Literal.string(table),
        rule=exp.Literal.string(rule),
        reason=exp.Literal.string(REASONS[rule]),
        query=query,
    )
