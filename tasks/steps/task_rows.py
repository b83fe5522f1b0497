"""The rows of one task in one published label snapshot: what training and calibration may read.

Only observed labels are ever read, and only the columns that are asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tasks.columns import ITEM_ID, REQUEST_ID, USER_ID, Status, status
from tasks.contracts import TaskSpec
from tasks.contracts.surface import Features
from tasks.errors import ContractError, DataError, GateRefused, unknown
from tasks.evaluation.segments import segment_columns, segment_values
from tasks.ranking.features import FeatureEncoder
from tasks.release.figures import TaskFigures, measure
from tasks.steps.context import Context, format_instant
from tasks.stores.label_store import LabelStore
from tasks.stores.snapshot import Snapshot
from tasks.training.slices import DaySlice, TaskSlices, plan_slices

Floats = npt.NDArray[np.float64]
KEYS: Final = (REQUEST_ID, ITEM_ID, USER_ID)
NEWEST: Final = "newest_training_row"
_CHUNK: Final = 1 << 18


@dataclass(frozen=True)
class TaskRows:
    """A task, its slices and the snapshot that they are read from."""

    context: Context
    task: str
    snapshot: Snapshot
    slices: TaskSlices

    @classmethod
    def open(cls, context: Context, *, task: str, as_of: datetime, snapshot: str) -> "TaskRows":
        """Find a task's slices in a snapshot.

        Raises
        ------
        ContractError
            The surface has no such task.
        GateRefused
            The snapshot was not published: its labels did not pass validation, or were not validated.
        DataError
            The snapshot shows the labels as of another instant.
        ImmatureLabels
            There is too little mature history.
        """
        known = context.contracts.tasks.tasks
        if task not in known:
            raise ContractError(unknown("task", task, known, where=f"the surface {context.surface}"))
        store = LabelStore(context.home, context.surface)
        found = store.snapshot(snapshot)
        if not store.published(snapshot):
            raise GateRefused(
                f"Label snapshot {snapshot} of {context.surface} is not published: it did not pass "
                "validation or was not validated. Run `equipoise validate` and read its report."
            )
        if found.as_of != as_of:
            raise DataError(
                f"Label snapshot {snapshot} is as of {format_instant(found.as_of)}, asked for was "
                f"{format_instant(as_of)}. Build labels as of that instant, or ask for the snapshot's own."
            )
        days: list[date] = found.days().column("ds").to_pylist()
        return cls(
            context, task, found, plan_slices(context.contracts, as_of, days, tasks=[task]).tasks[task]
        )

    @property
    def spec(self) -> TaskSpec:
        """The task's contract."""
        return self.context.contracts.tasks.tasks[self.task]

    @property
    def features(self) -> tuple[str, ...]:
        """The features' columns, numeric ones first."""
        return self.context.contracts.surface.features.names

    def read(self, days: DaySlice, columns: Iterable[str] = ()) -> pa.Table:
        """Read the observed rows of some days: keys, features, label and further columns, in fixed order."""
        names = list(dict.fromkeys([*KEYS, *self.features, self.task, *columns]))
        observed = f"{status(self.task)} = '{Status.OBSERVED}'"
        table = self.snapshot.read(names, first_day=days.first, last_day=days.last, where=observed)
        if self.spec.level == "request":
            table = one_row_a_request(table)
        categorical = self.context.contracts.surface.features.categorical
        return coded(table, (*categorical, REQUEST_ID, USER_ID))

    def read_for_report(self, days: DaySlice) -> pa.Table:
        """Read the observed rows of some days with the columns that segments are made from."""
        return self.read(days, segment_columns(self.context.contracts.surface.segments))

    def measured(self, table: pa.Table, predictions: Floats) -> TaskFigures:
        """Measure predictions on rows that `read_for_report` gave, for the whole and every segment."""
        specs = self.context.contracts.surface.segments
        frame = table.select([REQUEST_ID, USER_ID, *segment_columns(specs)]).to_pandas()
        return measure(
            self.task,
            self.spec.kind,
            labels(table, self.task),
            predictions,
            users=frame[USER_ID],
            requests=frame[REQUEST_ID],
            segments=segment_values(frame, specs),
            days=(self.slices.test.first, self.slices.test.last),
            newest_training_row=self.slices.train.last,
        )

    def made_from(self) -> dict[str, Any]:
        """Say what a part of this task is made from, as plain JSON."""
        digests = self.context.contracts.digests
        return {
            "surface": self.context.surface,
            "task": self.task,
            "as_of": format_instant(self.snapshot.as_of),
            "snapshot": self.snapshot.id,
            "contracts": {kind: digests[kind] for kind in ("surface", "tasks")},
            "slices": self.slices.to_json(),
        }


def tags(made_from: Mapping[str, Any]) -> dict[str, str]:
    """Return what a part is made from as the tags of its version and run."""
    plain = {name: made_from[name] for name in ("surface", "task", "as_of", "snapshot")}
    digests = {f"contract.{kind}": digest for kind, digest in made_from["contracts"].items()}
    return {**plain, **digests, NEWEST: made_from["slices"]["train"][1]}


def labels(table: pa.Table, task: str) -> Floats:
    """Return a task's labels as floats, shape [rows]."""
    return np.asarray(table.column(task).to_numpy(), dtype=np.float64)


def one_row_a_request(table: pa.Table) -> pa.Table:
    """Keep each request's first row: a request-level outcome is one observation, however long its page is."""
    return table.filter(pa.array(first_rows(table.column(REQUEST_ID).to_numpy())))


def first_rows(requests: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return whether each row is the first of its request, shape [rows]."""
    first = np.zeros(len(requests), dtype=bool)
    first[np.unique(pd.factorize(requests, use_na_sentinel=False)[0], return_index=True)[1]] = True
    return first


def coded(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """Hold each distinct text of some columns once, and a number per row."""
    for name in names:
        column = table.column(name)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            table = table.set_column(table.schema.get_field_index(name), name, column.dictionary_encode())
    return table.unify_dictionaries()


def fit_encoder(table: pa.Table, features: Features) -> FeatureEncoder:
    """Learn the categories of training rows."""
    seen = table.select(list(features.categorical)).to_pandas()
    return replace(FeatureEncoder.fit(seen, (), features.categorical), numeric=features.numeric)


def encode(encoder: FeatureEncoder, table: pa.Table) -> Floats:
    """Return the rows' features, shape [rows, features]; only a part is a frame at a time."""
    matrix = np.empty((len(table), len(encoder.names)))
    features = table.select(list(encoder.names))
    for start in range(0, len(table), _CHUNK):
        matrix[start : start + _CHUNK] = encoder.matrix(features.slice(start, _CHUNK).to_pandas())
    return matrix
