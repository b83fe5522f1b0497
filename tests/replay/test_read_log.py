"""How candidate rows are read: who is a user, what was shown, and what the log's propensities say."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tasks.logs.tables import to_frame
from tasks.replay.read_log import Ids, LogReading, candidate_log, read_block
from tests.known import known
from tests.replay.blocks import LINKS, frame_of
from tests.replay.worlds import AT_RANDOM, page


def test_rows_without_a_column_of_users_are_read_too() -> None:
    assert to_frame(pa.table({"request_id": ["a"]})).to_dict("list") == {"request_id": ["a"]}


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


DAY = pd.Timestamp("2026-03-01T09:00:00Z")


def test_propensities_are_read_where_candidates_are_logged() -> None:
    assert page().inclusion is None
    inclusion = known(page(propensity=AT_RANDOM).inclusion)
    assert inclusion.reshape(2, 3).sum(axis=1) == pytest.approx([3.0, 3.0])


def test_where_only_what_was_shown_is_logged_every_item_stands_for_itself() -> None:
    inclusion = known(page(propensity=AT_RANDOM, complete=False).inclusion)
    assert inclusion.tolist() == [1.0] * 6


def test_where_all_candidates_were_shown_every_item_stands_for_itself_whatever_its_propensity() -> None:
    inclusion = known(page(propensity=AT_RANDOM, shown_is_all=True).inclusion)
    assert inclusion.tolist() == [1.0] * 6


def test_a_propensity_that_is_missing_for_one_shown_item_is_no_propensity() -> None:
    assert page(propensity=[*AT_RANDOM[:5], np.nan]).inclusion is None


def test_a_probability_of_inclusion_needs_no_position() -> None:
    frame = pd.DataFrame(
        {
            "request_id": ["a", "a"],
            "user_id": ["u", "u"],
            "item_id": ["1", "2"],
            "shown_at": DAY,
            "shown": [True, False],
            "propensity": [0.25, np.nan],
        }
    )
    inclusion = known(candidate_log(frame, LogReading({}, propensity_kind="inclusion")).inclusion)
    assert inclusion.tolist() == [4.0, 0.0]
    assert candidate_log(frame, LogReading({})).inclusion is None


def test_a_request_of_nobody_known_is_a_user_of_its_own() -> None:
    frame = pd.DataFrame(
        {
            "request_id": ["a", "b", "c", "c"],
            "user_id": ["u", None, None, None],
            "item_id": ["1", "2", "3", "4"],
            "shown_at": DAY,
        }
    )
    log = candidate_log(frame, LogReading({}))
    assert log.users.tolist() == [0, 1, 2, 2]
    assert (log.user_count, log.request_count) == (3, 3)


def test_a_request_of_nobody_known_is_no_user_of_the_same_number() -> None:
    table = pa.table(
        {
            "request_id": [7, 8, 9],
            "user_id": [2**53 + 1, None, 2**53],
            "item_id": [1, 2, 3],
            "shown_at": [DAY] * 3,
        }
    )
    assert candidate_log(to_frame(table), LogReading({})).users.tolist() == [0, 1, 2]
    swapped = table.set_column(1, "user_id", pa.array([8, None, 8]))
    assert candidate_log(to_frame(swapped), LogReading({})).users.tolist() == [0, 1, 0]


def test_without_a_column_that_says_so_every_candidate_was_shown() -> None:
    frame = pd.DataFrame(
        {"request_id": ["a", "a"], "user_id": ["u", "u"], "item_id": ["1", "2"], "shown_at": DAY}
    )
    shown = pd.array([True, None], dtype="boolean")
    silent, told = (candidate_log(rows, LogReading({})) for rows in (frame, frame.assign(shown=shown)))
    assert silent.shown.tolist() == [True, True]
    assert told.shown.tolist() == [True, False]
    assert not silent.positions_logged


def test_latency_and_what_served_are_read_where_the_log_has_them() -> None:
    frame = pd.DataFrame(
        {
            "request_id": ["a", "b", "c"],
            "user_id": ["u", "u", "v"],
            "item_id": ["1", "1", "1"],
            "shown_at": pd.Timestamp("2026-03-01T09:00:00Z"),
            "click": [1.0, 0.0, 0.0],
        }
    )
    reading = LogReading({"click": ("click",)})
    assert candidate_log(frame, reading).latency is None
    log = candidate_log(frame.assign(latency_ms=[12.0, np.nan, 40.0], release=["7", "", "canary"]), reading)
    assert known(log.latency).tolist()[::2] == [12.0, 40.0]
    assert known(log.served_by).tolist() == [7, 0, 0]
