"""A snapshot's rows, as they are read."""

import pyarrow.compute as pc
import pytest

from tasks.errors import DataError
from tasks.labels.snapshot import Snapshot
from tests.feeds.days_of_logs import day


def test_rows_come_in_one_order_and_of_some_days(newest: Snapshot) -> None:
    columns = ["shown_at", "request_id", "item_id", "ds"]
    table = newest.read(columns, first_day=day(3), last_day=day(4))
    assert table.column_names == columns
    keys = [tuple(row.values())[:3] for row in table.to_pylist()]
    assert keys == sorted(keys)
    assert set(table.column("ds").to_pylist()) == {day(3), day(4)}


def test_days_that_are_not_there_are_empty_and_typed(newest: Snapshot) -> None:
    table = newest.read(["shown_at", "click"], first_day=day(20))
    assert table.num_rows == 0
    assert [str(field.type) for field in table.schema] == ["timestamp[us, tz=UTC]", "int8"]


def test_rows_can_be_chosen_by_a_condition(newest: Snapshot) -> None:
    table = newest.read(["click"], where="click__status = 'observed' AND kind = 'x'")
    assert table.num_rows > 0
    assert table.column("click").null_count == 0


def test_a_column_that_is_not_there_is_named(newest: Snapshot) -> None:
    with pytest.raises(DataError, match=r"Unknown column 'clik'.*Did you mean 'click'"):
        newest.read(["clik"])


def test_days_count_rows_observed_and_positive(newest: Snapshot) -> None:
    days = newest.days()
    assert days.column("ds").to_pylist() == [day(n) for n in range(1, 9)]
    assert pc.sum(days.column("rows")).as_py() == newest.rows
    clicks = newest.read(["ds", "click"]).to_pylist()
    for row in days.to_pylist():
        told = [c["click"] for c in clicks if c["ds"] == row["ds"] and c["click"] is not None]
        assert (row["click__observed"], row["click__positive"]) == (len(told), sum(told))
