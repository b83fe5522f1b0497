"""Examples of one head: observed rows as arrays, with weights, offsets and requests.

::

    features  [rows, features]   numbers and codes: stored rows, rows of a cluster, an Arrow
                                 table or a matrix; null or NaN is missing
    labels    [rows]             0 or 1 for a binary head, else a finite value
    fold      [rows]             whether the user may be held out for early stopping
    weights   [rows] | None      above 0; None: every row has weight 1
    offsets   [rows] | None      log odds that are added in training, but not in scoring
    groups    [rows] | None      the request of each row, for rankings

Rows of weight 0 are dropped before examples are built.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from mmap import ACCESS_READ, MADV_DONTNEED, mmap
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final, Self, final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.arrays import AnyFloats, Flags, Floats, Integers, RowNumbers
from tasks.errors import DataError, StoreError
from tasks.ranking.features import FeatureEncoder
from tasks.training.rows import ObservedRows

_BATCH: Final = 1 << 16
_Rows = range | RowNumbers


@final
class StoredFeatures(lgb.Sequence):
    """Rows of features in a file, which LightGBM reads in batches, so that only its bins are in memory.

    The file is anonymous: it is deleted with this object or its process.

    Attributes
    ----------
    shape : number of rows and features.

    Examples
    --------
    >>> pieces = (pa.table({"price": [2.5, None], "new": [True, False]}) for _ in range(2))
    >>> stored = StoredFeatures.write(pieces, Path("."), width=2)
    >>> stored.shape, stored[1], stored[2:3], stored.take(np.array([3, 0]))[:].tolist()
    ((4, 2), array([nan,  0.]), array([[2.5, 1. ]]), [[nan, 0.0], [2.5, 1.0]])
    """

    batch_size = _BATCH

    def __init__(self, data: mmap | bytes, width: int, dtype: np.dtype[Any], rows: _Rows) -> None:
        self.shape = len(rows), width
        self._data, self._dtype, self._rows = data, dtype, rows
        self._block, self._begin = np.empty((0, width), dtype), 0

    @classmethod
    def write(cls, pieces: Iterable[pa.Table], folder: Path, *, width: int) -> Self:
        """Write tables of numbers with the same columns one after the other.

        Raises
        ------
        StoreError
            The file cannot be written, for example if the disk is full.
        """
        folder.mkdir(parents=True, exist_ok=True)
        rows, dtype = 0, np.dtype(np.float64)
        with TemporaryFile(dir=folder, buffering=0) as file:
            try:
                for piece in pieces:
                    matrix = to_matrix(piece)
                    matrix.tofile(file)
                    rows, dtype = rows + len(matrix), matrix.dtype
            except OSError as error:
                size = rows * width * dtype.itemsize / 1e9
                raise StoreError(
                    f"The features of rows to train on cannot be written to {folder}: {error}. {size:.1f} GB "
                    "were written; make room there, or sample the negatives in tasks.yaml."
                ) from error
            data = mmap(file.fileno(), 0, access=ACCESS_READ) if rows else b""
        return cls(data, width, dtype, range(rows))

    def take(self, rows: Integers) -> "StoredFeatures":
        """Return some of the rows, in any order; the file is shared."""
        taken = rows.astype(np.int32) if isinstance(self._rows, range) else self._rows[rows]
        return StoredFeatures(self._data, self.shape[1], self._dtype, taken)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | list[int]) -> npt.NDArray[Any]:
        """Return a row, float64 [features], as LightGBM samples it, or several rows, shape [n, features]."""
        if isinstance(index, list):
            return self._read(np.array([self._rows[i] for i in index], np.int32))
        if isinstance(index, slice):
            return self._read(self._rows[index])
        if not self._begin <= index < self._begin + len(self._block):
            self._begin = index - index % _BATCH
            self._block = self[self._begin : self._begin + _BATCH]
        return self._block[index - self._begin].astype(np.float64)

    def batches(self) -> Iterator[AnyFloats]:
        """Yield all rows in batches, each shape [n, features]."""
        return (self[begin : begin + _BATCH] for begin in range(0, len(self), _BATCH))

    def _read(self, rows: _Rows) -> npt.NDArray[Any]:
        """Read rows, and release the pages of the file from memory."""
        if not len(rows):
            return np.empty((0, self.shape[1]), self._dtype)
        matrix = np.frombuffer(self._data, self._dtype).reshape(-1, self.shape[1])
        first, last = rows[0], rows[-1] + 1
        together = last - first == len(rows) and (np.diff(rows) == 1).all()
        read = np.array(matrix[first:last] if together else matrix[rows])
        if isinstance(self._data, mmap):
            self._data.madvise(MADV_DONTNEED)
        return read


@dataclass(frozen=True)
class ClusterFeatures:
    """Rows of features that stay in the label store until the workers of a Dask cluster read them.

    Attributes
    ----------
    scheduler : the cluster's address.
    source : source of the rows.
    numbers : [rows] the number of each row in ``source``.
    """

    scheduler: str
    source: ObservedRows
    encoder: FeatureEncoder
    numbers: RowNumbers

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and features."""
        return len(self.numbers), len(self.encoder.names)

    def take(self, rows: Integers) -> "ClusterFeatures":
        """Return some of the rows, in any order."""
        return replace(self, numbers=self.numbers[rows])


