"""Days on which each task is trained, calibrated and tested.

All tasks of a release share one test slice, after all rows that any part was trained or calibrated on::

    train ............| window |  calibrate ...| maturity |  test ...| slowest fast maturity | as-of
                    (embargo)                   (embargo)

The window covers the whole chain: the window of a return opens with its purchase, whose own window comes
before it. A task with ``delayed`` has no first embargo: it learns up to its calibrate days from the outcomes
observed when they began (``tasks/training/debiasing.py``).

A slow task that is not mature in the shared slice is tested on its own, older slice, with the same order of
slices before it. Its parents' newest models may have learned from these days, so the joint of its chain is
measured with factor models on the task's own slices (`factor_slices`)::

    serving parent   train .........| window | calibrate | maturity |  shared test  |  as-of
    task             train ..| window | calibrate | maturity |  test  |
    factor model     train ..| window | calibrate |            of the same parent, on the days of the task

A refit leaves no days for a test: it calibrates on the newest mature days and trains before them. Lengths
count calendar days in UTC. A slice begins and ends on a day that has rows, so that surfaces with one day of
rows a week, or with gaps in their logs, lose no rows.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from tasks.contracts import Contracts, TasksSpec
from tasks.contracts.durations import describe_duration
from tasks.errors import DataError, ImmatureLabels, unknown

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DaySlice:
    """Days from first to last, both included."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        """Start of the first day."""
        return datetime.combine(self.first, time.min, UTC)

    @property
    def end(self) -> datetime:
        """End of the last day."""
        return datetime.combine(self.last, time.min, UTC) + _DAY

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def to_json(self) -> list[str]:
        """Return first and last day in ISO 8601."""
        return [self.first.isoformat(), self.last.isoformat()]


@dataclass(frozen=True)
class TaskSlices:
    """Slices of one task, oldest first."""

    train: DaySlice
    calibrate: DaySlice
    test: DaySlice

    def to_json(self) -> dict[str, list[str]]:
        """Return each slice's first and last day."""
        return {name: getattr(self, name).to_json() for name in ("train", "calibrate", "test")}


@dataclass(frozen=True)
class ReleaseSlices:
    """The shared test slice and every task's own slices."""

    test: DaySlice
    tasks: dict[str, TaskSlices]


def time_until_known(spec: TasksSpec, task: str) -> timedelta:
    """Return the time after shown_at until a label and the labels that it depends on are mature."""
    return max(
        spec.maturity(task), *(time_until_known(spec, other) for other in spec.needs(task)), timedelta()
    )


def label_window(spec: TasksSpec, task: str) -> timedelta:
    """Return the time after shown_at in which events affect a label, through its parent and parts too."""
    return max(spec.window(task), *(label_window(spec, other) for other in spec.needs(task)), timedelta())


def learning_window(contracts: Contracts, task: str) -> timedelta:
    """Return the time after the train days in which outcomes of the model's labels still occur.

    A dense start learns from the task's own train days; open windows are cut at their end.
    """
    return max(
        timedelta() if contracts.delayed(name) else label_window(contracts.tasks, name)
        for name in _learned(contracts, task)
    )


def _learned(contracts: Contracts, task: str) -> tuple[str, ...]:
    """Return the tasks whose labels a task's model learns: its own, and that of a dense start."""
    start = contracts.surface.training_for(task).start_from
    starts = start is not None and contracts.head_kind(task) == "binary"
    return (task, start.task) if start is not None and starts else (task,)


def find_test_decider(spec: TasksSpec) -> str:
    """Return the task that determines the shared test days: the last to mature among those that share them.

    Tasks that are never trained are included, because their outcomes are measured on these days.
    """
    shared = spec.by_cadence("fast") or tuple(spec.tasks)
    return max(shared, key=lambda name: time_until_known(spec, name))


