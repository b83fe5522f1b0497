"""Explains the labels of one impression.

::

    REQUEST_ID/ITEM_ID -> row in the snapshot -> the same row labelled again from the log -> sentences

The row is labelled again by the relations of a build, as of the snapshot's as-of. If the log has changed
since, the two may differ, and the explanation reports this.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.errors import DataError
from tasks.labels.compile import compile_days
from tasks.labels.explanation import (
    Facts,
    Key,
    LabelValue,
    explain_tasks,
    instant,
    list_changed_tasks,
    of_key,
    plain,
    read_facts,
)
from tasks.labels.explanation_text import describe_label, describe_task
from tasks.labels.query import Horizon, cut_near, find_label_days, make_relations
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.logs import rows
from tasks.logs.arrival import find_arrived
from tasks.logs.session import open_log, open_session
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.stores import delta
from tasks.stores.workspace import Workspace, format_instant

Row = dict[str, Any]
Json = dict[str, Any]
_NEAREST = 3
_ITEMS = 10

_QUARANTINED = """
    SELECT DISTINCT rule, reason, "row" ->> $item AS item FROM read_parquet($files)
    WHERE "table" = 'impressions' AND "row" ->> $request = $wanted ORDER BY ALL
"""


@dataclass(frozen=True)
class ExplainResult:
    """One impression's labels with reasons; ``agrees`` is whether the current log gives the same labels."""

    snapshot: str
    as_of: str
    request_id: str | int
    item_id: str | int
    user_id: str | int | None
    shown_at: str | None
    agrees: bool
    notes: list[str]
    tasks: dict[str, Json]


def explain(workspace: Workspace, *, impression: str, snapshot: str | None = None) -> ExplainResult:
    """Explain the labels of an impression in a snapshot, by default of the newest build.

    Parameters
    ----------
    impression
        ``REQUEST_ID/ITEM_ID``, split at the last slash; ``%2F`` is a slash inside an item id.

    Raises
    ------
    DataError
        The snapshot does not contain the impression, or the log no longer does.
    """
    source = LabelStore(workspace.store, workspace.surface).find(snapshot)
    key = _parse_key(impression, source.schema())
    rows = source.query(x.select([exp.Star()], x.table("rows"), where=[of_key(key)]))
    stored = next(iter(rows.to_pylist()), None) if rows is not None else None
    if stored is None:
        raise DataError(explain_missing(workspace, source, key))
    labels = {t: LabelValue(stored[t], stored[c.status(t)], stored[c.at(t)]) for t in source.tasks()}
    with open_log(workspace) as log:
        arrived = find_arrived(log, as_of=source.as_of)
        facts = _read_facts(log, key, stored[c.DAY], source.as_of, arrived)
    if facts is None:
        raise DataError(_gone(key, source, labels))
    contracts, shown_at = workspace.contracts.tasks, facts.row[c.SHOWN_AT]
    instants = {"shown_at": shown_at, "as_of": source.as_of, "arrived": arrived}
    return ExplainResult(
        snapshot=source.id,
        as_of=format_instant(source.as_of),
        request_id=plain(key[c.REQUEST_ID]),
        item_id=plain(key[c.ITEM_ID]),
        user_id=facts.row[c.USER_ID],
        shown_at=instant(shown_at),
        agrees=not list_changed_tasks(labels, facts.labels),
        notes=list(_notes(workspace, source, facts, labels)),
        tasks={
            task: {**one.to_json(), "words": describe_task(one, contracts.tasks[task], **instants)}
            for task, one in explain_tasks(contracts, facts).items()
        },
    )


def _read_facts(log: LogTables, key: Key, day: date, as_of: datetime, arrived: datetime) -> Facts | None:
    """Label the days around a day again, and read the facts about one impression."""
    tasks, horizon = log.contracts.tasks, Horizon(as_of, arrived)
    days = find_label_days(tasks, [day])
    cut_near(log, days, as_of=as_of)
    query = compile_days(log, tasks, horizon=horizon, days=days, labels_only=False)
    make_relations(log, query)
    return read_facts(log, query, key, horizon=horizon)


def _parse_key(impression: str, schema: pa.Schema) -> Key:
    request, slash, item = impression.rpartition("/")
    if not slash or not request or not item:
        raise DataError(
            f"'{impression}' does not name an impression. Write REQUEST_ID/ITEM_ID, as in r-17/42: "
            "the last slash divides, and %2F is a slash inside an item id"
        )
    written = {c.REQUEST_ID: request, c.ITEM_ID: item.replace("%2F", "/")}
    return {name: _value(name, text, schema) for name, text in written.items()}


def _value(name: str, text: str, schema: pa.Schema) -> str | int:
    if not pa.types.is_integer(schema.field(name).type):
        return text
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{name} is a whole number on this surface, and '{text}' is not") from None


def _gone(key: Key, snapshot: Snapshot, labels: dict[str, LabelValue]) -> str:
    stored = ", ".join(f"{task} {describe_label(label)}" for task, label in labels.items())
    return (
        f"{'/'.join(map(str, key.values()))} is in label snapshot {snapshot.id} ({stored}) and no longer in "
        "the log: it cannot be explained"
    )


def _notes(
    workspace: Workspace, snapshot: Snapshot, facts: Facts, stored: dict[str, LabelValue]
) -> Iterator[str]:
    """Yield what else to know: duplicates of the impression, another contract, and changed labels."""
    if number := len(facts.duplicates):
        others = "Another impression has" if number == 1 else f"{number} other impressions have"
        yield (
            f"{others} the same request_id and item_id. This one takes part, the earliest; the rest is "
            "in quarantine (repeated_key)."
        )
    tasks, digest = workspace.contracts.tasks, workspace.contracts.digests["tasks"]
    if digest != snapshot.contract_digest:
        yield (
            f"The snapshot was built under another tasks.yaml (digest {snapshot.contract_digest[:12]}). This "
            f"explains what version {tasks.version} ({digest[:12]}) gives on the same log."
        )
    for task in list_changed_tasks(stored, facts.labels):
        now = facts.labels[task]
        yield (
            f"{task}: the snapshot says {_in_full(stored[task])}, and the log now says {_in_full(now)}. "
            f"The log has changed since {snapshot.id} was built, or an earlier build left its day out."
        )


def _in_full(label: LabelValue) -> str:
    return describe_label(label) + (f" (by the event at {instant(label.at)})" if label.at else "")


def explain_missing(workspace: Workspace, snapshot: Snapshot, key: Key) -> str:
    """Explain in sentences why an impression is not in a snapshot."""
    reasons = [*_from_quarantine(workspace, key), *_from_log(workspace, snapshot, key)]
    name = "/".join(map(str, key.values()))
    return " ".join(
        [f"No impression {name} in label snapshot {snapshot.id}.", *(reasons or _name_nearest(snapshot, key))]
    )


def find_shown_at(log: LogTables, key: Key) -> list[datetime | None]:
    """Return the instants of every impression with a key, including those after the as-of."""
    at = x.column(c.SHOWN_AT)
    query = x.select([at], x.table(rows.IMPRESSIONS), where=[of_key(key)])
    return [shown_at for (shown_at,) in log.fetch("FROM ($shown) ORDER BY 1", shown=query)]


def _from_quarantine(workspace: Workspace, key: Key) -> Iterator[str]:
    table = workspace.quarantine
    if delta.version_of(table) is None:
        return
    query = x.fill(
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
    except DataError:  # the log cannot be read, so there is no reason to report
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
