"""Calibration of days whose labels are not mature, for binary tasks that mature within fifteen days.

::

    label store, newest days      events by tenth of the prediction and by days since the impression
    log, days not mature yet      the same, of the events known so far
    estimate_early                observed / predicted of every day at every age, with intervals

What is estimated at an age is stored once its day has ended, and compared with what matured: ``held`` is the
share of intervals that did. Where F(1) or F(2) alarm, delays have changed and estimates decide nothing.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Final, TypedDict

import numpy as np
import pandas as pd

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.metric_rows import Figure
from tasks.evaluation.subjects import ALL, Subject
from tasks.labels.compile import read_provisional
from tasks.labels.maturity import matures
from tasks.labels.snapshot import Snapshot
from tasks.monitoring.early_estimates import MATURED_DAYS, EarlyEstimates, estimate_early
from tasks.monitoring.series import EARLY, SeriesFigure
from tasks.monitoring.traffic import LoggedTraffic
from tasks.stores.workspace import Workspace

_DAY: Final = timedelta(days=1)
_LONGEST: Final = 15
_STRATA: Final = 10


class EarlyLevel(TypedDict):
    """A day's estimate at its present age; ``held`` of ``reconciled`` earlier intervals held what matured."""

    task: str
    day: date
    age: int
    value: float
    low: float
    high: float
    held: float
    reconciled: int


def comes_late(workspace: Workspace, task: str) -> bool:
    """Return whether a task's events come over days, so that early estimates and delays mean something."""
    spec = workspace.contracts.tasks.tasks[task]
    answered = spec.observed_when is not None and spec.observed_when.event is not None
    binary = bool(spec.positive) and workspace.contracts.head_kind(task) in {"binary", None}
    return binary and not answered and matures(workspace.contracts.tasks, task) > _DAY


@dataclass
class _Cells:
    """Sums of one task: predictions [days, strata], and events [days, strata, ages]."""

    predicted: Floats
    arrived: Floats
    edges: Floats | None = None

    def add(self, days: Indices, ages: Indices, outcomes: Floats, predictions: Floats) -> None:
        """Add rows; the first ones give the tenths."""
        if self.edges is None:
            self.edges = np.quantile(predictions, np.arange(1, _STRATA) / _STRATA)
        strata = np.searchsorted(self.edges, predictions, side="right")
        np.add.at(self.predicted, (days, strata), predictions)
        events = np.flatnonzero(outcomes)
        np.add.at(self.arrived, (days[events], strata[events], ages[events]), 1.0)


@dataclass(frozen=True)
class EarlyReading:
    """The estimates of some tasks for consecutive days that begin with ``first``."""

    first: date
    estimates: Mapping[str, EarlyEstimates] = field(default_factory=dict)

    def levels(self) -> Iterator[EarlyLevel]:
        """Yield each immature day's estimate at its present age, by task, newest day first."""
        for task, found in self.estimates.items():
            days, ages = found.value.shape
            for age in range(min(ages, days)):
                day, reconciled = days - 1 - age, found.reconciled[:, age]
                if math.isfinite(found.value[day, age]):
                    yield EarlyLevel(
                        task=task,
                        day=self.first + day * _DAY,
                        age=age,
                        value=float(found.value[day, age]),
                        low=float(found.low[day, age]),
                        high=float(found.high[day, age]),
                        held=float(found.coverage[age]),
                        reconciled=int(np.isfinite(reconciled).sum()),
                    )

    def figures(self, stored: set[tuple[str, date, str]]) -> Iterator[SeriesFigure]:
        """Yield what is estimated and not stored yet; ``stored`` are tasks, days and ages."""
        for task, found in self.estimates.items():
            for day, age in np.argwhere(np.isfinite(found.value)).tolist():
                of = self.first + day * _DAY
                if (task, of, str(age)) not in stored:
                    value, low, high = (float(x[day, age]) for x in (found.value, found.low, found.high))
                    subject = Subject(EARLY, task=task, column="age", value=str(age))
                    yield SeriesFigure(of, 1, None, Figure(subject, ALL, value, low, high, 0, 0, 0))


@dataclass(frozen=True)
class EarlySums:
    """Sums the impressions of the days that estimates need, a week at a time.

    Attributes
    ----------
    late : by task the days until its labels are mature.
    days : from a Monday to the last day that is known, as far as the delays and errors of the newest matured
        days reach; none where no task comes late.
    sofar : labels of the days that are not mature, by the events known so far.
    """

    late: Mapping[str, int]
    days: Sequence[date]
    sofar: pd.DataFrame
    cells: Mapping[str, _Cells]

    @classmethod
    def begin(cls, workspace: Workspace, snapshot: Snapshot, *, known_by: datetime) -> "EarlySums":
        """Find the days, and read what is known of those that are not mature by an instant."""
        spec, last = workspace.contracts.tasks, (known_by - _DAY).date()
        late = {
            task: math.ceil(matures(spec, task) / _DAY)
            for task in spec.trained
            if comes_late(workspace, task) and matures(spec, task) <= _LONGEST * _DAY
        }
        stored = [day for day in snapshot.build().days if day <= last]
        if not late or not stored:
            return cls({}, (), pd.DataFrame(), {})
        longest = max(late.values())
        reach = last - (2 * MATURED_DAYS + 2 * longest) * _DAY
        first = max(min(stored), reach - reach.weekday() * _DAY)
        days = [first + n * _DAY for n in range((last - first).days + 1)]
        sofar = read_provisional(workspace, days[-longest:], as_of=known_by).to_pandas()
        size = (len(days), _STRATA)
        cells = {task: _Cells(np.zeros(size), np.zeros((*size, width + 1))) for task, width in late.items()}
        return cls(late, days, sofar, cells)

    def add(self, traffic: LoggedTraffic) -> None:
        """Add a week's rows: mature days as the label store has them, others by the events known so far."""
        if not self.days:
            return
        now: LoggedTraffic | None = None
        for task, width in self.late.items():
            inside = traffic.days >= np.datetime64(self.days[0])
            mature = traffic.days <= np.datetime64(self.days[-1] - width * _DAY)
            predictions = traffic.predictions[task]  # which no label changes
            self._add(task, traffic, predictions, inside & mature)
            if (young := inside & ~mature).any():
                now = now or traffic.with_labels(self.sofar)
                self._add(task, now, predictions, young)

    def _add(self, task: str, traffic: LoggedTraffic, predictions: Floats, rows: Flags) -> None:
        outcomes = traffic.outcomes(task)
        known = np.flatnonzero(rows & np.isfinite(outcomes) & np.isfinite(predictions))
        if len(known):
            days = (traffic.days[known] - np.datetime64(self.days[0])).astype(np.intp)
            ages = np.clip(np.nan_to_num(traffic.ages(task)[known]), 0, self.late[task]).astype(np.intp)
            self.cells[task].add(days, ages, outcomes[known], predictions[known])

    @cached_property
    def reading(self) -> EarlyReading:
        """The estimates of every day; made once, so after the last week was added."""
        if not self.days:
            return EarlyReading(date.min)
        estimates = {task: estimate_early(one.predicted, one.arrived) for task, one in self.cells.items()}
        return EarlyReading(self.days[0], estimates)
