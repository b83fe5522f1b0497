"""Columns to which blocks are appended: each value is kept once, and no block stays in memory beside it.

::

    capacity   |values of all blocks so far|      free      |     free pages take no memory until written to
    append     where a block does not fit, that column is copied, into twice the space

Small arrays of many blocks would lie scattered between what was freed, and hold on to its pages.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

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
