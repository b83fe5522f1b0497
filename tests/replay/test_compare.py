import math

import pandas as pd
import pytest

from tasks.errors import DataError
from tasks.replay.shadow import compare

PAIRS = 10
"""Times that two requests come, each from users of its own: fewer than twenty users have no interval."""


def _scored(utilities: list[float], *, length: int = 2) -> pd.DataFrame:
    """Requests of three candidates, two by two; the ``length`` highest utilities of each are its slate."""
    requests = [f"{request}{i}" for i in range(PAIRS) for request in "aaabbb"]
    frame = pd.DataFrame(
        {"request_id": requests, "item_id": ["1", "2", "3"] * 2 * PAIRS, "utility": utilities * PAIRS}
    )
    place = frame.groupby("request_id")["utility"].rank(ascending=False)
    return frame.assign(slate_position=place.where(place <= length).astype("Int64"))


USERS = pd.Series([f"{user}{i}" for i in range(PAIRS) for user in "uuuvvv"])
CHAMPION = _scored([3.0, 2.0, 1.0, 3.0, 2.0, 1.0])


def test_a_release_beside_itself_differs_in_nothing() -> None:
    same = compare(CHAMPION, CHAMPION, USERS)
    assert (same.overlap_at_k.value, same.rank_correlation.value, same.score_shift.value) == (1.0, 1.0, 0.0)


def test_a_difference_of_nothing_is_known_and_not_unknown() -> None:
    shift = compare(CHAMPION, CHAMPION, USERS).score_shift
    assert (shift.low, shift.high) == (0.0, 0.0)


def test_slates_that_share_nothing_are_known_to_share_nothing() -> None:
    first, last = (_scored(u * 2, length=1) for u in ([3.0, 2.0, 1.0], [1.0, 2.0, 3.0]))
    overlap = compare(last, first, USERS).overlap_at_k
    assert (overlap.value, overlap.low, overlap.high) == (0.0, 0.0, 0.0)


def test_overlap_is_the_share_of_slots_that_both_fill_alike() -> None:
    # request a keeps 1 of 2 slots, request b both
    other = _scored([3.0, 0.0, 1.0, 3.0, 2.0, 1.0])
    assert compare(other, CHAMPION, USERS).overlap_at_k.value == pytest.approx(0.75)


def test_a_reversed_order_correlates_with_minus_one() -> None:
    reversed_order = _scored([1.0, 2.0, 3.0, 1.0, 2.0, 3.0])
    assert compare(reversed_order, CHAMPION, USERS).rank_correlation.value == pytest.approx(-1.0)


def test_the_score_shift_is_in_standard_deviations_of_the_champion() -> None:
    shifted = _scored([u + 1 for u in (3.0, 2.0, 1.0, 3.0, 2.0, 1.0)])
    spread = math.sqrt(2 / 3)
    assert compare(shifted, CHAMPION, USERS).score_shift.value == pytest.approx(1 / spread)


def test_a_shift_whose_interval_holds_zero_begins_at_zero() -> None:
    mixed = _scored([4.0, 3.0, 2.0, 2.0, 1.0, 0.0])
    shift = compare(mixed, CHAMPION, USERS).score_shift
    assert shift.low == 0.0
    assert shift.high > 0.0


def test_nineteen_users_inconclusive() -> None:
    few = compare(CHAMPION, CHAMPION, USERS.replace({"u0": "v0"}))
    assert few.overlap_at_k.n == 19
    assert math.isnan(few.overlap_at_k.low)


def test_other_candidates_are_refused() -> None:
    with pytest.raises(DataError, match="different candidates"):
        compare(CHAMPION, CHAMPION.iloc[::-1], USERS)
