"""What one head learns from: observed rows as arrays, with weights, offsets and requests.

::

    features  [rows, features]   an Arrow table of numbers and codes, or a matrix; null or NaN is missing
    labels    [rows]             0 or 1 for a binary head, else a finite value
    fold      [rows]             of the users who may be held out, to stop the growth of the trees
    weights   [rows] | None      above 0; None: every row weighs 1
    offsets   [rows] | None      log odds that training adds to a row, and scoring does not
    groups    [rows] | None      the request of each row, for an order within requests

A row that weighs nothing is not here: it was dropped before anything was learned from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.arrays import AnyFloats, Flags, Integers
from tasks.errors import DataError


@dataclass(frozen=True)
class Examples:
    """Rows to learn one head from.

    Attributes
    ----------
    names, categorical : names of all features, and of those that hold codes.

    Raises
    ------
    DataError
        Lengths differ, a label is not finite or a weight is not above 0.
    """

    features: AnyFloats | pa.Table
    labels: AnyFloats
    fold: Flags
    names: tuple[str, ...]
    categorical: tuple[str, ...] = ()
    weights: AnyFloats | None = None
    offsets: AnyFloats | None = None
    groups: Integers | None = None

    def __post_init__(self) -> None:
        """Refuse rows that cannot be learned from."""
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
        """The features that hold numbers."""
        return tuple(name for name in self.names if name not in self.categorical)

    @property
    def held_out(self) -> Flags:
        """The rows that stop the trees and are not learned from, shape [rows].

        Those of the fold; none where the fold, or what it leaves, holds one outcome only: the one could not
        rank trees, and from the other only a constant would be learned.
        """
        sides = (self.labels[rows] for rows in (self.fold, ~self.fold))
        if all(len(side) and np.ptp(side) > 0 for side in sides):
            return self.fold
        return np.zeros(len(self), dtype=np.bool_)

    def where(self, rows: Flags) -> "Examples":
        """Return some of the rows."""
        features = self.features
        return replace(
            self,
            features=features.filter(pa.array(rows)) if isinstance(features, pa.Table) else features[rows],
            labels=self.labels[rows],
            fold=self.fold[rows],
            weights=None if self.weights is None else self.weights[rows],
            offsets=None if self.offsets is None else self.offsets[rows],
            groups=None if self.groups is None else self.groups[rows],
        )

    def without_fold(self) -> "Examples":
        """Return the same rows, all of them to learn from: there is nothing left to stop the trees."""
        return replace(self, fold=np.zeros(len(self), dtype=np.bool_))

    def _by_row(self) -> Iterator[npt.NDArray[Any]]:
        yield self.fold
        yield from (a for a in (self.weights, self.offsets, self.groups) if a is not None)