def plan_slices(
    contracts: Contracts, as_of: datetime, days: Sequence[date], *, tasks: Sequence[str] | None = None
) -> ReleaseSlices:
    """Split the mature history into slices.

    Parameters
    ----------
    contracts : lengths (``split``), minimum lengths (``minimum``), maturities and windows.
    as_of : the instant of the labels, or the instant up to which their log had arrived.
    days : the days that have rows in the label store, in any order.
    tasks : tasks that need slices; by default all trained tasks.

    Raises
    ------
    ImmatureLabels
        A task has less mature history than ``minimum.train``.
    DataError
        The store is empty, or a task is unknown.
    """
    history = sorted(set(days))
    if not history:
        raise DataError(f"The label store of {contracts.name} holds no day. Build labels first.")
    names = contracts.tasks.trained if tasks is None else tuple(tasks)
    for name in names:
        if name not in contracts.tasks.tasks:
            raise DataError(unknown("task", name, contracts.tasks.tasks, where="tasks.yaml"))
    cut = _Cut(contracts, as_of, history)
    test = cut.mature(find_test_decider(contracts.tasks))
    return ReleaseSlices(test, {name: cut.task(name, test) for name in names})


def refit_slices(contracts: Contracts, as_of: datetime, days: Sequence[date], *, task: str) -> TaskSlices:
    """Return the slices for a refit of a task's tested recipe, as new as its labels allow.

    Returns
    -------
    The refit's slices. ``test`` is the slice of the tested model; the refit has learned from some of its
    days.
    """
    tested = plan_slices(contracts, as_of, days, tasks=[task]).tasks[task]
    return _Cut(contracts, as_of, sorted(set(days))).refit(task, tested)


def trunk_slices(
    contracts: Contracts, as_of: datetime, days: Sequence[date], *, tasks: Sequence[str]
) -> dict[str, TaskSlices]:
    """Return the slices of tasks that share a trunk, trained before the calibrate days of all of them.

    Returns
    -------
    Each task's test days, the earliest calibrate days of any task, and train days whose windows end before
    these.

    Raises
    ------
    ImmatureLabels, DataError
        As in `plan_slices`.
    """
    planned = plan_slices(contracts, as_of, days, tasks=tasks).tasks
    first = min((one.calibrate for one in planned.values()), key=lambda days: days.first)
    cut = _Cut(contracts, as_of, sorted(set(days)))
    return {task: cut.before(task, first.last, one.test, calibrate=first) for task, one in planned.items()}


def factor_slices(
    contracts: Contracts, as_of: datetime, days: Sequence[date], *, task: str, parent: str
) -> TaskSlices:
    """Return the slices of a parent's factor model that measures a task's joint.

    Returns
    -------
    The task's calibrate and test days, and the parent's train days before them, with its own embargo.

    Raises
    ------
    ImmatureLabels, DataError
        As in `plan_slices`.
    """
    measured = plan_slices(contracts, as_of, days, tasks=[task]).tasks[task]
    return _Cut(contracts, as_of, sorted(set(days))).before(parent, measured.calibrate.last, measured.test)


@dataclass(frozen=True)
class Knowledge:
    """Ends of the time that a task's model, and its calibrator, have learned from."""

    model: datetime
    calibrator: datetime

    @classmethod
    def of(cls, contracts: Contracts, task: str, *, train: DaySlice, calibrate: DaySlice) -> "Knowledge":
        """Return the ends of the label windows of a factor's train and calibrate days."""
        learned = (
            calibrate.start if contracts.delayed(name) else train.end + label_window(contracts.tasks, name)
            for name in _learned(contracts, task)
        )
        return cls(max(learned), calibrate.end + label_window(contracts.tasks, task))

    def precedes(self, measured: TaskSlices) -> bool:
        """Whether the factor can measure a joint on these slices, because it learned from no later events."""
        return self.model <= measured.calibrate.start and self.calibrator <= measured.test.start


