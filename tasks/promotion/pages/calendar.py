"""Draw the labels by day as a calendar: one row per task, one strip per run of days in the same state.

::

    click     |############################|      mature
    purchase  |####################|.......|      immature: not all of the day's labels are known yet
    return    |########x###|...............|      failed: a check of the labels reports the day
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from tasks.evaluation.evidence import LabelCalendar, TaskDays
from tasks.reports.numbers import format_count, spoken

_LEFT: Final = 170
_WIDTH: Final = 700
_LINE: Final = 24
MATURE, IMMATURE, FAILED, LEFT_OUT = "mature", "immature", "failed", "left_out"
STATES: Final = (MATURE, IMMATURE, FAILED, LEFT_OUT)


@dataclass(frozen=True)
class Strip:
    """Consecutive days in the same state, in pixels from the left; ``title`` gives days and label counts."""

    state: str
    x: float
    width: float
    title: str


@dataclass(frozen=True)
class TaskStrips:
    """A task's days, and its label counts over all of them."""

    task: str
    y: int
    strips: tuple[Strip, ...]
    observed: int
    positive: int
    immature: int
    left_out: int
    failed: int


@dataclass(frozen=True)
class CalendarFigure:
    """The calendar in pixels from the upper left."""

    first: str
    last: str
    rows: tuple[TaskStrips, ...]
    left: int = _LEFT
    width: int = _LEFT + _WIDTH
    states: tuple[str, ...] = STATES

    @property
    def height(self) -> int:
        """Height of all rows and of the line of dates below them, in pixels."""
        return _LINE * len(self.rows) + 22


def draw_calendar(calendar: LabelCalendar | None) -> CalendarFigure | None:
    """Draw the days of a snapshot; None if the validation stored no calendar."""
    if calendar is None or not calendar.days:
        return None
    rows = tuple(_row(calendar, task, n) for n, task in enumerate(calendar.tasks))
    return CalendarFigure(str(calendar.days[0]), str(calendar.days[-1]), rows)


def _row(calendar: LabelCalendar, task: TaskDays, place: int) -> TaskStrips:
    return TaskStrips(
        task=task.task,
        y=_LINE * place,
        strips=tuple(_strips(calendar, task)),
        observed=sum(task.observed),
        positive=sum(task.positive),
        immature=sum(task.immature),
        left_out=sum(task.left_out),
        failed=len(task.failed),
    )


def _strips(calendar: LabelCalendar, task: TaskDays) -> Iterator[Strip]:
    step = _WIDTH / len(calendar.days)
    states = [_state(task, n, failed=day in set(task.failed)) for n, day in enumerate(calendar.days)]
    for state, group in groupby(range(len(states)), key=states.__getitem__):
        places = list(group)
        first, last = places[0], places[-1]
        observed, positive = (sum(counts[first : last + 1]) for counts in (task.observed, task.positive))
        days = f"{calendar.days[first]}" + (f" to {calendar.days[last]}" if last > first else "")
        counted = f"{format_count(observed)} labels, {format_count(positive)} not 0"
        title = f"{days}: {spoken(state)}, {counted}"
        yield Strip(state, round(_LEFT + first * step, 1), round(len(places) * step, 1), title)


def _state(task: TaskDays, place: int, *, failed: bool) -> str:
    if failed:
        return FAILED
    if task.immature[place]:
        return IMMATURE
    return MATURE if task.observed[place] else LEFT_OUT
