"""Columns that grow hold what was appended, in that order, whatever the sizes of the blocks."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.replay.joined_columns import GrowingColumn, GrowingColumns, sparse_columns, sparse_outcomes
from tasks.replay.outcomes import JointOutcome


@given(st.lists(st.lists(st.integers(-9, 9), max_size=7), max_size=12))
def test_a_column_is_its_blocks_one_after_the_other(blocks: list[list[int]]) -> None:
    column = GrowingColumn()
    for block in blocks:
        column.append(np.array(block, dtype=np.int32))
    assert column.array.tolist() == [value for block in blocks for value in block]


def test_a_column_keeps_the_type_of_its_values() -> None:
    column = GrowingColumn()
    for block in ([True], [False, True]):
        column.append(np.array(block))
    assert column.array.dtype == bool


def test_a_block_can_be_changed_once_it_was_appended() -> None:
    column, block = GrowingColumn(), np.array([1.0, 2.0])
    column.append(block)
    block[:] = 9.0
    assert column.array.tolist() == [1.0, 2.0]


def test_a_column_that_one_block_lacks_is_none_as_a_whole() -> None:
    columns = GrowingColumns()
    columns.append({"a": np.array([1]), "b": None})
    columns.append({"a": np.array([2]), "b": np.array([3])})
    assert columns.whole("a", 2).tolist() == [1, 2]
    assert columns.whole("b", 2) is None
    assert columns.whole("c", 0) is None


ROWS = np.array([1, 3])


def test_a_column_is_laid_out_when_it_is_asked_for_and_belongs_to_who_asked() -> None:
    columns = sparse_columns(4, ROWS, {"click": np.array([1.0, 0.5])}, 0.0)
    columns["click"][:] = 9.0
    assert columns["click"].tolist() == [0.0, 1.0, 0.0, 0.5]
    assert (list(columns), len(columns), "hide" in columns, columns.get("hide")) == (
        ["click"],
        1,
        False,
        None,
    )


def test_no_column_is_nothing() -> None:
    assert not sparse_columns(4, ROWS, {})


def test_an_outcome_is_unknown_where_nothing_is_kept() -> None:
    kept = JointOutcome(np.array([1.0, 0.0]), np.array([2.0, 0.0]), by_examination=False)
    outcomes = sparse_outcomes(4, ROWS, {"answer": kept})
    made = outcomes["answer"]
    assert made.known.tolist() == [False, True, False, False]
    assert (made.value.tolist(), made.by_examination) == ([0.0, 1.0, 0.0, 0.0], False)
    assert (list(outcomes), len(outcomes)) == (["answer"], 1)
