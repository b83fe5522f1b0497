"""Converts streamed rows to fixed records in two files, and reads them back in shuffled windows.

::

    first pass    categories, ids with enough rows, quantiles of numbers        -> encoder, knots
    second pass   numbers, rows of tables, labels, weights, offsets, position   -> records in two files
    an epoch      chunks in random order, several at a time, with shuffled rows -> batches of fixed size

Memory holds one table of the stream, one window of records, the distinct categories and the ids' counts,
regardless of the number of rows. Columns of a streamed table, besides features and ids::

    <task>           label; null or NaN if unknown
    <task>__weight   weight of the row for the task, default 1; rows of 0 are not learned from
    <task>__offset   log odds that are added in training, default 0; -log(rate) for sampled negatives
    held_out         rows for early stopping: of held-out users, or of the newest days if there are ids
    position         shown position, from 1; required if a task is positioned

A task with a parent is learned as the joint event wherever that is known (entire space, Ma et al. 2018), from
its own label and its parent's. Its weight must be 0 where a positive of the parent would leave it unknown,
such as on days on which it is not mature, because keeping only the parent's negatives would bias it. A value
task with a parent is learned where its own label is known.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.arrays import Floats
from tasks.columns import POSITION
from tasks.contracts.surface import Features
from tasks.contracts.tasks import join_outcomes
from tasks.contracts.training import Trunk
from tasks.errors import DataError
from tasks.evaluation.segments import spell_value
from tasks.ranking.candidates import read_numbers
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.trunk import TrunkObjective, rows_of_tables, scale_numbers

Tables = Callable[[], Iterable[pa.Table]]
"""Opens the stream of rows; every call gives the same rows in the same order."""
Records = npt.NDArray[np.void]

HELD_OUT: Final = "held_out"
_QUANTILES: Final = 65
_SAMPLE: Final = 50_000
"""Minimum number of rows for the quantiles, if there are as many."""
_CHUNK: Final = 8
"""Batches per chunk; rows of a chunk stay together until their window is shuffled."""
_WINDOW: Final = 1 << 18
"""Rows per window."""
_POSITIONS: Final = 200
"""Number of positions with their own effect; later positions share the last one's."""


def weight_column(task: str) -> str:
    """Return the column of the rows' weights for a task."""
    return f"{task}__weight"


def offset_column(task: str) -> str:
    """Return the column of a task's training offsets in log odds."""
    return f"{task}__offset"


@dataclass(frozen=True)
class TrunkRows:
    """Rows that a trunk learns from.

    Attributes
    ----------
    features : numeric and categorical columns of the stream.
    tables : opens the stream, whose tables have the columns above.
    """

    features: Features
    tables: Tables


@dataclass(frozen=True)
class TrunkTask:
    """One output of a trunk.

    Attributes
    ----------
    parameter : the power of ``tweedie``, the level of ``quantile``.
    parent : a binary task of the same trunk; this task requires its positives.
    positioned : whether the position has an additive effect in training, which is left out in scoring.
    """

    name: str
    objective: TrunkObjective = "binary"
    parameter: float = 0.5
    loss_weight: float = 1.0
    parent: str | None = None
    positioned: bool = False


@dataclass(frozen=True)
class Inputs:
    """Results of the first pass: the encoder, and the scaling of numbers, both [numeric, quantiles]."""

    encoder: FeatureEncoder
    knots: Floats
    grid: Floats


def fit_inputs(rows: TrunkRows, trunk: Trunk) -> Inputs:
    """Learn categories, known ids and quantiles from the rows that are not held out."""
    features = rows.features
    columns = [*(name for name in features.categorical if name not in trunk.ids), *trunk.ids]
    counts: dict[str, Counter[str]] = {name: Counter() for name in columns}
    numbers, sample = FeatureEncoder(features.numeric, {}), _Sample(len(features.numeric))
    for table in rows.tables():
        learned = table.filter(pc.invert(table.column(HELD_OUT)))
        for name, counted in counts.items():
            counted.update(dict(_count_values(learned.column(name))))
        sample.add(numbers.matrix(learned.select(list(features.numeric)).to_pandas()))
    least = dict.fromkeys(trunk.ids, trunk.rows_per_id)
    known = {
        name: tuple(sorted(value for value, rows in counted.items() if rows >= least.get(name, 1)))
        for name, counted in counts.items()
    }
    knots, grid = quantile_grid(sample.rows)
    return Inputs(FeatureEncoder(features.numeric, known), knots, grid)


def _count_values(column: pa.ChunkedArray) -> Iterator[tuple[str, int]]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    for entry in pc.value_counts(column.drop_null()).to_pylist():
        if entry["values"] == entry["values"]:  # NaN, which equals nothing, is missing
            yield spell_value(entry["values"]), entry["counts"]


