import numpy as np

from tasks.datasets.world.absences import ineligible, out_of_stock
from tasks.datasets.world.entities import CANDIDATES, GROUPS, SHELVES, SLOTS
from tasks.datasets.world.feed import draw_requests
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
