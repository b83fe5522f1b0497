"""Which rows take part: known before the as-of, one impression a key, by hand.

Days: ranges around them, in UTC.
"""

from datetime import date, timedelta
from typing import Any

import pytest

from tasks.logs.rows import DayRange
from tests.labels.engine import Story, tasks

SPEC = tasks(t={"positive": {"event": "click", "within": "PT2H"}})


def test_an_impression_at_the_as_of_takes_no_part(story: Story) -> None:
    story.shown("before", 1, 1).shown("at", 2, 2).shown("after", 3, 3)
    assert set(story.labels(SPEC, as_of=2)) == {("before", 1)}


@pytest.mark.parametrize(
    ("happened", "ingested", "label"), [(2, None, 1), (2, 3.99, 1), (2, 4, 0), (2, 1, 1)]
)
def test_an_event_is_known_once_it_has_arrived(
    story: Story, happened: float, ingested: float | None, label: int
) -> None:
    story.shown("r", 1).event("click", happened, ingested=ingested)
    assert story.told(SPEC, "t", as_of=4) == {"r": label}


def test_an_event_at_the_as_of_is_not_known(story: Story) -> None:
    spec = tasks(t={"positive": {"event": "click", "within": "PT2H"}, "maturity": "PT2H"})
    story.shown("r", 2).event("click", 3.99, ingested=4)
    assert story.told(spec, "t", as_of=4) == {"r": 0}


def test_of_one_key_the_earliest_stays(story: Story) -> None:
    story.shown("r", 2, position=1).shown("r", 1, position=9).event("click", 1)
    assert story.hours(SPEC, "t") == {"r": 1}


@pytest.mark.parametrize("position", [1, None])
def test_at_one_instant_the_lowest_position_stays(story: Story, position: int | None) -> None:
    """The kinds would decide otherwise; a null position is the lowest."""
    story.shown("r", 1, position=2, kind="a").shown("r", 1, position=position, kind="b")
    spec = tasks(t={"positive": {"event": "click", "within": "PT2H", "match": ["kind"]}})
    story.event("click", 1, kind="b")
    assert story.told(spec, "t") == {"r": 1}


def test_then_the_other_columns_decide(story: Story) -> None:
    story.shown("r", 1, kind="b").shown("r", 1, kind="a")
    spec = tasks(t={"positive": {"event": "click", "within": "PT2H", "match": ["kind"]}})
    story.event("click", 1, kind="a")
    assert story.told(spec, "t") == {"r": 1}


def test_a_twin_after_the_as_of_takes_no_place(story: Story) -> None:
    story.shown("r", 5).shown("r", 1).event("click", 1)
    assert story.hours(SPEC, "t", as_of=4) == {"r": 1}


def test_without_key_or_instant_there_is_no_row(story: Story) -> None:
    story.shown(None, 1).shown("r", 1, None).shown("r", None, 2).shown("r", 1, 1)
    assert set(story.labels(SPEC)) == {("r", 1)}


@pytest.mark.parametrize("column", ["user_id", "item_id", "request_id"])
def test_a_null_id_in_an_event_is_legal_and_counts_where_it_is_not_matched_on(
    story: Story, column: str
) -> None:
    ids: dict[str, Any] = {"user_id": "u", "item_id": 1, "request_id": "r", column: None}
    match = [name for name, value in ids.items() if value is not None]
    spec = tasks(t={"positive": {"event": "click", "within": "PT2H", "match": match}})
    story.shown("r", 1).event("click", 1, ids.pop("item_id"), **ids)
    assert story.told(spec, "t") == {"r": 1}


def test_an_event_without_name_or_instant_does_nothing(story: Story) -> None:
    story.shown("r", 1).event(None, 1).event("click", None)
    assert story.told(SPEC, "t") == {"r": 0}


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
    spread = DayRange.spread([FIFTH], before=timedelta(hours=before), after=timedelta(hours=after))
    assert spread == [DayRange(date(2024, 3, first), date(2024, 3, last))]


def test_ranges_that_touch_are_one() -> None:
    day = timedelta(days=1)
    assert DayRange.spread([SEVENTH, FIFTH], before=day, after=timedelta()) == [
        DayRange(date(2024, 3, 4), SEVENTH)
    ]
    assert len(DayRange.spread([SEVENTH, FIFTH], before=timedelta(), after=timedelta())) == 2


def test_every_day_of_the_ranges_is_listed() -> None:
    ranges = [DayRange(FIFTH, FIFTH), DayRange(SEVENTH, date(2024, 3, 8))]
    assert [day for days in ranges for day in days.days] == [FIFTH, SEVENTH, date(2024, 3, 8)]


def test_a_range_holds_its_ends_and_by_default_every_day() -> None:
    assert FIFTH in DayRange(FIFTH, SEVENTH)
    assert date(2024, 3, 8) not in DayRange(FIFTH, SEVENTH)
    assert date.min in DayRange()
