"""The identity of a snapshot: what counts, and what does not."""

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from tasks.labels.digest import add_sums, combine_sums, content_digest, row_hash, snapshot_id
from tasks.sql.templates import fill
from tests.labels.engine import tasks

SPEC = tasks(
    click={"positive": {"event": "click", "within": "PT1H"}},
    spend={"kind": "value", "value": {"event": "buy", "within": "P1D", "aggregate": "sum"}},
)
NAMES = ("request_id", "item_id", "shown_at", "price")
AT = datetime(2024, 3, 1, 12, tzinfo=UTC)
ROW = {
    "request_id": "r", "item_id": 7, "shown_at": AT, "price": 1.5,
    "click": 1, "click__status": "observed", "click__at": AT, "spend": 0.1, "spend__status": "observed", "spend__at": None,
}  # fmt: skip
TYPES = {
    "click": "TINYINT",
    "spend": "DOUBLE",
    "price": "DOUBLE",
    "click__at": "TIMESTAMPTZ",
    "spend__at": "TIMESTAMPTZ",
}


def digest(engine: duckdb.DuckDBPyConnection, **changed: object) -> int:
    row = ROW | changed
    values = ", ".join(f'${name}::{TYPES.get(name, "VARCHAR")} AS "{name}"' for name in row)
    sql = fill("SELECT $hashed, hash($hashed) FROM row", hashed=row_hash(SPEC, NAMES))
    return combine_sums(*engine.execute(f"WITH row AS (SELECT {values}) {sql}", row).fetchall()[0])


@pytest.mark.parametrize(
    "change",
    [
        {"request_id": "s"}, {"click": 0}, {"click": None}, {"click": None, "click__status": "excluded", "click__at": None}, {"spend": 0.1 + 1e-17 * 2},
        {"click__at": AT + timedelta(microseconds=1)}, {"click__at": None}, {"spend": None}, {"price": 2.5},
    ],
)  # fmt: skip
def test_every_change_of_a_label_or_a_feature_makes_another_digest(
    engine: duckdb.DuckDBPyConnection, change: dict[str, object]
) -> None:
    assert digest(engine, **change) != digest(engine)


def test_two_rows_that_change_places_in_a_column_make_another_sum(engine: duckdb.DuckDBPyConnection) -> None:
    as_it_was = add_sums(digest(engine), digest(engine, request_id="s", price=2.5))
    assert as_it_was != add_sums(digest(engine, price=2.5), digest(engine, request_id="s"))


def test_the_order_of_the_rows_does_not_count() -> None:
    sums = (2**127 + 5, 2**127 + 6, 11)
    assert (
        add_sums(add_sums(sums[0], sums[1]), sums[2])
        == add_sums(sums[2], add_sums(sums[1], sums[0]))
        < 2**128
    )


def test_a_snapshot_is_its_contract_its_instant_and_its_content() -> None:
    content = content_digest(3, 42)
    names = {
        snapshot_id("contract", AT, content),
        snapshot_id("another", AT, content),
        snapshot_id("contract", AT + timedelta(seconds=1), content),
        snapshot_id("contract", AT, content_digest(4, 42)),
    }
    assert len(names) == 4
    assert all(len(name) == 16 for name in names)


def test_an_instant_is_the_same_in_every_zone() -> None:
    berlin = datetime.fromisoformat("2024-03-01T13:00:00+01:00")
    assert snapshot_id("contract", AT, "content") == snapshot_id("contract", berlin, "content")
