"""The monitoring step: series of the days that matured since the last run, one week at a time.

::

    label store -> weeks of rows with predictions -> figures by day and week -> table
                                                  -> sums of early estimates and the review queue

A day of a task is new if its last impression is mature and the table has no figures of it. Every week is read
once and is one commit: a killed run is continued, and a repeated run adds nothing.

Manual actions and ramps are stored as events in the series::

    audit    promote, rollback, canary, withdraw, ramped
             weights, constraints                           changes from the previous champion's policy

A row has the metric ``event``, the kind as ``column``, a description as ``value_of`` and the audit row's
number as value.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import groupby
from typing import Final, TypedDict

import numpy as np
import pandas as pd

from tasks.errors import ContractError, DataError, EquipoiseError, Overtaken, StoreError
from tasks.evaluation.figures import Figure
from tasks.evaluation.subjects import ALL, Subject
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.labels.windows import matures
from tasks.logs.rows import DayRange, day_start
from tasks.monitoring.alarms import HISTORY, AlarmReading, SeriesAlarm, read_alarms
from tasks.monitoring.decisions import adjust_boosts, read_decisions
from tasks.monitoring.early import EarlyLevel, EarlySums, comes_late
from tasks.monitoring.levels import measure_levels
from tasks.monitoring.page import SeriesPage, write_page, write_textfile
from tasks.monitoring.series import (
    EARLY,
    EVENT,
    RETURNED,
    ROWS,
    SeriesFigure,
    SeriesLevel,
    SeriesTable,
    count_rows,
    find_stored,
    newest_levels,
)
from tasks.monitoring.serving import (
    mean_figure,
    measure_distances,
    measure_parity,
    measure_serving,
    read_retention,
    read_train_rows,
)
from tasks.monitoring.traffic import LoggedTraffic, ServingReleases, TaskTraffic
from tasks.monitoring.units import ReviewedUnit, SourceSums, SourceValue, UnitReview
from tasks.release import inputs, view
from tasks.stores.aliases import CHAMPION
from tasks.stores.audit import Entry, Kind
from tasks.stores.workspace import Workspace, format_instant, refuse_future, write_report
from tasks.text_files import LARGEST_DOCUMENT, read_json, read_text

PAGE: Final = "monitor.html"
"""File name of the page among a surface's reports."""
QUEUE: Final = "review_queue.csv"
SOURCES: Final = "source_values.csv"
_SENT: Final = "alarms_sent.json"
"""File with the day of the newest alarm with a sent message, by series name."""
_LOG: Final = logging.getLogger("equipoise")
_DAY: Final = timedelta(days=1)
_WEEK: Final = 7
_COMPARED: Final = timedelta(days=28)
"""Newest days whose logged predictions are recomputed."""
_ATTEMPTS: Final = 3
_UNPREDICTED: Final = (
    "No predictions: the log names no release and holds no served_p_<task>, and there is no "
    "champion. Log what is served, or promote a release."
)

Pending = Mapping[date, Sequence[str]]
"""Tasks with figures to compute, by day; '' is the day's traffic."""


class AlarmText(TypedDict):
    """An alarm as passed between Airflow tasks."""

    name: str
    day: str
    text: str
    new: bool
    critical: bool


@dataclass(frozen=True)
class MonitorResult:
    """Result of a run of the monitor.

    Attributes
    ----------
    days : days with new figures.
    figures : new rows of the table.
    series : the newest level of each series of all traffic.
    alarms : alarms of the last week, critical ones first.
    early : estimates of days that are not mature, by task, newest day first.
    queue : units to review, highest lower bound of the excess first.
    history : days of the longest series; with fewer than ``needed`` there are only levels.
    notes : sentences on figures that could not be computed.
    """

    surface: str
    as_of: str
    snapshot: str
    table: str
    days: int
    figures: int
    series: list[SeriesLevel]
    alarms: tuple[SeriesAlarm, ...]
    early: list[EarlyLevel]
    queue: list[ReviewedUnit]
    history: int
    needed: int
    page: str
    notes: list[str]

    @property
    def passed(self) -> bool:
        """Whether no critical alarm is current."""
        return not any(alarm.critical for alarm in self.alarms)

    def textfile(self) -> str:
        """Return the newest levels and the alarms for Prometheus."""
        return write_textfile(
            self.surface, self.series, self.alarms, history=self.history, review_units=len(self.queue)
        )

    def describe_alarms(self) -> list[AlarmText]:
        """Return the alarms as sentences, for messages."""
        return [
            {
                "name": one.name,
                "day": one.day.isoformat(),
                "text": one.sentence,
                "new": one.new,
                "critical": one.critical,
            }
            for one in self.alarms
        ]


