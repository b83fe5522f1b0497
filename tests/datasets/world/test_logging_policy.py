from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.datasets.world.logging_policy import place, propensities


def test_the_first_position_is_a_softmax_of_the_scores() -> None:
    scores = np.array([0.0, 1.0, 2.0])
    first = [propensities(np.roll(scores, -i)[None])[0, 0] for i in range(3)]
    assert first == pytest.approx(np.exp(scores) / np.exp(scores).sum())


def test_the_last_of_all_candidates_is_certain() -> None:
    assert propensities(np.array([[0.3, -1.0, 2.0]]))[0, -1] == pytest.approx(1)


@given(st.lists(st.floats(-4, 4), min_size=4, max_size=4))
def test_the_orders_of_a_request_have_probabilities_that_add_up_to_one(scores: list[float]) -> None:
    orders = np.array(list(permutations(scores)))
    assert propensities(orders).prod(axis=1).sum() == pytest.approx(1)


def test_each_position_is_filled_as_often_as_its_propensity_says() -> None:
    scores, draws = np.array([0.0, 0.7, -0.5, 1.2]), 40_000
    placed = place(np.tile(scores, (draws, 1)), 2, np.random.default_rng(3))
    for first in range(4):
        leads = placed.order[:, 0] == first
        p = placed.propensity[leads, 0][0]
        assert abs(leads.mean() - p) < 4 * np.sqrt(p * (1 - p) / draws)
        for second in set(range(4)) - {first}:
            follows = leads & (placed.order[:, 1] == second)
            p = placed.propensity[follows, 1][0]
            assert abs(follows.sum() / leads.sum() - p) < 4 * np.sqrt(p * (1 - p) / leads.sum())


def test_nobody_is_placed_twice() -> None:
    placed = place(np.random.default_rng(0).normal(size=(50, 6)), 6, np.random.default_rng(1))
    assert (np.sort(placed.order, axis=1) == np.arange(6)).all()
