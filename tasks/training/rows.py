"""The rows of one task in one published label snapshot: what training and calibration may read.

Only observed labels are ever read, and only the columns that are asked for.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tasks.arrays import Flags, Floats, Integers, RowNumbers
from tasks.columns import DAY, ITEM_ID, POSITION, REQUEST_ID, USER_ID, Status, status
from tasks.contracts import Contracts, TaskSpec
from tasks.contracts.surface import Features
from tasks.contracts.tasks import join_outcomes
from tasks.contracts.training import HeadKind, TaskTraining
from tasks.evaluation.figures import MeasuredHead, TaskFigures, measure
from tasks.evaluation.observations import Observations
from tasks.evaluation.segments import segment_columns, segment_values
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.stores.parts import Part
from tasks.stores.registry import Registry
from tasks.stores.workspace import Workspace, format_instant
from tasks.training.encoding import encode_dictionaries
from tasks.training.evidence import TrainingEvidence
from tasks.training.slices import DaySlice, TaskSlices, plan_slices, refit_slices

KEYS: Final = (REQUEST_ID, ITEM_ID, USER_ID)
ROW: Final = "row__number"
"""Column of `TaskRows.read_outcomes`: the number of a row among those of its days that are observed."""
NEWEST: Final = "newest_training_row"
REPEATS: Final = "repeats"
"""Where a refit says the version whose recipe it repeats."""
TREES: Final = "lightgbm."
"""What the parameters of the trees begin with among all that a training logs."""


@dataclass(frozen=True)
class Recipe:
    """How a tested model was made, to be made so again: its version, its trees' parameters and number.

    ``start`` is the number of trees of a dense start, by ``rounds``.
    """

    version: int
    sha256: str
    parameters: Mapping[str, float | int]
    start: Mapping[str, int]

    @classmethod
    def of(cls, registry: Registry, model: Part) -> "Recipe":
        """Read what a model's run says that it was trained with."""
        evidence = registry.runs.read_evidence(registry.run_id(model), TrainingEvidence)
        parameters = {**evidence.trees, "rounds": evidence.rounds}
        return cls(model.version, model.sha256, parameters, evidence.start)


@dataclass(frozen=True)
class ObservedRows:
    """The rows of some days of a snapshot in which a task's outcome is observed, readable on any machine."""

    snapshot: Snapshot
    task: str
    days: DaySlice

    def of_day(self, day: date) -> "ObservedRows":
        """Return the rows of one day."""
        return replace(self, days=DaySlice(day, day))

    def stream(self, names: Sequence[str], within: str = "") -> Iterator[pa.Table]:
        """Read columns in fixed order, some rows at a time; ``within`` is a further condition in SQL."""
        where = f"{status(self.task)} = '{Status.OBSERVED}'" + (f" AND {within}" if within else "")
        return self.snapshot.stream(names, first_day=self.days.first, last_day=self.days.last, where=where)

    def stream_numbered(self, names: Sequence[str], numbers: Integers | RowNumbers) -> Iterator[pa.Table]:
        """Read keys and columns of the rows of these numbers, which ascend."""
        begin = 0
        for piece in self.stream(list(dict.fromkeys([*KEYS, *names]))):
            first, last = np.searchsorted(numbers, [begin, begin + len(piece)])
            if first < last:
                yield piece if last - first == len(piece) else piece.take(numbers[first:last] - begin)
            begin += len(piece)

    def count_by_day(self) -> Mapping[date, int]:
        """Return how many rows each day has, in order of the days."""
        by_day = self.snapshot.days().select([DAY, f"{self.task}__observed"]).to_pydict()
        counts = zip(*by_day.values(), strict=True)
        return {day: count for day, count in counts if day in self.days}


