"""Labelled impressions of some days, with the predictions of the release that served them.

::

    served_p_<task>      logged in serving                       if in the log
    release              predictions recomputed by the release   otherwise
                         that served, or by the champion if none is logged

Logged predictions are for the reference position. If a task is corrected for position, only
``served_p_<task>__shown`` is for the shown position; without it the release predicts again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.arrays import Flags, Floats, Indices
from tasks.contracts import Contracts
from tasks.errors import ContractError, DataError
from tasks.evaluation.observations import Observations
from tasks.evaluation.resampling import cluster_rows
from tasks.evaluation.segments import segment_columns, segment_values
from tasks.labels.snapshot import Snapshot
from tasks.logs.rows import DayRange
from tasks.logs.tables import to_frame
from tasks.release.loading import LoadedRelease
from tasks.release.release_days import ReleaseDays, where_shown
from tasks.release.view import load
from tasks.stores.workspace import Workspace

_DRAWN: Final = 100
"""Number of requests per day that are scored again."""


def draw_requests(ids: "pd.Series[str]") -> Flags:
    """Mark the rows of a hundred requests, selected by a hash of their ids, so that repeats agree."""
    requests = ids.astype(str)
    known = np.asarray(requests.unique(), dtype=object)
    drawn = known[np.argsort(pd.util.hash_array(known), kind="stable")[:_DRAWN]]
    return requests.isin(drawn).to_numpy()


@dataclass(frozen=True)
class ServingReleases:
    """Releases whose predictions are needed, each loaded once; ``notes`` list missing releases.

    ``champion``: the release for traffic without a logged release; None if there is none.
    """

    workspace: Workspace
    champion: int | None
    notes: dict[str, None] = field(default_factory=dict)
    _loaded: dict[int, LoadedRelease | None] = field(default_factory=dict, init=False, repr=False)

    def find(self, version: int) -> LoadedRelease | None:
        """Load a release; None, with a note, if it is not in the registry."""
        if version not in self._loaded:
            try:
                self._loaded[version] = load(self.workspace, version)
            except ContractError as error:
                self._loaded[version] = None
                self.notes[f"The log names release {version}, which is unknown. {error}"] = None
        return self._loaded[version]

    def predict(self, frame: pd.DataFrame, served_by: Floats) -> dict[str, Floats]:
        """Return the releases' predictions of their rows by task, NaN without one, each [n]."""
        versions = np.where(np.isnan(served_by), self.champion or np.nan, served_by)
        found: dict[str, Floats] = {}
        for version in np.unique(versions[np.isfinite(versions)]).astype(int):
            rows, release = np.flatnonzero(versions == version), self.find(int(version))
            if release is None:
                continue
            try:
                predictions = release.predict(frame.iloc[rows])
            except DataError as error:
                self.notes[f"Release {version} cannot predict the logged impressions. {error}"] = None
                continue
            for head in release.heads:
                own = found.setdefault(head.task, np.full(len(frame), np.nan))
                own[rows] = where_shown(predictions, c.predicted(head.task, head.kind))
        return found


