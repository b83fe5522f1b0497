"""Estimates the calibration of a day before its labels mature, with intervals from past errors.

::

    impression day d, data until day d + a      age a = 0, 1, ... until maturity
    estimate   sum of events so far / sum over strata of F_s(a) x sum of p
    F_s(a)     share of the events of stratum s that arrive by age a: on the 28 newest days matured by d + a
    target     observed / predicted of the same impressions once they are mature
    se_c^2     (1 - F) / events so far, of the log: sampling error of early arrivals
    tau_a^2    max(0, mean of e^2 - se_c^2), e = ln(estimate / target) of 28 reconciled days at the same age
    interval   exp(ln estimate +- t(n - 1) sqrt(se_c^2 + tau_a^2)), from n = 14 reconciled days on

Strata are deciles of the prediction. One F for all rows is biased as soon as slowly converting rows become
more frequent. Intervals from counts alone have too low a coverage if delays differ from day to day; tau
measures actual errors. ``python -m benchmarks.early_estimates`` prints errors and coverage.

No estimate uses data from after the end of day d + a, so it can be recomputed at any time.

Estimates are computed for binary tasks that mature within fifteen days::

    label store, newest days      events by decile of the prediction and by days since the impression
    log, days not mature yet      the same, for the events known so far
    estimate_early                observed / predicted of every day at every age, with intervals

The estimate at an age is stored once when its day has ended, and compared with the matured target: ``held``
is the coverage of the intervals. If F(1) or F(2) raise an alarm, delays have changed and estimates are
invalid.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Final, TypedDict

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.binary import divide
from tasks.evaluation.figures import Figure
from tasks.evaluation.subjects import ALL, Subject
from tasks.labels.compile import read_provisional
from tasks.labels.snapshot import Snapshot
from tasks.labels.windows import matures
from tasks.monitoring.series import EARLY, SeriesFigure
from tasks.monitoring.traffic import LoggedTraffic
from tasks.stores.workspace import Workspace

MATURED_DAYS: Final = 28
"""Number of newest matured days for F and tau."""
LEAST_DAYS: Final = 14
"""Minimum number of these days for F, and of reconciled days for an interval."""


@dataclass(frozen=True)
class EarlyEstimates:
    """Estimates of observed / predicted by impression day and age, and their later targets.

    Attributes
    ----------
    value, low, high : [days, ages], the estimate and its 95 % interval. NaN if day + age is after the last
        day, if F is unknown, and without events; the interval also before 14 reconciled days.
    matured : [days], observed / predicted of mature days, NaN for others.
    shares : [days, ages], share of a mature day's events that had arrived by an age. They are separate
        series: an alarm on them means that delays have changed, and that the estimates must not be used.
    """

    value: Floats
    low: Floats
    high: Floats
    matured: Floats
    shares: Floats

    @property
    def reconciled(self) -> Floats:
        """Whether an interval contains the matured target, [days, ages]: 1, 0, or NaN if unknown."""
        target = self.matured[:, None]
        inside = (self.low <= target) & (target <= self.high)
        return np.where(np.isfinite(self.low) & np.isfinite(target), inside, np.nan)

    @property
    def coverage(self) -> Floats:
        """Coverage of the reconciled intervals, [ages]."""
        return divide(np.nansum(self.reconciled, axis=0), np.isfinite(self.reconciled).sum(axis=0))


def estimate_early(predicted: Floats, arrived: Floats) -> EarlyEstimates:
    """Estimate observed / predicted of every day at every age, as of the end of day + age.

    Parameters
    ----------
    predicted : [days, strata], sum of calibrated predictions of a day's impressions. Days are consecutive and
        the last one is the newest with data. A stratum is a decile of the prediction, with the same edges on
        every day. 0 for a day without impressions.
    arrived : [days, strata, ages + 1], events of those impressions by the days between impression and event;
        column 0 is the impression's own day and the last column is the day on which a label matures: eight
        columns for a window of seven days. Columns of days that have not ended are not read.

    Examples
    --------
    Half of the events arrive on the first day, the rest on the second. On the last day twice as many arrive:

    >>> predicted, arrived = np.full((50, 1), 100.0), np.full((50, 1, 2), 50.0)
    >>> arrived[-1] = 100, 0  # the second day has not ended
    >>> estimates = estimate_early(predicted, arrived)
    >>> estimates.value[-1].round(2).tolist(), estimates.matured[-2:].tolist()
    ([2.0], [1.0, nan])
    >>> estimates.low[-1].round(2).tolist(), estimates.high[-1].round(2).tolist()
    ([1.73], [2.31])
    """
    days, _, columns = arrived.shape
    ages = np.arange(columns - 1)
    known = np.add.outer(np.arange(days), np.arange(columns)) < days
    mature = known[:, -1]
    until = np.where(known[:, None], arrived, 0.0).cumsum(axis=2)
    events, sums = until.sum(axis=1), predicted.sum(axis=1)
    matured = np.where(mature, divide(events[:, -1], sums), np.nan)
    shares = np.where(mature[:, None], divide(events[:, :-1], events[:, -1:]), np.nan)

    newest = np.add.outer(np.arange(days), ages - ages.size)  # day that has just matured, by day and age
    # the share of events that arrives by an age, as known at that age: [days, ages, strata]
    summed = _sum_newest(np.where(mature[:, None, None], until, 0.0))
    early, late = summed[newest, :, np.arange(newest.shape[1])], summed[newest, :, -1]
    pooled = divide(early.sum(axis=2), late.sum(axis=2))[:, :, None]
    arriving = np.where(late > 0, divide(early, late), pooled)
    enough = _sum_newest((mature & (sums > 0)).astype(float))[newest] >= LEAST_DAYS
    expected = np.where(enough & (newest >= 0), (arriving * predicted[:, None]).sum(axis=2), np.nan)
    seen = np.where(known[:, :-1] & (events[:, :-1] > 0), events[:, :-1], np.nan)
    value = divide(seen, expected)
    by_chance = (1 - np.minimum(divide(expected, sums[:, None]), 1.0)) / seen
    reach = _reach(np.log(divide(value, matured[:, None])), by_chance, newest)
    return EarlyEstimates(value, value * np.exp(-reach), value * np.exp(reach), matured, shares)


def _reach(errors: Floats, by_chance: Floats, newest: Indices) -> Floats:
    """Return half-widths of the intervals on the log scale; errors are NaN for days that are not mature."""
    reconciled = np.isfinite(errors)
    ages = np.arange(newest.shape[1])
    n = _sum_newest(reconciled.astype(float))[newest, ages]
    extra = _sum_newest(np.where(reconciled, errors**2 - by_chance, 0.0))[newest, ages]
    spread = np.sqrt(by_chance + np.maximum(divide(extra, n), 0.0))
    return np.where((n >= LEAST_DAYS) & (newest >= 0), stdtrit(np.maximum(n - 1, 1), 0.975) * spread, np.nan)


def _sum_newest(figures: Floats) -> Floats:
    """Return sums over the newest days up to each day."""
    sums = figures.cumsum(axis=0)
    sums[MATURED_DAYS:] = sums[MATURED_DAYS:] - sums[:-MATURED_DAYS]
    return sums


_DAY: Final = timedelta(days=1)
_LONGEST: Final = 15
_STRATA: Final = 10


class EarlyLevel(TypedDict):
    """A day's estimate at its current age; ``held`` is the coverage of ``reconciled`` earlier intervals."""

    task: str
    day: date
    age: int
    value: float
    low: float
    high: float
    held: float
    reconciled: int


