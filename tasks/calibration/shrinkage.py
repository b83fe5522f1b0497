"""Effects of segments on the logit, shrunk toward none by support, how strongly the rows themselves say.

::

    positives of a group ~ Binomial(rows, F(z)),   z = logit + offsets + slopes x d + bends x |d|
    offsets of a term ~ Normal(0, its variance),   likewise its slopes and its bends

    term: a segment, or a pair of them       d: distance of the logit from the centre

One monotone map F and the effects are fitted in turn: F on what the effects moved, then a Gauss-Newton step
of all effects at once, then each term's variances by the marginal likelihood: the sum of squares of its
effects over their effective number (each counts from 0, all prior, to 1, all data). A term that explains
nothing shrinks to nothing, so a pair without an effect of its own falls back by itself.

References
----------
MacKay (1992), Bayesian interpolation, Neural Computation 4(3); Breslow and Clayton (1993), Approximate
inference in generalized linear mixed models, JASA 88(421).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Self

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpotri

from tasks.calibration.fit import fit_rates
from tasks.calibration.maps import IsotonicMap, LogisticMap, expit, logit
from tasks.calibration.segment_effects import Cells, Codes, Effects, Span
from tasks.calibration.tallies import Tallies, sums
from tasks.evaluation.binary import Floats
from tasks.evaluation.segments import UNKNOWN

LEAST_INFORMATION: Final = 1.0
"""Information (sum of p (1 - p)) below which a value or a pair is not looked at: it could say nothing."""

MOST_LEVELS: Final = 500
"""Values and pairs, by information, that get effects; the rest fall back."""

ROUNDS: Final = 8
"""Turns of map, effects and variances; six and ten end within .0002 of normalized entropy."""

SPREAD: Final = 0.01
"""Variance that each term begins with; of slopes and bends per standard deviation of the logits."""

_VARIANCES: Final = (1e-5, 4.0)
_HALF_STEP: Final = 1.0  # in the logit: over this far either way the slope of the map is taken
_SLOPES: Final = (0.1, 3.0)
_WEAK: Final = 0.01  # so much of an effect is taken as known at the start, which keeps 0 / 0 away


@dataclass(frozen=True)
class Design:
    """Which effects there are and which cells they act in.

    Attributes
    ----------
    terms : the segments and the pairs of segments.
    levels : the values, or pairs of them, with an effect.
    owner : the term of each level.
    matrix : [cells, levels], 1 where a level acts in a cell.
    span, scale : where slopes act, and the standard deviation of the logits there.
    """

    terms: tuple[tuple[str, ...], ...]
    levels: tuple[tuple[str, ...], ...]
    owner: Codes
    matrix: sparse.csr_array
    span: Span
    scale: float

    @classmethod
    def of(cls, cells: Cells, tallies: Tallies) -> Self:
        """List the values and pairs with enough information; null has no effect, nor has an only value."""
        information = _information(tallies)
        by_cell = sums(tallies.cell, information, len(cells))
        names = [name for name, words in cells.words.items() if len({*words} - {UNKNOWN}) > 1]
        terms = (*((name,) for name in names), *combinations(names, 2))
        found = [_levels(cells, term, by_cell) for term in terms]
        weights = np.concatenate([np.empty(0), *(known.information for known in found)])
        kept = weights >= LEAST_INFORMATION
        kept[np.argsort(-weights, kind="stable")[MOST_LEVELS:]] = False
        none = sparse.coo_array((len(cells), 0))
        blocks = sparse.hstack([none, *(known.matrix for known in found)], format="csc")
        sizes = np.array([known.information.size for known in found], dtype=np.intp)
        owner = np.repeat(np.arange(len(terms)), sizes)
        words = [word for known in found for word in known.words]
        centre, scale = _moments(tallies.logits, information)
        low, high = np.quantile(tallies.logits, (0.002, 0.998))
        return cls(
            terms,
            tuple(word for word, keep in zip(words, kept, strict=True) if keep),
            owner[kept],
            sparse.csr_array(blocks[:, kept]),
            Span(centre, min(float(low), centre), max(float(high), centre)),
            scale,
        )

    def __len__(self) -> int:
        return len(self.levels)


@dataclass(frozen=True)
class Shrunk:
    """Fitted effects: offsets, slopes below and above the centre [3, levels]; ``variances`` [3, terms]."""

    effects: Floats
    variances: Floats

    def moved(self, design: Design, cells: Codes, logits: Floats) -> Floats:
        """Move logits [n] of rows or groups in cells [n]."""
        return design.span.moved(logits, (design.matrix @ self.effects.T).T[:, cells])

    def by_term(self, design: Design) -> tuple[Effects, ...]:
        """Return the effects of each segment and pair."""
        made = []
        for i, term in enumerate(design.terms):
            (own,) = np.nonzero(design.owner == i)
            if own.size:
                levels = tuple(design.levels[level] for level in own)
                made.append(Effects(term, levels, *(tuple(row[own].tolist()) for row in self.effects)))
        return tuple(made)


def shrink(
    tallies: Tallies, design: Design, *, variances: Floats | None = None, rounds: int = ROUNDS
) -> Shrunk:
    """Fit effects; given variances are kept, else they are estimated.

    Raises
    ------
    DataError
        Positives or negatives are missing.
    """
    free = np.full((3, len(design.terms)), SPREAD) if variances is None else variances
    at = np.zeros((3, len(design)))
    for _ in range(rounds if len(design) else 0):
        precision = (1 / free)[:, design.owner]
        gradient, curvature = _derivatives(tallies, design, at)
        factor = cho_factor(curvature + np.diag(precision.ravel()), lower=True, overwrite_a=True)
        change = cho_solve(factor, (gradient - precision * at).ravel()).reshape(at.shape)
        at = at + np.clip(change, -1, 1)
        if variances is None:
            inverse, _ = dpotri(factor[0], lower=1)
            free = _variances(at, np.diag(inverse).reshape(at.shape) * precision, design)
    return Shrunk(_by_side(at, design), free)


def _derivatives(tallies: Tallies, design: Design, at: Floats) -> tuple[Floats, Floats]:
    """Fit the map to where the effects moved the groups; return the log likelihood's derivatives there.

    Gradient [3, levels] and, negative and as expected (Gauss-Newton), curvature [3 x levels, 3 x levels].
    """
    moved = Shrunk(_by_side(at, design), at).moved(design, tallies.cell, tallies.logits)
    found = map_of(moved, tallies)
    p, slope = found.of_logits(moved), np.clip(_slope(found, moved), *_SLOPES)
    distance = design.span.distance(tallies.logits) / design.scale
    pull = (tallies.positives - tallies.rows * p) * slope
    weight = tallies.rows * p * (1 - p) * slope**2
    basis = (np.ones_like(distance), distance, np.abs(distance))
    gradient = np.stack([_at_levels(design, tallies, pull * part) for part in basis])
    return gradient, _curvature(tallies, design, weight, basis)


def _by_side(at: Floats, design: Design) -> Floats:
    """Turn offsets, slopes and bends, the latter per standard deviation, to slopes below and above."""
    offsets, slopes, bends = at
    return np.stack([offsets, (slopes - bends) / design.scale, (slopes + bends) / design.scale])


def _curvature(tallies: Tallies, design: Design, weight: Floats, basis: Sequence[Floats]) -> Floats:
    """Curvature of the offsets, slopes and bends, [3 x levels, 3 x levels]."""
    m, count = design.matrix, design.matrix.shape[0]

    def block(one: Floats, other: Floats) -> Floats:
        by_cell = sums(tallies.cell, weight * one * other, count)
        return (m.T @ sparse.diags_array(by_cell) @ m).toarray()

    made = {(i, j): block(basis[i], basis[j]) for i in range(len(basis)) for j in range(i + 1)}
    return np.block([[made[max(i, j), min(i, j)] for j in range(len(basis))] for i in range(len(basis))])


def _at_levels(design: Design, tallies: Tallies, values: Floats) -> Floats:
    return design.matrix.T @ sums(tallies.cell, values, design.matrix.shape[0])


def _variances(at: Floats, prior_share: Floats, design: Design) -> Floats:
    """Divide the sum of squares of each term's offsets, slopes and bends by their effective number."""
    count = len(design.terms)
    squares, effective = (
        np.stack([sums(design.owner, part, count) for part in parts]) for parts in (at**2, 1 - prior_share)
    )
    return np.clip((squares + _WEAK * SPREAD) / (np.maximum(effective, 0) + _WEAK), *_VARIANCES)