@dataclass(frozen=True)
class LoggedTraffic:
    """Impressions of some days.

    Attributes
    ----------
    frame : [n] every column of the label store.
    days : [n] day of each row.
    """

    workspace: Workspace
    snapshot: Snapshot
    releases: ServingReleases
    frame: pd.DataFrame
    days: npt.NDArray[np.datetime64]

    @classmethod
    def read(
        cls, workspace: Workspace, snapshot: Snapshot, days: DayRange, releases: ServingReleases
    ) -> "LoggedTraffic":
        """Read the impressions of some days in one query."""
        names = _columns(workspace.contracts, snapshot)
        table = snapshot.read(names, first_day=days.first, last_day=days.last)
        shown = table.column(c.DAY).to_numpy().astype("datetime64[D]")
        return cls(workspace, snapshot, releases, to_frame(table.drop_columns([c.DAY])), shown)

    def within(self, span: DayRange) -> Flags:
        """Mark the rows of some days, [n]."""
        return (self.days >= np.datetime64(span.first)) & (self.days <= np.datetime64(span.last))

    @cached_property
    def served_by(self) -> Floats:
        """Release that served each row, NaN if not logged."""
        if c.RELEASE not in self.frame:
            return np.full(len(self.frame), np.nan)
        return pd.to_numeric(self.frame[c.RELEASE], errors="coerce").to_numpy(np.float64, na_value=np.nan)

    @cached_property
    def predictions(self) -> Mapping[str, Floats]:
        """Prediction of each row by trained task, NaN if unknown."""
        logged = {task: self.logged(task) for task in self.workspace.contracts.tasks.trained}
        lacking = np.logical_or.reduce([np.isnan(values) for values in logged.values()])
        if not lacking.any():
            return logged
        rows = np.flatnonzero(lacking)
        made = self.releases.predict(self.frame.iloc[rows], self.served_by[rows])
        for task in logged.keys() & made.keys():
            logged[task][rows] = np.where(np.isnan(logged[task][rows]), made[task], logged[task][rows])
        return logged

    def logged(self, task: str) -> Floats:
        """Return the logged predictions of a task at the shown positions, NaN if not logged, [n]."""
        contracts = self.workspace.contracts
        name = c.predicted(task, contracts.require_trained(task))
        corrected = contracts.position_correction(task) != "none"
        names = (c.served(c.at_position(name)), *(() if corrected else (c.served(name),)))
        values = np.full(len(self.frame), np.nan)
        for column in (one for one in names if one in self.frame):
            logged = pd.to_numeric(self.frame[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
            values = np.where(np.isnan(values), logged, values)
        return values

    @cached_property
    def segments(self) -> Mapping[str, pd.Categorical]:
        """Segments of the rows by name."""
        return segment_values(self.frame, self.workspace.contracts.surface.segments)

    @cached_property
    def requests(self) -> Indices:
        """Request code of each row."""
        return pd.factorize(self.frame[c.REQUEST_ID])[0]

    @cached_property
    def users(self) -> Indices:
        """User code of each row, or a code of its request if the user is missing."""
        return cluster_rows(self.frame[c.USER_ID].to_numpy(), self.requests).codes

    @property
    def is_predicted(self) -> bool:
        """Whether predictions are possible: the log has releases or predictions, or there is a champion."""
        known = (np.isfinite(values).any() for values in self.predictions.values())
        return self.releases.champion is not None or bool(np.isfinite(self.served_by).any()) or any(known)

    def outcomes(self, task: str) -> Floats:
        """Return a task's outcomes along its chain, NaN if unknown, [n]."""
        return ReleaseDays(self.workspace, self.snapshot, {}).outcomes(self.frame, task)

    def ages(self, task: str) -> Floats:
        """Return the days between each impression and its credited event, NaN without one, [n]."""
        at = pd.to_datetime(self.frame[c.at(task)], utc=True).dt.tz_localize(None).to_numpy("datetime64[D]")
        return np.where(np.isnat(at), np.nan, (at - self.days).astype(np.float64))

    def with_labels(self, labels: pd.DataFrame) -> "LoggedTraffic":
        """Return the same rows with other labels and event instants, joined by key."""
        keys = [*c.IMPRESSION_KEY]
        others = [name for name in labels if name not in keys]
        joined = self.frame[keys].merge(labels, on=keys, how="left", validate="one_to_one")
        frame = self.frame.drop(columns=others, errors="ignore").reset_index(drop=True)
        return replace(self, frame=pd.concat([frame, joined[others]], axis="columns"))

    def of_task(self, task: str) -> "TaskTraffic":
        """Return the rows with known outcomes and predictions; untrained tasks need only outcomes."""
        outcomes = self.outcomes(task)
        trained = task in self.workspace.contracts.tasks.trained
        predictions = self.predictions[task] if trained else np.full(len(outcomes), np.nan)
        known = np.isfinite(outcomes) & (np.isfinite(predictions) | (not trained))
        rows = Observations(outcomes, predictions, self.users, self.requests, self.segments)
        return TaskTraffic(
            rows.select(known), self.days[known], self.served_by[known], self.ages(task)[known]
        )


@dataclass(frozen=True)
class TaskTraffic:
    """Rows of one task with known outcomes, and predictions if it is trained, each [n].

    Attributes
    ----------
    days, served_by : day and release of each row; the latter is NaN if not logged.
    ages : days between the impression and its credited event, NaN without one.
    """

    rows: Observations
    days: npt.NDArray[np.datetime64]
    served_by: Floats
    ages: Floats

    def select(self, rows: Flags) -> "TaskTraffic":
        """Return the marked rows."""
        return TaskTraffic(self.rows.select(rows), self.days[rows], self.served_by[rows], self.ages[rows])

    def by_release(self) -> Iterator[tuple[int | None, "TaskTraffic"]]:
        """Yield all rows with release None, then those of each logged release."""
        yield None, self
        for version in np.unique(self.served_by[np.isfinite(self.served_by)]):
            yield int(version), self.select(self.served_by == version)


def _columns(contracts: Contracts, snapshot: Snapshot) -> Sequence[str]:
    """Return the columns of an impression, and the labels of the tasks and their chains."""
    tasks = contracts.tasks.tasks
    labels = {link for task in tasks for link in contracts.tasks.chain(task)}
    made = {c.CONTRACT_VERSION, c.CONTRACT_DIGEST, *map(c.status, tasks)} - labels
    needed = (c.DAY, *segment_columns(contracts.surface.segments))
    return list(dict.fromkeys((*(name for name in snapshot.schema().names if name not in made), *needed)))
