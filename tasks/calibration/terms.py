"""Segments, pairs and triples of them: which of their values may have an effect, and where they act.

::

    term     a segment, or two or three of them together
    level    a value of a term: "ads", or "ads on the phone"
    cell     a combination of the values of all segments; in each acts one level of a term, or none

A level needs enough rows to tell anything. What has no level has no effect: a triple falls back to its pairs,
a pair to its two segments, a segment to none. A null is no value.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from tasks.calibration.tallies import sum_by_code
from tasks.evaluation.binary import Floats
from tasks.evaluation.segments import UNKNOWN
from tasks.ranking.segment_effects import Cells, Codes

LEAST_INFORMATION: Final = 1.0
"""Information (sum of p (1 - p)) below which a level is not looked at: it could say nothing."""


@dataclass(frozen=True)
class Term:
    """Segments and the levels that they have together.

    Attributes
    ----------
    of : the segments.
    levels : the combinations of their values that may have an effect.
    acting : each cell's level [cells]; one beyond the last where none acts.
    """

    of: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    acting: Codes

    def by_level(self, by_cell: Floats) -> Floats:
        """Add up figures of cells [cells] at the level that acts in them [levels]."""
        return sum_by_code(self.acting, by_cell, len(self.levels) + 1)[:-1]

    def by_cell(self, by_level: Floats) -> Floats:
        """Give each cell the figure of its level [levels], 0 where none acts [cells]."""
        return np.append(by_level, 0.0)[self.acting]

    def matrix(self) -> sparse.coo_array:
        """Return 1 where a level acts in a cell [cells, levels]."""
        (cells,) = np.nonzero(self.acting < len(self.levels))
        shape = (self.acting.size, len(self.levels))
        return sparse.coo_array((np.ones(cells.size), (cells, self.acting[cells])), shape)


def select_terms(
    cells: Cells, of: Iterable[Sequence[str]], information: Floats, *, most: int
) -> tuple[Term, ...]:
    """List the terms of given segments with the levels that tell most, ``most`` over all of them.

    Parameters
    ----------
    information : how much the rows of each cell tell about an offset [cells].
    """
    every = [_list_levels(cells, tuple(names)) for names in of]
    told = [term.by_level(information) for term in every]
    flat = np.concatenate([np.empty(0), *told])
    kept = flat >= LEAST_INFORMATION
    kept[np.argsort(-flat, kind="stable")[most:]] = False
    ends = np.cumsum([0, *(len(term.levels) for term in every)])
    named = [
        _keep_levels(term, kept[at : at + len(term.levels)])
        for term, at in zip(every, ends[:-1], strict=True)
    ]
    return tuple(term for term in named if term.levels)


def _list_levels(cells: Cells, of: tuple[str, ...]) -> Term:
    """Return a term with all of its levels that occur; where a value is null none acts."""
    codes = [cells.codes[name] for name in of]
    spellings = [np.array(cells.words[name], dtype=object) for name in of]
    known = np.all([words[code] != UNKNOWN for words, code in zip(spellings, codes, strict=True)], axis=0)
    sizes = [words.size for words in spellings]
    keys, level = np.unique(np.ravel_multi_index([code[known] for code in codes], sizes), return_inverse=True)
    values = np.unravel_index(keys, sizes)
    levels = zip(*(words[code] for words, code in zip(spellings, values, strict=True)), strict=True)
    acting = np.full(len(cells), keys.size)
    acting[known] = level
    return Term(of, tuple(levels), acting)


def _keep_levels(term: Term, kept: npt.NDArray[np.bool_]) -> Term:
    """Leave out the levels [levels] that are not kept."""
    count = int(kept.sum())
    place = np.append(np.where(kept, np.cumsum(kept) - 1, count), count)
    levels = tuple(words for words, keep in zip(term.levels, kept, strict=True) if keep)
    return Term(term.of, levels, place[term.acting])