@dataclass(frozen=True)
class _Cut:
    """Computes the slices of one surface as of one instant; ``days`` are sorted and not empty."""

    contracts: Contracts
    as_of: datetime
    days: Sequence[date]

    def task(self, name: str, shared: DaySlice) -> TaskSlices:
        maturity = time_until_known(self.contracts.tasks, name)
        test = shared if shared.end + maturity <= self.as_of else self.mature(name)
        return self.before(name, _last_full_day(test.start - maturity), test)

    def refit(self, name: str, tested: TaskSlices) -> TaskSlices:
        newest = _last_full_day(self.as_of - time_until_known(self.contracts.tasks, name))
        return self.before(name, newest, tested.test)

    def before(
        self, name: str, last: date, test: DaySlice, *, calibrate: DaySlice | None = None
    ) -> TaskSlices:
        """Return calibrate days that end by ``last``, and train days one window before them."""
        split = self.contracts.surface.split
        calibrate = calibrate or self._newest(last, split.calibrate)
        if calibrate is None:
            raise self._immature(name, found=0)
        limit = _last_full_day(calibrate.start - learning_window(self.contracts, name))
        train = self._newest(limit, split.train)
        mature_days = (limit - self.days[0]).days + 1
        if train is None or mature_days * _DAY < self.contracts.surface.minimum.train:
            raise self._immature(name, found=max(mature_days, 0))
        return TaskSlices(train, calibrate, test)

    def mature(self, name: str) -> DaySlice:
        limit = _last_full_day(self.as_of - time_until_known(self.contracts.tasks, name))
        test = self._newest(limit, self.contracts.surface.split.test)
        if test is None:
            raise self._immature(name, found=0)
        return test

    def _newest(self, limit: date, length: timedelta) -> DaySlice | None:
        """Return the newest slice of ``length`` that ends on a day with rows, no later than ``limit``."""
        end = bisect_right(self.days, limit)
        if not end:
            return None
        last = self.days[end - 1]
        return DaySlice(self.days[bisect_right(self.days, last - length)], last)

    def _immature(self, name: str, *, found: int) -> ImmatureLabels:
        return ImmatureLabels(" ".join(self._explain(name, found)))

    def _explain(self, name: str, found: int) -> Iterator[str]:
        spec, surface = self.contracts.tasks, self.contracts.surface
        needed, known = surface.minimum.train // _DAY, time_until_known(spec, name)
        yield f"Task '{name}' cannot be trained as of {self.as_of:%Y-%m-%dT%H:%M:%SZ}:"
        yield f"{found} mature days to train on were found, {needed} are needed (minimum.train)."
        yield f"The log's days reach from {self.days[0]} to {self.days[-1]};"
        yield f"{describe_duration(surface.split.test)} of test and"
        yield f"{describe_duration(surface.split.calibrate)} of calibration are set aside, with embargoes of"
        yield f"{describe_duration(known)} (maturity) before as-of and test and"
        yield f"{describe_duration(learning_window(self.contracts, name))} (window) before calibration."
        decider = find_test_decider(spec)
        if known < (moved := time_until_known(spec, decider)):
            yield f"The test days, which the fast tasks share, are moved by '{decider}': it is known after"
            yield f"{describe_duration(moved)}; with cadence: slow it has days of its own."
        yield f"`equipoise plan {self.contracts.name}` shows how many days are needed."
        yield "Wait for more days, add older logs, or lower split or minimum in surface.yaml."


def explain_too_few(task: str, positives: int, observed: int, *, valued: bool, minimum: int) -> str:
    """Explain that a train slice has too few positives, and how to get more.

    Examples
    --------
    >>> explain_too_few("click", 3, 900, valued=False, minimum=20).partition(":")[2].partition(" (")[0]
    ' its train slice has 3 positives in 900 observed rows, 20 are needed'
    """
    noun = "values other than 0" if valued else "positives"
    return (
        f"Task '{task}' cannot be trained: its train slice has {positives} {noun} in {observed} observed "
        f"rows, {minimum} are needed (minimum.positives). Wait for more days, lengthen split.train or "
        "lower the minimum in surface.yaml."
    )


def _last_full_day(instant: datetime) -> date:
    """Return the newest day that has ended at an instant."""
    return instant.astimezone(UTC).date() - _DAY
