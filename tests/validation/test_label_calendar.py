"""What is kept of the labels by day: counts by status, and the days that a check names."""

from datetime import date, timedelta

from tasks.columns import Status
from tasks.validation import measurements as m
from tasks.validation.findings import Line, SuiteResult
from tasks.validation.label_calendar import MOST_DAYS, label_calendar
from tasks.validation.measurements import Measurement, frame_of

FIRST = date(2026, 3, 1)


def labels(days: int = 2) -> list[Measurement]:
    rows = []
    for n in range(days):
        day = FIRST + timedelta(days=n)
        counts = {Status.OBSERVED: 7, Status.IMMATURE: n, Status.EXCLUDED: 2, Status.NOT_APPLICABLE: 1}
        rows += [Measurement(m.STATUS, "click", status, day, count, 10) for status, count in counts.items()]
        rows.append(Measurement(m.POSITIVES, "click", "", day, 3, 7, 3.0))
        rows.append(Measurement(m.ROWS, "labels", day=day, rows=10))
    return rows


def test_each_day_of_a_task_is_counted_by_status() -> None:
    calendar = label_calendar(frame_of(labels()), [])
    (click,) = calendar.tasks
    assert calendar.days == (FIRST, FIRST + timedelta(days=1))
    assert (click.task, click.observed, click.positive) == ("click", (7, 7), (3, 3))
    assert (click.immature, click.left_out, click.failed) == ((0, 1), (3, 3), ())


def test_the_days_that_a_check_of_the_labels_names_have_failed() -> None:
    odd = Line("click", (FIRST,), (0.1,), (0.2,), (0.3,), share=True, odd=(FIRST,))
    checked = {"expect_label_rates_as_usual": [odd]}
    results = [SuiteResult("labels", 20, (), checked), SuiteResult("events", 20, (), {"x": [odd]})]
    (click,) = label_calendar(frame_of(labels()), results).tasks
    assert click.failed == (FIRST,)
    assert label_calendar(frame_of(labels()), results[1:]).tasks[0].failed == ()


def test_of_a_long_snapshot_the_newest_days_are_kept() -> None:
    calendar = label_calendar(frame_of(labels(MOST_DAYS + 5)), [])
    assert len(calendar.days) == MOST_DAYS
    assert calendar.days[0] == FIRST + timedelta(days=5)


def test_without_labels_the_calendar_is_empty() -> None:
    calendar = label_calendar(frame_of([]), [])
    assert (calendar.days, calendar.tasks) == ((), ())
