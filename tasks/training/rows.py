"""Rows of one task in a published label snapshot, for training and calibration.

Only observed labels and requested columns are read.
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
from tasks.logs.tables import to_frame
from tasks.stores.manifest import Part
from tasks.stores.registry import Registry
from tasks.stores.workspace import Workspace, format_instant
from tasks.training.encoding import encode_dictionaries
from tasks.training.evidence import TrainingEvidence
from tasks.training.slices import DaySlice, TaskSlices, plan_slices, refit_slices

KEYS: Final = (REQUEST_ID, ITEM_ID, USER_ID)
ROW: Final = "row__number"
"""Column of `TaskRows.read_outcomes`: number of a row among the observed rows of its days."""
NEWEST: Final = "newest_training_row"
REPEATS: Final = "repeats"
"""Tag of a refit: the version whose recipe it repeats."""
TREES: Final = "lightgbm."
"""Prefix of the trees' parameters among the logged parameters of a training."""


@dataclass(frozen=True)
class Recipe:
    """Recipe of a tested model for a refit: its version, its trees' parameters and number of trees.

    ``start``: number of trees of a dense start, by ``rounds``.
    """

    version: int
    sha256: str
    parameters: Mapping[str, float | int]
    start: Mapping[str, int]

    @classmethod
    def of(cls, registry: Registry, model: Part) -> "Recipe":
        """Read the recipe from the evidence of a model's run."""
        evidence = registry.runs.read_evidence(registry.run_id(model), TrainingEvidence)
        parameters = {**evidence.trees, "rounds": evidence.rounds}
        return cls(model.version, model.sha256, parameters, evidence.start)


@dataclass(frozen=True)
class ObservedRows:
    """Rows of some days of a snapshot with an observed outcome of a task, readable on any machine."""

    snapshot: Snapshot
    task: str
    days: DaySlice

    def of_day(self, day: date) -> "ObservedRows":
        """Return the rows of one day."""
        return replace(self, days=DaySlice(day, day))

    def stream(self, names: Sequence[str], within: str = "") -> Iterator[pa.Table]:
        """Read columns in fixed order, in pieces; ``within`` is a further SQL condition."""
        where = f"{status(self.task)} = '{Status.OBSERVED}'" + (f" AND {within}" if within else "")
        return self.snapshot.stream(names, first_day=self.days.first, last_day=self.days.last, where=where)

    def stream_numbered(self, names: Sequence[str], numbers: Integers | RowNumbers) -> Iterator[pa.Table]:
        """Read keys and columns of the rows with these ascending numbers (`ROW`), in pieces.

        The numbers count the rows of all of these days, as `TaskRows.read_outcomes` does for the same days.
        """
        begin = 0
        for piece in self.stream(list(dict.fromkeys([*KEYS, *names]))):
            first, last = np.searchsorted(numbers, [begin, begin + len(piece)])
            if first < last:
                yield piece if last - first == len(piece) else piece.take(numbers[first:last] - begin)
            begin += len(piece)

    def count_by_day(self) -> Mapping[date, int]:
        """Return the number of rows of each day, in order of the days."""
        by_day = self.snapshot.days().select([DAY, f"{self.task}__observed"]).to_pydict()
        counts = zip(*by_day.values(), strict=True)
        return {day: count for day, count in counts if day in self.days}


