"""The quarantine: rows of the log that take part in no build, with rule, reason and the first as-of, as JSON.

Each row has a digest, so that one that is already in the quarantine is not put there again; rows that are
equal in everything are distinguished by their number.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

import pyarrow as pa
from sqlglot import exp

from tasks.logs import rows
from tasks.logs.footers import File
from tasks.logs.rows import CONFLICTING_EVENT, NO_EVENT, NO_KEY, REPEATED_KEY
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import fill
from tasks.stores import delta
from tasks.stores.delta import DataFile, NewFiles
from tasks.stores.location import Location, size_of
from tasks.stores.workspace import Workspace

BAD_ROWS = "bad_rows"
REASONS = {
    REPEATED_KEY: "another impression has the same request_id and item_id and comes before it",
    NO_KEY: "request_id, item_id or shown_at is null",
    NO_EVENT: "the event has no name or no time",
    CONFLICTING_EVENT: "another event has the same event_id and other content, and was known before it",
}
_SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("rule", pa.string()),
        ("reason", pa.string()),
        ("as_of", pa.timestamp("us", "UTC")),
        ("row", pa.string()),
        ("digest", pa.string()),
    ]
)

_CREATE = """
    CREATE OR REPLACE TEMP TABLE $name ("table" VARCHAR, rule VARCHAR, reason VARCHAR, "row" VARCHAR)
"""
_INSERT = """
    INSERT INTO $name SELECT $table, $rule, $reason, to_json("_row")::VARCHAR FROM ($query) AS "_row"
"""
_COPY_NEW = """
    COPY (
      SELECT "table", rule, reason, $as_of AS as_of, "row",
             md5(concat_ws('|', "table", rule, "row", n)) AS digest
      FROM (SELECT *, row_number() OVER (PARTITION BY "table", rule, "row") AS n FROM $name)
      WHERE $new
    ) TO $to (FORMAT parquet)
"""


def quarantine_bad_rows(
    workspace: Workspace, log: LogTables, *, as_of: datetime, files: Mapping[str, Sequence[File]]
) -> int:
    """Append the bad rows that the quarantine does not hold yet; return how many there were."""
    find_bad_rows(log, as_of=as_of, files=files)
    table = workspace.quarantine
    delta.set_torn_commits_aside(table)
    delta.sweep_left_behind(table, log.folder.parent)
    version = delta.version_of(table)
    known = [file.path for file in delta.files_of(table)] if version is not None else []
    file = table / f"{delta.part_name(log.folder.parent, str(uuid.uuid4()))}.parquet"
    count, size = copy_new_bad_rows(log, file, as_of=as_of, known=known)
    if count == 0:
        file.unlink()
        return 0
    delta.commit(table, NewFiles([DataFile(file, count, size, {})], _SCHEMA), expected=version)
    return count


def find_bad_rows(log: LogTables, *, as_of: datetime, files: Mapping[str, Sequence[File]]) -> None:
    """Make the relation ``bad_rows``: table, rule, reason, row. Needs ``log.cut`` and ``cut_events``."""
    name = x.name(BAD_ROWS)
    log.connection.execute(fill(_CREATE, name=name))
    for table, of_table in files.items():
        log.view(f"bad_{table}", table, of_table)
    later = x.gt(x.column(rows.PLACE), x.integer(1))
    repeated = x.select(x.columns(log.log.impressions), x.table(rows.DUPLICATES), where=[later])
    no_event = rows.lacks_event(as_of, ingested=log.log.has_arrival)
    bad = [
        (rows.IMPRESSIONS, REPEATED_KEY, repeated),
        (rows.IMPRESSIONS, NO_KEY, _select_bad(rows.IMPRESSIONS, rows.lacks_key(as_of))),
        (rows.EVENTS, NO_EVENT, _select_bad(rows.EVENTS, no_event)),
    ]
    if log.log.has_event_ids:
        conflicting = x.select([exp.Star()], x.table(rows.CONFLICTING_EVENTS))
        bad.append((rows.EVENTS, CONFLICTING_EVENT, conflicting))
    for table, rule, query in bad:
        texts = {"table": x.text(table), "rule": x.text(rule), "reason": x.text(REASONS[rule])}
        log.connection.execute(fill(_INSERT, name=name, query=query, **texts))


def copy_new_bad_rows(
    log: LogTables, to: Location, *, as_of: datetime, known: Sequence[Location]
) -> tuple[int, int]:
    """Write the bad rows that no known file holds as Parquet; return how many, and the size in bytes."""
    to.parent.mkdir(parents=True, exist_ok=True)
    digest = x.column("digest")
    seen = x.select([digest], x.call("READ_PARQUET", x.file_names(known)))
    new = x.not_(exp.In(this=digest.copy(), query=exp.Subquery(this=seen))) if known else exp.true()
    instant, name = x.instant(as_of), x.table(BAD_ROWS)
    ((count,),) = log.fetch(_COPY_NEW, name=name, as_of=instant, new=new, to=x.text(to))
    return int(count), size_of(to)


def _select_bad(table: str, condition: exp.Expr) -> exp.Select:
    return x.select([exp.Star()], x.table(f"bad_{table}"), where=[condition])
