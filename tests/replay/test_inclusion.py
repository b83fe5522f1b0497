"""Weights of shown items: over the log's draws they add up to one for every item."""

from itertools import permutations

import numpy as np
import pytest

from tasks.replay.inclusion import contradiction, inclusion_weights, sequential_weights, unsupported_share

LOOKS = np.array([1.0, 0.6])


def test_over_all_orders_that_the_log_may_draw_an_item_weighs_one() -> None:
    """Plackett-Luce over three items of odds 5, 2, 1 and two places: every order, with its probability."""
    odds = np.array([5.0, 2.0, 1.0])
    mean = np.zeros(3)
    for first, second in permutations(range(3), 2):
        p1, p2 = odds[first] / odds.sum(), odds[second] / (odds.sum() - odds[first])
        positions, propensity, looks = np.full(3, np.nan), np.full(3, np.nan), np.zeros(3)
        positions[[first, second]], propensity[[first, second]] = [1.0, 2.0], [p1, p2]
        looks[[first, second]] = LOOKS
        mean += p1 * p2 * sequential_weights(np.zeros(3, dtype=int), positions, propensity, looks)
    assert mean == pytest.approx([1.0, 1.0, 1.0])


def test_rows_may_come_in_any_order() -> None:
    requests = np.array([1, 0, 1, 0])
    positions = np.array([2.0, 1.0, 1.0, 2.0])
    propensity = np.array([0.5, 0.25, 0.25, 0.5])
    looks = LOOKS[positions.astype(int) - 1]
    sorted_rows = np.array([1, 3, 2, 0])
    weights = sequential_weights(requests, positions, propensity, looks)
    again = sequential_weights(
        requests[sorted_rows], positions[sorted_rows], propensity[sorted_rows], looks[sorted_rows]
    )
    assert weights[sorted_rows] == pytest.approx(again)


def test_a_probability_of_being_on_the_page_at_all_is_inverted() -> None:
    shown = np.array([True, True, False])
    assert inclusion_weights(np.array([0.5, 0.0, 0.7]), shown).tolist() == [2.0, 0.0, 0.0]


def test_weights_that_add_up_on_average_are_no_contradiction() -> None:
    rng = np.random.default_rng(0)
    weights = rng.choice([0.0, 2.0], size=4000)
    requests = np.repeat(np.arange(400), 10)
    assert contradiction(requests, weights) == ""
    assert "a request has 13" in contradiction(requests, weights * 1.3)


def test_candidates_that_no_draw_may_take_are_told_apart_from_propensities_that_are_wrong() -> None:
    requests, weights = np.repeat(np.arange(40), 3), np.tile([2.0, 0.0, 0.0], 40)
    assert contradiction(requests, weights).endswith(
        "by them a request has 2 candidates, and 3 are logged; or they hold, and the others could never be drawn"
    )
    assert contradiction(requests, 2 * weights).endswith("a request has 4 candidates, and 3 are logged")


def test_a_look_at_what_is_never_shown_is_not_supported() -> None:
    share, error = unsupported_share(np.array([1.0, 1.0, 1.0, 1.0]), np.array([4.0, 0.0, 0.0, 0.0]))
    assert (share, error > 0) == (0.0, True)
    share, _ = unsupported_share(np.array([1.0, 1.0]), np.array([0.0, 0.0]))
    assert share == 1.0


def test_certain_items_above_the_first_draw_stand_for_themselves_and_the_drawn_for_all_that_were_left() -> (
    None
):
    places, chance = np.array([1.0, 2.0, 3.0, np.nan, np.nan]), np.array([1.0, 1 / 4, 1 / 3, np.nan, np.nan])
    weights = sequential_weights(np.zeros(5, dtype=int), places, chance, np.array([9.0, 1.0, 1.0, 0.0, 0.0]))
    assert weights.tolist() == pytest.approx([1.0, 0.5 * 4 + 0.5, 0.5 * 3, 0.0, 0.0])
    assert weights.sum() == pytest.approx(5.0)


def test_a_certain_item_below_a_draw_was_left_over_by_it() -> None:
    places, chance = np.array([1.0, 2.0]), np.array([0.5, 1.0])
    weights = sequential_weights(np.zeros(2, dtype=int), places, chance, np.ones(2))
    assert weights.tolist() == pytest.approx([1.5, 0.5])
