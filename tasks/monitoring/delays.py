"""The share of a mature day's events that had arrived by the end of a day after it: F(1) and F(2)."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from tasks.evaluation.metric_rows import Figure
from tasks.evaluation.subjects import Subject
from tasks.monitoring.serving import mean_figure
from tasks.monitoring.traffic import TaskTraffic

_AGES: Final = (1, 2)


def measure_delays(task: str, rows: TaskTraffic) -> Iterator[Figure]:
    """Yield F(1) and F(2) of a day's rows; F(1) counts the events on the day of the impression.

    A day without events has no figure.
    """
    events = np.asarray(rows.rows.outcomes) > 0
    users = np.asarray(rows.rows.users)[events]
    for age in _AGES if events.any() else ():
        arrived = (rows.ages[events] < age).astype(np.float64)
        yield mean_figure(Subject("arrived_share", task=task, column="day", value=str(age)), arrived, users)
