"""Rows counted by cell of the segments and bin of the score: what effects of segments are fitted on.

A million rows make some ten thousands of groups, and a fit passes over the groups many times. Half of the
bins hold equally many rows, the other half equally many positives, so that rare outcomes are told apart too.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from tasks.calibration.fit import fit_rates
from tasks.evaluation.binary import Floats
from tasks.ranking.maps import IsotonicMap, LogisticMap, expit
from tasks.ranking.segment_effects import Codes

BINS: Final = 64


@dataclass(frozen=True)
class Tallies:
    """Sums over the rows of each group, shape [groups].

    Attributes
    ----------
    cell : the group's cell of the segments.
    logits : mean logit of its scores.
    rows, positives : sums of weights; the weights of all rows average 1.
    """

    cell: Codes
    logits: Floats
    rows: Floats
    positives: Floats


@dataclass(frozen=True)
class Groups:
    """Which group each row belongs to [n], and of every group its cell and mean logit [groups]."""

    of_row: Codes
    cell: Codes
    logits: Floats

    @classmethod
    def of(cls, cells: Codes, logits: Floats, outcomes: Floats) -> "Groups":
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


def fit_tallies(logits: Floats, tallies: Tallies) -> IsotonicMap | LogisticMap:
    """Fit one map to groups whose logits [groups] may have been moved."""
    rates = tallies.positives / tallies.rows
    negatives = tallies.rows - tallies.positives
    return fit_rates(expit(logits), rates, tallies.rows, positives=tallies.positives, negatives=negatives)


def sum_by_code(codes: Codes, values: Floats, count: int) -> Floats:
    """Add up the values [n] of each code, 0 to count - 1."""
    return np.bincount(codes, values, minlength=count).astype(np.float64)


def _quantiles(values: Floats) -> Floats:
    if not values.size:
        return values
    return np.quantile(values, np.linspace(0, 1, BINS // 2 + 1)[1:-1])
