"""Spans of time: whole microseconds, and nothing where the writer kept no statistics."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.logs.footers import TimeSpan, read_footers
from tests.logs.small_log import Shop, contracts, events, impressions, refused

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEAR_1 = -62_135_596_800_000_000
MICROS = pa.timestamp("us", "UTC")
BELOW = {"impressions": "shop/impressions/**/*.parquet", "events": "shop/events/*.parquet"}


def span(folder: Path, values: list[int | None], unit: str, **how: bool) -> TimeSpan | None:
    file = folder / "log.parquet"
    column = pa.array(values, pa.int64()).cast(pa.timestamp(unit, "UTC"))
    pq.write_table(pa.table({"shown_at": column, "n": [1] * len(values)}), file, **how)
    (found,) = read_footers("impressions", [file], below=folder).files
    return found.spans["shown_at"]


@pytest.mark.parametrize(
    ("unit", "first", "last", "microseconds"),
    [
        ("ns", 1_709_337_600_000_123_001, 1_709_337_600_000_123_999, (1_709_337_600_000_123,) * 2),
        ("ns", -1_001, -1, (-2, -1)),
        ("us", 1_709_337_600_000_123, 1_709_337_600_000_124, (1_709_337_600_000_123, 1_709_337_600_000_124)),
        ("ms", 5, 7, (5_000, 7_000)),
        ("s", 5, 7, (5_000_000, 7_000_000)),
    ],
)
def test_a_span_is_rounded_down_to_whole_microseconds(
    tmp_path: Path, unit: str, first: int, last: int, microseconds: tuple[int, int]
) -> None:
    begin, end = (EPOCH + timedelta(microseconds=n) for n in microseconds)
    assert span(tmp_path, [last, first], unit) == TimeSpan(begin, end, nulls=False)


def test_a_span_says_whether_there_are_nulls(tmp_path: Path) -> None:
    found = span(tmp_path, [None, 7], "us")
    assert found is not None
    assert (found.last, found.nulls) == (EPOCH + timedelta(microseconds=7), True)


def test_without_statistics_nothing_is_known_of_a_span(tmp_path: Path) -> None:
    assert span(tmp_path, [5, 7], "us", write_statistics=False) is None


def put(shop: Shop, *folders: str) -> Shop:
    for folder in folders:
        shop.put(f"impressions/{folder}", impressions(kind=None))
    shop.contracts = contracts(sources=BELOW)
    return shop


@pytest.fixture
def bare_shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "home").put("events", events())


def test_folders_that_every_file_lies_in_are_a_column(bare_shop: Shop) -> None:
    with put(bare_shop, "kind=x", "kind=a%20b").opened() as log:
        kinds = log.fetch("SELECT DISTINCT kind FROM impressions ORDER BY 1")
    assert kinds == [("a b",), ("x",)]


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (("kind=x", "sort=x"), "kind=..., .* in sort=..."),
        (("kind=x", "other"), "all files must lie in the same"),
        (("kind=x", "Kind=x"), "kind=..."),
        (("kind=x/kind=y",), "name the column 'kind' twice"),
        (("kind'=x",), "with a quote"),
        (("kind=x/day=1", "kind=x/hour=1"), "day=..., kind=..."),
    ],
)
def test_folders_that_are_no_columns_of_the_whole_table_are_refused(
    bare_shop: Shop, folders: tuple[str, ...], said: str
) -> None:
    assert re.search(said, refused(put(bare_shop, *folders)))


def test_a_folder_above_the_logs_is_not_read_in_their_stead(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "kind=prod").put("events", events())
    assert "name the column 'kind' twice" in refused(put(shop, "kind=x"))


def test_a_folder_above_the_logs_is_not_read_in_place_of_a_column_of_the_files(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "kind=prod").put("events", events()).put("impressions/sort=1", impressions())
    shop.contracts = contracts(sources=BELOW)
    assert re.search("holds a column 'kind' .* kind=prod.* above the logs", refused(shop))


def in_a_folder_of_kind_a_b(shop: Shop, *kinds: str | None) -> Shop:
    shop.put("impressions/kind=a%20b", impressions(kind=pa.array(kinds, pa.string())))
    shop.contracts = contracts(sources=BELOW)
    return shop


@pytest.mark.parametrize("kinds", [["a b"] * 5 + ["x"], ["a b"] * 5 + [None], ["A B"] * 6])
def test_a_column_of_the_files_that_its_folder_contradicts_is_refused(
    bare_shop: Shop, kinds: list[str | None]
) -> None:
    in_a_folder_of_kind_a_b(bare_shop, *kinds)
    assert "holds a column 'kind' and lies in a folder kind=a b" in refused(bare_shop)


@pytest.mark.parametrize("kind", ["a b", None])
def test_a_column_of_the_files_may_repeat_its_folder_or_hold_nothing(
    bare_shop: Shop, kind: str | None
) -> None:
    with in_a_folder_of_kind_a_b(bare_shop, *[kind] * 6).opened() as log:
        assert log.fetch("SELECT DISTINCT kind FROM impressions") == [("a b",)]


@pytest.mark.parametrize("folder", ["=x", "a=b=c", "plain"])
def test_a_folder_that_no_engine_takes_for_a_column_is_none(bare_shop: Shop, folder: str) -> None:
    bare_shop.put(f"impressions/{folder}", impressions())
    bare_shop.contracts = contracts(sources=BELOW)
    with bare_shop.opened() as log:
        assert "a" not in log.log.impressions


INFINITE, YEAR_10000 = 2**63 - 1, 253_402_300_800_000_000


def column(number: int, kind: pa.DataType, rows: int) -> pa.Array:
    whole = pa.array([number, *[0] * (rows - 1)], pa.int32() if kind.bit_width == 32 else pa.int64())
    return whole.cast(kind)


def spoil(shop: Shop, table: str, name: str, values: pa.Array, *, statistics: bool) -> None:
    file = shop.logs / "shop" / table / "0.parquet"
    rows = pq.read_table(file)
    rows = rows.drop_columns([name] if name in rows.column_names else []).append_column(name, values)
    pq.write_table(rows, file, write_statistics=statistics)


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("number", [INFINITE, -INFINITE, -INFINITE - 1, YEAR_10000, YEAR_1 - 1])
@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("impressions", "shown_at"),
        ("impressions", "expires_at"),
        ("events", "happened_at"),
        ("events", "ingested_at"),
    ],
)
def test_a_time_that_no_calendar_has_is_refused_with_its_column(
    shop: Shop, table: str, name: str, number: int, statistics: bool
) -> None:
    rows = 6 if table == "impressions" else 4
    spoil(shop, table, name, column(number, MICROS, rows), statistics=statistics)
    assert re.search(rf"{table}.*column '{name}' holds a time", refused(shop))


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (2**31 - 1, pa.date32()),
        (-(2**31), pa.date32()),
        (YEAR_10000 // 1_000, pa.timestamp("ms")),
        (YEAR_10000, pa.timestamp("us")),
    ],
)
def test_days_and_times_without_a_zone_are_looked_at_too(
    shop: Shop, number: int, kind: pa.DataType, statistics: bool
) -> None:
    spoil(shop, "impressions", "since", column(number, kind, 6), statistics=statistics)
    assert "column 'since'" in refused(shop)


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("number", [YEAR_1, YEAR_10000 - 1])
def test_the_first_and_the_last_instant_of_the_calendar_are_read(
    shop: Shop, number: int, statistics: bool
) -> None:
    spoil(shop, "impressions", "since", column(number, MICROS, 6), statistics=statistics)
    with shop.opened() as log:
        assert "since" in log.log.impressions
