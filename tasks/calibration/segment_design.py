"""Which effects of segments are fitted, and the rows counted as they are fitted on.

::

    cell     a combination of the values of all segments
    group    the rows of a cell within a bin of the score; a fit passes over the groups many times
    term     a segment, or two or three of them together
    level    a value of a term: "ads", or "ads on the phone"; in each cell acts one level of a term, or none

A million rows make some ten thousand groups. Half of the bins hold equally many rows, the other half equally
many positives, so that rare outcomes are resolved too.

A level needs enough information. What has no level has no effect: a triple falls back to its pairs, a pair to
its two segments, a segment to none. A null is no value. Segments and pairs have offsets and slopes, triples
offsets only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Self

import numpy as np
import pandas as pd
from scipy import sparse

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.segments import UNKNOWN
from tasks.ranking.segmented_map import Cells, Span

BINS: Final = 64
"""Bins of the score; judged by ``benchmarks/calibration.py``, as are the limits below."""

LEAST_INFORMATION: Final = 1.0
"""Information (sum of p (1 - p)) of a level below which it gets no effect: its standard error would be above
1."""

MOST_LEVELS: Final = 500
"""Levels of segments and pairs, by information, that get effects; the rest fall back."""

MOST_TRIPLED: Final = 2_000
"""Levels of triples, by information, that get an offset; the rest fall back."""

_SPANNED: Final = (0.002, 0.998)
"""Quantiles of the groups' logits between which slopes act; few rows lie beyond."""
_LEAST_SCALE: Final = 1e-6
"""Standard deviation of the logits below which all scores count as one."""


@dataclass(frozen=True)
class Tallies:
    """Sums over the rows of each group, shape [groups].

    Attributes
    ----------
    cell : the group's cell of the segments.
    logits : mean logit of its scores.
    rows, positives : sums of weights; the weights of all rows average 1.
    """

    cell: Indices
    logits: Floats
    rows: Floats
    positives: Floats


