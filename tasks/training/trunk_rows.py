"""Rows of the tasks that share a trunk: a stream of impressions with one label column per task.

::

    task a, train days  |------------------| window |      each task's own observed, weighted and sampled rows
    task b, train days  |------------| longer window|      (draw_examples.py), in a file, one batch per span
    calibrate days                                  |---- the earliest calibrate days of any task

    span of time -> its impressions with features, and each task's batch, joined by request and item -> table

No label of any task depends on events in the calibrate days of another task, because shared layers would leak
them. Outside a task's own train days a row has weight 0 for it, so that chains are not joined on days with
known parents and unknown children.

If the trunk reads ids, rows are held out by day for early stopping, because held-out ids would be unknown;
else by user, as for trees.

Memory holds one span of about `SPAN` rows. A task is drawn at once, without features, if its weights are
estimated from all of its rows (for position, delay or responses), or if only a request's first row counts.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tasks.arrays import Flags, Floats
from tasks.columns import DAY, ITEM_ID, POSITION, REQUEST_ID, SHOWN_AT
from tasks.contracts.training import Trunk
from tasks.errors import ContractError, ImmatureLabels, unknown
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.stores.workspace import Workspace
from tasks.training.draw_examples import DrawnRows, balances, draw_span, require_negatives, user_or_request
from tasks.training.encoding import encode_dictionaries
from tasks.training.rows import KEYS, TaskRows, read_labels
from tasks.training.sampling import hold_out_users, scale_classes
from tasks.training.slices import DaySlice, trunk_slices
from tasks.training.trainable import require_outcomes
from tasks.training.trees import task_loss
from tasks.trunks.rows import HELD_OUT, Tables, TrunkTask, offset_column, weight_column

Days = npt.NDArray[np.object_]
Span = tuple[datetime, datetime]
"""Rows shown from the first instant on and before the second one."""

SPAN: Final = 1 << 17
_DRAWN: Final = pa.schema(
    [
        (REQUEST_ID, pa.string()),
        (ITEM_ID, pa.string()),
        *((name, pa.float64()) for name in ("label", "weight", "offset")),
    ]
)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class SharedRows:
    """A trunk, and the rows of its tasks in one published snapshot, without calibrate days."""

    workspace: Workspace
    trunk: str
    snapshot: Snapshot
    tasks: tuple[TaskRows, ...]

    @classmethod
    def open(cls, workspace: Workspace, *, trunk: str, as_of: datetime, snapshot: str) -> "SharedRows":
        """Select the slices of a trunk's tasks in a snapshot.

        Raises
        ------
        ContractError
            The surface has no such trunk.
        GateRefused, DataError, ImmatureLabels
            As in `TaskRows.open`.
        """
        contracts = workspace.contracts
        spec = contracts.surface.trunks.get(trunk)
        if spec is None:
            raise ContractError(unknown("trunk", trunk, contracts.surface.trunks, where="surface.yaml"))
        store, names = LabelStore(workspace.store, workspace.surface), spec.tasks
        labels = store.published_snapshot(snapshot, as_of=as_of)
        slices = trunk_slices(contracts, labels.mature_by(), labels.dates(), tasks=names)
        tasks = (TaskRows(workspace, task, labels, slices[task], measures=False) for task in names)
        return cls(workspace, trunk, labels, tuple(tasks))

    @property
    def spec(self) -> Trunk:
        """The trunk's contract."""
        return self.workspace.contracts.surface.trunks[self.trunk]

    @property
    def newest(self) -> date:
        """Last day that any task learns from."""
        return max(rows.slices.train.last for rows in self.tasks)

    @property
    def outputs(self) -> list[TrunkTask]:
        """Outputs of the network, with their losses."""
        return [_describe_output(rows) for rows in self.tasks]

    def stream(self, folder: Path) -> Tables:
        """Draw each task's rows into a folder, and return a function that opens the stream of tables.

        The tables have the rows that some task learns from, with labels, weights, offsets and held-out flags,
        in the order of showing.

        Raises
        ------
        DataError, ImmatureLabels
            A task has too few positives or only one outcome, or all days would be held out.
        """
        folder.mkdir(parents=True, exist_ok=True)
        spans = list(self._spans())
        drawn = [_draw(rows, spans, folder / f"{rows.task}.arrow") for rows in self.tasks]
        first = self._first_held_day(drawn)

        def tables() -> Iterator[pa.Table]:
            files = [pa.ipc.open_file(pa.OSFile(str(one.file))) for one in drawn]
            for place, span in enumerate(spans):
                batches = [file.get_batch(place) for file in files]
                table = self._join(span, dict(zip(drawn, batches, strict=True)), first)
                if len(table):
                    yield table

        return tables

    def _spans(self) -> Iterator[Span]:
        """Split the train days into spans of about `SPAN` rows: several days, or equal parts of one day."""
        first = min(rows.slices.train.first for rows in self.tasks)
        days = {day: built.rows for day, built in sorted(self.snapshot.build().days.items())}
        bounds, held = [_start(first)], 0.0
        for day, count in ((day, rows) for day, rows in days.items() if first <= day <= self.newest):
            parts = max(1, -(-count // SPAN))
            if held and held + count > SPAN:
                bounds.append(_start(day))
                held = 0.0
            bounds += [_start(day) + _DAY * part / parts for part in range(1, parts)]
            held = held + count if parts == 1 else count / parts
        return pairwise([*bounds, _start(self.newest) + _DAY])

    def _join(self, span: Span, drawn: "dict[_Drawn, pa.RecordBatch]", first: date | None) -> pa.Table:
        """Read a span's impressions, and add each task's label, weight and offset."""
        features = self.workspace.contracts.surface.features
        placed = [POSITION] if any(rows.debiased == "feature" for rows in self.tasks) else []
        names = dict.fromkeys([*KEYS, DAY, *features.names, *self.spec.ids, *placed])
        days = _days_of(span)
        table = self.snapshot.read([*names], first_day=days.first, last_day=days.last, where=_within(span))
        keys, shown = _keys(table).assign(row=np.arange(len(table))), table.column(DAY).to_pandas().to_numpy()
        columns: dict[str, npt.NDArray[np.generic]] = {}
        for one, batch in drawn.items():
            columns |= dict(one.columns(batch, keys, shown))
        if first is None:
            share = self.workspace.contracts.surface.split.early_stop
            columns[HELD_OUT] = hold_out_users(user_or_request(table), share=share, salt="early stop")
        else:
            columns[HELD_OUT] = np.asarray(shown >= first, dtype=np.bool_)
        learned = [np.isfinite(np.asarray(columns[rows.task], dtype=np.float64)) for rows in self.tasks]
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values))
        return encode_dictionaries(
            table.filter(pa.array(np.any(learned, axis=0))), (*features.categorical, *self.spec.ids)
        )

    def _first_held_day(self, drawn: "Sequence[_Drawn]") -> date | None:
        """Return the first of the days held out for early stopping; None if users are held out."""
        if not self.spec.ids:
            return None
        share = self.workspace.contracts.surface.split.early_stop
        first = min(one.days[-max(1, round(share * len(one.days)))] for one in drawn)
        if first <= min(one.days[0] for one in drawn):
            raise ImmatureLabels(
                f"Trunk '{self.trunk}' cannot be trained: all of its days, from {first} on, are held out to "
                "stop it, so that each task has some. Lengthen split.train, or give it tasks of like windows."
            )
        return first


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Rows of one task in a file: key, label, weight and offset, one batch per span.

    ``scales`` brings the weights of negatives and positives to mean 1; ``shift`` is added to all offsets.
    ``days``: days with rows, in order.
    """

    rows: TaskRows
    file: Path
    scales: Floats
    shift: float
    offset: bool
    days: Sequence[date]

    def columns(self, batch: pa.RecordBatch, keys: pd.DataFrame, days: Days) -> Iterator[tuple[str, Floats]]:
        """Yield label, weight and offset of every impression; NaN if the task does not learn from it."""
        task, train = self.rows.task, self.rows.slices.train
        at = _keys(batch).merge(keys, how="left", on=[REQUEST_ID, ITEM_ID], validate="many_to_one")["row"]
        places = at.to_numpy(dtype=np.intp)
        known, weights, offsets = (batch.column(name).to_numpy() for name in ("label", "weight", "offset"))
        own: Flags = (days >= train.first) & (days <= train.last)
        labels, weighed = np.full(len(keys), np.nan), own.astype(np.float64)
        labels[places] = known
        weighed[places] = weights * np.where(known > 0, self.scales[1], self.scales[0])
        yield task, labels
        yield weight_column(task), weighed
        if self.offset:
            added = np.zeros(len(keys))
            added[places] = offsets + self.shift
            yield offset_column(task), added


def _draw(rows: TaskRows, spans: Sequence[Span], file: Path) -> _Drawn:
    """Draw a task's rows into a file, span by span if that gives the same rows."""
    at_once = (
        rows.delayed
        or rows.debiased == "weight"
        or rows.answers_weighed is not None
        or rows.spec.level == "request"
    )
    sums, offset, days, counts = np.zeros((2, 2)), False, set[date](), Counter[str]()
    least, greatest = np.inf, -np.inf
    with pa.ipc.new_file(str(file), _DRAWN) as writer:
        for group in [spans] if at_once else [[span] for span in spans]:
            drawn = _draw_group(rows, (group[0][0], group[-1][1]))
            if drawn is None:
                writer.write_batch(pa.RecordBatch.from_pylist([], schema=_DRAWN))
                continue
            table, outcomes = drawn.table, read_labels(drawn.observed, rows.task)
            labels, offsets = read_labels(table, rows.task), -np.log(drawn.rates)
            weights = np.multiply.reduce([np.ones(len(table)), *drawn.factors.values()])
            counts.update(drawn.counts)
            least, greatest = outcomes.min(initial=least), outcomes.max(initial=greatest)
            for outcome, chosen in enumerate((labels <= 0, labels > 0)):
                sums[:, outcome] += chosen.sum(), weights[chosen].sum()
            offset, days = offset or bool(offsets.any()), days | {*table.column(DAY).unique().to_pylist()}
            keys = (table.column(name).cast(pa.string()).combine_chunks() for name in (REQUEST_ID, ITEM_ID))
            batch = pa.record_batch([*keys, labels, weights, offsets], schema=_DRAWN)
            ends = [np.datetime64(end.replace(tzinfo=None)) for _, end in group]
            cuts = np.searchsorted(table.column(SHOWN_AT).to_numpy(), ends).tolist()
            for begin, end in pairwise([0, *cuts]):
                writer.write_batch(batch.slice(begin, end - begin))
    observed, positives = counts["observed"], counts["positives"]
    minimum = rows.workspace.contracts.surface.minimum.positives
    require_outcomes(rows.task, positives, observed, (least, greatest), kind=rows.kind, minimum=minimum)
    if rows.kind == "binary":
        require_negatives(rows.task, observed - positives, np.flatnonzero(sums[0]).astype(np.float64))
    scales, shift = scale_classes(*sums, balanced=balances(rows))
    return _Drawn(rows, file, scales, shift, offset or shift != 0, sorted(days))


