"""Rows of outcomes and predictions, with the columns used to measure them.

::

    outcomes, predictions     [n]                    compared by every metric
    users, requests           [n]                    resampled for the intervals; ranked within
    segments                  name -> values [n]     each value is measured separately
    weights, examination      [n] or None            of the rows; of their logged positions

Rows are measured in groups: by segment, or by deciles of a figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.subjects import ALL, Segment

TENTHS = 10
"""Number of groups with equally many rows: deciles."""


@dataclass(frozen=True)
class Grouping:
    """Rows by segment.

    Attributes
    ----------
    names : the segments, [count].
    codes : the segment of each row, [n] from 0 to count - 1.
    pooled : by segment, the values that it pools.
    """

    names: tuple[Segment, ...]
    codes: Indices
    pooled: Mapping[Segment, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def whole(cls, size: int) -> "Grouping":
        """Return one group of all rows."""
        return cls((ALL,), np.zeros(size, dtype=np.int32))

    @classmethod
    def of_bins(cls, codes: Indices, count: int) -> "Grouping":
        """Return the groups of rows with the same code below ``count``."""
        return cls(tuple(Segment("bin", str(code)) for code in range(count)), codes)

    @property
    def count(self) -> int:
        """Number of segments."""
        return len(self.names)


def assign_tenths(figures: Floats) -> Indices:
    """Return each row's decile, 0 the lowest, shape [n]; equal figures share one, so there may be fewer.

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


@dataclass(frozen=True)
class Observations:
    """Columns of equal length; row i of each belongs to one logged item.

    Attributes
    ----------
    outcomes : [n] 0 or 1, or values; NaN where the outcome is unknown.
    predictions : [n] probabilities, values, quantiles or scores, by the kind of head.
    users : [n] ids; the resampled clusters. A row without a user is resampled by its request.
    requests : [n] ids of the candidate sets.
    segments : values [n] by column name; a missing value is the segment ``column=unknown``.
    weights : [n] of 0 or more; None counts each row once.
    examination : [n] probability, up to a factor, that the row's logged position is examined; NaN if
        unknown. None if no position was logged.
    """

    outcomes: npt.ArrayLike
    predictions: npt.ArrayLike
    users: npt.ArrayLike
    requests: npt.ArrayLike
    segments: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    weights: npt.ArrayLike | None = None
    examination: npt.ArrayLike | None = None

    def select(self, rows: Flags) -> "Observations":
        """Return the marked rows.

        Examples
        --------
        >>> both = Observations([0.0, 1.0], [0.2, 0.6], ["u", "v"], ["r", "r"], {"source": ["ads", "feed"]})
        >>> one = both.select(np.array([False, True]))
        >>> one.outcomes, one.users, one.segments["source"]
        (array([1.]), array(['v'], dtype='<U1'), array(['feed'], dtype='<U4'))
        """

        def of(column: npt.ArrayLike) -> Any:
            return (column if isinstance(column, pd.Categorical) else np.asarray(column))[rows]

        return replace(
            self,
            outcomes=of(self.outcomes),
            predictions=of(self.predictions),
            users=of(self.users),
            requests=of(self.requests),
            segments={name: of(values) for name, values in self.segments.items()},
            weights=None if self.weights is None else of(self.weights),
            examination=None if self.examination is None else of(self.examination),
        )

    def select_known(self) -> "Observations":
        """Return the rows with a known outcome.

        Examples
        --------
        >>> Observations([0.0, np.nan], [0.2, 0.6], ["u", "v"], ["r", "r"]).select_known().predictions
        array([0.2])
        """
        known = np.isfinite(np.asarray(self.outcomes, dtype=np.float64))
        return self if known.all() else self.select(known)
