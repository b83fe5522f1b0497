"""Explains why a snapshot lacks an impression: it is in quarantine, came too late, or was never logged."""

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa

from tasks import columns as c
from tasks.errors import DataError
from tasks.labels.explanation import instant
from tasks.labels.explanation_query import Key, of_key
from tasks.labels.snapshot import Snapshot
from tasks.logs import rows
from tasks.logs.session import open_log, open_session
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import fill
from tasks.stores import delta
from tasks.stores.workspace import Workspace, format_instant

_NEAREST = 3
_ITEMS = 10
_QUARANTINED = """
    SELECT DISTINCT rule, reason, "row" ->> $item AS item FROM read_parquet($files)
    WHERE "table" = 'impressions' AND "row" ->> $request = $wanted ORDER BY ALL
"""


def explain_missing(workspace: Workspace, snapshot: Snapshot, key: Key) -> str:
    """Return what is known of an impression that is not in a snapshot, in sentences."""
    reasons = [*_from_quarantine(workspace, key), *_from_log(workspace, snapshot, key)]
    name = "/".join(map(str, key.values()))
    return " ".join(
        [f"No impression {name} in label snapshot {snapshot.id}.", *(reasons or _name_nearest(snapshot, key))]
    )


def find_shown_at(log: LogTables, key: Key) -> list[datetime | None]:
    """Return the instants of every impression of a key, also of those after any as-of."""
    at = x.column(c.SHOWN_AT)
    query = x.select([at], x.table(rows.IMPRESSIONS), where=[of_key(key)])
    return [shown_at for (shown_at,) in log.fetch("FROM ($shown) ORDER BY 1", shown=query)]


def _from_quarantine(workspace: Workspace, key: Key) -> Iterator[str]:
    table = workspace.quarantine
    if delta.version_of(table) is None:
        return
    query = fill(
        _QUARANTINED,
        files=x.file_names(file.path for file in delta.files_of(table)),
        item=x.text(f"$.{c.ITEM_ID}"),
        request=x.text(f"$.{c.REQUEST_ID}"),
        wanted=x.text(key[c.REQUEST_ID]),
    )
    with open_session(workspace) as connection:
        quarantined = connection.sql(query).fetchall()
    for rule, reason, item in quarantined:
        if item == str(key[c.ITEM_ID]):
            yield f"It is in quarantine ({rule}): {reason}."
        elif item is None:
            yield f"An impression of this request without item_id is in quarantine ({rule}): {reason}."


def _from_log(workspace: Workspace, snapshot: Snapshot, key: Key) -> Iterator[str]:
    try:
        with open_log(workspace) as log:
            times = [at for at in find_shown_at(log, key) if at is not None]
    except DataError:  # the log cannot be read, so it gives no reason
        return
    if times:
        at = min(times)
        if at >= snapshot.as_of:
            reason = f"not before the as-of, {format_instant(snapshot.as_of)}"
        else:
            reason = "it came after the build, or its day was not built"
        yield f"The log has it, shown {instant(at)}: {reason}."


def _name_nearest(snapshot: Snapshot, key: Key) -> Iterator[str]:
    request, item = x.column(c.REQUEST_ID), x.column(c.ITEM_ID)
    of_request = of_key({c.REQUEST_ID: key[c.REQUEST_ID]})
    query = x.select([item], x.table("rows"), where=[of_request])
    if items := _join(snapshot.query(x.order_by(query, [item], limit=_ITEMS))):
        yield f"Items of this request: {items}."
        return
    text = x.cast(request.copy(), "VARCHAR")
    likeness = x.call("JARO_WINKLER_SIMILARITY", text, x.text(key[c.REQUEST_ID]))
    query = x.select([request], x.table("rows"), group=[request])
    nearest = snapshot.query(x.order_by(query, [x.descending(likeness)], limit=_NEAREST))
    yield f"Its request is not known either; the nearest: {_join(nearest)}."


def _join(table: pa.Table | None) -> str:
    return ", ".join(str(value) for value in table.column(0).to_pylist()) if table is not None else ""
