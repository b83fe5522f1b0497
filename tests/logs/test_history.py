from datetime import date

from tasks.logs.history import count_days
from tests.logs.small_log import Shop, at, events, impressions


def test_days_are_those_of_rows_that_take_part_before_the_as_of(shop: Shop) -> None:
    shop.put("impressions", impressions()).put("events", events())
    with shop.opened() as log:
        assert count_days(log, at(100)) == {date(2024, 3, 1): 4, date(2024, 3, 2): 2}
        assert count_days(log, at(30)) == {date(2024, 3, 1): 4}
        assert count_days(log, at(0)) == {}
