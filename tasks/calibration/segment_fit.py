"""Fits a segmented map: one map for all rows, and effects of segments on the logit, shrunk towards 0.

::

    positives of a group ~ Binomial(rows, F(z)),   z = logit + offsets + slopes x d + bends x |d|
    offsets of a term ~ Normal(0, its variance),   likewise its slopes and its bends

    term: a segment, a pair or a triple (offsets only)       d: distance of the logit from the centre

1. Count the rows as tallies by cell of the segments and group of scores.
2. Fit F on the logits with the effects applied.
3. Fit the effects of segments and pairs by a Gauss-Newton step, then those of each triple on the rest. A cell
   has at most one level of a triple, so a level's step is a division.
4. Estimate each term's variances by the marginal likelihood: the sum of squares of its effects divided by
   their effective number, where each effect counts between 0 (all prior) and 1 (all data). A term that
   explains nothing shrinks to 0.
5. Repeat from 2; then fit the map to the shifted scores.

References
----------
MacKay (1992), Bayesian interpolation, Neural Computation 4(3); Breslow and Clayton (1993), Approximate
inference in generalized linear mixed models, JASA 88(421).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dtrtri
from threadpoolctl import threadpool_limits

from tasks.arrays import Flags, Floats, Indices
from tasks.calibration.fit import fit_binary, fit_tallies
from tasks.calibration.segment_design import Design, Groups, Tallies, sum_by_code
from tasks.evaluation import binary
from tasks.evaluation.segments import SegmentColumn, segment_values
from tasks.ranking import maps, segmented_map

HELD_OUT_ROUNDS: Final = 3
"""Rounds of map and effects with known variances; tuned with ``benchmarks/calibration.py``."""

VARIANCES_KNOWN_FROM: Final = 1_000
"""Number of positives, and of negatives, from which a fit to some rows may reuse the variances of all rows.
Variances from fewer rows follow the noise, also of held-out rows, so segments would seem to help."""

ROUNDS: Final = 8
"""Rounds of map, effects and variances: with 6 and with 10 rounds the fits of ``benchmarks/calibration.py``
differ by less than .0002 in normalized entropy."""

SPREAD: Final = 0.01
"""Initial variance of each term; for slopes and bends per standard deviation of the logits."""

_VARIANCES: Final = (1e-5, 4.0)
"""Minimum and maximum variance of a term: effects of .003 and of 2 in the logit."""

_MOST_STEP: Final = 1.0
"""Maximum change of an effect in one round, in the logit, against overshooting Gauss-Newton steps."""

_HALF_STEP: Final = 1.0
"""Half of the distance, in the logit, for the slope of the map, which smooths knots of one block."""

_SLOPES: Final = (0.1, 3.0)
"""Minimum and maximum slope of the map in a step."""

_WEAK: Final = 0.01
"""Initial effective number of effects of a term, of variance ``SPREAD``, which avoids 0 / 0."""


@dataclass(frozen=True)
class Variances:
    """Prior variances of terms' offsets, slopes and bends [3, terms] and of triples' offsets [triples]."""

    terms: Floats
    triples: Floats

    @classmethod
    def before(cls, design: Design) -> Self:
        """Return the initial variances of a fit."""
        return cls(np.full((3, len(design.terms)), SPREAD), np.full(len(design.triples), SPREAD))


@dataclass(frozen=True)
class Shrunk:
    """Fitted effects.

    Attributes
    ----------
    at : offsets, slopes and bends of segments and pairs [3, levels], the latter two per standard deviation.
    tripled : offsets of each triple's levels.
    variances : prior variances of the effects.
    """

    at: Floats
    tripled: tuple[Floats, ...]
    variances: Variances

    @classmethod
    def none(cls, design: Design, variances: Variances) -> Self:
        """Return effects of 0."""
        tripled = tuple(np.zeros(len(term.levels)) for term in design.triples)
        return cls(np.zeros((3, len(design))), tripled, variances)

    def moved(self, design: Design, cells: Indices, logits: Floats) -> Floats:
        """Apply the effects to logits [n] of rows or groups in cells [n]."""
        by_cell = (design.matrix @ _split_sides(self.at, design).T).T
        for term, offsets in zip(design.triples, self.tripled, strict=True):
            by_cell[0] += term.by_cell(offsets)
        return design.span.moved(logits, by_cell[:, cells])

    def by_term(self, design: Design) -> tuple[segmented_map.Effects, ...]:
        """Return the effects of each segment, pair and triple with any effect."""
        ends = np.cumsum([len(term.levels) for term in design.terms])[:-1]
        sides = np.split(_split_sides(self.at, design), ends, axis=1) if design.terms else []
        triples = [np.stack([own, *np.zeros((2, own.size))]) for own in self.tripled]
        every = zip((*design.terms, *design.triples), (*sides, *triples), strict=True)
        return tuple(
            segmented_map.Effects(term.of, term.levels, *(tuple(row.tolist()) for row in figures))
            for term, figures in every
            if figures.any()
        )


def fit_segmented(
    scores: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    frame: pd.DataFrame,
    segments: Sequence[SegmentColumn],
    *,
    weights: npt.ArrayLike | None = None,
) -> segmented_map.SegmentedMap:
    """Fit effects of segments, pairs and triples, shrunk by their support, then one map.

    Parameters
    ----------
    scores, outcomes : [n] in [0, 1] and 0 or 1.
    frame : the rows [n] with the columns of the segments.
    segments : at least one.
    weights : [n] row weights; None counts each row once.

    Returns
    -------
    A map whose probabilities sum to the outcomes on these rows.

    Examples
    --------
    >>> frame = pd.DataFrame({"source": np.repeat(["ads", "feed"], 500)})
    >>> outcomes = np.r_[np.tile([1.0, 0.0], 250), np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 100)]
    >>> segments = [segmented_map.MappedSegment("source", "source")]
    >>> fitted = fit_segmented(np.full(1000, 0.3), outcomes, frame, segments)
    >>> fitted.apply([0.3, 0.3], frame.iloc[[0, -1]]).round(2)
    array([0.5, 0.2])
    """
    y, s, w = binary.check_binary(outcomes, scores, weights)
    counted = w > 0
    rows = SegmentRows.of(s[counted], y[counted], frame[counted], segments, w[counted])
    return SegmentFit.of(rows).segmented()


@dataclass(frozen=True)
class SegmentRows:
    """Rows of a fit [n], with their cells and groups."""

    logits: Floats
    outcomes: Floats
    weights: Floats
    segments: tuple[segmented_map.MappedSegment, ...]
    cells: segmented_map.Cells
    groups: Groups

    @classmethod
    def of(
        cls, s: Floats, y: Floats, frame: pd.DataFrame, segments: Sequence[SegmentColumn], w: Floats
    ) -> Self:
        """Build from rows checked by `check_binary`, all of positive weight; weights are scaled to mean 1."""
        cells = segmented_map.Cells.of(segment_values(frame, segments), len(frame))
        x, known = maps.compress_logits(maps.logit(s)), tuple(map(_mapped_segment, segments))
        return cls(x, y, w / w.mean(), known, cells, Groups.of(cells.of_row, x, y))

    @property
    def lesser(self) -> float:
        """Number of positives or negatives, whichever is smaller."""
        return float(min(self.outcomes.sum(), (1 - self.outcomes).sum()))

    def tally(self, kept: Flags | None = None) -> Tallies:
        """Sum the rows, or the ``kept`` rows, by group."""
        return self.groups.tally(self.outcomes, self.weights if kept is None else self.weights * kept)


@dataclass(frozen=True)
class SegmentFit:
    """Shrunk effects and the rows that they were fitted on."""

    rows: SegmentRows
    design: Design
    shrunk: Shrunk

    @classmethod
    def of(cls, rows: SegmentRows) -> Self:
        """Fit effects and their variances."""
        tallies = rows.tally()
        chances = fit_tallies(tallies.logits, tallies).of_logits(tallies.logits)
        design = Design.of(rows.cells, tallies, chances)
        return cls(rows, design, shrink(tallies, design))

    def segmented(self) -> segmented_map.SegmentedMap:
        """Return the map of these rows."""
        rows, design = self.rows, self.design
        moved = self.shrunk.moved(design, rows.cells.of_row, rows.logits)
        one = fit_binary(maps.expit(moved), rows.outcomes, rows.weights)
        return segmented_map.SegmentedMap(rows.segments, self.shrunk.by_term(design), design.span, one)

    def fitted_to(self, tallies: Tallies, at: Flags) -> Floats:
        """Predict some of the rows with a fit to other rows."""
        if self.rows.lesser >= VARIANCES_KNOWN_FROM:
            shrunk = shrink(tallies, self.design, variances=self.shrunk.variances, rounds=HELD_OUT_ROUNDS)
        else:
            shrunk = shrink(tallies, self.design)
        one = fit_tallies(shrunk.moved(self.design, tallies.cell, tallies.logits), tallies)
        moved = shrunk.moved(self.design, self.rows.cells.of_row[at], self.rows.logits[at])
        return one.of_logits(moved)


def _mapped_segment(segment: SegmentColumn) -> segmented_map.MappedSegment:
    bins = None if segment.bins is None else tuple(float(cut) for cut in segment.bins)
    return segmented_map.MappedSegment(segment.name, segment.column, bins)


def shrink(
    tallies: Tallies, design: Design, *, variances: Variances | None = None, rounds: int = ROUNDS
) -> Shrunk:
    """Fit effects; the variances are estimated unless they are passed.

    Linear algebra runs in one thread. The matrices are small, so several threads would mostly wait, and the
    last digits would depend on their number.

    Examples
    --------
    >>> codes, names = {"source": np.array([0, 1])}, {"source": ("ads", "feed")}
    >>> cells = segmented_map.Cells(np.array([0, 1]), codes, names)
    >>> cell, scores, rows = np.repeat([0, 1], 8), np.tile(np.arange(-3.0, 1.0, 0.5), 2), np.full(16, 1e4)
    >>> chances = 1 / (1 + np.exp(-scores - np.where(cell == 0, 0.4, -0.4)))
    >>> tallies = Tallies(cell, scores, rows, rows * chances)
    >>> shrink(tallies, Design.of(cells, tallies, np.full(16, 0.3))).at[0].round(1)
    array([ 0.3, -0.4])
    """
    shrunk = Shrunk.none(design, Variances.before(design) if variances is None else variances)
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(rounds if len(design) else 0):
            shrunk = _round(tallies, design, shrunk, estimate=variances is None)
    # without the offsets of triples whose variance is at its minimum
    informative = shrunk.variances.triples > _VARIANCES[0]
    return replace(
        shrunk, tripled=tuple(own * one for own, one in zip(shrunk.tripled, informative, strict=True))
    )


def _round(tallies: Tallies, design: Design, shrunk: Shrunk, *, estimate: bool) -> Shrunk:
    """Take a step towards the posterior mode and, if requested, estimate the variances there."""
    pull, weight = _differentiate(tallies, design, shrunk)
    precision = (1 / shrunk.variances.terms)[:, design.owner]
    factor, step = _newton_step(design, pull, weight, shrunk.at, precision)
    step = np.clip(step, -_MOST_STEP, _MOST_STEP)
    at, free = shrunk.at + step, shrunk.variances
    left = pull[0] - np.einsum("jc,cj->c", weight[0], design.matrix @ step.T)
    tripled, spreads = _step_triples(design, shrunk, left, weight[0, 0])
    if estimate:
        # the posterior variances are the diagonal of the inverse of the factorised matrix
        inverse, _ = dtrtri(factor, lower=1)
        known = 1 - np.einsum("ij,ij->j", inverse, inverse).reshape(at.shape) * precision
        count = len(design.terms)
        squares, effective = (
            np.stack([sum_by_code(design.owner, part, count) for part in parts]) for parts in (at**2, known)
        )
        free = Variances(_estimate_variances(squares, effective), spreads)
    return Shrunk(at, tripled, free)


def _newton_step(
    design: Design, pull: Floats, weight: Floats, at: Floats, precision: Floats
) -> tuple[Floats, Floats]:
    """Return the Cholesky factor of the posterior's curvature and the step [3, levels] to its mode."""
    gradient = np.stack([design.by_level(part) for part in pull])
    curvature = _curvature(design, weight)
    np.einsum("ii->i", curvature)[:] += precision.ravel()
    factor = cholesky(curvature, lower=True, overwrite_a=True, check_finite=False)
    step = cho_solve((factor, True), (gradient - precision * at).ravel(), check_finite=False)
    return factor, step.reshape(at.shape)


