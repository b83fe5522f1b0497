"""Columns that grow hold what was appended, in that order, whatever the sizes of the blocks."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import StoreError
from tasks.replay import joined_columns
from tasks.replay.inclusion import JointOutcome
from tasks.replay.joined_columns import GrowingColumn, GrowingColumns, sparse_columns, sparse_outcomes, store


@given(st.lists(st.lists(st.integers(-9, 9), max_size=7), max_size=12))
def test_a_column_is_its_blocks_one_after_the_other(blocks: list[list[int]]) -> None:
    column = GrowingColumn()
    for block in blocks:
        column.append(np.array(block, dtype=np.int32))
    first, _ = column.array, store(np.ones(9))  # mapping a column releases the pages of the others
    assert first.tolist() == [value for block in blocks for value in block]


def test_a_column_copies_its_blocks_and_keeps_their_type() -> None:
    column, block = GrowingColumn(), np.array([True])
    column.append(block)
    block[:] = False
    column.append(block)
    np.testing.assert_array_equal(column.array, np.array([True, False]), strict=True)


def test_a_full_temporary_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joined_columns, "TemporaryFile", partial(open, "/dev/full", "wb"))
    with pytest.raises(StoreError, match="set TMPDIR"):
        GrowingColumn().append(np.ones(9))


def test_a_column_that_one_block_lacks_is_none_as_a_whole() -> None:
    columns = GrowingColumns()
    columns.append({"a": np.array([1]), "b": None})
    columns.append({"a": np.array([2]), "b": np.array([3])})
    assert columns.whole("a", 2).tolist() == [1, 2]
    assert (columns.whole("b", 2), columns.whole("c", 0)) == (None, None)


ROWS = np.array([1, 3])


def test_a_column_is_laid_out_when_it_is_asked_for_and_belongs_to_who_asked() -> None:
    columns = sparse_columns(4, ROWS, {"click": np.array([1.0, 0.5])}, 0.0)
    columns["click"][:] = 9.0
    assert columns["click"].tolist() == [0.0, 1.0, 0.0, 0.5]
    assert ([*columns], len(columns), "hide" in columns, columns.get("hide")) == (["click"], 1, False, None)


def test_no_column_is_nothing() -> None:
    assert not sparse_columns(4, ROWS, {})


def test_an_outcome_is_unknown_where_nothing_is_kept() -> None:
    kept = JointOutcome(np.array([1.0, 0.0]), np.array([2.0, 0.0]), by_examination=False)
    outcomes = sparse_outcomes(4, ROWS, {"answer": kept})
    made = outcomes["answer"]
    assert (made.known.tolist(), made.value.tolist()) == ([False, True, False, False], [0.0, 1.0, 0.0, 0.0])
    assert (made.by_examination, list(outcomes), len(outcomes)) == (False, ["answer"], 1)
