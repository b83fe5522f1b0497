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
from typing import Final

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dtrtri
from threadpoolctl import threadpool_limits

from tasks.calibration.maps import IsotonicMap, LogisticMap, logit
from tasks.calibration.segment_design import Design
from tasks.calibration.segment_effects import Codes, Effects
from tasks.calibration.tallies import Tallies, map_of, sums
from tasks.evaluation.binary import Floats

ROUNDS: Final = 8
"""Turns of map, effects and variances; six and ten end within .0002 of normalized entropy."""

SPREAD: Final = 0.01
"""Variance that each term begins with; of slopes and bends per standard deviation of the logits."""

_VARIANCES: Final = (1e-5, 4.0)
_MOST_STEP: Final = 1.0  # of an effect in one turn
_HALF_STEP: Final = 1.0  # in the logit: over this far either way the slope of the map is taken
_SLOPES: Final = (0.1, 3.0)
_WEAK: Final = 0.01  # so much of an effect is taken as known at the start, which keeps 0 / 0 away


@dataclass(frozen=True)
class Shrunk:
    """Fitted effects: offsets, slopes below and above the centre [3, levels]; ``variances`` [3, terms]."""

    effects: Floats
    variances: Floats

    def moved(self, design: Design, cells: Codes, logits: Floats) -> Floats:
        """Move logits [n] of rows or groups in cells [n]."""
        return _moved(self.effects, design, cells, logits)

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
    """Fit effects; given variances [3, terms] are kept, else they are estimated.

    One thread does the linear algebra. The matrices are small: several would wait for one another longer than
    they work, and the last digits would depend on their number.

    Raises
    ------
    DataError
        Positives or negatives are missing.
    """
    free = np.full((3, len(design.terms)), SPREAD) if variances is None else variances
    at = np.zeros((3, len(design)))  # offsets, slopes and bends
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(rounds if len(design) else 0):
            precision = (1 / free)[:, design.owner]
            factor, step = _newton(tallies, design, at, precision)
            at = at + np.clip(step, -_MOST_STEP, _MOST_STEP)
            if variances is None:
                prior_share = _posterior_variances(factor).reshape(at.shape) * precision
                free = _variances(at, prior_share, design)
    return Shrunk(_by_side(at, design), free)


def _newton(tallies: Tallies, design: Design, at: Floats, precision: Floats) -> tuple[Floats, Floats]:
    """Return the Cholesky factor of the posterior's curvature and the step [3, levels] to its top."""
    gradient, curvature = _derivatives(tallies, design, at)
    np.einsum("ii->i", curvature)[:] += precision.ravel()
    factor = cholesky(curvature, lower=True, overwrite_a=True, check_finite=False)
    step = cho_solve((factor, True), (gradient - precision * at).ravel(), check_finite=False)
    return factor, step.reshape(at.shape)


def _posterior_variances(factor: Floats) -> Floats:
    """Diagonal of the inverse of the matrix whose lower Cholesky factor this is."""
    inverse, _ = dtrtri(factor, lower=1)
    return np.einsum("ij,ij->j", inverse, inverse)


def _derivatives(tallies: Tallies, design: Design, at: Floats) -> tuple[Floats, Floats]:
    """Fit the map to where the effects moved the groups; return the log likelihood's derivatives there.

    Gradient [3, levels] and, negative and as expected (Gauss-Newton), curvature [3 x levels, 3 x levels].
    """
    moved = _moved(_by_side(at, design), design, tallies.cell, tallies.logits)
    found = map_of(moved, tallies)
    p, slope = found.of_logits(moved), np.clip(_slope(found, moved), *_SLOPES)
    pull = (tallies.positives - tallies.rows * p) * slope
    weight = tallies.rows * p * (1 - p) * slope**2
    distance = design.span.distance(tallies.logits) / design.scale
    basis = (np.ones_like(distance), distance, np.abs(distance))  # of an offset, a slope and a bend
    cells = design.matrix.shape[0]
    gradient = np.stack([design.by_level(sums(tallies.cell, pull * part, cells)) for part in basis])
    return gradient, _curvature(tallies, design, weight, basis)


def _curvature(tallies: Tallies, design: Design, weight: Floats, basis: Sequence[Floats]) -> Floats:
    """Curvature of the offsets, slopes and bends, [3 x levels, 3 x levels]; only its lower part is made."""
    kinds, levels, cells = len(basis), len(design), design.matrix.shape[0]
    made = np.zeros((kinds, levels, kinds, levels))
    for i in range(kinds):
        for j in range(i + 1):
            made[i, :, j] = design.crossed(sums(tallies.cell, weight * basis[i] * basis[j], cells))
    return made.reshape(kinds * levels, kinds * levels)


def _variances(at: Floats, prior_share: Floats, design: Design) -> Floats:
    """Divide the sum of squares of each term's offsets, slopes and bends by their effective number."""
    count = len(design.terms)
    squares, effective = (
        np.stack([sums(design.owner, part, count) for part in parts]) for parts in (at**2, 1 - prior_share)
    )
    return np.clip((squares + _WEAK * SPREAD) / (np.maximum(effective, 0) + _WEAK), *_VARIANCES)


def _by_side(at: Floats, design: Design) -> Floats:
    """Turn offsets, slopes and bends, the latter per standard deviation, to slopes below and above."""
    offsets, slopes, bends = at
    return np.stack([offsets, (slopes - bends) / design.scale, (slopes + bends) / design.scale])


def _moved(effects: Floats, design: Design, cells: Codes, logits: Floats) -> Floats:
    return design.span.moved(logits, (design.matrix @ effects.T).T[:, cells])


def _slope(found: IsotonicMap | LogisticMap, logits: Floats) -> Floats:
    above, below = (logit(found.of_logits(logits + step)) for step in (_HALF_STEP, -_HALF_STEP))
    return (above - below) / (2 * _HALF_STEP)
