"""The columns of a log, and which of them labels are made from."""

from decimal import Decimal

import pyarrow as pa
import pytest

from tasks.evaluation.segments import spell_value
from tasks.logs.schema import Log, contract_log, event_columns, match_columns, to_frame
from tests.labels import worlds
from tests.labels.engine import tasks

CLICK = {"positive": {"event": "click", "within": "PT30M"}}
PURCHASE = {
    "positive": {"event": "buy", "within": "P7D", "match": ["user_id", "kind"], "credit": "last_touch"}
}


def test_match_columns_are_those_of_rules_and_exclusions() -> None:
    out = [{"event": "stock", "on": ["shop"]}, {"event": "moved", "on": "item"}]
    assert match_columns(tasks(buy={**PURCHASE, "exclude": out})) == ("user_id", "kind", "shop", "item_id")


def test_contracts_alone_tell_the_columns() -> None:
    surface = worlds.surface(features={"numeric": ["price"]}, segments=["source"], values=["margin"])
    spec = tasks(click={**CLICK, "observed_when": {"column": "visible"}}, buy=PURCHASE)
    log = contract_log(surface, spec)
    assert {"price", "source", "margin", "visible", "kind"} <= set(log.impressions)
    assert {"event", "kind", "value", "ingested_at"} <= set(log.events)


def test_labels_are_made_from_match_columns_value_and_arrival_in_the_order_of_the_log() -> None:
    log = Log(("request_id",), ("device", "value", "kind", "event", "happened_at", "user_id", "ingested_at"))
    assert event_columns(tasks(buy=PURCHASE), log) == (
        "value", "kind", "event", "happened_at", "user_id", "ingested_at",
    )  # fmt: skip
    assert log.has_arrival
    assert not Log((), ("event",)).has_arrival


LARGE = 2**53 + 1


@pytest.mark.parametrize("column", ["user_id", "creator_id"])
@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64()])
def test_large_numbers_beside_null_keep_every_digit(column: str, kind: pa.DataType) -> None:
    table = pa.table({"item_id": ["a", "b", "c"], column: pa.array([LARGE, None, LARGE - 1], kind)})
    assert to_frame(table)[column].tolist() == [LARGE, None, LARGE - 1]


def test_small_ones_are_floats_but_for_users_whose_names_they_are() -> None:
    frame = to_frame(pa.table({"user_id": [5, None], "price": [5, None]}))
    assert frame["user_id"].tolist() == [5, None]
    assert frame["price"].dtype == float


def test_of_columns_with_the_same_name_each_keeps_its_own() -> None:
    table = pa.table([pa.array([LARGE, None]), pa.array([1, 2])], names=["x", "x"])
    assert to_frame(table).iloc[:, 0].tolist() == [LARGE, None]
    assert to_frame(table).iloc[:, 1].tolist() == [1, 2]


def test_decimal_numbers_are_those_that_were_trained_on_and_ids_keep_every_digit() -> None:
    size, many = pa.decimal128(12, 2), pa.decimal128(38, 0)
    table = pa.table({"size": pa.array([3, None], size), "item_id": pa.array([10**30, 10**30 + 1], many)})
    frame = to_frame(table)
    assert spell_value(frame["size"][0]) == "3"
    assert frame["item_id"].tolist() == [Decimal(10**30), Decimal(10**30 + 1)]
