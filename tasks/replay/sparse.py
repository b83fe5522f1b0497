"""Columns of a log of which few rows are known: they are kept, and laid out over all rows when asked for.

::

    rows    2    5          of 8
    values  1.0  0.0   ->   nan nan 1.0 nan nan 0.0 nan nan      fill: nan

Outcomes are those of shown rows, and predictions where an item stood too: often a quarter of all candidates.
Whoever asks for a column gets an array of its own, which goes when it is done with. A metric asks for one
outcome several times, so the newest stays.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tasks.evaluation.binary import Floats
from tasks.replay.outcomes import JointOutcome


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
    rows: npt.NDArray[np.intp]
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
    rows: npt.NDArray[np.intp]
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


def spread(values: Floats, rows: npt.NDArray[np.intp], size: int, fill: float) -> Floats:
    """Lay values of some rows out over all.

    Examples
    --------
    >>> spread(np.array([2.0]), np.array([1]), 3, 0.0).tolist()
    [0.0, 2.0, 0.0]
    """
    dense = np.full(size, fill)
    dense[rows] = values
    return dense