def to_matrix(table: pa.Table) -> npt.NDArray[Any]:
    """Return numeric columns as a matrix of the smallest sufficient float type; missing values are NaN.

    Examples
    --------
    >>> to_matrix(pa.table({"price": [1.5, None], "visits": [2, 3]})).tolist()
    [[1.5, 2.0], [nan, 3.0]]
    """
    held = np.result_type(np.float32, *(np.dtype(kind.to_pandas_dtype()) for kind in table.schema.types))
    matrix = np.empty(table.shape, held)
    for place, column in enumerate(table.columns):
        matrix[:, place] = column.cast(pa.from_numpy_dtype(held), safe=False).to_numpy()
    return matrix


def _take(
    features: AnyFloats | pa.Table | StoredFeatures | ClusterFeatures, rows: Integers
) -> AnyFloats | pa.Table | StoredFeatures | ClusterFeatures:
    if isinstance(features, StoredFeatures | ClusterFeatures):
        return features.take(rows)
    plain: Any = features
    return plain[rows] if isinstance(plain, np.ndarray) else plain.take(pa.array(rows))


@dataclass(frozen=True)
class Examples:
    """Rows to train one head on.

    Attributes
    ----------
    names, categorical : names of all features, and of categorical features.

    Raises
    ------
    DataError
        Lengths differ, a label is not finite or a weight is not above 0.
    """

    features: AnyFloats | pa.Table | StoredFeatures | ClusterFeatures
    labels: AnyFloats
    fold: Flags
    names: tuple[str, ...]
    categorical: tuple[str, ...] = ()
    weights: AnyFloats | None = None
    offsets: AnyFloats | None = None
    groups: Integers | None = None

    def __post_init__(self) -> None:
        """Validate lengths, labels and weights."""
        rows = len(self.labels)
        if self.features.shape != (rows, len(self.names)) or any(len(a) != rows for a in self._by_row()):
            lengths = ", ".join(str(len(array)) for array in self._by_row())
            raise DataError(
                f"{self.features.shape} features for {len(self.names)} names, {rows} labels; the other "
                f"columns have {lengths} rows."
            )
        if unknown := int(np.count_nonzero(~np.isfinite(self.labels))):
            raise DataError(f"{unknown} labels have no value; train on observed rows only.")
        if self.weights is not None and not (np.isfinite(self.weights) & (self.weights > 0)).all():
            raise DataError("An example's weight is not above 0; drop examples that weigh nothing.")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Numeric features."""
        return tuple(name for name in self.names if name not in self.categorical)

    @property
    def held_out(self) -> Flags:
        """Rows for early stopping that are not learned from, shape [rows].

        These are the rows of the fold. There are none if the fold, or the rest, holds one outcome only: such
        a fold could not rank trees, and such a rest would give a constant.
        """
        sides = (self.labels[rows] for rows in (self.fold, ~self.fold))
        if all(len(side) and np.ptp(side) > 0 for side in sides):
            return self.fold
        return np.zeros(len(self), dtype=np.bool_)

    def where(self, rows: Flags) -> "Examples":
        """Return some of the rows."""
        return replace(
            self,
            features=_take(self.features, np.flatnonzero(rows)),
            labels=self.labels[rows],
            fold=self.fold[rows],
            weights=None if self.weights is None else self.weights[rows],
            offsets=None if self.offsets is None else self.offsets[rows],
            groups=None if self.groups is None else self.groups[rows],
        )

    def raw_scores(self, booster: lgb.Booster, *, threads: int | None) -> Floats:
        """Return a booster's raw scores, shape [rows]; stored rows are read in batches."""
        features = self.features
        pieces = features.batches() if isinstance(features, StoredFeatures) else [features]
        given = [booster.predict(piece, raw_score=True, num_threads=threads or 0) for piece in pieces]
        return np.concatenate(given)

    def without_fold(self) -> "Examples":
        """Return the same rows without held-out rows, so that all are learned from."""
        return replace(self, fold=np.zeros(len(self), dtype=np.bool_))

    def _by_row(self) -> Iterator[npt.NDArray[Any]]:
        yield self.fold
        yield from (a for a in (self.weights, self.offsets, self.groups) if a is not None)