def run(workspace: Workspace, *, as_of: datetime) -> MonitorResult:
    """Compute the series of the days that matured since the last run.

    Raises
    ------
    DataError
        There are no labels, or they were built under other contracts.
    """
    refuse_future(as_of)
    with workspace.store.alone(f"{workspace.surface}.monitor", doing=f"monitoring {workspace.surface}"):
        for _ in range(_ATTEMPTS - 1):
            try:
                return _run(workspace, as_of)
            except Overtaken as error:
                _LOG.warning("monitor: continued after what another machine added: %s", error)
        return _run(workspace, as_of)


def read_current(workspace: Workspace) -> AlarmReading | None:
    """Read the alarms of the stored series; None if the surface was not monitored yet."""
    contracts = workspace.contracts
    series = SeriesTable(workspace.store, workspace.surface, contracts.digests["tasks"]).read()
    if series.empty:
        return None
    return read_alarms(series, critical=contracts.surface.monitor.critical, sent={})


def mark_sent(workspace: Workspace, alarms: Iterable[AlarmText]) -> None:
    """Record that messages of some alarms were sent, so that they are no longer new."""
    sent = {name: day.isoformat() for name, day in _read_sent(workspace).items()}
    write_report(workspace, _SENT, json.dumps({**sent, **{one["name"]: one["day"] for one in alarms}}))


def _read_sent(workspace: Workspace) -> dict[str, date]:
    file = workspace.reports / _SENT
    found = read_json(file, error=StoreError) if file.exists() else {}
    return {name: date.fromisoformat(day) for name, day in found.items()}


def read_page(workspace: Workspace) -> str:
    """Read the page of the newest run of the monitor.

    Raises
    ------
    ContractError
        The surface was not monitored yet.
    """
    page = workspace.reports / PAGE
    if not page.exists():
        run = f"equipoise monitor {workspace.surface} --as-of T"
        raise ContractError(f"{workspace.surface} was not monitored yet. Run its DAG, or `{run}`.")
    return read_text(page, error=StoreError, largest=LARGEST_DOCUMENT)


def _run(workspace: Workspace, as_of: datetime) -> MonitorResult:
    contract, snapshot = workspace.contracts.digests["tasks"], _find_labels(workspace, as_of)
    table = SeriesTable(workspace.store, workspace.surface, contract)
    releases = ServingReleases(workspace, workspace.releases.find(CHAMPION))
    version, stored = table.version(), table.read()
    mature_by = min(as_of, snapshot.mature_by())
    sums = EarlySums.begin(workspace, snapshot, known_by=mature_by)
    review = UnitReview.begin(workspace, snapshot, known_by=mature_by)
    days, count = set[date](), 0
    sources = SourceSums.begin(workspace, snapshot, known_by=mature_by)
    work = _Monitoring(workspace, snapshot, releases, mature_by, sums, review, sources)
    for figures in filter(None, _measure(work, stored)):
        version, count = table.add(figures, after=version), count + len(figures)
        days |= {one.day for one in figures if one.figure.subject.metric == ROWS}
    series = table.read() if count else stored
    critical = workspace.contracts.surface.monitor.critical
    alarms = read_alarms(series, critical=critical, sent=_read_sent(workspace))
    notes = [
        *releases.notes,
        *adjust_boosts(workspace.aliases, workspace.contracts.slate, series, as_of=mature_by),
    ]
    queue, levels = review.queue(), list(sums.levels())
    values = sources.table()
    page = SeriesPage(workspace.surface, format_instant(as_of), alarms, levels, queue, values, notes)
    units = pd.DataFrame(queue, columns=[*ReviewedUnit.__annotations__])
    write_report(workspace, QUEUE, units.to_csv(index=False))
    of_sources = pd.DataFrame(values, columns=[*SourceValue.__annotations__])
    write_report(workspace, SOURCES, of_sources.to_csv(index=False))
    return MonitorResult(
        surface=workspace.surface,
        as_of=format_instant(as_of),
        snapshot=snapshot.id,
        table=str(table.path),
        days=len(days),
        figures=count,
        series=newest_levels(series),
        alarms=alarms.current,
        early=levels,
        queue=queue,
        history=alarms.history,
        needed=HISTORY,
        page=str(write_report(workspace, PAGE, write_page(page, series))),
        notes=notes,
    )


