"""Reads the log of an experiment: sums of each metric by user and day, from a label snapshot.

::

    days of the experiment   rows with its name as `experiment`   ->  by user and day, and by segment value
    days before its start    all rows of the same users           ->  by user

If the log has the column ``triggered``, the users that the treatment could affect are a segment, from the day
of their first request for which the arms differ.

Only mature outcomes are used: an impression counts for a rate if its label is observed, and for the utility
if every term has matured. Terms that are known for only some impressions, such as responses, are extrapolated
to their arm's day.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.arrays import Flags, Floats, Indices
from tasks.contracts import Contracts
from tasks.contracts.experiment import CONTROL, ExperimentSpec, experiment_outcomes
from tasks.contracts.metrics import Metric, MetricKind
from tasks.contracts.surface import SegmentSpec
from tasks.contracts.tasks import join_outcomes
from tasks.errors import DataError, unknown
from tasks.evaluation.segments import segment_columns, segment_values
from tasks.experiments.arm_effects import ArmUsers, Novelty, level_change, novelty_slope
from tasks.labels.snapshot import Snapshot
from tasks.labels.windows import matures
from tasks.logs.tables import to_frame
from tasks.ranking.utility import served_predictions, worth_of_outcomes
from tasks.replay.read_log import IdCodes, Ids

_DAY: Final = timedelta(days=1)
Sums = tuple[Floats, Floats]
"""Numerators and denominators of a metric [n]."""
_NO_LATENCIES: Final = np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0)


@dataclass(frozen=True)
class UserDays:
    """Sums by user and day [n]: codes of users, days since the first one, and each metric's sums."""

    users: Indices
    days: Indices
    sums: Mapping[str, Sums]

    def select(self, rows: Flags) -> "UserDays":
        """Return some of the rows."""
        sums = {name: (y[rows], x[rows]) for name, (y, x) in self.sums.items()}
        return UserDays(self.users[rows], self.days[rows], sums)


@dataclass(frozen=True)
class ArmLog:
    """Logged data of an experiment.

    Attributes
    ----------
    rows : sums by user and day, of metrics and of the outcomes for learning weights.
    treated : [users] whether the user's first exposure was in the treatment.
    first_day : [users] day of the first exposure, since the start.
    crossed : [users] whether the user was in both arms.
    impressions : [days, arms] rows by day, control first.
    before : sums by user of the days before the start, by metric; empty without a pre-period.
    segments : sums by user and day, by segment and value.
    latencies : user, day and milliseconds of each request of the treatment.
    served : number of rows by arm and logged release; empty if no release is logged.
    triggered_day : [users] day of the first request for which the arms differ; the number of days for a user
        without one. None if not logged.
    """

    rows: UserDays
    treated: Flags
    first_day: Indices
    crossed: Flags
    impressions: Indices
    before: Mapping[str, Sums] = field(default_factory=dict)
    segments: Mapping[tuple[str, str], UserDays] = field(default_factory=dict)
    latencies: tuple[Indices, Indices, Floats] = _NO_LATENCIES
    served: Mapping[tuple[str, int], int] = field(default_factory=dict)
    triggered_day: Indices | None = None

    @property
    def counts(self) -> Indices:
        """New users by day of their first exposure and arm [days, arms], control first."""
        return self._count_users(self.first_day)

    @property
    def triggered_counts(self) -> Indices | None:
        """Users by arm and the day on which they were first triggered; None if that is not logged."""
        return None if self.triggered_day is None else self._count_users(self.triggered_day)

    def without(self, segment: tuple[str, str]) -> "ArmLog":
        """Return a copy without a segment."""
        return replace(self, segments={of: rows for of, rows in self.segments.items() if of != segment})

    def _count_users(self, first: Indices) -> Indices:
        days = len(self.impressions)
        inside = first < days
        places = first[inside] * 2 + self.treated[inside]
        return np.bincount(places, minlength=days * 2).reshape(days, 2)

    def users(
        self, metric: str, *, until: int | None = None, aged: int = 0, rows: UserDays | None = None
    ) -> ArmUsers:
        """Return a metric by user, for users with an impression that counts.

        Parameters
        ----------
        until : the last day that counts.
        aged : minimum number of days since the first exposure.
        rows : rows of a segment's value; by default all.
        """
        users = self._sum_by_user(metric, until=until, aged=aged, rows=rows or self.rows)
        return users.select((users.denominator > 0) & ~self.crossed)

    def change(self, metric: str) -> tuple[float, Floats]:
        """Return treatment - control of a metric's levels, and each user's share of its error [users]."""
        users = self._sum_by_user(metric, until=None, aged=0, rows=self.rows)
        parts = np.zeros(len(self.treated))
        counted = (users.denominator > 0) & ~self.crossed
        change, parts[counted] = level_change(users.select(counted))
        return change, parts

    def _sum_by_user(self, metric: str, *, until: int | None, aged: int, rows: UserDays) -> ArmUsers:
        count, (above, below) = len(self.treated), rows.sums[metric]
        kept = ~self.crossed[rows.users] & (rows.days - self.first_day[rows.users] >= aged)
        kept &= True if until is None else rows.days <= until
        y, x = (_sum(rows.users[kept], part[kept], count) for part in (above, below))
        return ArmUsers(self.treated, y, x, self.before.get(metric))

    def novelty(self, metric: str) -> Novelty | None:
        """Return the slope of the effect on a metric by days since the first exposure."""
        rows = self.rows.select(~self.crossed[self.rows.users])
        ages = (rows.days - self.first_day[rows.users]).astype(np.intp)
        return novelty_slope(rows.users, ages, self.treated[rows.users], *rows.sums[metric])


