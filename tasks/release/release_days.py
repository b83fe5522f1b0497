"""Applies a release's heads to its days: fits joints, measures figures, and reports proxies and conflicts.

::

    calibrate days of a task with a parent -> product along the chain against the outcome -> joints/
    test days of every task                -> joint predictions against the outcome       -> figures

If a task is tested on older days than the others, its joint is fitted and measured with factor models that
were trained before those days (factor_models.py). For a task that is tested on the shared days, which no part
learned from, the parents may have learned from the calibrate days.

Heads are compared with a constant and with the best single feature on the same test rows. The mean outcome
and the best features are learned from the task's calibrate days.

Proxies and conflicts describe relations between tasks on the test days::

    test days of a slow task    -> its outcome by decile of its proxy   (rows where both are observed)
    shared test days            -> rank correlations of all pairs of tasks, overlap of top deciles

A slow task's test days precede the shared ones, and the fast task's model may have learned from them. The
report marks this case. If the fast task is the slow task's parent, the predictions come from the factor
model, which has not learned from these days.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature

from tasks.arrays import Flags, Floats
from tasks.calibration.fit import fit_joint
from tasks.calibration.pictures import draw_joint
from tasks.calibration.reliability import curve_points
from tasks.columns import ITEM_ID, POSITION, REQUEST_ID, USER_ID, at_position, predicted, probability
from tasks.contracts.surface import Proxy
from tasks.contracts.tasks import join_outcomes
from tasks.evaluation.figures import TaskFigures, measure
from tasks.evaluation.observations import Observations
from tasks.evaluation.references import FeatureRows, HeadReferences, head_references, subsample_requests
from tasks.evaluation.release_evidence import ProxyEvidence
from tasks.evaluation.resampling import users_of
from tasks.evaluation.segments import segment_columns, segment_values
from tasks.evaluation.task_pairs import ConflictEvidence, measure_conflicts, proxy_report
from tasks.labels.snapshot import Snapshot
from tasks.logs.tables import to_frame
from tasks.ranking.examination import FILE as EXAMINATION
from tasks.ranking.examination import Examination
from tasks.ranking.heads import Head, Heads
from tasks.ranking.scoring import Scorer
from tasks.release.packaging import release_signature
from tasks.release.parts import Pins, newest_row
from tasks.stores.runs import StepRun
from tasks.stores.workspace import Workspace
from tasks.training.debiasing import examination_at
from tasks.training.rows import mark_first_rows, measured_head
from tasks.training.slices import DaySlice, TaskSlices

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class HeadScores:
    """Predictions of a release's tested heads on its test days; each head scores a slice once.

    ``factor_heads``: the heads that measure a task's joint, if they are not the release's own.
    """

    heads: Heads
    factor_heads: Mapping[str, Heads]
    _predicted: dict[tuple[str, DaySlice], dict[str, Floats]] = field(default_factory=dict)

    def of(self, tasks: Collection[str], days: DaySlice, frame: pd.DataFrame) -> Mapping[str, Floats]:
        """Return the heads' predictions for all rows of some days, by task; see `predict_tasks`."""
        return self._scored("", self.heads.of(tasks), days, frame)

    def of_factor_models(self, task: str, days: DaySlice, frame: pd.DataFrame) -> Mapping[str, Floats]:
        """Return the predictions of a task's factor models for all rows of some days."""
        return self._scored(task, self.factor_heads[task], days, frame)

    def _scored(
        self, factor_files: str, heads: Heads, days: DaySlice, frame: pd.DataFrame
    ) -> Mapping[str, Floats]:
        known = self._predicted.setdefault((factor_files, days), {})
        lacking = [task for task in heads.heads if task not in known]
        if lacking:
            known |= predict_tasks(heads.of(lacking), frame)
        return known