def comes_late(workspace: Workspace, task: str) -> bool:
    """Return whether a task's events arrive over days, so that early estimates and delays are meaningful."""
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
        """Add rows; the first ones determine the deciles."""
        if self.edges is None:
            self.edges = np.quantile(predictions, np.arange(1, _STRATA) / _STRATA)
        strata = np.searchsorted(self.edges, predictions, side="right")
        np.add.at(self.predicted, (days, strata), predictions)
        events = np.flatnonzero(outcomes)
        np.add.at(self.arrived, (days[events], strata[events], ages[events]), 1.0)


@dataclass(frozen=True)
class EarlySums:
    """Sums the impressions of the days that estimates need, one week at a time.

    Attributes
    ----------
    late : days until labels are mature, by task.
    days : days from a Monday to the last known day, back to those needed; empty if no task has late events.
    sofar : labels of days that are not mature, from the events known so far.
    """

    late: Mapping[str, int]
    days: Sequence[date]
    sofar: pd.DataFrame
    cells: Mapping[str, _Cells]

    @classmethod
    def begin(cls, workspace: Workspace, snapshot: Snapshot, *, known_by: datetime) -> "EarlySums":
        """Select the days, and read the known labels of those that are not mature by an instant."""
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
        """Add a week's rows: mature days with stored labels, others with the events known so far."""
        if not self.days:
            return
        now: LoggedTraffic | None = None
        for task, width in self.late.items():
            inside = traffic.days >= np.datetime64(self.days[0])
            mature = traffic.days <= np.datetime64(self.days[-1] - width * _DAY)
            predictions = traffic.predictions[task]  # predictions do not depend on labels
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
    def estimates(self) -> dict[str, EarlyEstimates]:
        """Estimates of every day by task; computed once, so all weeks must have been added."""
        return {task: estimate_early(one.predicted, one.arrived) for task, one in self.cells.items()}

    def levels(self) -> Iterator[EarlyLevel]:
        """Yield each immature day's estimate at its current age, by task, newest day first."""
        for task, found in self.estimates.items():
            days, ages = found.value.shape
            for age in range(min(ages, days)):
                day, reconciled = days - 1 - age, found.reconciled[:, age]
                if math.isfinite(found.value[day, age]):
                    yield EarlyLevel(
                        task=task,
                        day=self.days[day],
                        age=age,
                        value=float(found.value[day, age]),
                        low=float(found.low[day, age]),
                        high=float(found.high[day, age]),
                        held=float(found.coverage[age]),
                        reconciled=int(np.isfinite(reconciled).sum()),
                    )

    def figures(self, stored: set[tuple[str, date, str]]) -> Iterator[SeriesFigure]:
        """Yield the estimates that are not stored yet; ``stored`` has tasks, days and ages."""
        for task, found in self.estimates.items():
            for day, age in np.argwhere(np.isfinite(found.value)).tolist():
                if (task, self.days[day], str(age)) not in stored:
                    value, low, high = (float(x[day, age]) for x in (found.value, found.low, found.high))
                    subject = Subject(EARLY, task=task, column="age", value=str(age))
                    yield SeriesFigure(self.days[day], Figure(subject, ALL, value, low, high, 0, 0, 0))