@dataclass(frozen=True)
class Groups:
    """Which group each row belongs to [n], and of every group its cell and mean logit [groups]."""

    of_row: Indices
    cell: Indices
    logits: Floats

    @classmethod
    def of(cls, cells: Indices, logits: Floats, outcomes: Floats) -> "Groups":
        """Cut the rows of every cell [n] at the same scores; groups lie by cell, then by score."""
        edges = np.union1d(_quantiles(logits), _quantiles(logits[outcomes == 1]))
        width = edges.size + 1
        of_row, keys = pd.factorize(cells * width + np.searchsorted(edges, logits, side="right"), sort=True)
        return cls(of_row, keys // width, np.bincount(of_row, logits) / np.bincount(of_row))

    def tally(self, outcomes: Floats, weights: Floats) -> Tallies:
        """Sum up rows [n]; a weight of 0 leaves a row out, and a group without others too."""
        count = self.cell.size
        rows = sum_by_code(self.of_row, weights, count)
        positives = sum_by_code(self.of_row, weights * outcomes, count)
        left = rows > 0
        return Tallies(self.cell[left], self.logits[left], rows[left], positives[left])


def sum_by_code(codes: Indices, values: Floats, count: int) -> Floats:
    """Add up the values [n] of each code, 0 to count - 1.

    Examples
    --------
    >>> sum_by_code(np.array([0, 2, 0]), np.array([1.0, 5.0, 2.0]), 3)
    array([3., 0., 5.])
    """
    return np.bincount(codes, values, minlength=count).astype(np.float64)


def _quantiles(values: Floats) -> Floats:
    if not values.size:
        return values
    return np.quantile(values, np.linspace(0, 1, BINS // 2 + 1)[1:-1])


@dataclass(frozen=True)
class SegmentTerm:
    """Segments and the levels that they have together.

    Attributes
    ----------
    of : the segments.
    levels : the combinations of their values that may have an effect.
    acting : each cell's level [cells]; one beyond the last where none acts.
    """

    of: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    acting: Indices

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
) -> tuple[SegmentTerm, ...]:
    """List the terms of some segments with their most informative levels, ``most`` over all of them.

    Parameters
    ----------
    information : information of each cell's rows about an offset [cells].

    Examples
    --------
    >>> cells = Cells(np.array([0, 1]), {"source": np.array([0, 1])}, {"source": ("ads", "rare")})
    >>> (term,) = select_terms(cells, [("source",)], np.array([40.0, 0.3]), most=500)
    >>> term.levels, term.acting
    ((('ads',),), array([0, 1]))
    """
    every = [_list_levels(cells, tuple(names)) for names in of]
    by_level = [term.by_level(information) for term in every]
    flat = np.concatenate([np.empty(0), *by_level])
    selected = flat >= LEAST_INFORMATION
    selected[np.argsort(-flat, kind="stable")[most:]] = False
    ends = np.cumsum([0, *(len(term.levels) for term in every)])
    named = [
        _keep_levels(term, selected[at : at + len(term.levels)])
        for term, at in zip(every, ends[:-1], strict=True)
    ]
    return tuple(term for term in named if term.levels)


def _list_levels(cells: Cells, of: tuple[str, ...]) -> SegmentTerm:
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
    return SegmentTerm(of, tuple(levels), acting)


def _keep_levels(term: SegmentTerm, kept: Flags) -> SegmentTerm:
    """Leave out the levels [levels] that are not kept."""
    count = int(kept.sum())
    place = np.append(np.where(kept, np.cumsum(kept) - 1, count), count)
    levels = tuple(words for words, keep in zip(term.levels, kept, strict=True) if keep)
    return SegmentTerm(term.of, levels, place[term.acting])


@dataclass(frozen=True)
class Design:
    """Which effects there are and which cells they act in.

    Attributes
    ----------
    terms : the segments and the pairs of segments.
    triples : three segments together.
    owner : the term of each level of ``terms`` [levels].
    matrix : [cells, levels], 1 where a level acts in a cell.
    transposed : the same, [levels, cells].
    span, scale : where slopes act, and the standard deviation of the logits there.
    """

    terms: tuple[SegmentTerm, ...]
    triples: tuple[SegmentTerm, ...]
    owner: Indices
    matrix: sparse.csr_array
    transposed: sparse.csr_array
    span: Span
    scale: float

    @classmethod
    def of(cls, cells: Cells, tallies: Tallies, chances: Floats) -> Self:
        """List the levels with enough information; null has no effect, nor has an only value.

        Segments are taken by name, so that a fit depends on no order in which they are declared.

        Parameters
        ----------
        chances : probability of each group [groups] under one map for all.
        """
        information = tallies.rows * chances * (1 - chances)
        by_cell = sum_by_code(tallies.cell, information, len(cells))
        names = sorted(name for name, words in cells.words.items() if len({*words} - {UNKNOWN}) > 1)
        pairs = combinations(names, 2)
        terms = select_terms(cells, [*((name,) for name in names), *pairs], by_cell, most=MOST_LEVELS)
        triples = select_terms(cells, combinations(names, 3), by_cell, most=MOST_TRIPLED)
        empty = sparse.coo_array((len(cells), 0))
        matrix = sparse.csr_array(sparse.hstack([empty, *(term.matrix() for term in terms)]))
        owner = np.repeat(np.arange(len(terms)), [len(term.levels) for term in terms])
        span, scale = _span(tallies.logits, information)
        return cls(terms, triples, owner, matrix, sparse.csr_array(matrix.T), span, scale)

    def __len__(self) -> int:
        return self.owner.size

    def by_level(self, by_cell: Floats) -> Floats:
        """Add up figures of cells [cells] at the levels that act in them [levels]."""
        return self.transposed @ by_cell

    def crossed(self, by_cell: Floats) -> Floats:
        """Add up figures of cells [cells] where two levels act together [levels, levels]."""
        acting = self.transposed
        weighed = sparse.csr_array((by_cell[acting.indices], acting.indices, acting.indptr), acting.shape)
        return (weighed @ self.matrix).toarray()


def _span(logits: Floats, information: Floats) -> tuple[Span, float]:
    """Centre and standard deviation weighted by information; the latter 1 where all scores are equal."""
    centre = float(np.average(logits, weights=information))
    scale = float(np.sqrt(np.average((logits - centre) ** 2, weights=information)))
    low, high = np.quantile(logits, _SPANNED)
    span = Span(centre, min(float(low), centre), max(float(high), centre))
    return span, scale if scale > _LEAST_SCALE else 1.0
