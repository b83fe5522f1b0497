from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.datasets.world.catalog import ineligible, out_of_stock
from tasks.datasets.world.entities import CANDIDATES, GROUPS, SHELVES, SLOTS
from tasks.datasets.world.feed import draw_requests, place, propensities
from tests.datasets.world.conftest import Drawn


def test_a_person_asks_at_most_once_a_day(drawn: Drawn) -> None:
    assert len(np.unique(drawn.batch.requests.user)) == len(drawn.batch.requests.user)


def test_who_is_ineligible_does_not_ask(drawn: Drawn) -> None:
    away = ineligible(5, 7, drawn.world.users.count).ids
    assert len(away) > 20
    assert not np.isin(drawn.batch.requests.user, away).any()


def test_requests_are_in_order_of_time_and_within_the_day(drawn: Drawn) -> None:
    at = drawn.batch.requests.at
    assert (np.diff(at) >= 0).all()
    assert at[0] >= 0
    assert at[-1] < 86_400_000_000


def test_the_active_ask_more_often(drawn: Drawn) -> None:
    asked = draw_requests(drawn.world, 3, 5000).user
    assert drawn.world.users.activity[asked].mean() > drawn.world.users.activity.mean() + 0.3


def test_candidates_are_distinct_in_stock_and_of_the_persons_group(drawn: Drawn) -> None:
    item = drawn.batch.item
    assert item.shape[1] == CANDIDATES
    assert (np.diff(np.sort(item, axis=1)) > 0).all()
    assert not np.isin(item, out_of_stock(drawn.world.catalog, 5, 7).ids).any()
    assert np.isin(item, drawn.world.catalog.on_shelf(7)).all()
    assert ((item % SHELVES) % GROUPS == (drawn.batch.requests.user[:, None] + 7) % GROUPS).all()


def test_position_is_only_weakly_tied_to_what_is_likely(drawn: Drawn) -> None:
    logit = np.log(drawn.chance.click / (1 - drawn.chance.click))
    assert -0.15 < np.corrcoef(drawn.shown.position, logit)[0, 1] < 0
    assert drawn.shown.position.max() == SLOTS


def test_what_is_seen_of_an_item_sharpens_with_age(drawn: Drawn) -> None:
    items, seen = drawn.world.catalog, drawn.batch.seen
    shelf = items.on_shelf(7)
    error = np.abs(seen.quality - items.quality.true)[shelf]
    young = seen.age[shelf] < 7
    assert error[young].mean() > 1.5 * error[~young].mean()


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