def read_arms(snapshot: Snapshot, spec: ExperimentSpec, contracts: Contracts, *, until: date) -> ArmLog:
    """Read an experiment up to a day, which is excluded.

    Raises
    ------
    DataError
        The log has no column of experiments, or has an arm that is not in the file.
    """
    for column in (c.EXPERIMENT, c.ARM):
        if column not in snapshot.schema().names:
            raise DataError(unknown("column", column, snapshot.schema().names, where="the log's impressions"))
    reader = _Reader(snapshot, spec, contracts, outcomes=_find_outcomes(snapshot, contracts))
    last = min(until, spec.ends)
    for day in _logged(snapshot, spec.starts, last):
        reader.add(day)
    return reader.log(max(0, (last - spec.starts).days))


def read_past(
    snapshot: Snapshot, spec: ExperimentSpec, contracts: Contracts, *, days: tuple[date, date]
) -> UserDays:
    """Return all users' sums by user and day from one day to another, both included."""
    reader = _Reader(snapshot, spec, contracts)
    return reader.past(_logged(snapshot, days[0], days[1] + _DAY), days[0])


def _find_outcomes(snapshot: Snapshot, contracts: Contracts) -> dict[str, str]:
    """Return the outcomes whose labels and values are in the log, each with its task."""
    held = snapshot.schema().names
    known = experiment_outcomes(contracts)
    if not {*contracts.utility.columns} <= {*held}:
        known = {name: task for name, task in known.items() if name != task}
    return {name: task for name, task in known.items() if c.status(task) in held}


def _logged(snapshot: Snapshot, first: date, end: date) -> list[date]:
    """Return the days with rows from the first up to the end, which is excluded."""
    return [day for day in snapshot.dates() if first <= day < end]


