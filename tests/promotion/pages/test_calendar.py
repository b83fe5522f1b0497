"""Days that are alike are one strip; a failed day stands out."""

from datetime import date, timedelta

from tasks.evaluation.evidence import LabelCalendar, TaskDays
from tasks.promotion.pages.calendar import draw_calendar

DAYS = tuple(date(2026, 3, 1) + timedelta(days=n) for n in range(5))
CLICK = TaskDays(
    task="click",
    observed=(10, 10, 8, 1000, 0),
    positive=(1, 0, 2, 3, 0),
    immature=(0, 0, 2, 0, 0),
    left_out=(0, 0, 0, 0, 9),
    failed=(DAYS[3],),
)


def test_a_strip_holds_the_days_that_are_alike_with_their_counts() -> None:
    figure = draw_calendar(LabelCalendar(days=DAYS, tasks=(CLICK,)))
    assert figure is not None
    (row,) = figure.rows
    assert [(strip.state, strip.x, strip.width) for strip in row.strips] == [
        ("mature", 170.0, 280.0),
        ("immature", 450.0, 140.0),
        ("failed", 590.0, 140.0),
        ("left_out", 730.0, 140.0),
    ]
    assert row.strips[0].title == "2026-03-01 to 2026-03-02: mature, 20 labels, 1 not 0"
    assert row.strips[2].title == "2026-03-04: failed, 1,000 labels, 3 not 0"
    assert (row.observed, row.positive, row.immature, row.left_out, row.failed) == (1028, 6, 2, 9, 1)
    assert (figure.first, figure.last, figure.height) == ("2026-03-01", "2026-03-05", 24 + 22)


def test_without_a_day_there_is_no_calendar() -> None:
    assert draw_calendar(None) is None
    assert draw_calendar(LabelCalendar(days=(), tasks=())) is None
