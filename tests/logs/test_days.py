"""Days: ranges around them, in UTC."""

from datetime import date, timedelta

import pytest

from tasks.logs.days import list_days, spread_days
from tasks.logs.rows import DayRange

FIFTH, SEVENTH = date(2024, 3, 5), date(2024, 3, 7)


@pytest.mark.parametrize(
    ("before", "after", "first", "last"),
    [
        (0, 0, 5, 5),
        (1, 0, 4, 5),
        (24, 24, 4, 6),
        (25, 0, 3, 5),
        (0, 0.5, 5, 6),
    ],
)
def test_a_range_holds_every_instant_within_the_reach_of_a_day(
    before: float, after: float, first: int, last: int
) -> None:
    spread = spread_days([FIFTH], before=timedelta(hours=before), after=timedelta(hours=after))
    assert spread == [DayRange(date(2024, 3, first), date(2024, 3, last))]


def test_ranges_that_touch_are_one() -> None:
    day = timedelta(days=1)
    assert spread_days([SEVENTH, FIFTH], before=day, after=timedelta()) == [
        DayRange(date(2024, 3, 4), SEVENTH)
    ]
    assert len(spread_days([SEVENTH, FIFTH], before=timedelta(), after=timedelta())) == 2


def test_every_day_of_the_ranges_is_listed() -> None:
    ranges = [DayRange(FIFTH, FIFTH), DayRange(SEVENTH, date(2024, 3, 8))]
    assert list_days(ranges) == [FIFTH, SEVENTH, date(2024, 3, 8)]


def test_a_range_holds_its_ends_and_by_default_every_day() -> None:
    assert FIFTH in DayRange(FIFTH, SEVENTH)
    assert date(2024, 3, 8) not in DayRange(FIFTH, SEVENTH)
    assert date.min in DayRange()