@dataclass
class _Reader:
    """Reads days and adds up their sums."""

    snapshot: Snapshot
    spec: ExperimentSpec
    contracts: Contracts
    ids: IdCodes = field(default_factory=IdCodes)
    parts: list[UserDays] = field(default_factory=list)
    by_value: dict[tuple[str, str], list[UserDays]] = field(default_factory=dict)
    arms: list[tuple[Indices, Indices, int]] = field(default_factory=list)
    outcomes: Mapping[str, str] = field(default_factory=dict)
    slow: list[tuple[Indices, Indices, Floats]] = field(default_factory=list)
    served: Counter[tuple[str, int]] = field(default_factory=Counter)
    triggered: list[tuple[Indices, int]] = field(default_factory=list)

    @property
    def metrics(self) -> dict[str, Metric]:
        """Metrics that are sums over impressions."""
        found = self.spec.parse_metrics(self.contracts)
        return {name: one for name, one in found.items() if one.kind is not MetricKind.LATENCY}

    @property
    def segments(self) -> list[SegmentSpec]:
        declared = self.contracts.surface.segments
        return [one for one in declared if one.name in self.spec.segments]

    def add(self, day: date) -> None:
        """Add a day of the experiment."""
        frame = self._frame(day, (c.EXPERIMENT, c.ARM, c.REQUEST_ID))
        frame = frame[frame[c.EXPERIMENT] == self.spec.experiment].reset_index(drop=True)
        strange = set(frame[c.ARM].dropna().unique()) - self.spec.arms.keys()
        if strange or frame[c.ARM].isna().any():
            named = str(min(map(str, strange), default=None))
            raise DataError(unknown("arm", named, self.spec.arms, where=f"the log of {day}") + _LOGGED)
        users = self.ids.encode(Ids.of(frame[c.USER_ID])).astype(np.intp)
        treated = (frame[c.ARM] != CONTROL).to_numpy().astype(np.intp)
        at = (day - self.spec.starts).days
        self.arms.append((users, treated, at))
        sums = measure_rows(frame, self.metrics, self.contracts, arms=treated)
        outcomes = measure_outcomes(frame, self.outcomes, self.contracts)
        self.parts.append(_by_user(users, at, outcomes | sums))
        for name, values in segment_values(frame, self.segments).items():
            for code in np.unique(values.codes):
                here = np.flatnonzero(values.codes == code)
                of_value = {metric: (y[here], x[here]) for metric, (y, x) in sums.items()}
                place = (name, str(values.categories[code]))
                self.by_value.setdefault(place, []).append(_by_user(users[here], at, of_value))
        if c.TRIGGERED in frame:
            self.triggered.append((users[read_triggers(frame, day)], at))
        if c.RELEASE in frame:
            releases = pd.to_numeric(frame[c.RELEASE], errors="coerce").fillna(0).astype(int)
            self.served.update(zip(frame[c.ARM], releases, strict=True))
        if c.LATENCY_MS in frame:
            first = ~frame[c.REQUEST_ID].duplicated().to_numpy() & (treated == 1)
            first &= frame[c.LATENCY_MS].notna().to_numpy()
            slow = frame[c.LATENCY_MS].to_numpy(dtype=float)[first]
            self.slow.append((users[first], np.full(len(slow), at, dtype=np.intp), slow))

    def past(self, days: Sequence[date], first: date) -> UserDays:
        """Return all users' sums of some days."""
        parts = []
        for day in days:
            frame = self._frame(day, ())
            users = self.ids.encode(Ids.of(frame[c.USER_ID])).astype(np.intp)
            outcomes = measure_outcomes(frame, self.outcomes, self.contracts)
            sums = measure_rows(frame, self.metrics, self.contracts)
            parts.append(_by_user(users, (day - first).days, outcomes | sums))
        return _join(parts, {*self.outcomes, *self.metrics})

    def log(self, days: int) -> ArmLog:
        """Return the log of all added days."""
        count = len(self.ids.known)
        first, arm = np.full(count, days, dtype=np.intp), np.zeros((2, count), dtype=bool)
        treated, impressions = np.zeros(count, dtype=bool), np.zeros((days, 2), dtype=np.intp)
        for users, arms, at in reversed(self.arms):
            first[users], treated[users] = at, arms == 1
            arm[arms, users] = True
            impressions[at] = np.bincount(arms, minlength=2)
        by, on, slow = zip(_NO_LATENCIES, *self.slow, strict=True)
        rows = _join(self.parts, {*self.outcomes, *self.metrics})
        segments = {place: _join(parts, self.metrics) for place, parts in self.by_value.items()}
        triggered = np.full(count, days, dtype=np.intp) if self.triggered else None
        if triggered is not None:
            for users, at in reversed(self.triggered):
                triggered[users] = at
            segments[TRIGGERED] = rows.select(rows.days >= triggered[rows.users])
        return ArmLog(
            rows=rows,
            treated=treated,
            first_day=first,
            crossed=arm[0] & arm[1],
            impressions=impressions,
            before=self._history(count),
            segments=segments,
            served=self.served,
            triggered_day=triggered,
            latencies=(np.concatenate(by), np.concatenate(on), np.concatenate(slow)),
        )

    def _history(self, count: int) -> dict[str, Sums]:
        """Return the sums of the experiment's users before the start."""
        if self.spec.cuped is None or not count:
            return {}
        first = self.spec.starts - self.spec.cuped.days * _DAY
        past = self.past(_logged(self.snapshot, first, self.spec.starts), first)
        past = past.select(past.users < count)
        return {
            name: (_sum(past.users, y, count), _sum(past.users, x, count))
            for name, (y, x) in past.sums.items()
            if len(past.users)
        }

    def _frame(self, day: date, further: Sequence[str]) -> pd.DataFrame:
        """Read a day's rows of known users, with the columns that the metrics and segments need."""
        held = self.snapshot.schema().names
        named = [task for one in self.metrics.values() for task in metric_tasks(one, self.contracts)]
        known = self.contracts.tasks
        tasks = dict.fromkeys(
            link for task in (*named, *self.outcomes.values()) for link in known.chain(task)
        )
        served = map(c.served, self.contracts.utility_predictions)
        optional = [*self.contracts.utility.columns, *served, c.LATENCY_MS, c.RELEASE, c.TRIGGERED]
        shares = [one.subject for one in self.metrics.values() if one.kind is MetricKind.SHARE]
        wanted = [
            *(c.USER_ID, *further),
            *(name for task in tasks for name in (task, c.status(task))),
            *segment_columns([*self.segments, *_share_columns(shares, self.contracts)]),
            *(name for name in optional if name in held),
        ]
        table = self.snapshot.read(list(dict.fromkeys(wanted)), first_day=day, last_day=day)
        return to_frame(table).dropna(subset=[c.USER_ID]).reset_index(drop=True)