class _Sample:
    """Every 2^k-th row of a stream, so that at least `_SAMPLE` rows are kept if there are as many."""

    def __init__(self, width: int) -> None:
        self._parts, self._stride, self._seen, self._kept = [np.empty((0, width))], 1, 0, 0

    def add(self, rows: Floats) -> None:
        self._parts.append(rows[-self._seen % self._stride :: self._stride])
        self._seen += len(rows)
        self._kept += len(self._parts[-1])
        while self._kept >= 2 * _SAMPLE:
            self._parts, self._stride = [self.rows[::2]], 2 * self._stride
            self._kept = len(self._parts[0])

    @property
    def rows(self) -> Floats:
        return np.concatenate(self._parts)


def quantile_grid(sample: Floats) -> tuple[Floats, Floats]:
    """Return the quantiles of each column and the values that they are mapped to, each [columns, quantiles].

    The grid is that of a uniform distribution with mean 0 and variance 1.

    Examples
    --------
    >>> knots, grid = quantile_grid(np.array([[0.0], [0.0], [1.0], [np.nan]]))
    >>> np.unique(knots), np.unique(grid.round(2))
    (array([0., 1.]), array([-0.46,  1.3 ]))
    """
    levels = np.linspace(0, 1, _QUANTILES)
    knots, grid = np.zeros((2, sample.shape[1], _QUANTILES))
    for place, values in enumerate(sample.T):
        finite = values[np.isfinite(values)]
        if len(finite):
            at, inverse = np.unique(np.quantile(finite, levels, method="nearest"), return_inverse=True)
            level = np.bincount(inverse, levels) / np.bincount(inverse)
            pad = (0, _QUANTILES - len(at))
            knots[place], grid[place] = np.pad(at, pad, mode="edge"), np.pad(level - 0.5, pad, mode="edge")
    return knots, grid * np.sqrt(12)


def record_type(encoder: FeatureEncoder, tasks: int) -> np.dtype[np.void]:
    """Return the type of a record, which holds a row's inputs and its outcomes by task."""
    return np.dtype(
        [
            ("numbers", "<f4", (2 * len(encoder.numeric),)),
            ("rows", "<i4", (len(encoder.categories),)),
            ("position", "<i4"),
            ("labels", "<f4", (tasks,)),
            ("weights", "<f4", (tasks,)),
            ("offsets", "<f4", (tasks,)),
        ]
    )


