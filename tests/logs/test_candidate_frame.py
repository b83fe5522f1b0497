"""Candidate rows as a frame: whole numbers beside null ones keep their digits."""

import pyarrow as pa
import pytest

from tasks.logs.candidate_frame import to_frame

LARGE = 2**53 + 1


@pytest.mark.parametrize("column", ["user_id", "creator_id"])
@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64()])
def test_large_numbers_beside_null_keep_every_digit(column: str, kind: pa.DataType) -> None:
    table = pa.table({"item_id": ["a", "b", "c"], column: pa.array([LARGE, None, LARGE - 1], kind)})
    assert to_frame(table)[column].tolist() == [LARGE, None, LARGE - 1]


def test_small_ones_are_floats_but_for_users_whose_names_they_are() -> None:
    frame = to_frame(pa.table({"user_id": [5, None], "price": [5, None]}))
    assert frame["user_id"].tolist() == [5, None]
    assert frame["price"].dtype == float


def test_of_columns_with_the_same_name_each_keeps_its_own() -> None:
    table = pa.table([pa.array([LARGE, None]), pa.array([1, 2])], names=["x", "x"])
    assert to_frame(table).iloc[:, 0].tolist() == [LARGE, None]
    assert to_frame(table).iloc[:, 1].tolist() == [1, 2]