def read_triggers(frame: pd.DataFrame, day: date) -> Flags:
    """Return which rows belong to requests for which the arms differ.

    Raises
    ------
    DataError
        The column is null in a row of the experiment, or is not boolean.
    """
    triggered = frame[c.TRIGGERED]
    if triggered.isna().any():
        missing = int(triggered.isna().sum())
        raise DataError(
            f"Column '{c.TRIGGERED}' is null in {missing:,} of the experiment's {len(frame):,} impressions "
            f"of {day}. Log true or false with each of them"
        )
    if not pd.api.types.is_bool_dtype(triggered.convert_dtypes()):
        raise DataError(
            f"Column '{c.TRIGGERED}' of {day} has other values than true and false. Log a boolean"
        )
    return np.asarray(triggered, dtype=bool)


TRIGGERED: Final = (c.TRIGGERED, "true")
"""Segment of the users that the treatment could affect."""
_LOGGED: Final = " Log the arm's declared name, or name the arm in the experiment's file."


def metric_tasks(metric: Metric, contracts: Contracts) -> tuple[str, ...]:
    """Return the tasks whose outcomes a metric needs."""
    if metric.kind is MetricKind.OBSERVED_UTILITY:
        return contracts.utility.outcomes
    named = (metric.subject, metric.value) if metric.kind is MetricKind.GIVEN else (metric.subject,)
    return tuple(name for name in named if name in contracts.tasks.tasks)


def metric_maturity(metric: Metric, contracts: Contracts) -> timedelta:
    """Return the time after which an impression counts for a metric."""
    tasks = metric_tasks(metric, contracts)
    return max((matures(contracts.tasks, task) for task in tasks), default=timedelta())


def measure_rows(
    frame: pd.DataFrame, metrics: Mapping[str, Metric], contracts: Contracts, *, arms: Indices | None = None
) -> dict[str, Sums]:
    """Return each metric's numerator and denominator of every row.

    Parameters
    ----------
    frame : n impressions with labels and statuses of the metrics' tasks.
    arms : [n] codes; utility terms known for only some rows are extrapolated to all of their arm.
    """
    of = np.zeros(len(frame), np.intp) if arms is None else arms
    return {name: _measure(frame, metric, contracts, of) for name, metric in metrics.items()}