def _find_labels(workspace: Workspace, as_of: datetime) -> Snapshot:
    """Return the newest labels if they were built with the current tasks.yaml."""
    snapshot = LabelStore(workspace.store, workspace.surface).find(None)
    if snapshot.contract_digest != workspace.contracts.digests["tasks"]:
        raise DataError(
            f"The labels of {workspace.surface} were built under another tasks.yaml. Build them again: "
            f"`equipoise labels build {workspace.surface} --as-of {format_instant(as_of)}`"
        )
    return snapshot


@dataclass(frozen=True)
class _Monitoring:
    """Inputs of the figures; ``known_by``: no later data are used."""

    workspace: Workspace
    snapshot: Snapshot
    releases: ServingReleases
    known_by: datetime
    early: EarlySums
    review: UnitReview
    sources: SourceSums

    @cached_property
    def trained(self) -> inputs.TrainRows | None:
        """The champion's train days, read on first use."""
        return read_train_rows(self.snapshot, self.releases)

    def traffic(self, pending: Pending) -> Iterator[tuple[date, LoggedTraffic]]:
        """Read each required day once, one week at a time; a full week if its weekly figures are due."""
        spans = [*self.review.spans.values(), *self.sources.spans.values()]
        needed = {*pending, *self.early.days, *(day for span in spans for day in span.days)}
        for week, of_week in groupby(sorted(needed), key=week_end):
            days = list(of_week)
            span = DayRange(week - (_WEEK - 1) * _DAY if pending.get(week) else days[0], days[-1])
            yield week, LoggedTraffic.read(self.workspace, self.snapshot, span, self.releases)


def _measure(work: _Monitoring, stored: pd.DataFrame) -> Iterator[list[SeriesFigure]]:
    """Yield the figures that are not stored yet, one list per commit."""
    workspace, known_by, releases = work.workspace, work.known_by, work.releases
    computed = find_stored(stored[stored["days"] == 1], {ROWS}, "task", "day")
    pending = find_pending(workspace, work.snapshot, known_by=known_by, computed=computed)
    for week, traffic in work.traffic(pending):
        work.early.add(traffic)
        work.review.add(traffic)
        work.sources.add(traffic)
        own = {day: tasks for day, tasks in pending.items() if week_end(day) == week}
        yield list(_week(work, week, own, traffic))
    yield list(work.early.figures(find_stored(stored, {EARLY}, "task", "day", "value_of")))
    decided = find_stored(stored, {"contribution_share", "dropped_share", "unmet_share"}, "day")
    yield list(read_decisions(workspace, releases, known_by=known_by, decided=decided))
    returned = find_stored(stored, {RETURNED}, "day")
    yield list(read_retention(work.snapshot, known_by=known_by, stored=returned))
    numbers = find_stored(stored, {EVENT}, "value")
    yield list(read_events(workspace, releases, known_by=known_by, stored=numbers))


def week_end(day: date) -> date:
    """Return the Sunday of a day's week.

    Examples
    --------
    >>> week_end(date(2026, 3, 4)).isoformat()
    '2026-03-08'
    """
    return day + (6 - day.weekday()) * _DAY


def find_pending(
    workspace: Workspace, snapshot: Snapshot, *, known_by: datetime, computed: set[tuple[str, date]]
) -> Pending:
    """Return the tasks that are mature by an instant and have no figures yet, by day."""
    build, spec = snapshot.build(), workspace.contracts.tasks
    ages = {"": timedelta(), **{task: matures(spec, task) for task in spec.tasks}}
    pending: dict[date, list[str]] = {}
    for day in DayRange(min(build.days), max(build.days)).days:
        if day in build.days and build.days[day].left_behind:
            continue
        known = [task for task, age in ages.items() if day_start(day + _DAY) + age <= known_by]
        if new := [task for task in known if (task, day) not in computed]:
            pending[day] = new
    return pending


