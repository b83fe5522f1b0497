"""What a log holds as of an instant: every row is accounted for."""

from datetime import date

import pytest

from tasks.errors import DataError
from tasks.logs.profile import Counts, LogProfile, profile_log
from tasks.logs.summaries import SummaryTable
from tests.logs.small_log import Shop, at, events, impressions, instants


def profiled(shop: Shop, as_of: float, previous: float | None = None) -> LogProfile:
    before = None if previous is None else at(previous)
    with shop.opened() as log:
        summaries = SummaryTable(log, shop.home / "summaries.parquet")
        found = profile_log(summaries, as_of=at(as_of), previous=before)
        summaries.save()
        return found


def test_rows_of_the_future_are_counted_and_not_read(shop: Shop) -> None:
    found = profiled(shop, 30)
    assert found.impressions == Counts(6, 4, 2, 0, {"repeated_key": 0, "no_key": 0})
    assert found.events == Counts(4, 3, 1, 0, {"no_event": 0})
    assert set(found.days.impressions) == {date(2024, 3, 1)}


def test_repeated_and_missing_keys_are_counted(shop: Shop) -> None:
    spoiled = impressions(request_id=["q", None, "r", "r", "r", None], item_id=[1, 2, 1, 1, 1, 2])
    shop.put("impressions", spoiled, impressions(shown_at=instants(0, None, 1, 1, 30, 30)).slice(0, 2))
    assert profiled(shop, 100).impressions == Counts(8, 2, 0, 0, {"repeated_key": 3, "no_key": 3})


def test_a_missing_key_of_the_future_is_of_the_future(shop: Shop) -> None:
    shop.put("impressions", impressions(request_id=["q", "q", "r", "r", None, "s"]))
    assert profiled(shop, 30).impressions.quarantined["no_key"] == 0


def test_events_without_name_or_instant_and_those_that_did_not_arrive_are_counted(shop: Shop) -> None:
    spoiled = events(
        event=[None, "click", "buy", None],
        happened_at=instants(0, None, 5, 40),
        ingested_at=instants(1, 2, 20, None),
    )
    shop.put("events", spoiled)
    assert profiled(shop, 10).events == Counts(4, 0, 1, 1, {"no_event": 2})


def test_events_that_no_task_names_are_counted_by_name(shop: Shop) -> None:
    shop.put("events", events(event=["clik", "clik", "buy", "wave"]))
    assert profiled(shop, 100).unknown_events == {"clik": 2, "wave": 1}
    assert profiled(shop, 30).unknown_events == {"clik": 2}


def test_of_a_million_names_the_most_frequent_are_told(shop: Shop) -> None:
    names = [*(f"name{i}" for i in range(300)), "wave", "wave"]
    many = {"user_id": ["u"] * 302, "item_id": [1] * 302, "value": [1.0] * 302}
    shop.put("events", events(event=names, happened_at=instants(*[1.0] * 302), **many))
    found = profiled(shop, 100).unknown_events
    assert len(found) == 100
    assert next(iter(found.items())) == ("wave", 2)


def test_a_fingerprint_does_not_depend_on_the_order_or_the_files(shop: Shop) -> None:
    before = profiled(shop, 100).days
    shop.put("impressions", impressions().take([5, 4, 3]), impressions().take([0, 2, 1]))
    shop.put("events", events().take([3, 1, 0, 2]))
    assert profiled(shop, 100).days == before


@pytest.mark.parametrize("change", [{"kind": ["z"] * 6}, {"shown_at": instants(0, 0, 1, 1.5, 30, 30)}])
def test_a_fingerprint_tells_a_changed_row(shop: Shop, change: dict[str, object]) -> None:
    before = profiled(shop, 100).days
    shop.put("impressions", impressions(**change))
    assert profiled(shop, 100).days.impressions != before.impressions


def test_what_was_known_before_is_summed_by_itself(shop: Shop) -> None:
    before = profiled(shop, 30).days
    now = profiled(shop, 100, previous=30).days
    assert now.impressions_before == before.impressions
    assert now.events_before == before.events
    assert set(now.impressions) == {date(2024, 3, 1), date(2024, 3, 2)}


def test_late_events_are_told_by_their_day(shop: Shop) -> None:
    shop.put("events", events(ingested_at=instants(None, 50, None, 41)))
    assert profiled(shop, 100, previous=45).days.late == {(date(2024, 3, 1), "click")}
    assert profiled(shop, 100, previous=60).days.late == frozenset()


def test_an_as_of_before_the_first_impression_is_refused(shop: Shop) -> None:
    with pytest.raises(
        DataError, match=r"none has a key and was shown before .* Build as of a later instant"
    ):
        profiled(shop, 0)


def test_rows_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(DataError, match="do not add up"):
        Counts(5, 1, 1, 1, {"no_key": 1})


def test_a_new_file_is_compared_with_those_that_were_compared_before(shop: Shop) -> None:
    """Keys of two files, then of a third that repeats one, then of a second that was written again as it."""
    parts = [impressions().slice(0, 4), impressions(shown_at=instants(0, 0, 1, 1, 31, 30)).slice(4, 2)]
    again = impressions(shown_at=instants(2, 2, 2, 2, 32, 32))
    told = []
    for files in (
        parts,
        [*parts, again.slice(0, 1)],
        [*parts, again.slice(0, 1)],
        [parts[0], again.slice(0, 1)],
    ):
        shop.put("impressions", *files)
        told.append(profiled(shop, 100).impressions)
    assert [(counts.rows, counts.quarantined["repeated_key"]) for counts in told] == [
        (6, 0), (7, 1), (7, 1), (6, 2),
    ]  # fmt: skip


def test_a_key_in_two_files_is_repeated_wherever_its_rows_lie(shop: Shop) -> None:
    shop.put("impressions", impressions(), impressions(shown_at=instants(0, 0, 1, 1, 31, 30)).slice(4, 1))
    found = profiled(shop, 100)
    assert found.impressions == Counts(7, 6, 0, 0, {"repeated_key": 1, "no_key": 0})
    assert {day: total.rows for day, total in found.days.impressions.items()} == {
        date(2024, 3, 1): 4, date(2024, 3, 2): 2,
    }  # fmt: skip


def test_a_key_that_is_repeated_in_a_file_and_between_files_is_counted_once(shop: Shop) -> None:
    shop.put("impressions", impressions(), impressions().slice(0, 1), impressions().take([2, 2, 0]))
    assert profiled(shop, 100).impressions == Counts(10, 6, 0, 0, {"repeated_key": 4, "no_key": 0})
