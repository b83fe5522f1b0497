"""Rows by segment, as figures are measured of them.

It stands apart from `tasks.evaluation.segments`, which travels with every release.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tasks.evaluation.binary import Codes
from tasks.evaluation.subjects import ALL, Segment


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
    codes: Codes
    pooled: Mapping[Segment, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def whole(cls, size: int) -> "Grouping":
        """Return one group of all rows."""
        return cls((ALL,), np.zeros(size, dtype=np.int32))

    @property
    def count(self) -> int:
        """Number of segments."""
        return len(self.names)