def _week(work: _Monitoring, week: date, pending: Pending, traffic: LoggedTraffic) -> Iterator[SeriesFigure]:
    """Yield daily figures of the pending days of one week, and weekly figures of tasks that complete it."""
    workspace, ends = work.workspace, pending.get(week, ())
    tasks = {task for tasks in pending.values() for task in tasks if task}
    if (trained := tasks & {*workspace.contracts.tasks.trained}) and not traffic.is_predicted:
        work.releases.notes[_UNPREDICTED] = None
        tasks -= trained
    shown = [day for day, named in pending.items() if "" in named]
    for day in shown:
        rows = traffic.days == np.datetime64(day)
        of_day = list(measure_serving(traffic, rows))
        if day >= work.known_by.date() - _COMPARED:
            of_day += measure_parity(traffic, rows)
        yield from (SeriesFigure(day, figure) for figure in of_day)
    if shown and work.trained is not None:
        distances = measure_distances(work.trained, traffic, shown)
        yield from (SeriesFigure(day, one) for day, one in distances)
    for task in sorted(tasks):
        of_task = traffic.of_task(task)
        for day in (day for day, named in pending.items() if task in named):
            yield from _levels(workspace, task, of_task.select(of_task.days == np.datetime64(day)), day, 1)
        if task in ends:
            yield from _levels(workspace, task, of_task, week, _WEEK)


def _levels(
    workspace: Workspace, task: str, traffic: TaskTraffic, day: date, days: int
) -> Iterator[SeriesFigure]:
    kind, figures, rows = workspace.contracts.head_kind(task), list[Figure](), len(traffic.days)
    for release, own in traffic.by_release():
        outcomes = np.asarray(own.rows.outcomes)
        if release is None or len(own.days) < rows:  # on most days one release served all traffic
            codes = pd.factorize(own.days)[0]
            levels = measure_levels(task, kind, own.rows, codes, tenths=days == _WEEK)
            figures = [count_rows(task, len(own.days), int(np.count_nonzero(outcomes))), *levels]
        yield from (SeriesFigure(day, figure, days, release) for figure in figures)
        if release is None and days == 1 and comes_late(workspace, task):
            yield from (SeriesFigure(day, figure) for figure in _measure_delays(task, own))


def _measure_delays(task: str, rows: TaskTraffic) -> Iterator[Figure]:
    """Yield F(1) and F(2): the share of a mature day's events that arrived 1 and 2 days after its start.

    A day without events has no figure.
    """
    events = np.asarray(rows.rows.outcomes) > 0
    users = np.asarray(rows.rows.users)[events]
    for age in (1, 2) if events.any() else ():
        arrived = (rows.ages[events] < age).astype(np.float64)
        yield mean_figure(Subject("arrived_share", task=task, column="day", value=str(age)), arrived, users)


def read_events(
    workspace: Workspace, releases: ServingReleases, *, known_by: datetime, stored: set[float]
) -> Iterator[SeriesFigure]:
    """Yield the audit's events up to an instant; ``stored``: numbers of the rows that are in the table."""
    try:
        entries = workspace.audit.entries()
    except EquipoiseError as error:
        releases.notes[f"Events cannot be read from the audit. {error}"] = None
        return
    for entry in entries:
        counted = entry.sets_alias or entry.kind is Kind.RAMPED
        if counted and entry.at is not None and entry.at < known_by and entry.number not in stored:
            for kind, words in _describe(workspace, releases, entry):
                subject, number = Subject(EVENT, column=kind, value=words), float(entry.number)
                figure = Figure(subject, ALL, number, np.nan, np.nan, 0, 0, 0)
                yield SeriesFigure(entry.at.date(), figure, release=entry.release)


def _describe(workspace: Workspace, releases: ServingReleases, entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield the kind and a description of each event in a row of the audit."""
    before = "" if entry.champion is None else f", champion was {entry.champion}"
    share = f" to {entry.served}" if entry.served else ""
    yield entry.kind.value, f"release {entry.release}{share}{before}"
    if not entry.moves or entry.champion is None:
        return
    try:
        manifests = map(workspace.releases.manifest, (entry.champion, entry.release))
        old, new = (view.release_policy(workspace, one) for one in manifests)
    except EquipoiseError as error:
        releases.notes[f"The policies of release {entry.release} cannot be compared. {error}"] = None
        return
    for kind, find in (("weights", view.changed_weights), ("constraints", view.changed_constraints)):
        if changes := find(old, new):
            yield kind, "; ".join(changes)
