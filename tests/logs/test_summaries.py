"""Summaries: one a file, by its content and the as-of, stored whole and found again."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.logs.summaries import Summaries, store_summaries, summarise_files
from tests.logs.small_log import SPEC, START, Shop, at, contracts, events, impressions, instants


@pytest.fixture
def folder(shop: Shop) -> Path:
    return shop.home / "store"


def summarised(shop: Shop, folder: Path, as_of: float = 100) -> dict[str, Summaries]:
    """Summarise as of an hour, and store what is new."""
    with shop.opened() as log:
        summaries = summarise_files(log, folder, as_of=at(as_of) or START)
        store_summaries(log, folder)
    return summaries


def names_of(summaries: Summaries) -> list[str]:
    return [one.path.name for one in summaries.of_files]


def facets(folder: Path, summaries: Summaries) -> dict[str, list[dict[str, object]]]:
    rows = [row for name in names_of(summaries) for row in pq.read_table(folder / name).to_pylist()]
    return {
        facet: [row for row in rows if row["facet"] == facet]
        for facet in ("count", "day", "extra", "request")
    }


def test_a_summary_counts_rows_days_requests_and_repeated_keys(shop: Shop, folder: Path) -> None:
    shop.put("impressions", pa.concat_tables([impressions(), impressions().slice(0, 1)]))
    found = facets(folder, summarised(shop, folder)["impressions"])
    assert {row["name"]: row["n"] for row in found["count"]} == {"rows": 7, "later": 0, "bad": 0, "early": 0}
    assert sorted((str(row["day"]), row["n"]) for row in found["day"]) == [
        ("2024-03-01", 5),
        ("2024-03-02", 2),
    ]
    assert [(str(row["day"]), row["n"]) for row in found["extra"]] == [("2024-03-01", 1)]
    assert len(found["request"]) == 3


def test_a_second_build_makes_no_summary_again(shop: Shop, folder: Path) -> None:
    first, second = summarised(shop, folder), summarised(shop, folder, as_of=200)
    for table in ("impressions", "events"):
        assert len(first[table].new) == 1
        assert second[table].new == ()
        assert names_of(first[table]) == names_of(second[table])


def test_a_file_that_the_as_of_cuts_is_summarised_for_each_as_of(shop: Shop, folder: Path) -> None:
    first, second = summarised(shop, folder, as_of=2), summarised(shop, folder, as_of=3)
    assert names_of(first["impressions"]) != names_of(second["impressions"])
    assert {row["name"]: row["n"] for row in facets(folder, second["impressions"])["count"]}["later"] == 2


def test_a_file_of_the_future_is_not_read(shop: Shop, folder: Path) -> None:
    shop.put("impressions", impressions().slice(0, 4), impressions().slice(4, 2))
    found = summarised(shop, folder, as_of=30)["impressions"]
    assert [file.rows for file in found.future] == [2]
    assert len(found.of_files) == 1


def test_a_file_that_was_written_again_is_read_again_even_with_the_same_size_and_time(
    shop: Shop, folder: Path
) -> None:
    file = shop.logs / "shop" / "events" / "0.parquet"
    before, times = names_of(summarised(shop, folder)["events"]), file.stat()
    shop.put("events", events(item_id=[2, 1, 2, 1]))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert names_of(summarised(shop, folder)["events"]) != before


def test_events_are_read_again_when_labels_read_another_column(shop: Shop, folder: Path) -> None:
    shop.put("events", events(shop=["a"] * 4)).put("impressions", impressions(shop=["a"] * 6))
    before = summarised(shop, folder)
    exclude = [{"event": "stock_out", "on": ["shop"]}]
    buy = SPEC.tasks["buy"].model_dump(exclude_none=True) | {"exclude": exclude}
    shop.contracts = contracts(
        SPEC.model_validate({**SPEC.model_dump(exclude_none=True), "tasks": {"buy": buy}})
    )
    after = summarised(shop, folder)
    assert names_of(after["events"]) != names_of(before["events"])


def test_a_lost_summary_is_made_again(shop: Shop, folder: Path) -> None:
    first = summarised(shop, folder)
    for file in folder.iterdir():
        file.unlink()
    assert names_of(summarised(shop, folder)["events"]) == names_of(first["events"])
    assert len(list(folder.iterdir())) == 2


def test_an_event_that_arrived_before_it_happened_is_counted(shop: Shop, folder: Path) -> None:
    shop.put("events", events(ingested_at=instants(0.4, 1, 6, None)))
    counts = facets(folder, summarised(shop, folder)["events"])["count"]
    assert {row["name"]: row["n"] for row in counts}["early"] == 1
