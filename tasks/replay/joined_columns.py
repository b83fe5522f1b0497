"""Columns over all blocks of a slice: values that grow block by block, and values known of few rows only.

::

    growing   |values of all blocks so far|      free      |     free pages take no memory until written to
              where a block does not fit, that column is copied, into twice the space

    sparse    rows    2    5          of 8
              values  1.0  0.0   ->   nan nan 1.0 nan nan 0.0 nan nan      fill: nan

Small arrays of many blocks would lie scattered between freed memory and hold on to its pages. Outcomes are
those of shown rows, often a quarter of all candidates: a column of all rows is laid out when it is asked for.
The newest outcome is kept, because a metric asks for one several times.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.arrays import Floats, Indices
from tasks.replay.outcomes import JointOutcome

Column = npt.NDArray[Any]


class GrowingColumn:
    """A column of the type of its first block.

    Examples
    --------
    >>> column = GrowingColumn()
    >>> for block in ([1, 2], [3]):
    ...     column.append(np.array(block, dtype=np.int32))
    >>> column.array
    array([1, 2, 3], dtype=int32)
    """

    def __init__(self) -> None:
        """Hold no value yet."""
        self._space: Column = np.empty(0)
        self._size = 0

    def append(self, values: Column) -> None:
        """Put values behind the others."""
        if not self._size:
            self._space = np.empty(0, dtype=values.dtype)
        end = self._size + len(values)
        if end > len(self._space):
            space = np.empty(2 * end, dtype=self._space.dtype)
            space[: self._size] = self.array
            self._space = space
        self._space[self._size : end] = values
        self._size = end

    @property
    def array(self) -> Column:
        """All values, [n], in the order in which they came."""
        return self._space[: self._size]


class GrowingColumns:
    """Columns by name, each of which grows by itself."""

    def __init__(self) -> None:
        """Hold no column yet."""
        self._columns: dict[str, GrowingColumn] = {}

    def append(self, columns: Mapping[str, Column | None]) -> None:
        """Put values behind those of the columns of these names; None adds nothing."""
        for name, values in columns.items():
            if values is not None:
                self._columns.setdefault(name, GrowingColumn()).append(values)

    @property
    def arrays(self) -> dict[str, Column]:
        """All columns by name."""
        return {name: column.array for name, column in self._columns.items()}

    def whole(self, name: str, size: int) -> Any:
        """Return a column of which every block had values, so that it has a size; None where one had none.

        Examples
        --------
        >>> columns = GrowingColumns()
        >>> columns.append({"rank": np.array([1, 2]), "utility": None})
        >>> columns.whole("rank", 2), columns.whole("rank", 3), columns.whole("utility", 2)
        (array([1, 2]), None, None)
        """
        column = self._columns.get(name)
        return column.array if column is not None and len(column.array) == size else None


@dataclass(frozen=True, eq=False)
class SparseColumns(Mapping[str, Floats]):
    """Columns by name, each of shape [size] when asked for.

    Attributes
    ----------
    rows : [m] the rows that are kept, increasing.
    kept : by name [m].
    fill : of all other rows.

    Examples
    --------
    >>> columns = SparseColumns(4, np.array([1, 3]), {"click": np.array([1.0, 0.0])})
    >>> columns["click"].tolist(), list(columns)
    ([nan, 1.0, nan, 0.0], ['click'])
    """

    size: int
    rows: Indices
    kept: Mapping[str, Floats]
    fill: float = np.nan

    def __getitem__(self, name: str) -> Floats:
        """Return a column, [size]."""
        return spread(self.kept[name], self.rows, self.size, self.fill)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.kept)

    def __len__(self) -> int:
        """Count the columns."""
        return len(self.kept)


@dataclass(frozen=True, eq=False)
class SparseOutcomes(Mapping[str, JointOutcome]):
    """Joint outcomes by task, of shape [size] when asked for; rows that are not kept have none."""

    size: int
    rows: Indices
    outcomes: Mapping[str, JointOutcome]

    @cached_property
    def _newest(self) -> dict[str, JointOutcome]:
        return {}

    def __getitem__(self, task: str) -> JointOutcome:
        """Return a task's outcome, [size]; that of the task that was asked for last is still there."""
        if task not in self._newest:
            kept = self.outcomes[task]
            value, weight = (spread(one, self.rows, self.size, 0.0) for one in (kept.value, kept.weight))
            unseen = None
            if kept.unseen is not None:
                unseen = np.zeros(self.size, dtype=bool)
                unseen[self.rows] = kept.unseen
            self._newest.clear()
            self._newest[task] = replace(kept, value=value, weight=weight, unseen=unseen)
        return self._newest[task]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the tasks."""
        return iter(self.outcomes)

    def __len__(self) -> int:
        """Count the tasks."""
        return len(self.outcomes)


def narrow(values: Floats) -> Column:
    """Return the same numbers in less memory, where that loses nothing: as one number or as shorter floats.

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
    """Lay values of some rows out over all.

    Examples
    --------
    >>> spread(np.array([2.0]), np.array([1]), 3, 0.0).tolist()
    [0.0, 2.0, 0.0]
    """
    dense = np.full(size, fill)
    dense[rows] = values
    return dense