@dataclass(frozen=True)
class Spool:
    """Records of a stream in two files: train rows and held-out rows.

    Attributes
    ----------
    digest : sha256 of all records.
    """

    folder: Path
    kind: np.dtype[np.void]
    digest: str

    @property
    def train(self) -> Path:
        """File of the train records."""
        return self.folder / "train.records"

    @property
    def fold(self) -> Path:
        """File of the held-out records."""
        return self.folder / "fold.records"

    def count(self, file: Path) -> int:
        """Return the number of records of a file."""
        return file.stat().st_size // self.kind.itemsize

    def chunks(self, file: Path, rows: int) -> Iterator[Records]:
        """Read a file in order, in chunks of so many records."""
        for first in range(0, self.count(file), rows):
            yield self._read(file, first, rows)

    def batches(self, *, rows: int, seed: int, epoch: int) -> Iterator[Records]:
        """Read the records of an epoch in shuffled batches of fixed size, padded with rows of weight 0."""
        shuffle = np.random.default_rng([seed, epoch])
        chunk, count = rows * _CHUNK, self.count(self.train)
        order = shuffle.permutation(-(-count // chunk))
        window = max(1, _WINDOW // chunk)
        for begin in range(0, len(order), window):
            parts = [self._read(self.train, int(at) * chunk, chunk) for at in order[begin : begin + window]]
            records = np.concatenate(parts)
            mixed = shuffle.permutation(len(records))
            for first in range(0, len(mixed), rows):
                yield pad_batch(records[mixed[first : first + rows]], rows)

    def _read(self, file: Path, first: int, rows: int) -> Records:
        return np.fromfile(file, self.kind, rows, offset=first * self.kind.itemsize)


def pad_batch(records: Records, rows: int) -> Records:
    """Pad records of weight 0 to the number of rows."""
    if len(records) == rows:
        return records
    return np.concatenate([records, np.zeros(rows - len(records), records.dtype)])


def write_spool(tables: Tables, inputs: Inputs, tasks: Sequence[TrunkTask], folder: Path) -> Spool:
    """Write the records of a stream into a folder.

    Raises
    ------
    DataError
        A column is missing or not finite, a weight is below 0, a binary label is neither 0 nor 1, or a task
        has no row to learn from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    spool = Spool(folder, record_type(inputs.encoder, len(tasks)), "")
    with spool.train.open("wb") as train, spool.fold.open("wb") as fold:
        for table in tables():
            records = _encode(table, inputs, tasks, spool.kind)
            held = table.column(HELD_OUT).to_numpy()
            for file, own in ((train, records[~held]), (fold, records[held])):
                file.write(own.tobytes())
                digest.update(own.tobytes())
    return Spool(folder, spool.kind, digest.hexdigest())


def _encode(table: pa.Table, inputs: Inputs, tasks: Sequence[TrunkTask], kind: np.dtype[np.void]) -> Records:
    frame = table.select(list(dict.fromkeys(inputs.encoder.names))).to_pandas()
    matrix, count = inputs.encoder.matrix(frame), len(inputs.encoder.numeric)
    records = np.zeros(len(table), kind)
    records["numbers"] = scale_numbers(matrix[:, :count], {"knots": inputs.knots, "grid": inputs.grid})
    records["rows"] = rows_of_tables(matrix[:, count:])
    if any(task.positioned for task in tasks):
        places = read_numbers(table.select([POSITION]).to_pandas(), POSITION, "the trunk")
        records["position"] = np.nan_to_num(np.clip(places, 0, _POSITIONS), nan=0.0)
    outcomes = _Outcomes(table, tasks)
    for place, task in enumerate(tasks):
        labels, weights = outcomes.of(task)
        records["labels"][:, place] = labels
        records["weights"][:, place] = weights
        records["offsets"][:, place] = outcomes.read(offset_column(task.name), 0.0)
    return records


class _Outcomes:
    """Labels and weights of the rows of one table, joined along chains."""

    def __init__(self, table: pa.Table, tasks: Sequence[TrunkTask]) -> None:
        self._table, self._tasks = table, {task.name: task for task in tasks}

    def read(self, column: str, default: float) -> Floats:
        if column not in self._table.column_names:
            return np.full(len(self._table), default)
        return np.asarray(self._table.column(column).cast(pa.float64()).to_numpy(), dtype=np.float64)

    def of(self, task: TrunkTask) -> tuple[Floats, Floats]:
        """Return labels and weights, shape [rows] each; rows of weight 0 have no known label."""
        labels, weights = self._own(task)
        if task.parent is not None and task.objective == "binary":
            above, weights_above = self.of(self._tasks[task.parent])
            named = {task.parent: above, task.name: np.where(weights > 0, labels, np.nan)}
            named[task.parent] = np.where(weights_above > 0, above, np.nan)
            labels = join_outcomes(named, [task.parent, task.name])
            asked = self.read(weight_column(task.name), 1.0) > 0
            weights = np.where(asked & (named[task.parent] == 0), weights_above, weights)
        return labels, np.where(np.isnan(labels), 0.0, weights)

    def _own(self, task: TrunkTask) -> tuple[Floats, Floats]:
        labels, weights = self.read(task.name, np.nan), self.read(weight_column(task.name), 1.0)
        weights = np.where(np.isnan(labels), 0.0, weights)
        known = labels[weights > 0]
        wrong = ~np.isfinite(known) if task.objective != "binary" else ~np.isin(known, (0.0, 1.0))
        if task.objective == "tweedie":
            wrong |= known < 0
        if not (np.isfinite(weights) & (weights >= 0)).all() or wrong.any():
            raise DataError(
                f"Task '{task.name}' cannot be learned by a trunk: {int(wrong.sum())} of {len(known)} known "
                f"labels do not fit '{task.objective}', or a weight is negative or infinite."
            )
        return labels, weights


@dataclass(frozen=True)
class TaskTotals:
    """Statistics of the train rows by task, shape [tasks] each.

    Attributes
    ----------
    known : number of rows with a known label.
    positives : number of labels above 0.
    weight : the mean weight of a row, known or not.
    rate : weighted mean of the labels over all rows, corrected for the sampling of negatives.
    deviation : weighted standard deviation of the labels.
    """

    rows: int
    known: Floats
    positives: Floats
    weight: Floats
    rate: Floats
    deviation: Floats


def add_up(spool: Spool, tasks: Sequence[TrunkTask]) -> TaskTotals:
    """Compute the statistics of the train rows.

    Raises
    ------
    DataError
        A task has no known row, or a binary task has only one outcome.
    """
    sums = np.zeros((6, len(tasks)))
    for records in spool.chunks(spool.train, _WINDOW):
        weights = records["weights"].astype(np.float64)
        labels = np.where(weights > 0, records["labels"], 0.0)
        undone = np.where(labels > 0, weights, weights * np.exp(records["offsets"]))
        parts = (weights > 0, labels > 0, weights, undone, weights * labels, weights * labels**2)
        sums += [part.sum(axis=0) for part in parts]
    known, positives, weight, undone, first, second = sums
    for place, task in enumerate(tasks):
        alike = task.objective == "binary" and positives[place] in {0, known[place]}
        if alike or not known[place]:
            raise DataError(
                f"Task '{task.name}' cannot be learned by a trunk: {int(positives[place])} of "
                f"{int(known[place])} known rows are positive. Leave it out of the trunk's tasks."
            )
    variance = np.maximum(second / weight - (first / weight) ** 2, 0)
    rows = spool.count(spool.train)
    return TaskTotals(rows, known, positives, weight / rows, first / undone, np.sqrt(variance))


def count_positives(spool: Spool, tasks: Sequence[TrunkTask]) -> Floats:
    """Return the number of held-out positives of each binary task, of known rows of others, [tasks]."""
    binary, count = np.array([task.objective == "binary" for task in tasks]), np.zeros(len(tasks))
    for records in spool.chunks(spool.fold, _WINDOW):
        count += ((records["weights"] > 0) & ((records["labels"] > 0) | ~binary)).sum(axis=0)
    return count
