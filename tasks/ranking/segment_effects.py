"""What values of segments, and of two or three segments together, do to the logit of a score.

::

    frame -> cells (combinations of values) -> each cell's sums of offsets and slopes -> its rows' logits move

A combination that is not listed has no effect: a triple falls back to its pairs, a pair to its two segments,
a segment to none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..evaluation.segments import UNKNOWN
from .maps import Floats

Codes = npt.NDArray[np.intp]

MOST_TOGETHER: Final = 3
"""Segments whose values have an effect together."""

LEAST_SLOPE: Final = 0.1
"""Least slope of the moved logit in the score's logit, so that order stays; judged by
``benchmarks/calibration.py``."""


@dataclass(frozen=True)
class MappedSegment:
    """A segment of a surface, as far as a map needs it."""

    name: str
    column: str
    bins: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse bins that do not increase."""
        bins = self.bins
        if bins is not None and not (bins and np.isfinite(bins).all() and (np.diff(bins) > 0).all()):
            raise DataError(f"The bins of segment '{self.name}' must be finite and increase.")


@dataclass(frozen=True)
class Effects:
    """What the values of one segment, or of two or three together, do to the logit.

    Attributes
    ----------
    of : the segments, three at most.
    levels : the values that have an effect, each as long as ``of``.
    offsets : what is added to the logit at the centre, of each level.
    below, above : what is added to the logit's slope on either side of the centre.
    """

    of: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    offsets: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse levels that are ambiguous, figures that do not go with them, and an effect of null."""
        where = f"the effects of {', '.join(self.of) or 'no segment'}"
        if not 1 <= len(self.of) == len(set(self.of)) <= MOST_TOGETHER:
            raise DataError(
                f"Effects belong to one segment, or to two or three different ones; found {list(self.of)}."
            )
        if any(len(words) != len(self.of) for words in self.levels):
            raise DataError(f"A level of {where} names a value for each of its segments.")
        if len(set(self.levels)) < len(self.levels):
            raise DataError(f"A level occurs twice in {where}.")
        if any(UNKNOWN in words for words in self.levels):
            raise DataError(f"'{UNKNOWN}' (a null) has an effect in {where}; a null falls back.")
        if not len(self.levels) == len(self.offsets) == len(self.below) == len(self.above):
            raise DataError(f"As many levels, offsets and slopes are needed in {where}.")
        if not np.isfinite([*self.offsets, *self.below, *self.above]).all():
            raise DataError(f"An offset or slope is not finite in {where}.")


@dataclass(frozen=True)
class Span:
    """Where slopes act: around ``centre``, between ``low`` and ``high``, in the score's logit."""

    centre: float
    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse ends that are not finite or do not hold the centre."""
        if not (self.low <= self.centre <= self.high and math.isfinite(self.high - self.low)):
            raise DataError(f"A span is finite and holds its centre; found {self}.")

    def distance(self, logits: Floats) -> Floats:
        """Return how far logits are from the centre, held at the ends."""
        return np.clip(logits, self.low, self.high) - self.centre

    def moved(self, logits: Floats, sums: Floats) -> Floats:
        """Move logits [n] by the sums of their rows' effects [3, n]; order stays within a segment."""
        offsets, below, above = sums
        distance = self.distance(logits)
        slopes = np.maximum(np.where(distance < 0, below, above), LEAST_SLOPE - 1)
        return logits + offsets + slopes * distance


@dataclass(frozen=True)
class Cells:
    """The combinations of segment values that occur.

    Attributes
    ----------
    of_row : each row's cell [n].
    codes : by segment each cell's place in ``words``, shape [cells].
    words : by segment the spellings of its values.
    """

    of_row: Codes
    codes: Mapping[str, Codes]
    words: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, values: Mapping[str, pd.Categorical], rows: int) -> "Cells":
        """Number the combinations of what `segment_values` gave."""
        of_row = np.zeros(rows, dtype=np.int64)
        for column in values.values():
            of_row = pd.factorize(of_row * len(column.categories) + column.codes)[0]
        count = int(of_row.max()) + 1 if rows else 0
        first = np.empty(count, dtype=np.intp)
        first[of_row[::-1]] = np.arange(rows)[::-1]
        codes = {name: np.asarray(column.codes, np.intp)[first] for name, column in values.items()}
        return cls(of_row, codes, {name: tuple(column.categories) for name, column in values.items()})

    def __len__(self) -> int:
        return len(next(iter(self.codes.values()), ()))


def sum_effects(effects: Sequence[Effects], cells: Cells) -> Floats:
    """Add up offsets, slopes below and slopes above the centre, shape [3, cells].

    Examples
    --------
    >>> ads = Effects(("source",), (("ads",),), (1.0,), (0.25,), (0.5,))
    >>> cells = Cells(np.array([0, 1]), {"source": np.array([0, 1])}, {"source": ("ads", "feed")})
    >>> sum_effects([ads], cells)
    array([[1.  , 0.  ],
           [0.25, 0.  ],
           [0.5 , 0.  ]])
    """
    sums = np.zeros((3, len(cells)))
    for one in effects:
        figures = np.array([one.offsets, one.below, one.above])
        sums += np.column_stack([figures, np.zeros(3)])[:, _find_levels(one, cells)]
    return sums


def _find_levels(effects: Effects, cells: Cells) -> Codes:
    """Return each cell's level; one beyond the last where it has none."""
    known = len(effects.levels)
    key, keys = np.zeros(len(cells), dtype=np.int64), np.zeros(known, dtype=np.int64)
    missing = np.zeros(len(cells), dtype=np.bool_)
    for position, name in enumerate(effects.of):
        place = {word: i for i, word in enumerate(dict.fromkeys(v[position] for v in effects.levels))}
        code = np.array([place.get(word, -1) for word in cells.words[name]], dtype=np.intp)[cells.codes[name]]
        key = key * len(place) + code
        keys = keys * len(place) + np.array([place[v[position]] for v in effects.levels], dtype=np.intp)
        missing |= code < 0
    if not known:
        return np.zeros(len(cells), dtype=np.intp)
    order = np.argsort(keys)
    level = order[np.minimum(np.searchsorted(keys, key, sorter=order), known - 1)]
    return np.where(missing | (keys[level] != key), known, level)
