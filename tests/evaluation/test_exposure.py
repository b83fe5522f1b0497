"""Exposure by hand: five slots of two requests."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import DataError
from tasks.evaluation.exposure import coverage, entropy, exposure, gini, share, share_terms

SOURCE = ["ads", "feed", "feed", "ads", "live"]
SEEN = [1.0, 0.6, 0.4, 1.0, 1.0]


def test_shares_count_slots_by_their_examination() -> None:
    found = exposure(SOURCE, SEEN)
    assert found.values.tolist() == ["ads", "feed", "live"]
    assert found.shares.tolist() == pytest.approx([0.5, 0.25, 0.25])
    assert share(SOURCE, SEEN, "ads") == 0.5


def test_the_terms_of_a_share_divide_to_it() -> None:
    above, below = share_terms(SOURCE, SEEN, "live")
    assert above.sum() / below.sum() == 0.25


def test_what_was_available_and_not_shown_has_a_share_of_nothing() -> None:
    found = exposure(SOURCE, SEEN, available=["ads", "news", "mail"])
    assert found.values.tolist() == ["ads", "feed", "live", "news", "mail"]
    assert found.shares[3:].tolist() == [0.0, 0.0]
    assert found.gini > exposure(SOURCE, SEEN).gini
    assert found.entropy == pytest.approx(exposure(SOURCE, SEEN).entropy)


def test_entropy_and_gini_of_equal_and_of_single_values() -> None:
    assert entropy(np.ones(4)) == pytest.approx(np.log(4))
    assert gini(np.ones(4)) == 0.0
    assert entropy(np.array([5.0, 0.0])) == 0.0
    assert gini(np.array([0.0, 0.0, 0.0, 1.0])) == 0.75


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=20))
def test_gini_is_half_the_relative_mean_difference(exposures: list[float]) -> None:
    x = np.array(exposures)
    assert gini(x) == pytest.approx(np.abs(x[:, None] - x).mean() / (2 * x.mean()), abs=1e-9)


def test_no_slot_is_no_figure() -> None:
    nothing = exposure([], [], available=["ads"])
    assert np.isnan([nothing.entropy, nothing.gini, share([], [], "ads"), coverage([], [])]).all()


def test_coverage_counts_items_once() -> None:
    assert coverage([1, 1, 2], [1, 2, 3, 4, 4]) == 0.5


def test_a_negative_examination_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 examinations"):
        exposure(["ads", "feed"], [1.0, -0.1])
