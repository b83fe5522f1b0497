"""Checks whether a log suffices for training: the days of each task's slices, and their positives.

::

    days of the log, as-of  ->  plan_slices by task  ->  slices, or the days that are missing
    labels of those days    ->  positives by slice   ->  sufficient for training, or not

Labels are counted, not stored, and nothing is trained. No import loads MLflow, so `equipoise plan` starts
quickly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from tasks.contracts import Contracts
from tasks.contracts.durations import format_duration
from tasks.errors import DataError, ImmatureLabels
from tasks.labels import show
from tasks.logs.arrival import count_days, find_arrived
from tasks.logs.session import open_log
from tasks.progress import part, report
from tasks.stores.workspace import Workspace, format_instant
from tasks.training.slices import (
    TaskSlices,
    explain_too_few,
    find_test_decider,
    label_window,
    learning_window,
    plan_slices,
    time_until_known,
)

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class TaskOutlook:
    """Days and positives that a log has for one task.

    Attributes
    ----------
    maturity, window, embargo : maturity of labels, time for events, and gap of train and calibrate days.
    slices : first and last day of ``train``, ``calibrate`` and ``test``; None if days are missing.
    positives : observed positives (nonzero values) of each slice; None if labels were not counted.
    days_needed : minimum number of full days of log before the as-of.
    possible_from : the first day as of which a log without gaps has these days.
    missing : why the task cannot be trained; None if it can.
    """

    cadence: str
    maturity: str
    window: str
    embargo: str
    slices: dict[str, list[str]] | None
    positives: dict[str, int] | None
    days_needed: int
    possible_from: str
    missing: str | None


@dataclass(frozen=True)
class Outlook:
    """Days and positives that a log has as of an instant.

    Attributes
    ----------
    arrived : instant up to which the log had arrived by the as-of; labels known later are immature.
    first_day, last_day, days, rows : range and counts of impressions before the as-of; None and 0 if none.
    test : first and last of the shared test days; None if there are none.
    test_decided_by : the last task to mature among those that share the test days.
    days_needed : number of full days of log before the as-of that suffices for every task.
    measured : tasks that are never trained.
    """

    surface: str
    as_of: str
    arrived: str
    first_day: str | None
    last_day: str | None
    days: int
    rows: int
    test: list[str] | None
    test_decided_by: str
    days_needed: int
    tasks: dict[str, TaskOutlook]
    measured: tuple[str, ...]

    @property
    def sliced_days(self) -> list[date]:
        """Every day that some slice of a task covers."""
        spans = [of for task in self.tasks.values() for of in (task.slices or {}).values()]
        ends = [(date.fromisoformat(first), date.fromisoformat(last)) for first, last in spans]
        return sorted({first + n * _DAY for first, last in ends for n in range((last - first).days + 1)})

    @property
    def missing(self) -> dict[str, str]:
        """Reasons why tasks cannot be trained, by task."""
        return {name: task.missing for name, task in self.tasks.items() if task.missing is not None}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {**asdict(self), "complete": not self.missing}


def foresee(workspace: Workspace, *, as_of: datetime) -> Outlook:
    """Return the days and positives with which each task would be trained, calibrated and tested.

    Missing data are reported by task. Labels are counted in the log and not stored.
    """
    contracts = workspace.contracts
    report("log", done=0, of=2)
    with open_log(workspace) as log:
        arrived = find_arrived(log, as_of=as_of)
        foreseen = replace(
            foresee_days(contracts, arrived, count_days(log, as_of)), as_of=format_instant(as_of)
        )
        if not (days := foreseen.sliced_days):
            return foreseen
        with part("labels", done=1, of=2):
            counted = show.count_labels(log, days, as_of=as_of)
        return count_positives(contracts, foreseen, counted)


def count_positives(
    contracts: Contracts, outlook: Outlook, labels: Mapping[str, Mapping[date, show.LabelCount]]
) -> Outlook:
    """Add the positives of each slice, and a reason if a train slice has too few."""

    def counted(name: str, task: TaskOutlook) -> TaskOutlook:
        if task.slices is None:
            return task
        found = {part: _count(labels[name], *of) for part, of in task.slices.items()}
        train, minimum = found["train"], contracts.surface.minimum.positives
        valued = contracts.tasks.tasks[name].kind == "value"
        missing = (
            explain_too_few(name, train.positives, train.observed, valued=valued, minimum=minimum)
            if train.positives < minimum
            else None
        )
        positives = {part: count.positives for part, count in found.items()}
        return replace(task, positives=positives, missing=missing)

    return replace(outlook, tasks={name: counted(name, task) for name, task in outlook.tasks.items()})


def _count(labels: Mapping[date, show.LabelCount], first: str, last: str) -> show.LabelCount:
    within = (count for day, count in labels.items() if first <= day.isoformat() <= last)
    return sum(within, show.LabelCount())


def foresee_days(contracts: Contracts, as_of: datetime, counts: Mapping[date, int]) -> Outlook:
    """Return the days that a log has for each task."""
    days = sorted(counts)
    tasks = {name: _foresee_task(contracts, as_of, days, name) for name in contracts.tasks.trained}
    return Outlook(
        surface=contracts.name,
        as_of=format_instant(as_of),
        arrived=format_instant(as_of),
        first_day=days[0].isoformat() if days else None,
        last_day=days[-1].isoformat() if days else None,
        days=len(days),
        rows=sum(counts.values()),
        test=_foresee_test(contracts, as_of, days),
        test_decided_by=find_test_decider(contracts.tasks),
        days_needed=max(task.days_needed for task in tasks.values()),
        tasks=tasks,
        measured=contracts.tasks.measured,
    )


def _foresee_test(contracts: Contracts, as_of: datetime, days: Sequence[date]) -> list[str] | None:
    try:
        return plan_slices(contracts, as_of, days, tasks=()).test.to_json()
    except DataError:
        return None


def _foresee_task(contracts: Contracts, as_of: datetime, days: Sequence[date], name: str) -> TaskOutlook:
    spec, slices, missing = contracts.tasks, None, None
    try:
        slices = plan_slices(contracts, as_of, days, tasks=[name]).tasks[name]
    except DataError as error:
        missing = str(error) if days else "The log has no impression before the as-of."
    needed = count_days_needed(contracts, name, as_of)
    first = days[0] if days else as_of.date()
    return TaskOutlook(
        cadence=spec.tasks[name].cadence,
        maturity=format_duration(time_until_known(spec, name)),
        window=format_duration(label_window(spec, name)),
        embargo=format_duration(learning_window(contracts, name)),
        slices=slices.to_json() if slices else None,
        positives=None,
        days_needed=needed,
        possible_from=(first + needed * _DAY).isoformat(),
        missing=missing,
    )


def count_days_needed(contracts: Contracts, task: str, as_of: datetime) -> int:
    """Return the minimum number of full days of log before an instant for training a task."""
    surface, spec = contracts.surface, contracts.tasks
    windows = learning_window(contracts, task) + 2 * max(time_until_known(spec, name) for name in spec.tasks)
    most = (surface.minimum.train + surface.split.calibrate + surface.split.test + windows) // _DAY + 9
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if _is_enough(contracts, task, as_of, middle) is None:
            low = middle + 1
        else:
            high = middle
    return low


def _is_enough(contracts: Contracts, task: str, as_of: datetime, days: int) -> TaskSlices | None:
    history = [as_of.date() - n * _DAY for n in range(1, days + 1)]
    try:
        return plan_slices(contracts, as_of, history, tasks=[task]).tasks[task]
    except ImmatureLabels:
        return None