def _measure(frame: pd.DataFrame, metric: Metric, contracts: Contracts, arms: Indices) -> Sums:
    task = str(metric.subject)
    match metric.kind:
        case MetricKind.RATE:
            outcome = _outcome(frame, task, contracts)
            return np.nan_to_num(outcome), np.isfinite(outcome).astype(float)
        case MetricKind.GIVEN:
            outcome, before = (_outcome(frame, one, contracts) for one in (task, str(metric.value)))
            known = np.isfinite(outcome) & np.isfinite(before)
            return np.where(known, outcome, 0.0), np.where(known, before, 0.0)
        case MetricKind.SHARE:
            (spec,) = _share_columns([metric.subject], contracts)
            values = segment_values(frame, [spec])[spec.name]
            return (np.asarray(values) == metric.value).astype(float), np.ones(len(frame))
        case _:
            return _utility(frame, contracts, arms)


def _outcome(frame: pd.DataFrame, task: str, contracts: Contracts) -> Floats:
    """Return a task's joint outcome; NaN if unknown or immature."""
    links = contracts.tasks.chain(task)
    labels = {link: frame[link].to_numpy(dtype=float, na_value=np.nan) for link in links}
    immature = (frame[c.status(task)] == c.Status.IMMATURE).to_numpy(dtype=bool)
    return np.where(immature, np.nan, join_outcomes(labels, links))


def _utility(frame: pd.DataFrame, contracts: Contracts, arms: Indices) -> Sums:
    policy = contracts.utility.model_copy(update={"perturbation": None})
    predictions = served_predictions(frame, contracts.utility_predictions)
    worth = worth_of_outcomes(frame, predictions, policy)
    immature = [(frame[c.status(task)] == c.Status.IMMATURE).to_numpy(dtype=bool) for task in policy.outcomes]
    mature = ~np.logical_or.reduce(immature)
    total, rows = np.zeros(len(frame)), np.bincount(arms, mature, 2)
    for term, of_one in worth.items():
        outcome = _outcome(frame, term, contracts) if term in policy.outcomes else np.ones(len(frame))
        known = mature & np.isfinite(outcome)
        each = np.bincount(arms, known, 2)
        scale = np.divide(rows, each, out=np.zeros(2), where=each > 0)
        total += np.where(known, np.nan_to_num(outcome) * of_one * scale[arms], 0.0)
    return total, mature.astype(float)


def measure_outcomes(
    frame: pd.DataFrame, outcomes: Mapping[str, str], contracts: Contracts
) -> dict[str, Sums]:
    """Return numerator and denominator of every row by outcome; an outcome named like its task is a value."""
    values: Mapping[str, Floats] = {}
    if any(name == task for name, task in outcomes.items()):
        values = worth_of_outcomes(frame, {}, contracts.utility.with_unit_weights())
    sums = {}
    for name, task in outcomes.items():
        outcome = _outcome(frame, task, contracts)
        each = values[task] if name == task else 1.0
        sums[name] = (np.nan_to_num(outcome) * each, np.isfinite(outcome).astype(float))
    return sums


def _share_columns(names: Sequence[str | None], contracts: Contracts) -> list[SegmentSpec]:
    """Return the column of each share: a declared segment, or a column's own values."""
    declared = {one.name: one for one in contracts.surface.segments}
    return [
        declared.get(str(name)) or SegmentSpec.model_validate({"name": name, "from": name}) for name in names
    ]


def _sum(codes: Indices, values: Floats, count: int) -> Floats:
    return np.asarray(np.bincount(codes, values, count), dtype=np.float64)


def _by_user(users: Indices, day: int, sums: Mapping[str, Sums]) -> UserDays:
    known, codes = np.unique(users, return_inverse=True)
    added: dict[str, Any] = {
        name: tuple(_sum(codes, part, len(known)) for part in each) for name, each in sums.items()
    }
    return UserDays(known.astype(np.intp), np.full(len(known), day, np.intp), added)


def _join(parts: Sequence[UserDays], metrics: Iterable[str]) -> UserDays:
    none = np.zeros(0)
    joined: dict[str, Any] = {
        name: tuple(np.concatenate([none, *(part.sums[name][side] for part in parts)]) for side in (0, 1))
        for name in metrics
    }
    users, days = (
        np.concatenate([none.astype(np.intp), *(getattr(part, name) for part in parts)])
        for name in ("users", "days")
    )
    return UserDays(users, days, joined)
