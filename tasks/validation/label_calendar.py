"""What a validation keeps of the labels by day, for the dossier's calendar."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

import pandas as pd

from tasks.columns import Status
from tasks.evaluation.label_days import LabelCalendar, TaskDays
from tasks.validation import measurements as m
from tasks.validation.findings import Line, SuiteResult

MOST_DAYS: Final = 180
"""Days that are kept, the newest: a calendar of more is not read."""
_LABELS: Final = "labels"
_Counts = Mapping[tuple[str, str], Mapping[date, int]]


def label_calendar(labels: pd.DataFrame, results: Iterable[SuiteResult]) -> LabelCalendar:
    """Count the labels of each day by task and status.

    Parameters
    ----------
    labels : the measurements of the snapshot (`tasks.validation.label_measurements`).
    results : of all suites; the lines of the labels say on which days a check failed.
    """
    statuses, positives = m.measured(labels, m.STATUS), m.measured(labels, m.POSITIVES)
    days = sorted({one.day for one in statuses if one.day is not None})[-MOST_DAYS:]
    counts: dict[tuple[str, str], dict[date, int]] = defaultdict(dict)
    for one in (*statuses, *positives):
        if one.day is not None:
            counts[one.subject, one.value][one.day] = int(one.rows)
    failed = _failed_days(results)
    tasks = dict.fromkeys(one.subject for one in statuses)
    return LabelCalendar(
        days=tuple(days), tasks=tuple(_of_task(task, days, counts, failed.get(task, set())) for task in tasks)
    )


def _of_task(task: str, days: Sequence[date], counts: _Counts, failed: set[date]) -> TaskDays:
    def by_day(*values: str) -> tuple[int, ...]:
        return tuple(sum(counts.get((task, value), {}).get(day, 0) for value in values) for day in days)

    return TaskDays(
        task=task,
        observed=by_day(Status.OBSERVED),
        positive=by_day(""),
        immature=by_day(Status.IMMATURE),
        left_out=by_day(Status.EXCLUDED, Status.NOT_APPLICABLE),
        failed=tuple(day for day in days if day in failed),
    )


def _failed_days(results: Iterable[SuiteResult]) -> dict[str, set[date]]:
    """Return the days that a check of the labels names, by the task that it is about."""
    failed: dict[str, set[date]] = defaultdict(set)
    for line in _lines(results):
        failed[line.subject.partition(" ")[0]].update(line.odd)
    return failed


def _lines(results: Iterable[SuiteResult]) -> Iterable[Line]:
    return (
        line for result in results if result.suite == _LABELS for of in result.lines.values() for line in of
    )
