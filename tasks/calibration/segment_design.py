"""Which values of segments, and pairs of values, may have an effect, and in which cells they act.

::

    term     a segment, or a pair of segments
    level    a value of a term: "ads", or "ads on the phone"
    cell     a combination of the values of all segments; in each acts one level of each term, or none

A level needs enough rows to tell anything. What has no level has no effect, so a pair falls back to its two
segments and a segment to none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from tasks.calibration.segment_effects import Cells, Codes, Span
from tasks.calibration.tallies import Tallies, map_of, sums
from tasks.evaluation.binary import Floats
from tasks.evaluation.segments import UNKNOWN

LEAST_INFORMATION: Final = 1.0
"""Information (sum of p (1 - p)) below which a level is not looked at: it could say nothing."""

MOST_LEVELS: Final = 500
"""Levels, by information, that get effects; the rest fall back."""

_SPANNED: Final = (0.002, 0.998)  # quantiles of the groups' logits between which slopes act
_LEAST_SCALE: Final = 1e-6  # below this standard deviation all scores are one


@dataclass(frozen=True)
class Design:
    """Which effects there are and which cells they act in.

    Attributes
    ----------
    terms : the segments and the pairs of segments.
    levels : the values, or pairs of them, with an effect.
    owner : the term of each level.
    matrix : [cells, levels], 1 where a level acts in a cell.
    transposed : the same, [levels, cells].
    span, scale : where slopes act, and the standard deviation of the logits there.
    """

    terms: tuple[tuple[str, ...], ...]
    levels: tuple[tuple[str, ...], ...]
    owner: Codes
    matrix: sparse.csr_array
    transposed: sparse.csr_array
    span: Span
    scale: float

    @classmethod
    def of(cls, cells: Cells, tallies: Tallies) -> Self:
        """List the levels with enough information; null has no effect, nor has an only value."""
        information = _information(tallies)
        by_cell = sums(tallies.cell, information, len(cells))
        terms = _terms(cells)
        found = [_Levels.of(cells, term, by_cell) for term in terms]
        kept = _enough(np.concatenate([np.empty(0), *(own.information for own in found)]))
        words = [word for own in found for word in own.words]
        empty = sparse.coo_array((len(cells), 0))
        matrix = sparse.csr_array(sparse.hstack([empty, *(own.matrix for own in found)], "csc")[:, kept])
        span, scale = _span(tallies.logits, information)
        return cls(
            terms,
            tuple(word for word, keep in zip(words, kept, strict=True) if keep),
            np.repeat(np.arange(len(terms)), [len(own.words) for own in found])[kept],
            matrix,
            sparse.csr_array(matrix.T),
            span,
            scale,
        )

    def __len__(self) -> int:
        return len(self.levels)

    def by_level(self, by_cell: Floats) -> Floats:
        """Add up figures of cells [cells] at the levels that act in them [levels]."""
        return self.transposed @ by_cell

    def crossed(self, by_cell: Floats) -> Floats:
        """Add up figures of cells [cells] where two levels act together [levels, levels]."""
        acting = self.transposed
        weighed = sparse.csr_array((by_cell[acting.indices], acting.indices, acting.indptr), acting.shape)
        return (weighed @ self.matrix).toarray()


def _terms(cells: Cells) -> tuple[tuple[str, ...], ...]:
    """Return the segments that have more than one known value, and the pairs of these."""
    names = [name for name, words in cells.words.items() if len({*words} - {UNKNOWN}) > 1]
    return (*((name,) for name in names), *combinations(names, 2))


def _enough(information: Floats) -> npt.NDArray[np.bool_]:
    """Choose the levels [levels] that tell most, as many as are allowed."""
    kept = information >= LEAST_INFORMATION
    kept[np.argsort(-information, kind="stable")[MOST_LEVELS:]] = False
    return kept


def _information(tallies: Tallies) -> Floats:
    """Information of each group about an offset, at one map for all."""
    p = map_of(tallies.logits, tallies).of_logits(tallies.logits)
    return tallies.rows * p * (1 - p)


def _span(logits: Floats, information: Floats) -> tuple[Span, float]:
    """Centre and standard deviation where the outcomes tell most; the latter 1 where all scores are equal."""
    centre = float(np.average(logits, weights=information))
    scale = float(np.sqrt(np.average((logits - centre) ** 2, weights=information)))
    low, high = np.quantile(logits, _SPANNED)
    span = Span(centre, min(float(low), centre), max(float(high), centre))
    return span, scale if scale > _LEAST_SCALE else 1.0


@dataclass(frozen=True)
class _Levels:
    """A term's levels that occur: words, cells where each acts [cells, levels], information [levels]."""

    words: list[tuple[str, ...]]
    matrix: sparse.coo_array
    information: Floats

    @classmethod
    def of(cls, cells: Cells, term: Sequence[str], by_cell: Floats) -> Self:
        """List them; where a value of the term is null no level acts."""
        codes = [cells.codes[name] for name in term]
        spellings = [np.array(cells.words[name], dtype=object) for name in term]
        known = np.all([words[code] != UNKNOWN for words, code in zip(spellings, codes, strict=True)], axis=0)
        (acting,) = np.nonzero(known)
        sizes = [words.size for words in spellings]
        keys = np.ravel_multi_index([code[acting] for code in codes], sizes)
        distinct, level = np.unique(keys, return_inverse=True)
        values = np.unravel_index(distinct, sizes)
        words = zip(*(words[code] for words, code in zip(spellings, values, strict=True)), strict=True)
        matrix = sparse.coo_array((np.ones(level.size), (acting, level)), (len(cells), distinct.size))
        return cls(list(words), matrix, sums(level, by_cell[acting], distinct.size))
