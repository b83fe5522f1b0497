"""Rows in groups, as figures are measured of them: by segment, or by tenths of a figure.

It stands apart from `tasks.evaluation.segments`, which travels with every release.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tasks.arrays import Floats, Indices
from tasks.evaluation.subjects import ALL, Segment

TENTHS = 10
"""Groups of equally many rows: deciles."""


@dataclass(frozen=True)
class Grouping:
    """Rows by segment.

    Attributes
    ----------
    names : the segments, [count].
    codes : the segment of each row, [n] from 0 to count - 1.
    pooled : by segment, the values that a pool holds.
    """

    names: tuple[Segment, ...]
    codes: Indices
    pooled: Mapping[Segment, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def whole(cls, size: int) -> "Grouping":
        """Return one group of all rows."""
        return cls((ALL,), np.zeros(size, dtype=np.int32))

    @property
    def count(self) -> int:
        """Number of segments."""
        return len(self.names)


def assign_tenths(figures: Floats) -> Indices:
    """Return each row's tenth, 0 the lowest, shape [n]; equal figures are in one, so there may be fewer.

    Examples
    --------
    >>> assign_tenths(np.arange(5.0)).tolist(), assign_tenths(np.array([0.2, 0.2, 0.7])).tolist()
    ([0, 1, 2, 3, 4], [0, 0, 1])
    """
    if not figures.size:
        return np.zeros(0, dtype=np.intp)
    edges = np.quantile(figures, np.arange(1, TENTHS) / TENTHS, method="higher")
    bins = np.searchsorted(edges, figures, side="right")
    return np.asarray(np.unique(bins, return_inverse=True)[1], dtype=np.intp)