def map_of(logits: Floats, tallies: Tallies) -> IsotonicMap | LogisticMap:
    """Fit one map to groups whose logits [groups] were moved."""
    rates = tallies.positives / tallies.rows
    negatives = tallies.rows - tallies.positives
    return fit_rates(expit(logits), rates, tallies.rows, positives=tallies.positives, negatives=negatives)


def _slope(found: IsotonicMap | LogisticMap, logits: Floats) -> Floats:
    above, below = (logit(found.of_logits(logits + step)) for step in (_HALF_STEP, -_HALF_STEP))
    return (above - below) / (2 * _HALF_STEP)


def _information(tallies: Tallies) -> Floats:
    """Information of each group about an offset, at one map for all."""
    p = map_of(tallies.logits, tallies).of_logits(tallies.logits)
    return tallies.rows * p * (1 - p)


@dataclass(frozen=True)
class _Known:
    """A term's values that occur: their words, where they act [cells, values], what the rows tell of them."""

    words: list[tuple[str, ...]]
    matrix: sparse.coo_array
    information: Floats


def _levels(cells: Cells, term: Sequence[str], by_cell: Floats) -> _Known:
    sizes = [len(cells.words[name]) for name in term]
    (known,) = np.nonzero(
        np.all([np.array(cells.words[name])[cells.codes[name]] != UNKNOWN for name in term], axis=0)
    )
    keys = np.ravel_multi_index([cells.codes[name][known] for name in term], sizes)
    distinct, column = np.unique(keys, return_inverse=True)
    codes = np.unravel_index(distinct, sizes)
    spelled = [[cells.words[name][code] for code in own] for name, own in zip(term, codes, strict=True)]
    words = list(zip(*spelled, strict=True))
    matrix = sparse.coo_array((np.ones(known.size), (known, column)), shape=(len(cells), distinct.size))
    return _Known(words, matrix, sums(column, by_cell[known], distinct.size))


def _moments(logits: Floats, weights: Floats) -> tuple[float, float]:
    """Mean and standard deviation where the outcomes tell most; 1 where all scores are equal."""
    centre = float(np.average(logits, weights=weights))
    scale = float(np.sqrt(np.average((logits - centre) ** 2, weights=weights)))
    return centre, scale if scale > 1e-6 else 1.0
