"""The rows of a log that take no part in any build, each with its rule and reason, as JSON.

Each row has a digest, so that one that is already in the quarantine is not put there again; rows that are
equal in everything are told apart by their number.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlglot import exp

from tasks.logs import rows
from tasks.logs.columns import File
from tasks.logs.participation import no_event, no_key
from tasks.logs.profile import NO_EVENT, NO_KEY, REPEATED_KEY
from tasks.logs.tables import TWINS, LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import fill
from tasks.stores.location import Location, size_of

BAD_ROWS = "bad_rows"
REASONS = {
    REPEATED_KEY: "another impression has the same request_id and item_id and comes before it",
    NO_KEY: "request_id, item_id or shown_at is null",
    NO_EVENT: "the event has no name or no time",
}

_CREATE = """
    CREATE OR REPLACE TEMP TABLE $name ("table" VARCHAR, rule VARCHAR, reason VARCHAR, "row" VARCHAR)
"""

_INSERT = """
    INSERT INTO $name SELECT $table, $rule, $reason, to_json("_row")::VARCHAR FROM ($query) AS "_row"
"""


def find_bad_rows(log: LogTables, *, as_of: datetime, files: Mapping[str, Sequence[File]]) -> None:
    """Make the relation ``bad_rows``: table, rule, reason, row. Needs ``log.cut(as_of)``.

    Parameters
    ----------
    files
        By table the files that hold a row without key, name or time.
    """
    name = x.name(BAD_ROWS)
    log.connection.execute(fill(_CREATE, name=name))
    later = x.gt(x.column(rows.PLACE), x.integer(1))
    twins = x.select(x.columns(log.log.impressions), x.table(TWINS), where=[later])
    for table, of_table in files.items():
        log.view(f"bad_{table}", table, of_table)
    for table, rule, query in (
        (rows.IMPRESSIONS, REPEATED_KEY, twins),
        (rows.IMPRESSIONS, NO_KEY, _bad(rows.IMPRESSIONS, no_key(as_of))),
        (rows.EVENTS, NO_EVENT, _bad(rows.EVENTS, no_event(log, as_of))),
    ):
        said = {"table": x.text(table), "rule": x.text(rule), "reason": x.text(REASONS[rule])}
        log.connection.execute(fill(_INSERT, name=name, query=query, **said))


def copy_new_bad_rows(
    log: LogTables, to: Location, *, as_of: datetime, known: Sequence[Location]
) -> tuple[int, int]:
    """Write the bad rows that no known file holds as Parquet; return how many and the file's size."""
    to.parent.mkdir(parents=True, exist_ok=True)
    digest = x.column("digest")
    seen = x.select([digest], x.call("READ_PARQUET", x.texts(known)))
    new = x.not_(exp.In(this=digest.copy(), query=exp.Subquery(this=seen))) if known else exp.true()
    ((count,),) = log.fetch(
        """COPY (
             SELECT "table", rule, reason, $as_of AS as_of, "row",
                    md5(concat_ws('|', "table", rule, "row", n)) AS digest
             FROM (SELECT *, row_number() OVER (PARTITION BY "table", rule, "row") AS n FROM $name)
             WHERE $new
           ) TO $to (FORMAT parquet)""",
        name=x.table(BAD_ROWS),
        as_of=x.instant(as_of),
        new=new,
        to=x.text(to),
    )
    return int(count), size_of(to)


def _bad(table: str, condition: exp.Expr) -> exp.Select:
    return x.select([exp.Star()], x.table(f"bad_{table}"), where=[condition])
