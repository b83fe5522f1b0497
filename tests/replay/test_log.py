"""What a log of candidates says of requests, users and places, and the slates that need no release."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import DataError
from tasks.replay.log import candidate_log, column_slates, logged_slates, order_slots
from tests.replay.worlds import page


def test_the_logged_order_needs_positions() -> None:
    with pytest.raises(DataError, match="no logged order"):
        logged_slates(page(positions=[None] * 6), length=3)


def test_the_logged_order_is_cut_at_the_length_of_the_slate() -> None:
    assert logged_slates(page(), length=2).slot.tolist() == [1, 2, 0, 1, 2, 0]


def test_a_column_is_ordered_downwards_with_nulls_off_the_slate() -> None:
    values = np.array([1.0, 3.0, np.nan, 5.0, 7.0, 6.0])
    assert column_slates(page(), values, column="x", length=2).slot.tolist() == [2, 1, 0, 0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-5, 5)), min_size=1, max_size=30), st.integers(1, 5))
def test_slots_are_the_first_places_of_each_request(rows: list[tuple[int, float]], length: int) -> None:
    requests = np.array([r for r, _ in rows])
    key = np.array([k for _, k in rows])
    slot = order_slots(requests, key, length=length)
    for request in set(requests.tolist()):
        inside = slot[requests == request]
        taken = sorted(s for s in inside.tolist() if s)
        assert taken == list(range(1, min(length, len(inside)) + 1))
        chosen = key[requests == request][inside > 0]
        left = key[requests == request][inside == 0]
        assert not len(left) or chosen.max() <= left.min()


def test_beyond_the_curve_its_last_value_holds_and_an_unknown_place_is_the_first() -> None:
    assert page().examined_at(np.array([1.0, 3.0, 9.0, np.nan])).tolist() == [1.0, 0.25, 0.25, 1.0]
    assert page(examination=None).examined_at(np.array([1.0, 9.0])).tolist() == [1.0, 1.0]


def test_the_mean_examination_is_that_of_what_was_shown() -> None:
    assert page().mean_examination == pytest.approx((1.0 + 0.5 + 0.25) / 3)


def test_values_add_up_by_user() -> None:
    assert page().by_user(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).tolist() == [6.0, 15.0]


def test_a_request_of_nobody_known_is_a_user_of_its_own() -> None:
    frame = pd.DataFrame(
        {
            "request_id": ["a", "b", "c", "c"],
            "user_id": ["u", None, None, None],
            "item_id": ["1", "2", "3", "4"],
        }
    )
    log = candidate_log(frame, tasks=(), segments={}, examination=None, complete=True)
    assert log.users.tolist() == [0, 1, 2, 2]
    assert (log.user_count, log.request_count) == (3, 3)


def test_without_a_column_that_says_so_every_candidate_was_shown() -> None:
    frame = pd.DataFrame({"request_id": ["a", "a"], "user_id": ["u", "u"], "item_id": ["1", "2"]})
    shown = pd.array([True, None], dtype="boolean")
    silent, told = (
        candidate_log(rows, tasks=(), segments={}, examination=None, complete=True)
        for rows in (frame, frame.assign(shown=shown))
    )
    assert silent.shown.tolist() == [True, True]
    assert told.shown.tolist() == [True, False]
    assert not silent.positions_logged