@dataclass(frozen=True)
class TaskRows:
    """A task, its slices and the snapshot that they are read from.

    ``repeats``: the recipe of a tested model, where these rows are those of its refit. ``measures``: models
    are measured on the test days, other than a refit, which learns from them, and a factor that judges a
    joint. ``scored``: scores of `report` by the model's sha256 and the days, which training, comparison and
    calibration share.
    """

    workspace: Workspace
    task: str
    snapshot: Snapshot
    slices: TaskSlices
    repeats: Recipe | None = None
    measures: bool = True
    scored: dict[tuple[str, DaySlice], Floats] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _reports: dict[DaySlice, pa.Table] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def open(cls, workspace: Workspace, *, task: str, as_of: datetime, snapshot: str) -> "TaskRows":
        """Find a task's slices in a snapshot.

        Raises
        ------
        ContractError
            The surface has no such task, or never trains it.
        GateRefused, DataError
            As in `LabelStore.published_snapshot`.
        ImmatureLabels
            There is too little mature history.
        """
        workspace.contracts.require_trained(task)
        labels = LabelStore(workspace.store, workspace.surface).published_snapshot(snapshot, as_of=as_of)
        slices = plan_slices(workspace.contracts, labels.mature_by(), labels.dates(), tasks=[task])
        return cls(workspace, task, labels, slices.tasks[task])

    def for_refit(self, recipe: Recipe) -> "TaskRows":
        """Return the rows on which a recipe is repeated, as new as their labels allow."""
        snapshot = self.snapshot
        slices = refit_slices(
            self.workspace.contracts, snapshot.mature_by(), snapshot.dates(), task=self.task
        )
        return replace(self, slices=slices, repeats=recipe, measures=False)

    @property
    def spec(self) -> TaskSpec:
        """The task's contract."""
        return self.workspace.contracts.tasks.tasks[self.task]

    @property
    def kind(self) -> HeadKind:
        """What the task's head predicts."""
        return self.workspace.contracts.require_trained(self.task)

    @property
    def training(self) -> TaskTraining:
        """How the contract says that the task is learned."""
        return self.workspace.contracts.surface.training_for(self.task)

    @property
    def learned(self) -> Features:
        """The features; with ``position: feature`` the position is one of them."""
        features = self.workspace.contracts.surface.features
        if self.debiased != "feature" or POSITION in features.names:
            return features
        return features.model_copy(update={"numeric": (*features.numeric, POSITION)})

    @property
    def features(self) -> tuple[str, ...]:
        """The features' columns, numeric ones first."""
        return self.learned.names

    @property
    def debiased(self) -> Literal["none", "feature", "weight"]:
        """How the head is corrected for position."""
        return self.workspace.contracts.position_correction(self.task)

    @property
    def delayed(self) -> bool:
        """Whether the train days reach up to the calibrate days, over windows that are still open."""
        return self.workspace.contracts.delayed(self.task)

    @property
    def window(self) -> timedelta:
        """The time in which the event can still come, from where the head's window opens."""
        spec = self.workspace.contracts.tasks
        return spec.window(self.task) if self.whole else spec.own_window(self.task)

    @property
    def whole(self) -> bool:
        """Whether the head learns the joint event of its whole chain."""
        return self.workspace.contracts.learns_joint_event(self.task)

    @property
    def answers_weighed(self) -> float | None:
        """The greatest weight of an answer for how seldom its like is answered; None: answers weigh alike."""
        asked = self.training.weights
        when = self.spec.observed_when
        if asked is None or asked.response is None or when is None or when.event is None:
            return None
        return asked.response.clip

    def read_outcomes(self, days: DaySlice, columns: Iterable[str] = (), *, within: str = "") -> pa.Table:
        """Read the rows of some days whose outcome is known, in fixed order, without their features.

        Parameters
        ----------
        within : a condition in SQL on the rows.

        Returns
        -------
        Keys, label (of the whole chain where that is what the head learns), what places the row on its page
        where the head is corrected for that, further columns, and `ROW`.
        """
        placed = (POSITION,) if self.debiased != "none" else ()
        names = list(dict.fromkeys([*KEYS, *self._links, *placed, *columns]))
        categorical = self.workspace.contracts.surface.features.categorical
        ids = [name for name in (*categorical, *KEYS) if name in names]

        read = self.observed_rows(days).stream(names, within)

        def pieces() -> Iterator[pa.Table]:
            yield from (_copy(encode_dictionaries(piece, ids)) for piece in read)
            schema = self.snapshot.schema()
            yield encode_dictionaries(pa.schema([schema.field(name) for name in names]).empty_table(), ids)

        table = encode_dictionaries(pa.concat_tables(pieces()), ids)
        table = table.append_column(ROW, pa.array(np.arange(len(table), dtype=np.int32)))
        if self.whole:
            table = _join_chain(table, self._links)
        return keep_first_rows(table) if self.spec.level == "request" else table

    def stream_features(
        self, days: DaySlice, names: Sequence[str], numbers: RowNumbers
    ) -> Iterator[pa.Table]:
        """Read keys and features of rows that `read_outcomes` returned, some at a time.

        Parameters
        ----------
        days : those that were read, all of their rows.
        numbers : `ROW` of the rows, in ascending order.
        """
        return self.observed_rows(days).stream_numbered(names, numbers)

    def observed_rows(self, days: DaySlice) -> ObservedRows:
        """Return where the rows of some days are read from whose outcome is known."""
        return ObservedRows(self.snapshot, self._links[0], days)

    @property
    def _links(self) -> Sequence[str]:
        """The tasks whose outcomes make the label, the first of the chain first."""
        return self.workspace.contracts.tasks.chain(self.task) if self.whole else (self.task,)

    def report(self, days: DaySlice) -> pa.Table:
        """Return `read_for_report` of some days, read once for a model and its calibrator."""
        if days not in self._reports:
            self._reports[days] = self.read_for_report(days)
        return self._reports[days]

    def score_once(self, sha256: str, days: DaySlice, score: Callable[[], Floats]) -> Floats:
        """Return the scores that a model gives of the rows of `report`, made once."""
        if (sha256, days) not in self.scored:
            self.scored[sha256, days] = score()
        return self.scored[sha256, days]

    def read_for_report(self, days: DaySlice) -> pa.Table:
        """Read the observed rows of some days with the columns that they are measured by, and no feature.

        Segments are made from these; an order is held against where the log showed things, if it says so.
        """
        placed = (POSITION,) if self.kind == "ranking" and POSITION in self.snapshot.schema().names else ()
        return self.read_outcomes(
            days, [*segment_columns(self.workspace.contracts.surface.segments), *placed]
        )

    def stream_report(self, days: DaySlice, names: Sequence[str]) -> Iterator[pa.Table]:
        """Read keys and features of the rows of `report`, some at a time."""
        return self.stream_features(days, names, self.report(days).column(ROW).to_numpy())

    def measured(self, predictions: Floats, *, examination: Floats | None) -> TaskFigures:
        """Measure predictions of the test rows, for the whole and every segment.

        ``examination`` of the rows' places, shape [rows], is what an order is weighed by.
        """
        observations = replace(self.observed, predictions=predictions, examination=examination)
        return measure(
            measured_head(self.workspace.contracts, self.task),
            observations,
            days=(self.slices.test.first, self.slices.test.last),
            newest_training_row=self.slices.train.last,
        )

    @cached_property
    def observed(self) -> Observations:
        """The test rows with their segments, before anything is predicted of them."""
        frame = self.test.select([REQUEST_ID, USER_ID]).to_pandas()
        users, requests = (_number_known(frame[name]) for name in (USER_ID, REQUEST_ID))
        return Observations(read_labels(self.test, self.task), (), users, requests, self.test_segments)

    @cached_property
    def test_segments(self) -> Mapping[str, pd.Categorical]:
        """The segments of the test rows, by name."""
        specs = self.workspace.contracts.surface.segments
        return segment_values(self.test.select(segment_columns(specs)).to_pandas(), specs)

    @property
    def test(self) -> pa.Table:
        """The `report` of the test days."""
        return self.report(self.slices.test)

    @property
    def inputs(self) -> dict[str, Any]:
        """What decides the rows that a part of this task is made from, as plain JSON."""
        return {
            "surface": self.workspace.surface,
            "task": self.task,
            "as_of": format_instant(self.snapshot.as_of),
            "labels": self.snapshot.content_digest,
            "slices": self.slices.to_json(),
            **({} if self.repeats is None else {REPEATS: [self.repeats.version, self.repeats.sha256]}),
        }

    def made_from(self) -> dict[str, Any]:
        """Say what a part of this task is made from, whole contracts included, as plain JSON."""
        digests = self.workspace.contracts.digests
        shared = {name: value for name, value in self.inputs.items() if name != "labels"}
        contracts = {kind: digests[kind] for kind in ("surface", "tasks")}
        return {**shared, "snapshot": self.snapshot.id, "contracts": contracts}

    def version_tags(self) -> dict[str, str]:
        """Return what a part of this task is made from as the tags of its version and run."""
        made_from = self.made_from()
        plain = {name: made_from[name] for name in ("surface", "task", "as_of", "snapshot")}
        digests = {f"contract.{kind}": digest for kind, digest in made_from["contracts"].items()}
        repeats = {} if self.repeats is None else {REPEATS: str(self.repeats.version)}
        return {**plain, **digests, **repeats, NEWEST: made_from["slices"]["train"][1]}


