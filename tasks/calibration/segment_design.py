"""Selects the segment effects to fit, and counts rows in the form that the fit needs.

::

    cell     a combination of the values of all segments
    group    the rows of a cell within a bin of the score; a fit iterates over the groups many times
    term     a segment, or a combination of two or three of them
    level    a value of a term: "ads", or "ads on the phone"; each cell has at most one level of a term

A million rows have about ten thousand groups. Half of the bins have equal numbers of rows, the other half
equal numbers of positives, so that rare outcomes are resolved too.

A level needs enough information. Without a level there is no effect: a triple falls back to its pairs, a pair
to its two segments, a segment to none. Null is not a value. Triples have offsets, but no slopes.
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
from tasks.ranking import segmented_map

BINS: Final = 64
"""Number of bins of the score; tuned with ``benchmarks/calibration.py``, like the limits below."""

LEAST_INFORMATION: Final = 1.0
"""Minimum information (sum of p (1 - p)) of a level with an effect: its standard error is at most 1."""

MOST_LEVELS: Final = 500
"""Maximum number of levels of segments and pairs with effects, by information; the others fall back."""

MOST_TRIPLED: Final = 2_000
"""Maximum number of levels of triples with an offset, by information; the others fall back."""

_SPANNED: Final = (0.002, 0.998)
"""Quantiles of the groups' logits between which slopes act; few rows are outside."""
_LEAST_SCALE: Final = 1e-6
"""Standard deviation of the logits below which all scores are treated as equal."""


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
    """The group of each row [n], and the cell and mean logit of every group [groups]."""

    of_row: Indices
    cell: Indices
    logits: Floats

    @classmethod
    def of(cls, cells: Indices, logits: Floats, outcomes: Floats) -> "Groups":
        """Bin the rows of every cell [n] at the same scores; groups are sorted by cell, then by score."""
        edges = np.union1d(_quantiles(logits), _quantiles(logits[outcomes == 1]))
        width = edges.size + 1
        of_row, keys = pd.factorize(cells * width + np.searchsorted(edges, logits, side="right"), sort=True)
        return cls(of_row, keys // width, np.bincount(of_row, logits) / np.bincount(of_row))

    def tally(self, outcomes: Floats, weights: Floats) -> Tallies:
        """Sum rows [n]; rows of weight 0, and groups without other rows, are left out."""
        count = self.cell.size
        rows = sum_by_code(self.of_row, weights, count)
        positives = sum_by_code(self.of_row, weights * outcomes, count)
        left = rows > 0
        return Tallies(self.cell[left], self.logits[left], rows[left], positives[left])


def sum_by_code(codes: Indices, values: Floats, count: int) -> Floats:
    """Sum the values [n] of each code, 0 to count - 1.

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
    """A combination of segments and its levels.

    Attributes
    ----------
    of : names of the segments.
    levels : combinations of their values with an effect.
    acting : level of each cell [cells]; the number of levels if the cell has none.
    """

    of: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    acting: Indices

    def by_level(self, by_cell: Floats) -> Floats:
        """Sum values of cells [cells] by level [levels]."""
        return sum_by_code(self.acting, by_cell, len(self.levels) + 1)[:-1]

    def by_cell(self, by_level: Floats) -> Floats:
        """Return the value of each cell's level [levels], 0 if it has none, shape [cells]."""
        return np.append(by_level, 0.0)[self.acting]

    def matrix(self) -> sparse.coo_array:
        """Return the indicator matrix of levels [cells, levels]."""
        (cells,) = np.nonzero(self.acting < len(self.levels))
        shape = (self.acting.size, len(self.levels))
        return sparse.coo_array((np.ones(cells.size), (cells, self.acting[cells])), shape)


def select_terms(
    cells: segmented_map.Cells, of: Iterable[Sequence[str]], information: Floats, *, most: int
) -> tuple[SegmentTerm, ...]:
    """Return the terms of some segments with their most informative levels, at most ``most`` in all.

    Parameters
    ----------
    information : information of each cell's rows on an offset [cells].

    Examples
    --------
    >>> codes, names = {"source": np.array([0, 1])}, {"source": ("ads", "rare")}
    >>> cells = segmented_map.Cells(np.array([0, 1]), codes, names)
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


def _list_levels(cells: segmented_map.Cells, of: tuple[str, ...]) -> SegmentTerm:
    """Return a term with all of its levels that occur; cells with a null value have no level."""
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
    """Drop the levels [levels] that are not ``kept``."""
    count = int(kept.sum())
    place = np.append(np.where(kept, np.cumsum(kept) - 1, count), count)
    levels = tuple(words for words, keep in zip(term.levels, kept, strict=True) if keep)
    return SegmentTerm(term.of, levels, place[term.acting])


@dataclass(frozen=True)
class Design:
    """The effects to fit, and their cells.

    Attributes
    ----------
    terms : segments and pairs of segments.
    triples : combinations of three segments.
    owner : the term of each level of ``terms`` [levels].
    matrix : [cells, levels], 1 if the cell has the level.
    transposed : the same, [levels, cells].
    span, scale : range of logits in which slopes act, and standard deviation of the logits.
    """

    terms: tuple[SegmentTerm, ...]
    triples: tuple[SegmentTerm, ...]
    owner: Indices
    matrix: sparse.csr_array
    transposed: sparse.csr_array
    span: segmented_map.Span
    scale: float

    @classmethod
    def of(cls, cells: segmented_map.Cells, tallies: Tallies, chances: Floats) -> Self:
        """Select the levels with enough information; nulls, and values without alternatives, have no effect.

        Segments are sorted by name, so that a fit does not depend on the order of their declaration.

        Parameters
        ----------
        chances : probability of each group [groups] under one map.
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
        """Sum values of cells [cells] by level [levels]."""
        return self.transposed @ by_cell

    def crossed(self, by_cell: Floats) -> Floats:
        """Sum values of cells [cells] by pairs of levels that they share [levels, levels]."""
        acting = self.transposed
        weighed = sparse.csr_array((by_cell[acting.indices], acting.indices, acting.indptr), acting.shape)
        return (weighed @ self.matrix).toarray()


def _span(logits: Floats, information: Floats) -> tuple[segmented_map.Span, float]:
    """Return centre and standard deviation weighted by information; the latter is 1 for equal scores."""
    centre = float(np.average(logits, weights=information))
    scale = float(np.sqrt(np.average((logits - centre) ** 2, weights=information)))
    low, high = np.quantile(logits, _SPANNED)
    span = segmented_map.Span(centre, min(float(low), centre), max(float(high), centre))
    return span, scale if scale > _LEAST_SCALE else 1.0