def _step_triples(
    design: Design, shrunk: Shrunk, left: Floats, weight: Floats
) -> tuple[tuple[Floats, ...], Floats]:
    """Take a step for each triple in turn; return their offsets and estimated variances [triples].

    Parameters
    ----------
    left, weight : first and negative second derivative of the log likelihood by each cell's offset [cells].
    """
    tripled, spreads = [], []
    for term, at, variance in zip(design.triples, shrunk.tripled, shrunk.variances.triples, strict=True):
        posterior = 1 / (term.by_level(weight) + 1 / variance)
        step = np.clip(posterior * (term.by_level(left) - at / variance), -_MOST_STEP, _MOST_STEP)
        left = left - weight * term.by_cell(step)
        tripled.append(at + step)
        spreads.append(_estimate_variances(np.sum((at + step) ** 2), np.sum(1 - posterior / variance)))
    return tuple(tripled), np.array(spreads)


def _differentiate(tallies: Tallies, design: Design, shrunk: Shrunk) -> tuple[Floats, Floats]:
    """Fit the map to the groups with the effects applied; return the log likelihood's derivatives.

    The derivatives are by offset, slope and bend of each cell: the gradient [3, cells] and the expected
    negative curvature (Gauss-Newton) [3, 3, cells].
    """
    moved = shrunk.moved(design, tallies.cell, tallies.logits)
    one = fit_tallies(moved, tallies)
    above, below = (maps.logit(one.of_logits(moved + step)) for step in (_HALF_STEP, -_HALF_STEP))
    p, slope = one.of_logits(moved), np.clip((above - below) / (2 * _HALF_STEP), *_SLOPES)
    pull = (tallies.positives - tallies.rows * p) * slope
    weight = tallies.rows * p * (1 - p) * slope**2
    distance = design.span.distance(tallies.logits) / design.scale
    basis = (np.ones_like(distance), distance, np.abs(distance))
    cells = design.matrix.shape[0]
    by_cell = np.stack([sum_by_code(tallies.cell, pull * part, cells) for part in basis])
    crossed = np.empty((len(basis), len(basis), cells))
    for i in range(len(basis)):
        for j in range(i + 1):
            crossed[i, j] = crossed[j, i] = sum_by_code(tallies.cell, weight * basis[i] * basis[j], cells)
    return by_cell, crossed


def _curvature(design: Design, weight: Floats) -> Floats:
    """Return the curvature of offsets, slopes and bends, [3 x levels, 3 x levels], lower part only."""
    kinds, levels = len(weight), len(design)
    curvature = np.zeros((kinds, levels, kinds, levels))
    for i in range(kinds):
        for j in range(i + 1):
            curvature[i, :, j] = design.crossed(weight[i, j])
    return curvature.reshape(kinds * levels, kinds * levels)


def _estimate_variances(squares: Floats, effective: Floats) -> Floats:
    """Divide the sums of squares of terms' effects by their effective numbers."""
    return np.clip((squares + _WEAK * SPREAD) / (np.maximum(effective, 0) + _WEAK), *_VARIANCES)


def _split_sides(at: Floats, design: Design) -> Floats:
    """Convert offsets, slopes and bends per standard deviation to offsets and slopes below and above."""
    offsets, slopes, bends = at
    return np.stack([offsets, (slopes - bends) / design.scale, (slopes + bends) / design.scale])