@dataclass(frozen=True)
class TaskRows:
    """A task, its slices and the snapshot that they are read from.

    ``repeats``: recipe of the tested model if these rows are for its refit. ``measures``: whether models are
    measured on the test days; refits, which learn from them, and factor models are not. ``scored``: scores of
    `report` by the model's sha256 and the days, shared by training, comparison and calibration.
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
        """Return the rows for a refit of a recipe, up to the newest mature labels."""
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
        """Kind of the task's head."""
        return self.workspace.contracts.require_trained(self.task)

    @property
    def training(self) -> TaskTraining:
        """The task's training settings in the contract."""
        return self.workspace.contracts.surface.training_for(self.task)

    @property
    def learned(self) -> Features:
        """The features; with ``position: feature`` they include the position."""
        features = self.workspace.contracts.surface.features
        if self.debiased != "feature" or POSITION in features.names:
            return features
        return features.model_copy(update={"numeric": (*features.numeric, POSITION)})

    @property
    def features(self) -> tuple[str, ...]:
        """Feature columns, numeric ones first."""
        return self.learned.names

    @property
    def debiased(self) -> Literal["none", "feature", "weight"]:
        """The head's correction for position."""
        return self.workspace.contracts.position_correction(self.task)

    @property
    def delayed(self) -> bool:
        """Whether the train days extend to the calibrate days, over windows that are still open."""
        return self.workspace.contracts.delayed(self.task)

    @property
    def window(self) -> timedelta:
        """Time from the opening of the head's window in which events count."""
        spec = self.workspace.contracts.tasks
        return spec.window(self.task) if self.whole else spec.own_window(self.task)

    @property
    def whole(self) -> bool:
        """Whether the head learns the joint event of its whole chain."""
        return self.workspace.contracts.learns_joint_event(self.task)

    @property
    def answers_weighed(self) -> float | None:
        """Maximum weight of a response in the correction for non-response; None without a correction."""
        asked = self.training.weights
        when = self.spec.observed_when
        if asked is None or asked.response is None or when is None or when.event is None:
            return None
        return asked.response.clip

    def read_outcomes(self, days: DaySlice, columns: Iterable[str] = (), *, within: str = "") -> pa.Table:
        """Read the rows of some days with an observed outcome, in fixed order, without features.

        Parameters
        ----------
        within : an SQL condition on the rows.

        Returns
        -------
        Keys, the label (of the whole chain if the head learns it), the position if the head is corrected for
        it, further columns, and `ROW`.
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
        if self.spec.level == "request":  # its outcome is one observation
            table = table.filter(pa.array(mark_first_rows(table.column(REQUEST_ID).to_numpy())))
        return table

    def observed_rows(self, days: DaySlice) -> ObservedRows:
        """Return the source, also of features, of the rows of some days with an observed outcome."""
        return ObservedRows(self.snapshot, self._links[0], days)

    @property
    def _links(self) -> Sequence[str]:
        """Tasks whose outcomes form the label, first of the chain first."""
        return self.workspace.contracts.tasks.chain(self.task) if self.whole else (self.task,)

    def report(self, days: DaySlice) -> pa.Table:
        """Return `read_for_report` of some days, read once for a model and its calibrator."""
        if days not in self._reports:
            self._reports[days] = self.read_for_report(days)
        return self._reports[days]

    def score_once(self, sha256: str, days: DaySlice, score: Callable[[], Floats]) -> Floats:
        """Return a model's scores of the rows of `report`, computed once."""
        if (sha256, days) not in self.scored:
            self.scored[sha256, days] = score()
        return self.scored[sha256, days]

    def read_for_report(self, days: DaySlice) -> pa.Table:
        """Read the observed rows of some days with the columns for measuring them, without features.

        These are the columns of segments and, for rankings, the logged position if there is one.
        """
        placed = (POSITION,) if self.kind == "ranking" and POSITION in self.snapshot.schema().names else ()
        return self.read_outcomes(
            days, [*segment_columns(self.workspace.contracts.surface.segments), *placed]
        )

    def stream_report(self, days: DaySlice, names: Sequence[str]) -> Iterator[pa.Table]:
        """Read keys and features of the rows of `report`, in pieces."""
        return self.observed_rows(days).stream_numbered(names, self.report(days).column(ROW).to_numpy())

    def measured(self, predictions: Floats, *, examination: Floats | None) -> TaskFigures:
        """Measure predictions of the test rows, overall and by segment.

        ``examination`` of the rows' positions, shape [rows], weighs rankings.
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
        """The test rows with their segments, without predictions."""
        frame = to_frame(self.test.select([REQUEST_ID, USER_ID]))
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
        """Inputs that determine the rows of this task's parts, as plain JSON."""
        return {
            "surface": self.workspace.surface,
            "task": self.task,
            "as_of": format_instant(self.snapshot.as_of),
            "labels": self.snapshot.content_digest,
            "slices": self.slices.to_json(),
            **({} if self.repeats is None else {REPEATS: [self.repeats.version, self.repeats.sha256]}),
        }

    def made_from(self) -> dict[str, Any]:
        """Return the inputs of this task's parts, including digests of whole contracts, as plain JSON."""
        digests = self.workspace.contracts.digests
        shared = {name: value for name, value in self.inputs.items() if name != "labels"}
        contracts = {kind: digests[kind] for kind in ("surface", "tasks")}
        return {**shared, "snapshot": self.snapshot.id, "contracts": contracts}

    def version_tags(self) -> dict[str, str]:
        """Return the inputs of this task's parts as tags of a version and its run."""
        made_from = self.made_from()
        plain = {name: made_from[name] for name in ("surface", "task", "as_of", "snapshot")}
        digests = {f"contract.{kind}": digest for kind, digest in made_from["contracts"].items()}
        repeats = {} if self.repeats is None else {REPEATS: str(self.repeats.version)}
        return {**plain, **digests, **repeats, NEWEST: made_from["slices"]["train"][1]}


def measured_head(contracts: Contracts, task: str) -> MeasuredHead:
    """Return the kind of a task's head, with the quantile and the number of slots of its metrics."""
    quantile = contracts.surface.training_for(task).predicted_quantile
    return MeasuredHead(task, contracts.require_trained(task), quantile, contracts.slate.length)


def _join_chain(table: pa.Table, links: Sequence[str]) -> pa.Table:
    """Set the last link's label to the joint outcome of the chain, and drop rows where it is unknown."""
    known = join_outcomes({link: read_labels(table, link) for link in links}, links)
    place = table.schema.get_field_index(links[-1])
    return table.set_column(place, links[-1], pa.array(known)).filter(pa.array(np.isfinite(known)))


def _number_known(ids: "pd.Series[Any]") -> npt.ArrayLike:
    """Return the codes of ids that were read as categories, or the ids if one is missing."""
    known = isinstance(ids.dtype, pd.CategoricalDtype) and not ids.hasnans
    return ids.cat.codes.to_numpy() if known else ids


def _copy(table: pa.Table) -> pa.Table:
    """Return a copy of the rows, because one column of a piece keeps the whole piece in memory."""
    return table.take(pa.array(np.arange(len(table))))


def read_labels(table: pa.Table, task: str) -> Floats:
    """Return a task's labels as floats, shape [rows]."""
    return np.asarray(table.column(task).to_numpy(), dtype=np.float64)


def mark_first_rows(requests: npt.NDArray[Any], known: Flags | None = None) -> Flags:
    """Return whether each row is the first of its request, or its first known row, shape [rows].

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
