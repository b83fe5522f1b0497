"""The labels of a snapshot by day: how many of each task are known, and on which days a check failed."""

from datetime import date
from typing import Self

from pydantic import model_validator

from tasks.evaluation.documents import Section


class TaskDays(Section):
    """A task's labels, a number for each day of the calendar.

    ``observed``: with a value, of which ``positive`` are above 0; ``immature``: not known yet; ``left_out``:
    excluded or not applicable. ``failed``: the days that a check of the labels names.
    """

    task: str
    observed: tuple[int, ...]
    positive: tuple[int, ...]
    immature: tuple[int, ...]
    left_out: tuple[int, ...]
    failed: tuple[date, ...] = ()


class LabelCalendar(Section):
    """The newest days of a snapshot, oldest first."""

    days: tuple[date, ...]
    tasks: tuple[TaskDays, ...]

    @model_validator(mode="after")
    def _counts_every_day(self) -> Self:
        for task in self.tasks:
            for counts in (task.observed, task.positive, task.immature, task.left_out):
                if len(counts) != len(self.days):
                    raise ValueError(f"'{task.task}' has {len(counts)} counts for {len(self.days)} days")
        return self
