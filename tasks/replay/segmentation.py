"""The rows of a log by the values of a segment, with thin values pooled.

::

    category    a 700 users   b 90   c 12   d 3   e 1          a   b   other (c, d, e)
    category    a 700 users   b 90   c 12                      a   b   c: one value alone is not pooled

A value is thin with fewer than 20 effective users or, for figures of outcomes, fewer than 10 positive ones:
no interval can be given of it. What a pool holds stands in each of its figures.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.evaluation.binary import Codes
from tasks.evaluation.clustered import RowClusters
from tasks.evaluation.grouped import GroupedRows
from tasks.evaluation.resampling import LEAST_CLUSTERS, LEAST_POSITIVES
from tasks.evaluation.segments import ALL, name_segment
from tasks.evaluation.support import effective_clusters

OTHER: Final = "other"
"""The value of a segment's pool."""


@dataclass(frozen=True)
class Segmentation:
    """Segments of a log's rows.

    Attributes
    ----------
    names : of the segments, as in ``source=ads``.
    codes : [n] segment of each row of the log.
    pooled : by name, the values that a pool holds.
    """

    names: tuple[str, ...]
    codes: Codes
    pooled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def whole(cls, size: int) -> "Segmentation":
        """Return one segment of all rows."""
        return cls((ALL,), np.zeros(size, dtype=np.int32))


@dataclass(frozen=True)
class SegmentedRows:
    """Those rows of a log that are summed, in its segments.

    Attributes
    ----------
    codes : segment of each row of the log, shape (n,).
    place : places of the rows that are summed, shape (m,).
    grouped : these rows by segment, user, item and day.
    """

    codes: Codes
    place: npt.NDArray[np.intp]
    grouped: GroupedRows

    @classmethod
    def of(
        cls, segmentation: Segmentation, place: npt.NDArray[np.intp], clusters: RowClusters
    ) -> "SegmentedRows":
        """Group the rows at some places; ``clusters`` are those of these rows."""
        grouped = GroupedRows.of(segmentation.codes[place], len(segmentation.names), clusters)
        return cls(segmentation.codes, place, grouped)


@dataclass(frozen=True)
class Thinness:
    """What the values of a segment rest on: rows of slots with their users, and positive outcomes.

    Attributes
    ----------
    weights : how often each row of the log stands in a slot, shape (n,).
    users : its user, shape (n,).
    """

    weights: npt.NDArray[np.float64]
    users: Codes

    def segmentation(
        self, name: str, column: "pd.Categorical[Any]", positives: npt.NDArray[np.generic] | None = None
    ) -> Segmentation:
        """Return the segments of a column, thin values pooled where there are two or more.

        Parameters
        ----------
        name : of the segment.
        column : value of each row of the log.
        positives : positive outcomes of each row, for figures of outcomes.

        Examples
        --------
        >>> column = pd.Categorical(["a"] * 40 + ["b", "c"])
        >>> made = Thinness(np.ones(42), np.arange(42)).segmentation("category", column)
        >>> made.names, made.pooled
        (('category=a', 'category=other'), {'category=other': ('b', 'c')})
        """
        codes, count = np.asarray(column.codes, dtype=np.intp), len(column.categories)
        present = np.bincount(codes, minlength=count) > 0
        thin = effective_clusters(self.weights, self.users, codes, count) < LEAST_CLUSTERS
        if positives is not None:
            thin |= np.bincount(codes, np.asarray(positives, dtype=float), count) < LEAST_POSITIVES
        return _pool(name, [str(value) for value in column.categories], codes, (present, thin & present))


def _pool(
    name: str, values: list[str], codes: Codes, rests: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]
) -> Segmentation:
    """Give every value that is present a segment, and all thin ones the last."""
    present, thin = rests
    if np.count_nonzero(thin) < 2:
        thin = np.zeros_like(thin)
    own = np.flatnonzero(present & ~thin)
    of_value: Codes = np.full(len(values), len(own), dtype=np.int32)
    of_value[own] = np.arange(len(own))
    names = [name_segment(name, values[place]) for place in own]
    held = tuple(values[place] for place in np.flatnonzero(thin))
    if not held:
        return Segmentation(tuple(names), of_value[codes])
    pool = name_segment(name, OTHER)
    if pool in names:  # a value of that name is told from the pool
        pool = name_segment(name, f"{OTHER} values")
    return Segmentation((*names, pool), of_value[codes], {pool: held})