@dataclass(frozen=True)
class ReleaseDays:
    """The days of one snapshot, read as the release sees them.

    ``factor_files``: files of the chain that measures a task's joint, if it is not the release's own.
    ``unmeasured``: tasks whose joints are not measured. ``held``: days already read, with their rows.
    """

    workspace: Workspace
    snapshot: Snapshot
    slices: Mapping[str, TaskSlices]
    factor_files: Mapping[str, Files] = field(default_factory=dict)
    unmeasured: Collection[str] = ()
    held: tuple[DaySlice, pd.DataFrame] | None = None

    def holding(self, days: DaySlice, scorers: Iterable[Scorer]) -> "ReleaseDays":
        """Return a copy that holds some days, with every column that figures, signatures and reports read."""
        placed = (POSITION,) if POSITION in self.snapshot.schema().names else ()
        columns = [name for one in scorers for name in (*one.columns, *one.heads.optional)]
        frame = self.days(days, (*columns, *placed), self.workspace.contracts.tasks.tasks)
        return replace(self, held=(days, frame))

    def joints(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Fit a map on the product of each chain that needs one; return the release's files by path."""
        heads = Scorer.from_files(files).heads
        made = {}
        for task in (task for task in heads.conditional if task not in self.unmeasured):
            own = self.factor_heads(task, files) if task in self.factor_files else heads.of([task])
            frame, outcomes = self.calibrate_days(task, (*own.columns, *own.optional))
            known = np.isfinite(outcomes)
            product = where_shown(own.predict(frame), probability(task))
            fitted = fit_joint(product[known], outcomes[known], users_of(frame)[known])
            if fitted is not None:
                made[f"joints/{task}.json"] = json.dumps(fitted.to_json(), allow_nan=False).encode()
        return made

    def factor_heads(self, task: str, files: Files) -> Heads:
        """Return the heads that measure a task, with the release's map on its joint, if it has one."""
        joint = f"joints/{task}.json"
        mapped = {joint: files[joint]} if joint in files else {}
        return Scorer.from_files({**self.factor_files[task], **mapped}).heads.of([task])

    def calibrate_days(self, task: str, features: Iterable[str]) -> tuple[pd.DataFrame, Floats]:
        """Read a task's calibrate days and outcomes, NaN where not observed."""
        frame = self.days(self.slices[task].calibrate, features, [task])
        return frame, self.outcomes(frame, task)

    def scores(self, files: Files) -> HeadScores:
        """Return the heads of a release's files, joints included, after scoring the held days."""
        factor_heads = {task: self.factor_heads(task, files) for task in self.factor_files}
        scores = HeadScores(Scorer.from_files(files).heads, factor_heads)
        if self.held is not None:
            scores.of([*scores.heads.heads], *self.held)
        return scores

    def figures(
        self,
        scores: HeadScores,
        pins: Pins,
        *,
        curve: Examination | None = None,
        measured: Mapping[str, TaskFigures] | None = None,
        step: StepRun | None = None,
    ) -> list[TaskFigures]:
        """Measure every task on its test days; if a step is given, draw the joints' charts into it.

        Tasks with the same days share one read.
        """
        heads = scores.heads
        by_days: dict[DaySlice, list[str]] = {}
        for task in (task for task in heads.heads if task not in self.factor_files):
            by_days.setdefault(self.slices[task].test, []).append(task)
        groups = [*by_days.items(), *((self.slices[task].test, [task]) for task in self.factor_files)]
        measuring = _Measuring(self, scores, pins, curve, measured or {}, step)
        found = {
            figures.task: figures for days, tasks in groups for figures in measuring.figures(days, tasks)
        }
        return [found[task] for task in heads.heads]

    def sent_columns(self, files: Mapping[str, bytes], test: DaySlice) -> tuple[pd.DataFrame, ModelSignature]:
        """Read the columns that a release scores on the test days, and describe its input and output."""
        scorer = Scorer.from_files(files)
        frame = self._read(test, scorer.columns)[[*scorer.columns]]
        return frame, release_signature(frame, scorer.score(frame.head(0)))

    def days(self, days: DaySlice, features: Iterable[str], tasks: Iterable[str]) -> pd.DataFrame:
        """Read keys, features, segments and the labels of every task's chain for some days.

        Held days have further columns.
        """
        surface, spec = self.workspace.contracts.surface, self.workspace.contracts.tasks
        labels = [link for task in tasks for link in spec.chain(task)]
        segments = segment_columns(surface.segments)
        return self._read(days, [REQUEST_ID, ITEM_ID, USER_ID, *features, *segments, *labels])

    def _read(self, days: DaySlice, columns: Iterable[str]) -> pd.DataFrame:
        names = list(dict.fromkeys(columns))
        if self.held is not None and self.held[0] == days and {*names} <= {*self.held[1].columns}:
            return self.held[1]
        table = self.snapshot.read(names, first_day=days.first, last_day=days.last)
        return to_frame(table.select(names))

    def outcomes(self, frame: pd.DataFrame, task: str) -> Floats:
        """Return a task's outcomes along its chain, NaN where not observed, shape [rows]."""
        contracts = self.workspace.contracts
        own = contracts.head_kind(task) in {"quantile", "ranking"}
        links = (task,) if own else contracts.tasks.chain(task)
        labels = {link: frame[link].to_numpy(dtype=np.float64, na_value=np.nan) for link in links}
        known = join_outcomes(labels, links)
        if contracts.tasks.tasks[task].level == "request":
            first = mark_first_rows(frame[REQUEST_ID].to_numpy(), np.isfinite(known))
            return np.where(first, known, np.nan)
        return known


@dataclass(frozen=True)
class _Measuring:
    """Measures the figures of a release; see `ReleaseDays.figures`."""

    release_days: ReleaseDays
    scores: HeadScores
    pins: Pins
    curve: Examination | None
    measured: Mapping[str, TaskFigures]
    step: StepRun | None

    def figures(self, days: DaySlice, tasks: list[str]) -> Iterable[TaskFigures]:
        """Measure tasks with the same test days."""
        release_days, (first, *_) = self.release_days, tasks
        factor_files = first in release_days.factor_files
        heads = self.scores.factor_heads[first] if factor_files else self.scores.heads.of(tasks)
        placed = (POSITION,) if POSITION in release_days.snapshot.schema().names else ()
        frame = release_days.days(days, (*heads.columns, *heads.optional, *placed), tasks)
        if factor_files:
            predictions = self.scores.of_factor_models(first, days, frame)
        else:
            predictions = self.scores.of(tasks, days, frame)
        values = segment_values(frame, release_days.workspace.contracts.surface.segments)
        segments = {name: np.asarray(of) for name, of in values.items()}
        examined = examination_at(self.curve, _positions(frame))
        users, requests = frame[USER_ID], frame[REQUEST_ID]
        calibrated: dict[DaySlice, list[str]] = {}
        for task in tasks:
            calibrated.setdefault(release_days.slices[task].calibrate, []).append(task)
        for calibrate, own in calibrated.items():
            learned = release_days.days(calibrate, heads.of(own).columns, own)
            for task in own:
                outcomes = release_days.outcomes(frame, task)
                observations = Observations(
                    outcomes, predictions[task], users, requests, segments, examination=examined
                )
                yield self._figures(heads.heads[task], days, frame, observations, learned)

    def _figures(
        self, head: Head, days: DaySlice, frame: pd.DataFrame, rows: Observations, learned: pd.DataFrame
    ) -> TaskFigures:
        release_days, task = self.release_days, head.task
        outcomes, predictions = np.asarray(rows.outcomes), np.asarray(rows.predictions)
        newest = newest_row(release_days.workspace.store.registry, task, *self.pins[task])
        unmeasured = task in release_days.unmeasured
        conditional = head.parent is not None and head.kind == "binary"
        if self.step is not None and conditional and not unmeasured:
            draw_joint(self.step, task, outcomes, predictions, users_of(frame))
        if task in self.measured:
            figures = self.measured[task].model_copy(update={"newest_training_row": newest})
        else:
            figures = measure(
                replace(measured_head(release_days.workspace.contracts, task), kind=head.kind),
                rows,
                days=(days.first, days.last),
                newest_training_row=newest,
            )
        if unmeasured:
            return figures.without_estimates()
        references = hold_against_references(
            head,
            LabelledDays(learned, release_days.outcomes(learned, task)),
            LabelledDays(frame, outcomes),
            predictions,
            by_request=release_days.workspace.contracts.tasks.tasks[task].level != "request",
        )
        points = curve_points(predictions, outcomes) if head.kind in {"binary", "value"} else ()
        return figures.model_copy(update={"references": references, "curve": points})


def read_examination(files: Files) -> Examination | None:
    """Return the examination curve among a release's files, if it has one."""
    return Examination.from_json(json.loads(files[EXAMINATION])) if EXAMINATION in files else None


def _positions(frame: pd.DataFrame) -> Floats:
    if POSITION not in frame:
        return np.full(len(frame), np.nan)
    return frame[POSITION].to_numpy(dtype=np.float64, na_value=np.nan)


def where_shown(predictions: Mapping[str, Floats], name: str) -> Floats:
    """Return predictions at the shown position if it is known, else those without a position."""
    anywhere = predictions[name]
    shown = predictions.get(at_position(name), anywhere)
    return np.where(np.isnan(shown), anywhere, shown)


def predict_tasks(heads: Heads, frame: pd.DataFrame) -> dict[str, Floats]:
    """Return each task's predictions of each row at its shown position, shape [rows]."""
    predictions = heads.predict(frame)
    return {task: where_shown(predictions, predicted(task, head.kind)) for task, head in heads.heads.items()}


@dataclass(frozen=True)
class LabelledDays:
    """Rows of some days with one task's outcomes, NaN where not observed, shape [rows]."""

    frame: pd.DataFrame
    outcomes: Floats

    def known(self) -> "LabelledDays":
        """Return the rows with an observed outcome."""
        known = np.isfinite(self.outcomes)
        return LabelledDays(self.frame[known], self.outcomes[known])


def hold_against_references(
    head: Head, calibrate: LabelledDays, test: LabelledDays, predictions: Floats, *, by_request: bool
) -> HeadReferences | None:
    """Compare a head with a constant and with the best single feature that it reads.

    Parameters
    ----------
    calibrate, test : the task's days; both have the columns that the head reads.
    predictions : [rows of test] at the shown positions.
    by_request : whether the rows of a request have their own outcomes.

    Returns
    -------
    HeadReferences or None
        None for a quantile head, which predicts neither a mean nor an order.
    """
    if head.kind == "quantile":
        return None
    learned, tested = calibrate.known(), test.known()
    names = tuple(name for name in head.encoder.names if name not in head.held)
    rows = _feature_rows(head, names, learned)
    seen = Observations(
        tested.outcomes,
        predictions[np.isfinite(test.outcomes)],
        tested.frame[USER_ID].to_numpy(),
        tested.frame[REQUEST_ID].to_numpy(),
    )
    feature = partial(_encode_feature, head, tested.frame)
    base = float(learned.outcomes.mean()) if learned.outcomes.size else float("nan")
    value = head.kind == "value"
    return head_references(seen, feature, rows, base=base, value=value, by_request=by_request)


def _feature_rows(head: Head, names: tuple[str, ...], days: LabelledDays) -> FeatureRows:
    """Encode the rows that are needed to choose a feature."""
    requests, outcomes = days.frame[REQUEST_ID].to_numpy(), days.outcomes
    positive = (outcomes > outcomes.mean()).astype(np.float64) if outcomes.size else outcomes
    kept = subsample_requests(positive, requests)
    matrix = head.encoder.of(names).matrix(days.frame[kept])
    return FeatureRows(names, head.encoder.categorical, matrix, outcomes[kept], requests[kept])


def _encode_feature(head: Head, frame: pd.DataFrame, name: str) -> Floats:
    return head.encoder.of((name,)).matrix(frame)[:, 0]


_COSTS = ("negative", "safety")


@dataclass(frozen=True)
class Reports:
    """Reports of one release: its heads' scores on days that they were not trained on."""

    release_days: ReleaseDays
    scores: HeadScores
    pins: Pins

    def proxies(self) -> list[ProxyEvidence]:
        """Return a report on each declared pair, in the contract's order."""
        return [self._proxy(pair) for pair in self.release_days.workspace.contracts.surface.proxies]

    def conflicts(self, days: DaySlice) -> ConflictEvidence:
        """Report on every pair of tasks on the shared test days."""
        heads = self.scores.heads
        tasks = list(heads.heads)
        frame = self._frame(heads, days, tasks)
        predicted = self.scores.of(tasks, days, frame)
        return measure_conflicts(
            {task: predicted[task] for task in tasks},
            {task: self.release_days.outcomes(frame, task) for task in tasks},
            users_of(frame),
            costs=[task for task in tasks if self._cost(task)],
        )

    def _proxy(self, pair: Proxy) -> ProxyEvidence:
        days = min((self.release_days.slices[t].test for t in (pair.fast, pair.slow)), key=lambda d: d.first)
        predicted, frame, learned = self._predict_fast(pair, days)
        fast, slow = (_label(frame, task) for task in (pair.fast, pair.slow))
        known = self._own_rows(frame, pair.slow, np.isfinite(fast) & np.isfinite(slow))
        report = proxy_report(
            predicted[known],
            slow[known],
            users_of(frame)[known],
            cost=self._cost(pair.slow),
        )
        return ProxyEvidence(
            fast=pair.fast,
            slow=pair.slow,
            days=(days.first, days.last),
            cost=self._cost(pair.slow),
            learned=learned,
            **vars(report),
        )

    def _predict_fast(self, pair: Proxy, days: DaySlice) -> tuple[Floats, pd.DataFrame, bool]:
        """Return predictions of the fast task, their rows, and whether its model learned from them."""
        factor_heads = self.scores.factor_heads.get(pair.slow)
        if factor_heads is not None and pair.fast in factor_heads.heads:
            frame = self._frame(factor_heads, days, [pair.fast, pair.slow])
            return self.scores.of_factor_models(pair.slow, days, frame)[pair.fast], frame, False
        learned = any(part.trained_until() >= days.first for part in self.pins[pair.fast])
        frame = self._frame(self.scores.heads.of([pair.fast]), days, [pair.fast, pair.slow])
        return self.scores.of([pair.fast], days, frame)[pair.fast], frame, learned

    def _frame(self, heads: Heads, days: DaySlice, tasks: list[str]) -> pd.DataFrame:
        return self.release_days.days(days, (*heads.columns, *heads.optional), tasks)

    def _own_rows(self, frame: pd.DataFrame, task: str, known: Flags) -> Flags:
        """Return which of the known rows count: one per request for a request-level outcome."""
        if self.release_days.workspace.contracts.tasks.tasks[task].level == "request":
            return mark_first_rows(frame[REQUEST_ID].to_numpy(), known)
        return known

    def _cost(self, task: str) -> bool:
        return self.release_days.workspace.contracts.tasks.tasks[task].family in _COSTS


def _label(frame: pd.DataFrame, task: str) -> Floats:
    """Return a task's own label, NaN where not observed, such as returns without a purchase."""
    return frame[task].to_numpy(dtype=np.float64, na_value=np.nan)
