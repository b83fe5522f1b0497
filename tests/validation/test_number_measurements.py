"""Infinite numbers are counted where they are, before a model is trained on them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from tasks.contracts import Contracts
from tasks.validation.measurements import Measurement
from tasks.validation.number_measurements import first_day_in_reach, measure_infinite, numeric_columns
from tests.feeds.daily_log import END, DailyLog, on

AS_OF = datetime(2026, 3, 10, tzinfo=UTC)
REACHED = date(2026, 3, 5)


@pytest.fixture
def contracts(tmp_path: Path) -> Contracts:
    return DailyLog.healthy(tmp_path).write().contracts


def found(engine: duckdb.DuckDBPyConnection, price: pa.Array, *, days_ago: int) -> list[Measurement]:
    """Measure two impressions, each of so many days before the as-of."""
    shown = pa.array([AS_OF - timedelta(days=days_ago)] * 2, pa.timestamp("us", "UTC"))
    rows = {"request_id": ["r1", "r2"], "item_id": [1, 2], "shown_at": shown, "price": price, "age": [1, 2]}
    engine.register("labels", pa.table(rows))
    names = ["price", "age", "lacking"]
    measured = measure_infinite(engine, "labels", names, before=AS_OF, reached_from=REACHED)
    return [one for one in measured if one.rows]


@pytest.mark.parametrize("price", [float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_an_infinite_number_is_counted_and_named(
    engine: duckdb.DuckDBPyConnection, price: float, kind: pa.DataType
) -> None:
    rows = pa.array([price, 1.0], kind)
    assert found(engine, rows, days_ago=2) == [
        Measurement("infinite", "price", rows=1, of=2, examples="r1/1")
    ]


def test_one_on_a_day_that_no_slice_reaches_is_another_matter(engine: duckdb.DuckDBPyConnection) -> None:
    (one,) = found(engine, pa.array([1.0, float("inf")]), days_ago=6)
    assert (one.statistic, one.examples) == ("infinite_earlier", "r2/2")


@pytest.mark.parametrize("price", [[float("nan"), None], [1e308, -1e308], [1, 2]])
def test_a_missing_a_huge_and_a_whole_number_are_not_infinite(
    engine: duckdb.DuckDBPyConnection, price: list[float | None]
) -> None:
    assert found(engine, pa.array(price), days_ago=2) == []


def test_numbers_are_what_contracts_read_as_such(contracts: Contracts) -> None:
    assert numeric_columns(contracts) == ("price", "position")


def test_no_slice_reaches_beyond_the_split_and_its_embargoes(contracts: Contracts) -> None:
    assert first_day_in_reach(contracts, END) == (END - timedelta(days=7 + 3 + 3 + 4 * 8)).date()
    assert first_day_in_reach(contracts, datetime(1, 1, 2, tzinfo=UTC)) == date.min


def test_an_infinite_feature_of_the_log_is_a_critical_failure_of_its_suite(tmp_path: Path) -> None:
    log = DailyLog.healthy(tmp_path)
    shown = [row for row in log.impressions if on(20) <= row["shown_at"] < on(21)]
    for row in shown[:5]:
        row["price"] = float("inf")
    failure = log.failures()["impressions", "finite_numbers"]
    assert failure.severity == "critical"
    assert failure.observed == (
        f"price: 5 of {len(log.impressions):,} rows (for example r20-0/i20-0-1; r20-0/i20-0-2; r20-1/i20-1-1)"
    )
