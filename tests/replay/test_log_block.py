"""One block of candidate rows in narrow columns."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tasks.logs.candidate_frame import to_frame
from tasks.replay.log_block import Ids, LogReading, read_block, users_of
from tests.replay.blocks import LINKS, frame_of

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


def test_ids_are_coded_as_they_first_appear_and_null_is_none_of_them() -> None:
    ids = Ids.of(pd.Series(["b", None, "a", "b"]))
    assert ids.codes.tolist() == [0, -1, 1, 0]
    assert ids.known == ["b", "a"]


def test_rows_that_were_shown_or_have_a_label_may_have_an_outcome() -> None:
    frame = frame_of(["r"] * 4, shown=[True, False, False, True], click=[np.nan, 1.0, np.nan, 0.0])
    block = read_block(frame, LogReading(LINKS))
    assert block.rows.tolist() == [0, 1, 3]
    assert block.labels["click"].tolist()[1:] == [1.0, 0.0]


def test_days_are_counted_in_utc() -> None:
    times = pd.to_datetime(["1970-01-02T00:00:00Z", "2026-03-01T23:59:59Z"])
    block = read_block(frame_of(["r", "s"]).assign(shown_at=times), LogReading(LINKS))
    assert block.days.tolist() == [1, (pd.Timestamp("2026-03-01") - pd.Timestamp("1970-01-01")).days]


def test_nothing_that_is_kept_is_a_view_of_the_frame() -> None:
    frame = frame_of(["r", "r"], position=[1.0, 2.0], shown=[True, True])
    block = read_block(frame, LogReading(LINKS))
    for name in ("position", "shown", "requests", "propensity"):
        assert getattr(block, name).base is None
