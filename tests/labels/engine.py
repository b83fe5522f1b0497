"""Runs compiled labels on tables given as rows, and returns them by key and task."""

from datetime import datetime
from typing import Any

import duckdb

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels.compile import label_query
from tasks.labels.query import Form, Horizon
from tasks.logs.tables import Log
from tasks.sql.expressions import render
from tests.labels import worlds
from tests.labels.reference import Key, Label, Row

LOG = Log(tuple(worlds.IMPRESSION_TYPES.names), tuple(worlds.EVENT_TYPES.names))


def rows(
    engine: duckdb.DuckDBPyConnection,
    spec: TasksSpec,
    log: tuple[list[Row], list[Row]],
    as_of: datetime,
    form: Form | None = None,
    *,
    labels_only: bool = False,
) -> dict[Key, Row]:
    """Label impressions by their events, and return the rows by key.

    Every column of ``worlds`` must be there. Credit is found in a form where there are two, else as usual.
    """
    engine.register("impressions", worlds.impression_table(log[0]))
    engine.register("events", worlds.event_table(log[1]))
    query = label_query(
        spec, Horizon.whole(as_of), log=LOG, forms=all_in(form, spec), labels_only=labels_only
    )
    found = engine.sql(render(query.statement())).to_arrow_table().to_pylist()
    by_key = {(r["request_id"], r["item_id"]): r for r in found}
    assert len(by_key) == len(found)
    return by_key


def read_labels(spec: TasksSpec, labelled: dict[Key, Row]) -> dict[Key, dict[str, Label]]:
    """Return by key and task the labels in rows."""
    return {
        key: {t: Label(row[t], row[c.status(t)], row[c.at(t)]) for t in spec.tasks}
        for key, row in labelled.items()
    }


def all_in(form: Form | None, spec: TasksSpec) -> dict[str, Form]:
    """Return that everything is credited in this form that can be."""
    query = label_query(spec, Horizon.whole(None), log=LOG)
    credited = (crediting for of_task in query.creditings.values() for crediting in of_task)
    return {crediting.name: form for crediting in credited if form is not None and form in crediting.forms}


def tasks(**contracts: dict[str, Any]) -> TasksSpec:
    """Return a contract of these tasks; a family need not be given."""
    named = {name: {"family": "engagement", **task} for name, task in contracts.items()}
    return TasksSpec.model_validate({"contract": "by-hand", "version": 1, "tasks": named})


class Story:
    """A few impressions and events written at hours after the start, and their labels."""

    def __init__(self, engine: duckdb.DuckDBPyConnection) -> None:
        self._engine = engine
        self.impressions: list[Row] = []
        self.events: list[Row] = []

    def shown(self, request: str | None, hour: float | None, item: int | None = 1, **more: Any) -> "Story":
        """Show item 1 to user u at an hour, in position 1 and visible."""
        due = worlds.at_hour(more.pop("due", None))
        row = {"user_id": "u", "position": 1, "visible": True, "kind": "x", "due": due, **more}
        self.impressions.append(
            {"request_id": request, "item_id": item, "shown_at": worlds.at_hour(hour), **row}
        )
        return self

    def event(self, name: str | None, hour: float | None, item: int | None = 1, **more: Any) -> "Story":
        """Let user u do something to item 1 at an hour; ``ingested`` is an hour, too."""
        arrived = worlds.at_hour(more.pop("ingested", None))
        row = {"user_id": "u", "request_id": None, "kind": None, "value": None, **more}
        happened = {"event": name, "happened_at": worlds.at_hour(hour), "ingested_at": arrived}
        self.events.append({"item_id": item, **happened, **row})
        return self

    def labels(
        self, spec: TasksSpec, *, as_of: float = 1000.0, form: Form | None = None
    ) -> dict[Key, dict[str, Label]]:
        """Label as of an hour."""
        instant = worlds.at_hour(as_of)
        assert instant is not None
        return read_labels(spec, rows(self._engine, spec, (self.impressions, self.events), instant, form))

    def told(
        self, spec: TasksSpec, task: str, *, as_of: float = 1000.0, form: Form | None = None
    ) -> dict[Any, Any]:
        """Return by request what a task says: the label where there is one, else the status."""
        found = {key[0]: label[task] for key, label in self.labels(spec, as_of=as_of, form=form).items()}
        return {r: x.status if x.value is None else x.value for r, x in found.items()}

    def hours(self, spec: TasksSpec, task: str, *, as_of: float = 1000.0) -> dict[Any, float | None]:
        """Return by request the hour of the crediting event."""
        found = {key[0]: label[task].at for key, label in self.labels(spec, as_of=as_of).items()}
        return {r: None if x is None else (x - worlds.START).total_seconds() / 3600 for r, x in found.items()}
