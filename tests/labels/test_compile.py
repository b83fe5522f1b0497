"""The compiled SQL against brute force: random contracts on random logs."""

from collections.abc import Iterator
from datetime import datetime

import duckdb
import pytest
from hypothesis import given, settings

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels.compile import Log, labels_sql
from tests.labels import worlds
from tests.labels.reference import Key, Label, Reference, Row

LOG = Log(tuple(worlds.IMPRESSION_TYPES.names), tuple(worlds.EVENT_TYPES.names))


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET threads = 1")
        yield connection


def run(
    engine: duckdb.DuckDBPyConnection,
    spec: TasksSpec,
    impressions: list[Row],
    events: list[Row],
    as_of: datetime,
) -> dict[Key, dict[str, Label]]:
    engine.register("impressions", worlds.impression_table(impressions))
    engine.register("events", worlds.event_table(events))
    rows = engine.sql(labels_sql(spec, as_of, log=LOG)).to_arrow_table().to_pylist()
    assert len({(r["request_id"], r["item_id"]) for r in rows}) == len(rows)
    return {
        (r["request_id"], r["item_id"]): {t: Label(r[t], r[c.status(t)], r[c.at(t)]) for t in spec.tasks}
        for r in rows
    }


@settings(max_examples=100, deadline=None)
@given(worlds.contracts(), worlds.logs(), worlds.as_ofs)
def test_labels_equal_brute_force(
    engine: duckdb.DuckDBPyConnection,
    spec: TasksSpec,
    log: tuple[list[Row], list[Row]],
    as_of: datetime,
) -> None:
    assert run(engine, spec, *log, as_of) == Reference(spec, *log, as_of).labels()
