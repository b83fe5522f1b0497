"""Rows are counted by cell and bin of the score, and levels with too little information have no effect."""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from tasks.calibration.segment_design import Design, Groups, Tallies, select_terms
from tasks.ranking.segmented_map import Cells


def categorical(*values: Hashable) -> pd.Categorical:
    return pd.Categorical(values)


VALUES = {
    "source": categorical("ads", "feed", "ads", "unknown"),
    "device": categorical("phone", "phone", "desk", "desk"),
}
CELLS = Cells.of(VALUES, 4)


def test_rows_of_a_cell_and_a_bin_are_one_group_and_weights_are_summed() -> None:
    outcomes = np.array([1.0, 0.0, 0.0, 1.0])
    groups = Groups.of(np.array([0, 0, 1, 1]), np.array([-1.0, -1.0, -1.0, 2.0]), outcomes)
    tallies = groups.tally(outcomes, np.array([1.0, 2.0, 3.0, 0.0]))
    assert (tallies.cell.tolist(), tallies.logits.tolist()) == ([0, 1], [-1.0, -1.0])
    assert (tallies.rows.tolist(), tallies.positives.tolist()) == ([3.0, 3.0], [1.0, 0.0])


def test_a_null_is_no_level_and_neither_is_a_value_with_little_information() -> None:
    (term,) = select_terms(CELLS, [("source",)], np.array([9.0, 0.5, 9.0, 9.0]), most=10)
    assert term.levels == (("ads",),)
    assert term.acting.tolist() == [0, 1, 0, 1]
    assert term.by_level(np.array([1.0, 2.0, 4.0, 8.0])).tolist() == [5.0]
    assert term.by_cell(np.array([7.0])).tolist() == [7.0, 0.0, 7.0, 0.0]


def test_the_levels_with_most_information_come_before_the_limit() -> None:
    terms = select_terms(CELLS, [("source",), ("device",)], np.array([5.0, 3.0, 1.0, 1.0]), most=2)
    assert {term.of: term.levels for term in terms} == {("source",): (("ads",),), ("device",): (("phone",),)}


def test_a_design_crosses_segments_and_counts_where_two_levels_act_together() -> None:
    tallies = Tallies(np.arange(4), np.array([-2.0, -1.0, 0.0, 1.0]), np.full(4, 100.0), np.full(4, 50.0))
    design = Design.of(CELLS, tallies, np.full(4, 0.5))
    assert [term.of for term in design.terms] == [("device",), ("source",), ("device", "source")]
    assert len(design) == 2 + 2 + 3
    together = design.crossed(np.array([1.0, 10.0, 100.0, 1000.0]))
    np.testing.assert_allclose(together, together.T)
    assert np.diag(together).tolist() == design.by_level(np.array([1.0, 10.0, 100.0, 1000.0])).tolist()
    assert design.span.centre == -0.5