def measured_head(contracts: Contracts, task: str) -> MeasuredHead:
    """Return what a task's head predicts, with the quantile and the slots that it is measured by."""
    quantile = contracts.surface.training_for(task).predicted_quantile
    return MeasuredHead(task, contracts.require_trained(task), quantile, contracts.slate.length)


def _join_chain(table: pa.Table, links: Sequence[str]) -> pa.Table:
    """Let the last link's label say what the whole chain led to, and keep the rows where that is known."""
    known = join_outcomes({link: read_labels(table, link) for link in links}, links)
    place = table.schema.get_field_index(links[-1])
    return table.set_column(place, links[-1], pa.array(known)).filter(pa.array(np.isfinite(known)))


def _number_known(ids: "pd.Series[Any]") -> npt.ArrayLike:
    """Return the codes of ids that were read as categories, or the ids where one is missing."""
    known = isinstance(ids.dtype, pd.CategoricalDtype) and not ids.hasnans
    return ids.cat.codes.to_numpy() if known else ids


def _copy(table: pa.Table) -> pa.Table:
    """Return the same rows in memory of their own: one column of a piece that was read holds all of it."""
    return table.take(pa.array(np.arange(len(table))))


def read_labels(table: pa.Table, task: str) -> Floats:
    """Return a task's labels as floats, shape [rows]."""
    return np.asarray(table.column(task).to_numpy(), dtype=np.float64)


def keep_first_rows(table: pa.Table) -> pa.Table:
    """Keep each request's first row: a request-level outcome is one observation, however long its page is."""
    return table.filter(pa.array(mark_first_rows(table.column(REQUEST_ID).to_numpy())))


def mark_first_rows(requests: npt.NDArray[Any], known: Flags | None = None) -> Flags:
    """Return whether each row is the first of its request, or the first that is known, shape [rows].

    Examples
    --------
    >>> requests = np.array(["r", "r", "s"])
    >>> mark_first_rows(requests), mark_first_rows(requests, np.array([False, True, False]))
    (array([ True, False,  True]), array([False,  True, False]))
    """
    rows = np.arange(len(requests)) if known is None else np.flatnonzero(known)
    first = np.zeros(len(requests), dtype=bool)
    codes = pd.factorize(requests[rows], use_na_sentinel=False)[0]
    first[rows[np.unique(codes, return_index=True)[1]]] = True
    return first
