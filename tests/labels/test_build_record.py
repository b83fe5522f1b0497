"""The record of a build: as JSON and back, also where sums exceed a double."""

import json
from datetime import UTC, date, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest

from tasks.labels.build_record import Build, Day, combine_sums, content_digest, row_hash, snapshot_id
from tasks.logs.days import DaySum
from tasks.sql.templates import fill

FIFTH = date(2024, 3, 5)
BUILD = Build(
    datetime(2024, 3, 5, 12, tzinfo=UTC),
    "contract",
    ("request_id VARCHAR", "item_id BIGINT"),
    {FIFTH: Day(100, 7), date(2024, 3, 6): Day(1, 2**127 + 1, left_behind=True)},
    {FIFTH: DaySum(100, 2**90 + 1)},
    {(FIFTH, "buy"): DaySum(1, 2**100 + 1), (FIFTH, "click"): DaySum(2, 3)},
)
AT = datetime(2024, 3, 1, 12, tzinfo=UTC)
ROW = {
    "request_id": "r", "item_id": 7, "shown_at": AT, "price": 1.5,
    "click": 1, "click__status": "observed", "click__at": AT, "spend": 0.1, "spend__status": "observed", "spend__at": None,
}  # fmt: skip
SCHEMA = pa.schema([(name, pa.string()) for name in ROW])
TYPES = {
    "click": "TINYINT",
    "spend": "DOUBLE",
    "price": "DOUBLE",
    "click__at": "TIMESTAMPTZ",
    "spend__at": "TIMESTAMPTZ",
}


def test_a_build_is_read_as_it_was_written() -> None:
    assert Build.from_json(json.loads(json.dumps(BUILD.to_json()))) == BUILD


def test_the_record_has_the_form_that_stores_hold() -> None:
    """Builds of earlier versions are read as the last build of a store: this form is not to change."""
    assert BUILD.to_json() == {
        "as_of": "2024-03-05T12:00:00+00:00",
        "contract": "contract",
        "columns": ["request_id VARCHAR", "item_id BIGINT"],
        "days": {
            "2024-03-05": [100, "7", False],
            "2024-03-06": [1, str(2**127 + 1), True],
        },
        "impressions": {"2024-03-05": [100, str(2**90 + 1)]},
        "events": {"2024-03-05": {"buy": [1, str(2**100 + 1)], "click": [2, "3"]}},
    }


def digest(engine: duckdb.DuckDBPyConnection, **changed: object) -> int:
    row = ROW | changed
    values = ", ".join(f'${name}::{TYPES.get(name, "VARCHAR")} AS "{name}"' for name in row)
    sql = fill("SELECT $hashed, hash($hashed) FROM row", hashed=row_hash(SCHEMA))
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
    as_it_was = content_digest(2, [digest(engine), digest(engine, request_id="s", price=2.5)])
    assert as_it_was != content_digest(2, [digest(engine, price=2.5), digest(engine, request_id="s")])


def test_the_order_of_the_rows_does_not_count() -> None:
    sums = [2**127 + 5, 2**127 + 6, 11]
    assert content_digest(3, sums) == content_digest(3, reversed(sums)) == content_digest(3, [22])


def test_a_snapshot_is_its_contract_its_instant_and_its_content() -> None:
    content = content_digest(3, [42])
    names = {
        snapshot_id("contract", AT, content),
        snapshot_id("another", AT, content),
        snapshot_id("contract", AT + timedelta(seconds=1), content),
        snapshot_id("contract", AT, content_digest(4, [42])),
    }
    assert len(names) == 4
    assert all(len(name) == 16 for name in names)


def test_an_instant_is_the_same_in_every_zone() -> None:
    berlin = datetime.fromisoformat("2024-03-01T13:00:00+01:00")
    assert snapshot_id("contract", AT, "content") == snapshot_id("contract", berlin, "content")
