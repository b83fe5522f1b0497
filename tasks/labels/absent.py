"""What is said of an impression that a snapshot does not have: quarantined, too late, or never there."""

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.errors import DataError
from tasks.labels.explanation import instant
from tasks.labels.explanation_query import Key, of_key
from tasks.labels.impression import shown_at
from tasks.labels.snapshot import Snapshot
from tasks.logs.session import open_log, open_session
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


def why_missing(workspace: Workspace, snapshot: Snapshot, key: Key) -> str:
    """Say what is known of an impression that is not in a snapshot."""
    known = [*_quarantined(workspace, key), *_in_log(workspace, snapshot, key)]
    reasons = known or [*_nearest(snapshot, key)]
    return " ".join(
        [f"No impression {'/'.join(map(str, key.values()))} in label snapshot {snapshot.id}.", *reasons]
    )


def _quarantined(workspace: Workspace, key: Key) -> Iterator[str]:
    table = workspace.quarantine
    if delta.version_of(table) is None:
        return
    with open_session(workspace) as connection:
        found = connection.sql(
            fill(
                _QUARANTINED,
                files=x.texts(file.path for file in delta.files_of(table)),
                item=x.text(f"$.{c.ITEM_ID}"),
                request=x.text(f"$.{c.REQUEST_ID}"),
                wanted=x.text(key[c.REQUEST_ID]),
            )
        ).fetchall()
    for rule, reason, item in found:
        if item == str(key[c.ITEM_ID]):
            yield f"It is in quarantine ({rule}): {reason}."
        elif item is None:
            yield f"An impression of this request without item_id is in quarantine ({rule}): {reason}."


def _in_log(workspace: Workspace, snapshot: Snapshot, key: Key) -> Iterator[str]:
    try:
        with open_log(workspace) as log:
            shown = shown_at(log, key)
    except DataError:  # without a log nothing is said of it
        return
    times = [at for at in shown if at is not None]
    if times:
        yield _not_built(min(times), snapshot)


def _not_built(at: datetime, snapshot: Snapshot) -> str:
    if at >= snapshot.as_of:
        return f"The log has it, shown {instant(at)}: not before the as-of, {format_instant(snapshot.as_of)}."
    return f"The log has it, shown {instant(at)}: it came after the build, or its day was not built."


def _nearest(snapshot: Snapshot, key: Key) -> Iterator[str]:
    request, item = x.column(c.REQUEST_ID), x.column(c.ITEM_ID)
    of_request = of_key({c.REQUEST_ID: key[c.REQUEST_ID]})
    items = snapshot.query(_first(x.select([item], x.table("rows"), where=[of_request]), item, _ITEMS))
    if listed := _listed(items):
        yield f"Items of this request: {listed}."
        return
    text = x.cast(request.copy(), "VARCHAR")
    alike = x.call("JARO_WINKLER_SIMILARITY", text, x.text(key[c.REQUEST_ID]))
    requests = x.select([request], x.table("rows"), group=[request])
    nearest = snapshot.query(_first(requests, alike, _NEAREST, least=False))
    yield f"Its request is not known either; the nearest: {_listed(nearest)}."


def _first(query: exp.Select, by: exp.Expr, number: int, *, least: bool = True) -> exp.Select:
    return x.order_by(query, [(x.ascending if least else x.descending)(by)], limit=number)


def _listed(found: pa.Table | None) -> str:
    return ", ".join(str(value) for value in found.column(0).to_pylist()) if found is not None else ""
