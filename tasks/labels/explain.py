"""Telling why the labels of one impression are what they are.

::

    REQUEST_ID/ITEM_ID -> its row in the snapshot -> the same row made again from the log -> words

The row is made again by the relations that the labels are built with, as of the snapshot's as-of. Where the
log has changed since, the two say different things, and the explanation says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.errors import DataError
from tasks.labels.absent import why_missing
from tasks.labels.explanation import Explanation, Facts, Impression, Label, changed, instant, plain, stories
from tasks.labels.explanation_query import Key, of_key
from tasks.labels.explanation_text import said, told
from tasks.labels.export import find
from tasks.labels.impression import row_facts
from tasks.labels.snapshot import Snapshot
from tasks.logs.session import open_log
from tasks.sql import expressions as x
from tasks.stores.workspace import Workspace, format_instant

Row = dict[str, Any]
Json = dict[str, Any]


@dataclass(frozen=True)
class ExplainResult:
    """One impression's labels, each with its reason; ``agrees`` says that the log still says the same."""

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
    """Explain the labels of an impression of a snapshot, by default of the newest build.

    Parameters
    ----------
    impression
        ``REQUEST_ID/ITEM_ID``. The last slash divides; ``%2F`` is a slash inside an item id.

    Raises
    ------
    DataError
        The snapshot has no such impression, or the log has it no longer.
    """
    found = find(workspace, snapshot)
    key = _key(impression, found.schema())
    stored = _stored(found, key)
    if stored is None:
        raise DataError(why_missing(workspace, found, key))
    labels = {task: Label(stored[task], stored[c.status(task)], stored[c.at(task)]) for task in found.tasks()}
    with open_log(workspace) as log:
        facts = row_facts(log, key, as_of=found.as_of, day=stored[c.DAY])
    if facts is None:
        raise DataError(_gone(key, found, labels))
    notes = [*_of_twins(len(facts.twins)), *_of_contract(workspace, found), *_of_log(facts, labels, found)]
    shown = Impression(key[c.REQUEST_ID], key[c.ITEM_ID], facts.row[c.SHOWN_AT])
    whole = Explanation(
        shown, facts.row[c.USER_ID], found.id, found.as_of, stories(workspace.contracts.tasks, facts)
    )
    return _result(workspace, whole, notes, agrees=not changed(labels, facts.labels))


def _key(impression: str, schema: pa.Schema) -> Key:
    request, slash, item = impression.rpartition("/")
    if not slash or not request or not item:
        raise DataError(
            f"'{impression}' names no impression. Write REQUEST_ID/ITEM_ID, as in r-17/42: "
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
        raise DataError(f"{name} is a whole number on this surface, and '{text}' is none") from None


def _stored(snapshot: Snapshot, key: Key) -> Row | None:
    rows = snapshot.query(x.select([exp.Star()], x.table("rows"), where=[of_key(key)]))
    found: list[Row] = rows.to_pylist() if rows is not None else []
    return found[0] if found else None


def _gone(key: Key, snapshot: Snapshot, labels: dict[str, Label]) -> str:
    stored = ", ".join(f"{task} {said(label)}" for task, label in labels.items())
    return (
        f"{'/'.join(map(str, key.values()))} is in label snapshot {snapshot.id} ({stored}) and no longer in "
        "the log: there is nothing to explain it from"
    )


def _of_twins(number: int) -> Iterator[str]:
    if number:
        others = "Another impression has" if number == 1 else f"{number} other impressions have"
        yield (
            f"{others} the same request_id and item_id. This is the one that stays, the earliest; the rest "
            "is in quarantine (repeated_key)."
        )


def _of_contract(workspace: Workspace, snapshot: Snapshot) -> Iterator[str]:
    tasks, digest = workspace.contracts.tasks, workspace.contracts.digests["tasks"]
    if digest != snapshot.contract_digest:
        yield (
            f"The snapshot was built under another tasks.yaml (digest {snapshot.contract_digest[:12]}). This "
            f"explains what version {tasks.version} ({digest[:12]}) says of the same log."
        )


def _of_log(facts: Facts, stored: dict[str, Label], snapshot: Snapshot) -> Iterator[str]:
    for task in changed(stored, facts.labels):
        now = facts.labels[task]
        yield (
            f"{task}: the snapshot says {_in_full(stored[task])}, and the log now says {_in_full(now)}. "
            f"The log has changed since {snapshot.id} was built, or its day was left behind by a build "
            "that was confined to others."
        )


def _in_full(label: Label) -> str:
    return said(label) + (f" (by the event at {instant(label.at)})" if label.at else "")


def _result(workspace: Workspace, whole: Explanation, notes: list[str], *, agrees: bool) -> ExplainResult:
    tasks = workspace.contracts.tasks.tasks
    return ExplainResult(
        snapshot=whole.snapshot,
        as_of=format_instant(whole.as_of),
        request_id=plain(whole.impression.request_id),
        item_id=plain(whole.impression.item_id),
        user_id=whole.user_id,
        shown_at=instant(whole.impression.shown_at),
        agrees=agrees,
        notes=notes,
        tasks={
            task: {**story.to_json(), "words": told(whole, task, tasks[task])}
            for task, story in whole.tasks.items()
        },
    )