def _draw_group(rows: TaskRows, span: Span) -> DrawnRows | None:
    """Draw a task's rows of a span; None if the span has none of its train days."""
    train, days = rows.slices.train, _days_of(span)
    own = DaySlice(max(train.first, days.first), min(train.last, days.last))
    if own.first > own.last:
        return None
    return draw_span(rows, own, within=_within(span), columns=(SHOWN_AT, DAY))


def _start(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _days_of(span: Span) -> DaySlice:
    return DaySlice(span[0].date(), (span[1] - timedelta(microseconds=1)).date())


def _within(span: Span) -> str:
    """Return the SQL condition that a row was shown in a span."""
    first, end = (f"TIMESTAMPTZ '{instant.isoformat()}'" for instant in span)
    return f"{SHOWN_AT} >= {first} AND {SHOWN_AT} < {end}"


def _describe_output(rows: TaskRows) -> TrunkTask:
    loss, contracts = task_loss(rows), rows.workspace.contracts
    return TrunkTask(
        rows.task,
        objective="tweedie" if loss.objective == "tweedie" else "l2" if rows.kind == "value" else "binary",
        parameter=loss.power,
        loss_weight=rows.spec.loss_weight,
        parent=contracts.head_parent(rows.task),
        positioned=rows.debiased == "feature",
    )


def _keys(table: pa.Table | pa.RecordBatch) -> pd.DataFrame:
    names = [REQUEST_ID, ITEM_ID]
    return pd.DataFrame({name: table.column(name).cast(pa.string()).to_pandas() for name in names})
