"""Summaries: one a file, by its content and the as-of, in one table that is stored whole and found again."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.logs.summaries import Summaries, SummaryTable
from tasks.stores.location import identity_of
from tests.logs.small_log import SPEC, START, Shop, at, contracts, events, impressions, instants


@pytest.fixture
def table(shop: Shop) -> Path:
    return shop.home / "store" / "shop.parquet"


def summarised(shop: Shop, table: Path, as_of: float = 100) -> dict[str, Summaries]:
    """Summarise as of an hour, and store what is new."""
    with shop.opened() as log:
        summaries = SummaryTable(log, table)
        found = summaries.find(at(as_of) or START, None)
        summaries.save()
    return found


def names_of(summaries: Summaries) -> list[str]:
    return [one.name for one in summaries.of_files]


def stored_names(table: Path) -> set[str]:
    return set(pq.read_table(table)["summary"].to_pylist())


def facets(table: Path, summaries: Summaries) -> dict[str, list[dict[str, object]]]:
    rows = [row for row in pq.read_table(table).to_pylist() if row["summary"] in names_of(summaries)]
    return {
        facet: [row for row in rows if row["facet"] == facet]
        for facet in ("count", "day", "extra", "request")
    }


def test_a_summary_counts_rows_days_requests_and_repeated_keys(shop: Shop, table: Path) -> None:
    shop.put("impressions", pa.concat_tables([impressions(), impressions().slice(0, 1)]))
    found = facets(table, summarised(shop, table)["impressions"])
    assert {row["name"]: row["n"] for row in found["count"]} == {"rows": 7, "later": 0, "bad": 0, "early": 0}
    assert sorted((str(row["day"]), row["n"]) for row in found["day"]) == [
        ("2024-03-01", 5),
        ("2024-03-02", 2),
    ]
    assert [(str(row["day"]), row["n"]) for row in found["extra"]] == [("2024-03-01", 1)]
    assert len(found["request"]) == 3


def test_a_second_build_makes_no_summary_again(shop: Shop, table: Path) -> None:
    first, second = summarised(shop, table), summarised(shop, table, as_of=200)
    for name in ("impressions", "events"):
        assert len(first[name].new) == 1
        assert second[name].new == ()
        assert names_of(first[name]) == names_of(second[name])


def test_a_file_that_the_as_of_cuts_is_summarised_for_each_as_of(shop: Shop, table: Path) -> None:
    first, second = summarised(shop, table, as_of=2), summarised(shop, table, as_of=3)
    assert names_of(first["impressions"]) != names_of(second["impressions"])
    assert {row["name"]: row["n"] for row in facets(table, second["impressions"])["count"]}["later"] == 2


def test_a_file_of_the_future_is_not_read(shop: Shop, table: Path) -> None:
    shop.put("impressions", impressions().slice(0, 4), impressions().slice(4, 2))
    found = summarised(shop, table, as_of=30)["impressions"]
    assert [file.rows for file in found.future] == [2]
    assert len(found.of_files) == 1


def test_a_file_that_was_written_again_is_read_again_even_with_the_same_size_and_time(
    shop: Shop, table: Path
) -> None:
    file = shop.logs / "shop" / "events" / "0.parquet"
    before, times = names_of(summarised(shop, table)["events"]), file.stat()
    shop.put("events", events(item_id=[2, 1, 2, 1]))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert names_of(summarised(shop, table)["events"]) != before


def test_events_are_read_again_when_labels_read_another_column(shop: Shop, table: Path) -> None:
    shop.put("events", events(shop=["a"] * 4)).put("impressions", impressions(shop=["a"] * 6))
    before = summarised(shop, table)
    exclude = [{"event": "stock_out", "on": ["shop"]}]
    buy = SPEC.tasks["buy"].model_dump(exclude_none=True) | {"exclude": exclude}
    shop.contracts = contracts(
        SPEC.model_validate({**SPEC.model_dump(exclude_none=True), "tasks": {"buy": buy}})
    )
    after = summarised(shop, table)
    assert names_of(after["events"]) != names_of(before["events"])


def test_lost_summaries_are_made_again(shop: Shop, table: Path) -> None:
    first = summarised(shop, table)
    for lose in (table.unlink, lambda: table.write_bytes(b"")):
        lose()
        assert names_of(summarised(shop, table)["events"]) == names_of(first["events"])
        assert len(stored_names(table)) == 2


def test_summaries_of_an_earlier_cut_and_of_files_that_are_gone_are_left_out(shop: Shop, table: Path) -> None:
    shop.put("impressions", impressions().slice(0, 4), impressions().slice(4, 2))
    summarised(shop, table, as_of=2)
    later = summarised(shop, table, as_of=30)
    assert stored_names(table) == {*names_of(later["impressions"]), *names_of(later["events"])}
    (shop.logs / "shop" / "impressions" / "0.parquet").unlink()
    whole = summarised(shop, table)
    assert stored_names(table) == {*names_of(whole["impressions"]), *names_of(whole["events"])}


def test_a_build_as_of_the_past_keeps_the_summaries_of_later_files(shop: Shop, table: Path) -> None:
    shop.put("impressions", impressions().slice(0, 4), impressions().slice(4, 2))
    summarised(shop, table)
    summarised(shop, table, as_of=30)
    assert summarised(shop, table)["impressions"].new == ()


def test_a_table_of_which_nothing_changed_is_not_written_again(shop: Shop, table: Path) -> None:
    summarised(shop, table)
    before = identity_of(table)
    summarised(shop, table)
    assert identity_of(table) == before


def test_an_event_that_arrived_before_it_happened_is_counted(shop: Shop, table: Path) -> None:
    shop.put("events", events(ingested_at=instants(0.4, 1, 6, None)))
    counts = facets(table, summarised(shop, table)["events"])["count"]
    assert {row["name"]: row["n"] for row in counts}["early"] == 1
