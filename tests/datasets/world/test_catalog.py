import numpy as np
import pytest

from tasks.datasets.world.catalog import (
    SEEN_NOISE,
    Absences,
    absent,
    draw_catalog,
    draw_users,
    ineligible,
    out_of_stock,
)
from tasks.datasets.world.entities import GROUPS, SHELF_DAYS, SHELVES, TENURES


def test_every_shelf_holds_one_item_of_every_age() -> None:
    catalog = draw_catalog(2, 130)
    for day in (0, 119, 129):
        ages = catalog.age(day)[catalog.on_shelf(day)]
        assert ages.min() == 0
        assert ages.max() == SHELF_DAYS - 1


def test_a_shelf_changes_its_item_once_in_a_shelf_life() -> None:
    catalog = draw_catalog(2, 250)
    changes = sum(catalog.on_shelf(d) != catalog.on_shelf(d - 1) for d in range(1, SHELF_DAYS + 1))
    assert (changes == 1).all()


def test_more_days_only_add_items() -> None:
    short, long = draw_catalog(2, 20), draw_catalog(2, 300)
    n = len(short.price)
    assert n < len(long.price)
    assert (short.price == long.price[:n]).all()
    assert (short.bait.seen == long.bait.seen[:n]).all()


def test_a_person_is_offered_a_group_once_in_its_turn() -> None:
    offered = {(17 + day) % GROUPS for day in range(GROUPS)}
    assert len(offered) == GROUPS
    assert SHELVES % GROUPS == 0


def test_what_the_feed_sees_of_an_item_is_near_what_it_is() -> None:
    bait = draw_catalog(2, 1).bait
    assert np.corrcoef(bait.true, bait.seen)[0, 1] > 0.95


def test_what_the_feed_sees_of_a_person_is_off_by_its_noise_alone() -> None:
    taste = draw_users(1, 5000).taste
    assert taste.true.shape == (5000, 8)
    assert (taste.seen - taste.true).std() == pytest.approx(SEEN_NOISE, rel=0.05)


def test_the_loyal_are_the_most_active_and_the_new_the_least() -> None:
    users = draw_users(1, 20_000)
    by_tenure = [users.activity[users.tenure == i].mean() for i in range(len(TENURES))]
    assert by_tenure == sorted(by_tenure)
    assert np.bincount(users.tenure).min() > 4000


def test_an_absence_begins_at_its_time_and_ends_at_midnight() -> None:
    days = {3: Absences(ids=np.array([7, 9]), since=np.array([100, 500]))}
    ids = np.array([7, 7, 7, 9, 8])
    day = np.array([3, 3, 4, 3, 3])
    time = np.array([99, 100, 200, 499, 900])
    assert absent(ids, day, time, days).tolist() == [False, True, False, False, False]


def test_a_day_without_absences_prevents_nothing() -> None:
    none = Absences(np.array([], dtype=int), np.array([], dtype=int))
    assert not absent(np.array([1]), np.array([0]), np.array([5]), {0: none}).any()


def test_only_items_on_the_shelf_run_out() -> None:
    catalog = draw_catalog(1, 130)
    stock = out_of_stock(catalog, 1, 121)
    assert len(stock.ids) > 10
    assert np.isin(stock.ids, catalog.on_shelf(121)).all()
    assert (np.diff(stock.ids) > 0).all()


def test_days_have_absences_of_their_own() -> None:
    assert ineligible(1, 4, 5000).ids.tolist() != ineligible(1, 5, 5000).ids.tolist()
