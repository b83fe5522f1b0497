"""Times that no calendar has, in any column of times, with statistics and without."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import DataError
from tests.logs.small_log import Shop, events, impressions

INFINITE, YEAR_10000 = 2**63 - 1, 253_402_300_800_000_000
YEAR_1 = -62_135_596_800_000_000


def column(number: int, kind: pa.DataType, rows: int) -> pa.Array:
    whole = pa.array([number, *[0] * (rows - 1)], pa.int32() if kind.bit_width == 32 else pa.int64())
    return whole.cast(kind)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "home").put("impressions", impressions()).put("events", events())


def spoil(shop: Shop, table: str, name: str, values: pa.Array, *, statistics: bool) -> None:
    file = shop.logs / "shop" / table / "0.parquet"
    rows = pq.read_table(file)
    rows = rows.drop_columns([name] if name in rows.column_names else []).append_column(name, values)
    pq.write_table(rows, file, write_statistics=statistics)


MICROS = pa.timestamp("us", "UTC")


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
    with pytest.raises(DataError, match=rf"{table}.*column '{name}' holds a time"), shop.opened():
        pass


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
    with pytest.raises(DataError, match="column 'since'"), shop.opened():
        pass


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("number", [YEAR_1, YEAR_10000 - 1])
def test_the_first_and_the_last_instant_of_the_calendar_are_read(
    shop: Shop, number: int, statistics: bool
) -> None:
    spoil(shop, "impressions", "since", column(number, MICROS, 6), statistics=statistics)
    with shop.opened() as log:
        assert "since" in log.log.impressions
