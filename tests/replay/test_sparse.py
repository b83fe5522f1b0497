"""Columns that are kept at some rows read as if they were kept at all."""

import numpy as np

from tasks.replay.outcomes import JointOutcome
from tasks.replay.sparse import SparseColumns, SparseOutcomes

ROWS = np.array([1, 3])


def test_a_column_is_laid_out_when_it_is_asked_for_and_belongs_to_who_asked() -> None:
    columns = SparseColumns(4, ROWS, {"click": np.array([1.0, 0.5])}, 0.0)
    columns["click"][:] = 9.0
    assert columns["click"].tolist() == [0.0, 1.0, 0.0, 0.5]
    assert (list(columns), len(columns), "hide" in columns, columns.get("hide")) == (
        ["click"],
        1,
        False,
        None,
    )


def test_no_column_is_nothing() -> None:
    assert not SparseColumns(4, ROWS, {})


def test_an_outcome_is_unknown_where_nothing_is_kept() -> None:
    kept = JointOutcome(np.array([1.0, 0.0]), np.array([2.0, 0.0]), looked_at=False)
    outcomes = SparseOutcomes(4, ROWS, {"answer": kept})
    made = outcomes["answer"]
    assert made.known.tolist() == [False, True, False, False]
    assert (made.value.tolist(), made.looked_at) == ([0.0, 1.0, 0.0, 0.0], False)
    assert (list(outcomes), len(outcomes)) == (["answer"], 1)
