"""Duplicate keys: found in a file and between files, without comparing the whole log again."""

from datetime import date

from tasks.logs.profile import Counts
from tests.logs.small_log import Shop, impressions, instants
from tests.logs.test_profile import profiled


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
