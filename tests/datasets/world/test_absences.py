import numpy as np

from tasks.datasets.world.absences import Absences, absent, ineligible, out_of_stock
from tasks.datasets.world.catalog import draw_catalog


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
