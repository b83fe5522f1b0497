"""A calendar of labels counts every day of every task."""

from datetime import date

import pytest
from pydantic import ValidationError

from tasks.evaluation.label_days import LabelCalendar, TaskDays


def of_days(observed: tuple[int, ...]) -> TaskDays:
    return TaskDays(task="click", observed=observed, positive=(0,), immature=(0,), left_out=(0,))


def test_a_calendar_is_read_as_it_was_written() -> None:
    calendar = LabelCalendar(days=(date(2026, 3, 1),), tasks=(of_days((3,)),))
    assert LabelCalendar.model_validate(calendar.to_json()) == calendar


def test_counts_of_other_days_are_refused() -> None:
    with pytest.raises(ValidationError, match="'click' has 2 counts for 1 days"):
        LabelCalendar(days=(date(2026, 3, 1),), tasks=(of_days((3, 4)),))
