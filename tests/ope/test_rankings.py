"""Weights of a policy that always shows one ranking: by hand, and their mean over every draw of a logger."""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ope.rankings import LoggedPlaces, place_weights, prefix_weights

Weights = Callable[[LoggedPlaces, npt.NDArray[np.int64]], npt.NDArray[np.float64]]
WEIGHTS = (prefix_weights, place_weights)
RANKING = np.array([2, 3, 1, 0])
"""Slots of four candidates: the third comes first, the last is left out."""


def every_draw(scores: list[float], places: int) -> list[tuple[float, LoggedPlaces]]:
    """Return each page that a logger may draw one by one, with its chance."""
    drawn = []
    for order in permutations(range(len(scores)), places):
        left, position = list(range(len(scores))), np.full(len(scores), np.nan)
        propensity = np.full(len(scores), np.nan)
        for place, item in enumerate(order, start=1):
            position[item] = place
            propensity[item] = scores[item] / sum(scores[one] for one in left)
            left.remove(item)
        page = LoggedPlaces(np.zeros(len(scores), dtype=np.intp), position, propensity)
        drawn.append((float(np.nanprod(propensity)), page))
    return drawn


@pytest.mark.parametrize("weights", WEIGHTS)
@given(scores=st.lists(st.floats(0.2, 5.0), min_size=4, max_size=4))
def test_over_all_draws_each_slot_has_a_weight_of_one(weights: Weights, scores: list[float]) -> None:
    mean = np.sum([chance * weights(page, RANKING) for chance, page in every_draw(scores, 3)], axis=0)
    assert mean == pytest.approx([1.0, 1.0, 1.0, 0.0])


def test_an_outcome_of_item_and_place_is_told_without_bias_by_both() -> None:
    """What a look leads to is the item's; each place is looked at by its share."""
    scores, likes, looks = [1.0, 2.0, 4.0, 0.5], np.array([0.1, 0.3, 0.2, 0.9]), np.array([1.0, 0.6, 0.3])
    slots = RANKING > 0
    true = (looks[RANKING[slots] - 1] * likes[slots]).sum()
    for weights in WEIGHTS:
        found = 0.0
        for chance, page in every_draw(scores, 3):
            shown = np.isfinite(page.positions) & slots
            seen = likes[shown]  # an outcome over the examination of the place where it was logged
            found += chance * (weights(page, RANKING)[shown] * looks[RANKING[shown] - 1] * seen).sum()
        assert found == pytest.approx(true)


def test_agreement_from_the_top_ends_with_the_first_other_item() -> None:
    page = LoggedPlaces(np.zeros(4, dtype=np.intp), np.array([1.0, 3.0, 2.0, 4.0]), np.full(4, 0.5))
    assert prefix_weights(page, np.array([1, 2, 3, 4])).tolist() == [2.0, 0.0, 0.0, 0.0]
    assert place_weights(page, np.array([1, 2, 3, 4])).tolist() == [2.0, 0.0, 1.0, 2.0]


def test_a_place_that_is_missing_above_ends_agreement_too() -> None:
    page = LoggedPlaces(np.zeros(2, dtype=np.intp), np.array([1.0, 3.0]), np.full(2, 0.5))
    assert prefix_weights(page, np.array([1, 3])).tolist() == [2.0, 0.0]


def test_requests_are_told_apart_in_any_order_of_rows() -> None:
    requests, position = np.array([1, 0, 1, 0]), np.array([2.0, 1.0, 1.0, 2.0])
    page = LoggedPlaces(requests, position, np.array([0.5, 0.25, 0.2, 1.0]))
    assert prefix_weights(page, np.array([2, 1, 1, 2])) == pytest.approx([10.0, 4.0, 5.0, 4.0])


@pytest.mark.parametrize("weights", WEIGHTS)
def test_without_rows_there_is_no_weight(weights: Weights) -> None:
    nothing = LoggedPlaces(np.zeros(0, dtype=np.intp), np.zeros(0), np.zeros(0))
    assert len(weights(nothing, np.zeros(0, dtype=np.int64))) == 0


def test_weights_too_large_for_a_float_are_infinite_and_not_an_error() -> None:
    page = LoggedPlaces(np.zeros(3, dtype=np.intp), np.array([1.0, 2.0, 3.0]), np.full(3, 1e-200))
    assert np.isinf(prefix_weights(page, np.array([1, 2, 3]))[2])
