"""Columns over all blocks of a slice: columns that grow block by block in files, and sparse columns.

::

    growing   appended block by block to an unnamed file; the pages of a column are in memory from its use
              until another column is mapped or filled, and are read again on the next use

    sparse    rows    2    5          of 8
              values  1.0  0.0   ->   nan nan 1.0 nan nan 0.0 nan nan      fill: nan

Most columns are read by one metric at a time, so files limit the memory of a large replay. They lie in the
system's temporary folder (``TMPDIR``). Outcomes exist for shown rows, often a quarter of all candidates: a
column of all rows is filled on access. The newest outcome is cached, because a metric reads it several
times.
"""

import mmap
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from tempfile import TemporaryFile, gettempdir
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from tasks.arrays import Floats, Indices
from tasks.errors import StoreError
from tasks.replay.inclusion import JointOutcome

Column = npt.NDArray[Any]
_Value = TypeVar("_Value")
_MAPPED: Final[weakref.WeakSet[mmap.mmap]] = weakref.WeakSet()


class OnDemand(Mapping[str, _Value]):
    """Values by name, computed on each access.

    Examples
    --------
    >>> lengths = OnDemand(["click", "hide"], len)
    >>> lengths["hide"], "buy" in lengths, len(lengths)
    (4, False, 2)
    """

    def __init__(self, names: Collection[str], make: Callable[[str], _Value]) -> None:
        """Store the names, and the function that computes a value."""
        self.names, self._make = names, make

    def __getitem__(self, name: str) -> _Value:
        """Return a value; raises KeyError for an unknown name."""
        if name not in self.names:
            raise KeyError(name)
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.names)

    def __len__(self) -> int:
        """Count the names."""
        return len(self.names)


class GrowingColumn:
    """A column in a file, with the type of its first block.

    Examples
    --------
    >>> column = GrowingColumn()
    >>> for block in ([1, 2], [3]):
    ...     column.append(np.array(block, dtype=np.int32))
    >>> column.array
    array([1, 2, 3], dtype=int32)
    """

    def __init__(self) -> None:
        """Create an empty column."""
        self._file = TemporaryFile(buffering=0)  # noqa: SIM115 - the file lives as long as the column
        weakref.finalize(self, self._file.close)
        self._empty: Column = np.empty(0)
        self._size = 0

    def append(self, values: Column) -> None:
        """Append values; raises StoreError if the temporary folder is full."""
        if not self._size:
            self._empty = np.empty(0, dtype=values.dtype)
        block = np.ascontiguousarray(values, dtype=self._empty.dtype).view(np.uint8)
        with suppress(OSError):
            if self._file.write(block.data) == block.nbytes:
                self._size += len(values)
                return
        raise StoreError(f"{gettempdir()} has no room for {block.nbytes:,} bytes: free space, or set TMPDIR")

    @property
    def array(self) -> Column:
        """All values, [n], in the order of appending; read-only."""
        if not self._size:
            return self._empty
        _release_pages()
        pages = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        _MAPPED.add(pages)
        return np.frombuffer(pages, dtype=self._empty.dtype)


def store(values: Column) -> Column:
    """Return the same values from an unnamed file, read-only."""
    column = GrowingColumn()
    column.append(values)
    return column.array


def _release_pages() -> None:
    for pages in [*_MAPPED]:
        pages.madvise(mmap.MADV_DONTNEED)


class GrowingColumns(OnDemand[Column]):
    """Columns by name, each of which grows by itself and is read from its file on access."""

    def __init__(self) -> None:
        """Create an empty set of columns."""
        self._columns: dict[str, GrowingColumn] = {}
        super().__init__(self._columns, lambda name: self._columns[name].array)

    def append(self, columns: Mapping[str, Column | None]) -> None:
        """Append values to the columns of these names; None adds nothing."""
        for name, values in columns.items():
            if values is not None:
                self._columns.setdefault(name, GrowingColumn()).append(values)

    def whole(self, name: str, size: int) -> Any:
        """Return a column with values in every block, so that it has ``size`` values, else None.

        Examples
        --------
        >>> columns = GrowingColumns()
        >>> columns.append({"rank": np.array([1, 2]), "utility": None})
        >>> columns.whole("rank", 2), columns.whole("rank", 3), columns.whole("utility", 2)
        (array([1, 2]), None, None)
        """
        column = self.get(name)
        return column if column is not None and len(column) == size else None


def sparse_columns(
    size: int, rows: Indices, kept: Mapping[str, Column], fill: float = np.nan
) -> OnDemand[Floats]:
    """Return columns by name, each of shape [size].

    Parameters
    ----------
    rows : [m] rows with values, increasing.
    kept : values by name [m].
    fill : value of all other rows.

    Examples
    --------
    >>> columns = sparse_columns(4, np.array([1, 3]), {"click": np.array([1.0, 0.0])})
    >>> columns["click"].tolist(), list(columns)
    ([nan, 1.0, nan, 0.0], ['click'])
    """
    return OnDemand(kept, lambda name: spread(kept[name], rows, size, fill))


def sparse_outcomes(size: int, rows: Indices, outcomes: Mapping[str, JointOutcome]) -> OnDemand[JointOutcome]:
    """Return joint outcomes by task, of shape [size]; other rows have no outcome.

    The outcome of the last task read is cached.
    """

    @lru_cache(maxsize=1)
    def lay_out(task: str) -> JointOutcome:
        kept = outcomes[task]
        value, weight = (spread(one, rows, size, 0.0) for one in (kept.value, kept.weight))
        unseen = None if kept.unseen is None else spread(kept.unseen, rows, size, 0.0) > 0
        return replace(kept, value=value, weight=weight, unseen=unseen)

    return OnDemand(outcomes, lay_out)


def narrow(values: Floats) -> Column:
    """Return the same numbers in less memory if lossless: as a broadcast constant or as shorter floats.

    Examples
    --------
    >>> [narrow(np.array(values)).dtype.name for values in ([1.0, 0.0, np.nan], [0.1, 1.0])]
    ['float16', 'float64']
    >>> narrow(np.array([0.5, 0.5])).strides
    (0,)
    """
    if len(values) and (values == values[0]).all():
        return np.broadcast_to(np.float64(values[0]), values.shape)
    for kind in (np.float16, np.float32):
        with np.errstate(over="ignore"):
            short = values.astype(kind)
        if np.array_equal(short, values, equal_nan=True):
            return short
    return values


def spread(values: Column, rows: Indices, size: int, fill: float) -> Floats:
    """Spread values of some rows over a column of all rows.

    Examples
    --------
    >>> spread(np.array([2.0]), np.array([1]), 3, 0.0).tolist()
    [0.0, 2.0, 0.0]
    """
    _release_pages()
    dense = np.full(size, fill)
    dense[rows] = values
    return dense
