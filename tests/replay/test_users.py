"""Users of candidate rows: every digit of their numbers is kept, and nobody is mixed up with somebody."""

import pandas as pd
import pyarrow as pa
import pytest

from tasks.logs.candidate_frame import to_frame
from tasks.replay.users import users_of

LARGE = 2**63 - 1


@pytest.mark.parametrize("kind", [pa.int64(), pa.string()])
def test_what_is_known_is_left_as_it_is(kind: pa.DataType) -> None:
    table = pa.table({"request_id": ["a", "b"], "user_id": pa.array([LARGE, 2], pa.int64()).cast(kind)})
    users = users_of(to_frame(table))
    assert users.tolist() == table.column("user_id").to_pylist()
    assert users.dtype == table.to_pandas()["user_id"].dtype


def test_beside_nobody_the_numbers_of_others_keep_their_digits() -> None:
    table = pa.table({"request_id": [1, 2, 3], "user_id": [LARGE, None, LARGE - 1]})
    assert users_of(to_frame(table)).tolist() == [LARGE, "request 2", LARGE - 1]


def test_rows_without_a_column_of_users_are_read_too() -> None:
    assert to_frame(pa.table({"request_id": ["a"]})).to_dict("list") == {"request_id": ["a"]}


def test_an_index_of_its_own_is_kept() -> None:
    frame = pd.DataFrame({"request_id": ["a", "b"], "user_id": [None, "u"]}, index=[7, 3])
    assert users_of(frame).to_dict() == {7: "request a", 3: "u"}
