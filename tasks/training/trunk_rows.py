"""The rows of the tasks that share a trunk: one table of impressions with a label column for each task.

::

    task a, train days  |------------------| window |      each task's own observed, weighed and sampled rows
    task b, train days  |------------| longer window|      (draw_examples.py), joined by request and item
    calibrate days                                  |---- the earliest of any task begins

No label of any task tells of an event in the calibrate days of another: shared layers would carry it there.
Outside a task's own train days a row weighs 0 for it, so that chains are not joined on days whose parents
are known and whose children are not.

What stops the training is held out by day where the trunk reads ids, since a user or item that is held out
would be an unknown one; else by user, as for trees.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tasks.arrays import Flags, Floats
from tasks.columns import DAY, ITEM_ID, POSITION, REQUEST_ID
from tasks.contracts.chains import head_parent
from tasks.contracts.trunks import Trunk
from tasks.errors import ContractError, ImmatureLabels, unknown
from tasks.labels.snapshot import Snapshot
from tasks.stores.workspace import Workspace
from tasks.training.draw_examples import DrawnRows, draw_rows, user_or_request, weigh_examples
from tasks.training.encoding import encode_dictionaries
from tasks.training.rows import KEYS, TaskRows, find_published_snapshot, read_labels
from tasks.training.sampling import hold_out_users
from tasks.training.slices import trunk_slices
from tasks.training.trees import task_loss
from tasks.trunks.rows import HELD_OUT, TrunkTask, offset_column, weight_column

Days = npt.NDArray[np.object_]


@dataclass(frozen=True)
class SharedRows:
    """A trunk, and the rows of its tasks in one published snapshot, none of them on a calibrate day."""

    workspace: Workspace
    trunk: str
    snapshot: Snapshot
    tasks: tuple[TaskRows, ...]

    @classmethod
    def open(cls, workspace: Workspace, *, trunk: str, as_of: datetime, snapshot: str) -> "SharedRows":
        """Find the slices of a trunk's tasks in a snapshot.

        Raises
        ------
        ContractError
            The surface has no such trunk.
        GateRefused, DataError, ImmatureLabels
            As `TaskRows.open`.
        """
        contracts = workspace.contracts
        spec = contracts.surface.trunks.get(trunk)
        if spec is None:
            raise ContractError(unknown("trunk", trunk, contracts.surface.trunks, where="surface.yaml"))
        labels, names = find_published_snapshot(workspace, snapshot, as_of=as_of), spec.tasks
        slices = trunk_slices(contracts, labels.mature_by(), labels.dates(), tasks=names)
        tasks = (TaskRows(workspace, task, labels, slices[task], measures=False) for task in names)
        return cls(workspace, trunk, labels, tuple(tasks))

    @property
    def spec(self) -> Trunk:
        """The trunk's contract."""
        return self.workspace.contracts.surface.trunks[self.trunk]

    @property
    def newest(self) -> date:
        """The last day that any task learns from."""
        return max(rows.slices.train.last for rows in self.tasks)

    @property
    def outputs(self) -> list[TrunkTask]:
        """The outputs of the network, with their losses."""
        return [_describe_output(rows) for rows in self.tasks]

    def read(self) -> pa.Table:
        """Read the rows that some task learns from, with labels, weights, offsets and what is held out."""
        first = min(rows.slices.train.first for rows in self.tasks)
        features = self.workspace.contracts.surface.features
        placed = [POSITION] if any(rows.debiased == "feature" for rows in self.tasks) else []
        names = dict.fromkeys([*KEYS, DAY, *features.names, *self.spec.ids, *placed])
        table = self.snapshot.read([*names], first_day=first, last_day=self.newest)
        keys = _keys(table).assign(row=np.arange(len(table)))
        days: Days = table.column(DAY).to_pandas().to_numpy()
        columns: dict[str, npt.NDArray[np.generic]] = {}
        for rows in self.tasks:
            columns |= dict(_columns_of(rows, draw_rows(rows), keys, days))
        learned = [np.isfinite(np.asarray(columns[rows.task], dtype=np.float64)) for rows in self.tasks]
        columns[HELD_OUT] = self._hold_out(table, days, learned)
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values))
        return encode_dictionaries(
            table.filter(pa.array(np.any(learned, axis=0))), (*features.categorical, *self.spec.ids)
        )

    def _hold_out(self, table: pa.Table, days: Days, learned: Sequence[Flags]) -> Flags:
        share = self.workspace.contracts.surface.split.early_stop
        if not self.spec.ids:
            return hold_out_users(user_or_request(table), share=share, salt="early stop")
        first = min(_newest_days(days[own], share) for own in learned)
        held = days >= first
        if held.all():
            raise ImmatureLabels(
                f"Trunk '{self.trunk}' cannot be trained: all of its days, from {first} on, are held out to "
                "stop it, so that each task has some. Lengthen split.train, or give it tasks of like windows."
            )
        return held


def _newest_days(days: Days, share: float) -> date:
    """Return the first of the newest days that make up a share of all days that occur."""
    distinct = np.unique(days)
    first: date = distinct[-max(1, round(share * len(distinct)))]
    return first


def _describe_output(rows: TaskRows) -> TrunkTask:
    loss, contracts = task_loss(rows), rows.workspace.contracts
    return TrunkTask(
        rows.task,
        objective="tweedie" if loss.objective == "tweedie" else "l2" if rows.kind == "value" else "binary",
        parameter=loss.power,
        loss_weight=rows.spec.loss_weight,
        parent=head_parent(contracts, rows.task),
        positioned=rows.debiased == "feature",
    )


def _keys(table: pa.Table) -> pd.DataFrame:
    names = [REQUEST_ID, ITEM_ID]
    return pd.DataFrame({name: table.column(name).cast(pa.string()).to_pandas() for name in names})


def _columns_of(
    rows: TaskRows, drawn: DrawnRows, keys: pd.DataFrame, days: Days
) -> Iterator[tuple[str, Floats]]:
    """Give label, weight and offset of every impression for one task; NaN where it is not learned."""
    task, table = rows.task, drawn.table
    at = _keys(table).merge(keys, how="left", on=[REQUEST_ID, ITEM_ID], validate="many_to_one")["row"]
    places = at.to_numpy(dtype=np.intp)
    weighed, offsets = weigh_examples(rows, drawn)
    labels, own = (
        np.full(len(keys), np.nan),
        (days >= rows.slices.train.first) & (days <= rows.slices.train.last),
    )
    weights = own.astype(np.float64)
    labels[places] = read_labels(table, task)
    if weighed is not None:
        weights[places] = weighed
    yield task, labels
    yield weight_column(task), weights
    if offsets.any():
        added = np.zeros(len(keys))
        added[places] = offsets
        yield offset_column(task), added
