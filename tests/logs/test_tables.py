"""The log tables of a session: their types, the rows that are read, and the cut.

The columns of a log, and which of them labels are made from.
"""

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import DataError
from tasks.evaluation.segments import spell_value
from tasks.logs.tables import Log, contract_log, event_columns, match_columns, to_frame
from tasks.sql import expressions as x
from tests.labels import worlds
from tests.labels.engine import tasks
from tests.logs.small_log import SPEC, START, Shop, at, contracts, events, impressions, instants, refused


def test_a_number_that_no_store_holds_is_the_logs_fault(shop: Shop) -> None:
    shop.put("impressions", impressions(big=pa.array([2**63] * 6, pa.uint64())))
    with pytest.raises(DataError, match="9223372036854775808"), shop.opened() as log:
        log.read("impressions", ["big"], as_of=at(1000))


def test_rows_that_are_read_come_in_one_order_once_a_key(shop: Shop) -> None:
    shop.put("impressions", impressions().take([5, 3, 1, 0, 2, 4]), impressions(position=[3] * 6).slice(0, 2))
    with shop.opened() as log:
        found = log.read("impressions", ["request_id", "item_id", "position"], as_of=at(30))
    rows = [("q", 1, 1), ("q", 2, 2), ("r", 1, 1), ("r", 2, 2)]
    assert [tuple(row.values()) for row in found.to_pylist()] == rows


def test_rows_are_read_of_some_days(shop: Shop) -> None:
    with shop.opened() as log:
        found = log.read("impressions", ["request_id"], as_of=at(1000), first_day=date(2024, 3, 2))
        assert found.column("request_id").to_pylist() == ["s", "s"]
        found = log.read("events", ["event"], as_of=at(1000), last_day=date(2024, 3, 1))
        assert found.column("event").to_pylist() == ["click", "click", "buy"]


def test_events_are_read_as_known(shop: Shop) -> None:
    shop.put("events", events(ingested_at=instants(None, 9, None, None)))
    with shop.opened() as log:
        assert log.read("events", ["event"], as_of=at(6)).column("event").to_pylist() == ["click", "buy"]


def test_a_column_that_is_not_there_is_named(shop: Shop) -> None:
    with shop.opened() as log, pytest.raises(DataError, match=r"Unknown column 'prize' in impressions"):
        log.read("impressions", ["prize"], as_of=START)


def test_candidates_are_read_where_they_are_logged(shop: Shop) -> None:
    sources = {**contracts().surface.sources.model_dump(), "candidates": "shop/candidates"}
    shop.contracts = contracts(SPEC, sources=sources)
    shop.put("candidates", impressions(shown=[True, False] * 3))
    with shop.opened() as log:
        found = log.read("candidates", ["item_id", "shown"], as_of=at(1), last_day=date(2024, 3, 1))
    assert found.to_pylist() == [{"item_id": 1, "shown": True}, {"item_id": 2, "shown": False}]


def test_candidates_say_which_were_shown(shop: Shop) -> None:
    sources = {**contracts().surface.sources.model_dump(), "candidates": "shop/candidates"}
    shop.contracts = contracts(SPEC, sources=sources)
    shop.put("candidates", impressions())
    assert "Missing column 'shown' in candidates" in refused(shop)


def test_types_that_no_store_holds_are_read_as_ones_that_it_does(shop: Shop) -> None:
    shop.put(
        "impressions",
        impressions(
            shown_at=instants(0, 0, 1, 1, 30, 30).cast(pa.timestamp("ns", "UTC")),
            kind=pa.array(["x", "y"] * 3).dictionary_encode(),
            tiny=pa.array([1] * 6, pa.uint8()),
            big=pa.array([2**40] * 6, pa.uint64()),
            nothing=pa.nulls(6),
        ),
    )
    with shop.opened() as log:
        table = log.read("impressions", list(log.log.impressions), as_of=at(1000))
    types = {field.name: str(field.type) for field in table.schema}
    assert types["shown_at"] == "timestamp[us, tz=UTC]"
    assert (types["kind"], types["tiny"], types["big"]) == ("string", "int16", "int64")
    assert "nothing" not in types


