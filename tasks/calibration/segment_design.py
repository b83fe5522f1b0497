"""Which effects of segments are fitted: offsets and slopes of segments and pairs, offsets of triples."""

from dataclasses import dataclass
from itertools import combinations
from typing import Final, Self

import numpy as np
from scipy import sparse

from tasks.calibration.tallies import Tallies, fit_tallies, sum_by_code
from tasks.calibration.terms import Term, select_terms
from tasks.evaluation.binary import Floats
from tasks.evaluation.segments import UNKNOWN
from tasks.ranking.segment_effects import Cells, Codes, Span

MOST_LEVELS: Final = 500
"""Levels of segments and pairs, by information, that get effects; the rest fall back."""

MOST_TRIPLED: Final = 2_000
"""Levels of triples, by information, that get an offset; the rest fall back."""

_SPANNED: Final = (0.002, 0.998)  # quantiles of the groups' logits between which slopes act
_LEAST_SCALE: Final = 1e-6  # below this standard deviation all scores are one


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

    terms: tuple[Term, ...]
    triples: tuple[Term, ...]
    owner: Codes
    matrix: sparse.csr_array
    transposed: sparse.csr_array
    span: Span
    scale: float

    @classmethod
    def of(cls, cells: Cells, tallies: Tallies) -> Self:
        """List the levels with enough information; null has no effect, nor has an only value.

        Segments are taken by name, so that a fit depends on no order in which they are declared.
        """
        information = _information(tallies)
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


def _information(tallies: Tallies) -> Floats:
    """Information of each group about an offset, at one map for all."""
    p = fit_tallies(tallies.logits, tallies).of_logits(tallies.logits)
    return tallies.rows * p * (1 - p)


def _span(logits: Floats, information: Floats) -> tuple[Span, float]:
    """Centre and standard deviation where the outcomes tell most; the latter 1 where all scores are equal."""
    centre = float(np.average(logits, weights=information))
    scale = float(np.sqrt(np.average((logits - centre) ** 2, weights=information)))
    low, high = np.quantile(logits, _SPANNED)
    span = Span(centre, min(float(low), centre), max(float(high), centre))
    return span, scale if scale > _LEAST_SCALE else 1.0
