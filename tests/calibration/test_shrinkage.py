"""Effects are shrunk toward none, the less support the more."""

import numpy as np
import pytest

from tasks.calibration.segment_design import Design, Tallies
from tasks.calibration.shrinkage import Variances, shrink
from tasks.ranking.maps import expit
from tasks.ranking.segment_effects import Cells

CELLS = Cells(np.array([0, 1]), {"source": np.array([0, 1])}, {"source": ("ads", "feed")})
CELL, LOGITS = np.repeat([0, 1], 8), np.tile(np.arange(-3.0, 1.0, 0.5), 2)


def tallies(rows: float, effect: float) -> Tallies:
    """Ads happen more often than their scores say by an effect on the logit, feed less often."""
    counts = np.full(16, rows)
    return Tallies(CELL, LOGITS, counts, counts * expit(LOGITS + np.where(CELL == 0, effect, -effect)))


def difference(rows: float, effect: float = 0.4) -> float:
    """Return the fitted difference of the two sources' offsets."""
    counted = tallies(rows, effect)
    offsets = shrink(counted, Design.of(CELLS, counted, np.full(16, 0.3))).at[0]
    return float(offsets[0] - offsets[1])


def test_a_thick_segment_is_moved_by_nearly_all_of_its_effect_and_a_thin_one_by_less() -> None:
    assert difference(10_000) == pytest.approx(0.8, abs=0.15)
    assert 0 <= difference(5) < difference(500) < 0.8


def test_no_effect_stays_no_effect() -> None:
    assert difference(10_000, effect=0.0) == pytest.approx(0.0, abs=0.01)


def test_given_variances_are_kept() -> None:
    counted = tallies(1000, 0.4)
    design = Design.of(CELLS, counted, np.full(16, 0.3))
    known = Variances.before(design)
    assert shrink(counted, design, variances=known).variances is known


def test_a_variance_of_next_to_nothing_leaves_no_effect() -> None:
    counted = tallies(1000, 0.4)
    design = Design.of(CELLS, counted, np.full(16, 0.3))
    none = Variances(np.full((3, 1), 1e-9), np.empty(0))
    assert np.abs(shrink(counted, design, variances=none).at).max() < 1e-3
