"""Fitting a segmented map: rows to tallies, tallies to shrunk effects, moved scores to one map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.calibration.fit import fit_binary, fit_tallies
from tasks.calibration.segment_design import Design, Groups, Tallies
from tasks.calibration.shrinkage import Shrunk, shrink
from tasks.evaluation.binary import Floats, check_binary
from tasks.evaluation.segments import Segment, segment_values
from tasks.ranking.maps import compress_logits, expit, logit
from tasks.ranking.segment_effects import Cells, MappedSegment
from tasks.ranking.segmented_map import SegmentedMap

HELD_OUT_ROUNDS: Final = 3
"""Rounds of map and effects where the variances are known already; judged by
``benchmarks/calibration.py``."""

VARIANCES_KNOWN_FROM: Final = 1_000
"""Positives, and negatives, from which a fit to some of the rows may take the variances of all. Estimated
from fewer they follow the noise, that of the rows held out too, and segments would seem to help."""


def fit_segmented(
    scores: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    frame: pd.DataFrame,
    segments: Sequence[Segment],
    *,
    weights: npt.ArrayLike | None = None,
) -> SegmentedMap:
    """Fit effects of segments, pairs and triples, shrunk toward none by support, then one map.

    Parameters
    ----------
    scores, outcomes : [n] in [0, 1] and 0 or 1.
    frame : the rows [n] with the columns of the segments.
    segments : at least one.
    weights : [n] row weights; None counts each row once.

    Returns
    -------
    A map whose probabilities add up to the outcomes on these rows.

    Raises
    ------
    DataError
        Positives or negatives are missing, a figure is out of range, or a segment's column is missing.

    Examples
    --------
    >>> frame = pd.DataFrame({"source": np.repeat(["ads", "feed"], 500)})
    >>> outcomes = np.r_[np.tile([1.0, 0.0], 250), np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 100)]
    >>> fitted = fit_segmented(np.full(1000, 0.3), outcomes, frame, [MappedSegment("source", "source")])
    >>> fitted.apply([0.3, 0.3], frame.iloc[[0, -1]]).round(2)
    array([0.5, 0.2])
    """
    y, s, w = check_binary(outcomes, scores, weights)
    counted = w > 0
    rows = SegmentRows.of(s[counted], y[counted], frame[counted], segments, w[counted])
    return SegmentFit.of(rows).segmented()


@dataclass(frozen=True)
class SegmentRows:
    """The rows of a fit [n], numbered by cell of the segments and by group."""

    logits: Floats
    outcomes: Floats
    weights: Floats
    segments: tuple[MappedSegment, ...]
    cells: Cells
    groups: Groups

    @classmethod
    def of(cls, s: Floats, y: Floats, frame: pd.DataFrame, segments: Sequence[Segment], w: Floats) -> Self:
        """Number rows that `check_binary` let through, all of a weight above 0; weights come to average 1."""
        cells = Cells.of(segment_values(frame, segments), len(frame))
        x, known = compress_logits(logit(s)), tuple(map(_mapped_segment, segments))
        return cls(x, y, w / w.mean(), known, cells, Groups.of(cells.of_row, x, y))

    @property
    def lesser(self) -> float:
        """Positives or negatives, whichever are fewer."""
        return float(min(self.outcomes.sum(), (1 - self.outcomes).sum()))

    def tally(self, kept: npt.NDArray[np.bool_] | None = None) -> Tallies:
        """Sum up the rows, or those that are kept."""
        return self.groups.tally(self.outcomes, self.weights if kept is None else self.weights * kept)


@dataclass(frozen=True)
class SegmentFit:
    """Shrunk effects and the rows that they were fitted on."""

    rows: SegmentRows
    design: Design
    shrunk: Shrunk

    @classmethod
    def of(cls, rows: SegmentRows) -> Self:
        """Fit effects and the variances that they are shrunk by."""
        tallies = rows.tally()
        chances = fit_tallies(tallies.logits, tallies).of_logits(tallies.logits)
        design = Design.of(rows.cells, tallies, chances)
        return cls(rows, design, shrink(tallies, design))

    def segmented(self) -> SegmentedMap:
        """Return the map that the rows give."""
        rows, design = self.rows, self.design
        moved = self.shrunk.moved(design, rows.cells.of_row, rows.logits)
        one = fit_binary(expit(moved), rows.outcomes, rows.weights)
        return SegmentedMap(rows.segments, self.shrunk.by_term(design), design.span, one)

    def fitted_to(self, tallies: Tallies, at: npt.NDArray[np.bool_]) -> Floats:
        """Predict some of the rows by a fit to other rows."""
        if self.rows.lesser >= VARIANCES_KNOWN_FROM:
            shrunk = shrink(tallies, self.design, variances=self.shrunk.variances, rounds=HELD_OUT_ROUNDS)
        else:
            shrunk = shrink(tallies, self.design)
        one = fit_tallies(shrunk.moved(self.design, tallies.cell, tallies.logits), tallies)
        moved = shrunk.moved(self.design, self.rows.cells.of_row[at], self.rows.logits[at])
        return one.of_logits(moved)


def _mapped_segment(segment: Segment) -> MappedSegment:
    bins = None if segment.bins is None else tuple(float(cut) for cut in segment.bins)
    return MappedSegment(segment.name, segment.column, bins)
