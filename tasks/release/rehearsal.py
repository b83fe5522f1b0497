"""A release's joints and figures: its heads applied to the days of the label store.

::

    calibrate days of a task with a parent -> product along the chain against what is known -> joints/
    test days of every task                -> joint predictions against what is known       -> figures

Where a task is tested on older days than the others, its joint is fitted and measured with factors from
before those days (judges.py). Of a task that is tested on the shared days, which are fresh to all parts, the
parents may have learned from the calibrate days.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.calibration.joint import fit_joint
from tasks.calibration.pictures import draw_joint
from tasks.calibration.reliability import curve_points
from tasks.columns import ITEM_ID, POSITION, REQUEST_ID, USER_ID, at_position, predicted, probability
from tasks.contracts.chains import chain, join_outcomes
from tasks.evaluation.figures import TaskFigures, measure
from tasks.evaluation.observations import Observations
from tasks.evaluation.references import HeadReferences
from tasks.evaluation.segments import segment_columns, segment_values
from tasks.labels.snapshot import Snapshot
from tasks.ranking.examination import FILE as EXAMINATION
from tasks.ranking.examination import Examination
from tasks.ranking.heads import Head, Heads
from tasks.ranking.scoring import Scorer
from tasks.release.parts import Pins
from tasks.release.references import LabelledDays, hold_against_references
from tasks.release.signature import release_signature
from tasks.stores.runs import StepRun
from tasks.stores.workspace import Workspace
from tasks.training.debiasing import examination_at
from tasks.training.rows import mark_first_rows, measured_head
from tasks.training.slices import DaySlice, TaskSlices

Files = Mapping[str, bytes]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rehearsal:
    """The days of one snapshot, read as the release will see them.

    ``judged``: the files of the chain that a task's joint is judged with, where it is not the release's own.
    ``unjudged``: the tasks of which nothing honest can be measured. ``held``: days that were read already,
    with their rows.
    """

    workspace: Workspace
    snapshot: Snapshot
    slices: Mapping[str, TaskSlices]
    judged: Mapping[str, Files] = field(default_factory=dict)
    unjudged: Collection[str] = ()
    held: tuple[DaySlice, pd.DataFrame] | None = None

    def holding(self, days: DaySlice, scorers: Iterable[Scorer]) -> "Rehearsal":
        """Return what holds some days, with every column that figures, signatures and reports read."""
        placed = (POSITION,) if POSITION in self.snapshot.schema().names else ()
        columns = [name for one in scorers for name in (*one.columns, *one.heads.optional)]
        frame = self.days(days, (*columns, *placed), self.workspace.contracts.tasks.tasks)
        return replace(self, held=(days, frame))

    def joints(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Fit a map on the product of each chain that needs one; files of the release by path."""
        heads = Scorer.from_files(files).heads
        made = {}
        for task in (task for task in heads.conditional if task not in self.unjudged):
            own = self.judging(task, files) if task in self.judged else heads.of([task])
            frame, outcomes = self.calibrate_days(task, (*own.columns, *own.optional))
            known = np.isfinite(outcomes)
            product = where_shown(own.predict(frame), probability(task))
            fitted = fit_joint(product[known], outcomes[known], users_of(frame)[known])
            if fitted is not None:
                made[f"joints/{task}.json"] = json.dumps(fitted.to_json(), allow_nan=False).encode()
        return made

    def judging(self, task: str, files: Files) -> Heads:
        """Return the heads that a task is judged with, and the release's map on its joint, if it has one."""
        joint = f"joints/{task}.json"
        mapped = {joint: files[joint]} if joint in files else {}
        return Scorer.from_files({**self.judged[task], **mapped}).heads.of([task])

    def calibrate_days(self, task: str, features: Iterable[str]) -> tuple[pd.DataFrame, Floats]:
        """Read a task's calibrate days and what is known of it there, NaN where nothing is."""
        frame = self.days(self.slices[task].calibrate, features, [task])
        return frame, self.outcomes(frame, task)

    def figures(
        self, files: Mapping[str, bytes], pins: Pins, *, step: StepRun | None = None
    ) -> list[TaskFigures]:
        """Measure every task on its test days, and draw joints where a step is given to hold the pictures.

        Tasks with the same days share one reading.
        """
        heads, curve = Scorer.from_files(files).heads, _examination(files)
        by_days: dict[DaySlice, list[str]] = {}
        for task in (task for task in heads.heads if task not in self.judged):
            by_days.setdefault(self.slices[task].test, []).append(task)
        groups = [
            *((heads.of(tasks), days, tasks) for days, tasks in by_days.items()),
            *((self.judging(task, files), self.slices[task].test, [task]) for task in self.judged),
        ]
        measured = {
            figures.task: figures
            for judging, days, tasks in groups
            for figures in self._measured(judging, curve, days, tasks, pins, step)
        }
        return [measured[task] for task in heads.heads]

    def signature(self, files: Mapping[str, bytes], test: DaySlice) -> Any:
        """Describe input and output by the test days as they lie in the store."""
        scorer = Scorer.from_files(files)
        frame = self._read(test, scorer.columns)[[*scorer.columns]]
        return release_signature(frame, scorer.score(frame.head(0)))

    def _measured(
        self,
        heads: Heads,
        curve: Examination | None,
        days: DaySlice,
        tasks: list[str],
        pins: Pins,
        step: StepRun | None,
    ) -> Iterable[TaskFigures]:
        placed = (POSITION,) if POSITION in self.snapshot.schema().names else ()
        frame = self.days(days, (*heads.columns, *heads.optional, *placed), tasks)
        looks = examination_at(curve, _positions(frame))
        predictions = heads.predict(frame)
        values = segment_values(frame, self.workspace.contracts.surface.segments)
        segments = {name: np.asarray(of_rows) for name, of_rows in values.items()}
        for task in tasks:
            kind = heads.heads[task].kind
            outcomes, shown = self.outcomes(frame, task), where_shown(predictions, predicted(task, kind))
            unjudged = task in self.unjudged
            if step is not None and kind == "binary" and task in heads.conditional and not unjudged:
                draw_joint(step, task, outcomes, shown, users_of(frame))
            figures = measure(
                replace(measured_head(self.workspace.contracts, task), kind=kind),
                Observations(outcomes, shown, frame[USER_ID], frame[REQUEST_ID], segments, examination=looks),
                days=(days.first, days.last),
                newest_training_row=pins[task][0].trained_until(),
            )
            if unjudged:
                yield figures.without_estimates()
                continue
            references = self._references(heads.heads[task], LabelledDays(frame, outcomes), shown)
            points = curve_points(shown, outcomes) if kind in {"binary", "value"} else ()
            yield figures.model_copy(update={"references": references, "curve": points})

    def _references(self, head: Head, test: LabelledDays, predictions: Floats) -> HeadReferences | None:
        """Hold a head against what its calibrate days say without it."""
        calibrate = LabelledDays(*self.calibrate_days(head.task, head.columns))
        by_request = self.workspace.contracts.tasks.tasks[head.task].level != "request"
        return hold_against_references(head, calibrate, test, predictions, by_request=by_request)

    def days(self, days: DaySlice, features: Iterable[str], tasks: Iterable[str]) -> pd.DataFrame:
        """Read some days: keys, features, segments, and the labels of every task's chain.

        Days that are held have further columns.
        """
        surface, spec = self.workspace.contracts.surface, self.workspace.contracts.tasks
        labels = [link for task in tasks for link in chain(spec, task)]
        segments = segment_columns(surface.segments)
        return self._read(days, [REQUEST_ID, ITEM_ID, USER_ID, *features, *segments, *labels])

    def _read(self, days: DaySlice, columns: Iterable[str]) -> pd.DataFrame:
        names = list(dict.fromkeys(columns))
        if self.held is not None and self.held[0] == days and {*names} <= {*self.held[1].columns}:
            return self.held[1]
        table = self.snapshot.read(names, first_day=days.first, last_day=days.last)
        return table.select(names).to_pandas()

    def outcomes(self, frame: pd.DataFrame, task: str) -> Floats:
        """Return what is known of a task along its chain, NaN where nothing is, shape [rows]."""
        contracts = self.workspace.contracts
        links = chain(contracts.tasks, task) if contracts.head_kind(task) in {"binary", "value"} else (task,)
        labels = {link: frame[link].to_numpy(dtype=np.float64, na_value=np.nan) for link in links}
        known = join_outcomes(labels, links)
        if contracts.tasks.tasks[task].level == "request":
            first = mark_first_rows(frame[REQUEST_ID].to_numpy(), np.isfinite(known))
            return np.where(first, known, np.nan)
        return known


def _examination(files: Mapping[str, bytes]) -> Examination | None:
    return Examination.from_json(json.loads(files[EXAMINATION])) if EXAMINATION in files else None


def _positions(frame: pd.DataFrame) -> Floats:
    if POSITION not in frame:
        return np.full(len(frame), np.nan)
    return frame[POSITION].to_numpy(dtype=np.float64, na_value=np.nan)


def where_shown(predictions: Mapping[str, Floats], name: str) -> Floats:
    """Return what is predicted of each item where it stood, where that is known; outcomes came from there."""
    anywhere = predictions[name]
    shown = predictions.get(at_position(name), anywhere)
    return np.where(np.isnan(shown), anywhere, shown)


def predicted_by_task(heads: Heads, frame: pd.DataFrame) -> dict[str, Floats]:
    """Return what each task's head predicts of each row, where the item stood, shape [rows]."""
    predictions = heads.predict(frame)
    return {task: where_shown(predictions, predicted(task, head.kind)) for task, head in heads.heads.items()}


def users_of(frame: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return who is resampled: the user, or the request where the user is missing."""
    users = frame[USER_ID].where(frame[USER_ID].notna(), frame[REQUEST_ID])
    return users.to_numpy(dtype=object)