def test_nanoseconds_are_rounded_down_so_that_a_day_holds_its_last(shop: Shop) -> None:
    """Programs write the last nanosecond of a day for "some time that day"; the next day's first is another."""
    day, last = 86_400 * 10**9, 10**9 - 1
    start = int(START.timestamp()) * 10**9
    times = [start, start + 999, start + day - 1, start + day - 400, start + day, start + day + last]
    shop.put("impressions", impressions(shown_at=pa.array(times, pa.timestamp("ns", "UTC"))))
    with shop.opened(24) as log:
        read = log.fetch("SELECT epoch_us(shown_at) FROM impressions ORDER BY 1")
        (file,) = log.views["impressions"].table.files
        span = log.span("impressions", file, "shown_at")
        kept = log.fetch("SELECT count(*) FROM shown")
    assert [us for (us,) in read] == sorted(ns // 1000 for ns in times)
    assert span is not None
    assert span.last == datetime.fromtimestamp(times[-1] // 10**9, UTC).replace(microsecond=999_999)
    assert kept == [(4,)]


def test_what_rows_are_matched_on_or_ordered_by_is_null_where_it_is_not_a_number(tmp_path: Path) -> None:
    places, nan = [float("nan"), 1.0, None, 2.0, 1.0, 2.0], float("nan")
    spec = tasks(click={"positive": {"event": "click", "within": "PT2H", "match": ["visit"]}})
    shop = Shop(tmp_path, contracts(spec))
    shop.put("impressions", impressions(position=places, visit=places, price=places))
    shop.put("events", events(visit=[nan, 1.0, None, nan]))
    with shop.opened() as log:
        shown = log.read("impressions", ["position", "visit", "price"], as_of=at(1000))
        happened = log.read("events", ["visit"], as_of=at(1000))
    assert [shown.column(name).null_count for name in ("position", "visit", "price")] == [2, 2, 1]
    assert happened.column("visit").null_count == 3


@pytest.mark.parametrize("other", [pa.nulls(4), pa.nulls(4, pa.string()), pa.nulls(4, pa.int8())])
def test_nanoseconds_beside_files_without_a_time_are_rounded_down_too(shop: Shop, other: pa.Array) -> None:
    nanos = pa.array([-1, 1_999, None, 0], pa.timestamp("ns", "UTC"))
    micros = pa.array([5] * 4, pa.timestamp("us", "UTC"))
    shop.put("events", *(events(ingested_at=arrived) for arrived in (nanos, other, micros)))
    ends = "SELECT epoch_us(min(ingested_at)), epoch_us(max(ingested_at)) FROM $table"
    with shop.opened() as log:
        assert log.fetch(ends, table=x.table("events")) == [(-1, 5)]
        alone = list[tuple[int | None, int | None]]()
        for file in log.views["events"].table.files:
            log.view("one", "events", [file])
            alone += log.fetch(ends, table=x.table("one"))
    assert alone == [(-1, 1), (None, None), (5, 5)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([[1]] * 6, pa.list_(pa.timestamp("ns"))), r"TIMESTAMP_NS\[\]"),
        (pa.array([{"a": 1}] * 6, pa.struct([("a", pa.uint64())])), r"STRUCT\(a UBIGINT\)"),
    ],
)
def test_a_nested_type_that_no_store_holds_is_refused_by_name(
    shop: Shop, values: pa.Array, kind: str
) -> None:
    shop.put("impressions", impressions(more=values))
    assert re.search(f"impressions: column 'more' is of type {kind}", refused(shop))


def test_nested_instants_and_times_of_a_day_are_read(shop: Shop) -> None:
    lists = pa.array([[at(0)]] * 6, pa.list_(pa.timestamp("us", "UTC")))
    shop.put("impressions", impressions(more=lists, noon=pa.array([43_200_000_000_000] * 6, pa.time64("ns"))))
    with shop.opened() as log:
        table = log.read("impressions", ["more", "noon"], as_of=at(1000))
    assert [str(field.type) for field in table.schema] == ["list<l: timestamp[us, tz=UTC]>", "string"]


def test_the_cut_finds_duplicates(shop: Shop) -> None:
    shop.put("impressions", impressions(), impressions(position=[3] * 6).slice(0, 1))
    with shop.opened(1000) as log:
        assert log.fetch("SELECT request_id, item_id FROM repeated") == [("q", 1)]
        assert log.fetch("SELECT position, _place FROM duplicates ORDER BY 2") == [(1, 1), (3, 2)]
        assert log.fetch("SELECT count(*), min(position), max(position) FROM shown") == [(6, 1, 2)]


def test_a_view_can_hold_any_name(shop: Shop) -> None:
    shop.put("impressions", impressions(**{'my "price" $x': [1.0] * 6}))
    with shop.opened(1000) as log:
        assert log.read("impressions", ['my "price" $x'], as_of=at(1000)).num_rows == 6


HOSTILE = ["[01]", "0", "1", "*", "?", "[!a]", "a{0,1}", "[", "]", "**", "ds=1", "q'uote"]
"""Names of files, each of which is a pattern that matches others, or looks like a partition or a quote."""


@pytest.mark.parametrize("folder", ["plain", "[s]hop", "*", "a?b"])
def test_a_file_that_was_found_is_read_by_its_name_and_no_other(shop: Shop, folder: str) -> None:
    """Read as patterns the names would bring other files' rows, and some rows several times."""
    place = shop.logs / folder / "impressions"
    place.mkdir(parents=True)
    for n, name in enumerate(HOSTILE):
        one = impressions(request_id=[f"r{n}"] * 6, item_id=list(range(6)))
        pq.write_table(one, place / f"{name}.parquet")
    sources = {"impressions": f"{folder}/impressions", "events": "shop/events"}
    with replace(shop, contracts=contracts(sources=sources)).opened() as log:
        rows = log.fetch("SELECT request_id, count(*) FROM impressions GROUP BY ALL ORDER BY ALL")
    assert rows == sorted((f"r{n}", 6) for n in range(len(HOSTILE)))


def test_a_folder_named_like_a_pattern_reads_nothing_of_the_folder_it_matches(
    shop: Shop, tmp_path: Path
) -> None:
    """``[x]`` as a pattern is ``x``, here a link that leads out of the logs."""
    outside = tmp_path / "outside"
    (shop.logs / "[x]").mkdir()
    outside.mkdir()
    pq.write_table(impressions(), shop.logs / "[x]" / "part.parquet")
    pq.write_table(impressions(request_id=["stolen"] * 6), outside / "part.parquet")
    (shop.logs / "x").symlink_to(outside)
    sources = {"impressions": "[x]", "events": "shop/events"}
    with replace(shop, contracts=contracts(sources=sources)).opened() as log:
        assert log.fetch("SELECT count(*) FROM impressions WHERE request_id = 'stolen'") == [(0,)]


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
