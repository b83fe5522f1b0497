"""What the world's arrays say of a day: which item stands on a shelf, how old it is, what the feed knows.

A drift changes what it names, from its day on, and nothing else.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.contracts import load_surface
from tasks.datasets.world import entities as v
from tasks.datasets.world.catalog import draw_catalog
from tasks.datasets.world.entities import (
    SHELF_DAYS,
    SHELVES,
    Catalog,
    Drift,
    Requests,
    Seen,
    Stream,
    Trait,
    generator,
)
from tasks.datasets.world.loop import ClosedLoop, LoopDay

SURFACES = Path(__file__).parents[3] / "surfaces"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return draw_catalog(2, 130)


def test_the_days_on_the_shelf_are_negative_before_an_item_came(catalog: Catalog) -> None:
    three = replace(catalog, born=np.array([-4, 7, 10], dtype=np.int32))
    assert three.age(7).tolist() == [11, 0, -3]


def test_an_item_leaves_its_shelf_to_the_next_generation_after_its_shelf_life(catalog: Catalog) -> None:
    last_day = int(catalog.born[0]) + SHELF_DAYS - 1
    assert catalog.on_shelf(last_day)[0] == 0
    assert catalog.on_shelf(last_day + 1)[0] == SHELVES


def test_a_part_of_the_requests_is_half_open() -> None:
    requests = Requests(
        user=np.array([5, 6, 7]),
        at=np.array([10, 20, 30]),
        checkout=np.array([True, False, True]),
        device=np.array([0, 1, 2], dtype=np.int8),
    )
    part = requests.part(1, 3)
    assert part.user.tolist() == [6, 7]
    assert part.at.tolist() == [20, 30]
    assert part.checkout.tolist() == [False, True]
    assert part.device.tolist() == [1, 2]


def test_the_feeds_error_about_an_item_is_half_after_thirty_days_on_the_shelf(catalog: Catalog) -> None:
    """The error is 1.5 x sqrt(10 / (10 + days)) of the drawn one: 1.5 on the first day, 0.75 after 30 days."""
    truth, drawn = np.zeros(3, dtype=np.float32), np.ones(3, dtype=np.float32)
    three = replace(catalog, born=np.array([40, 10, 50], dtype=np.int32), bait=Trait(truth, drawn))
    exact = Trait(truth, truth)
    seen = Seen.on(replace(three, appeal=exact, quality=exact, misfit=exact), 40)
    assert seen.age.tolist() == [0, 30, -10]
    np.testing.assert_allclose(seen.bait, [1.5, 0.75, 1.5])
    assert seen.quality.tolist() == [0.0, 0.0, 0.0]


def test_an_item_becomes_more_popular_the_longer_it_is_there(catalog: Catalog) -> None:
    none = Trait(np.zeros(2, dtype=np.float32), np.zeros(2, dtype=np.float32))
    born = np.array([40, 30], dtype=np.int32)
    two = replace(catalog, born=born, appeal=none, bait=none, quality=none, misfit=none)
    popularity = Seen.on(two, 40).popularity
    np.testing.assert_allclose(popularity, [np.exp(2), np.exp(2 + np.log(11) / 2.4)], rtol=1e-5)


def test_the_curve_has_a_probability_for_every_slot_and_only_falls() -> None:
    assert len(v.EXAMINATION) == v.SLOTS
    assert v.EXAMINATION[0] == 1.0
    assert list(v.EXAMINATION) == sorted(v.EXAMINATION, reverse=True)


def test_the_surface_declares_the_curve_of_the_world() -> None:
    declared = load_surface(SURFACES, "home_feed").surface.examination_curve
    assert declared == v.EXAMINATION


def test_every_source_has_its_code() -> None:
    codes = (v.PERSONAL, v.TRENDING, v.FOLLOWING, v.FRESH, v.SPONSORED, v.EXPLORE)
    assert [v.SOURCES[code] for code in codes] == list(v.SOURCES)


def test_codes_that_mean_no_region_are_no_region() -> None:
    assert {v.EVERYWHERE, v.PERMIT_UNKNOWN}.isdisjoint(range(len(v.REGIONS)))


def draw(seed: int, stream: Stream, *key: int) -> list[float]:
    return generator(seed, stream, *key).random(3).tolist()


def test_a_stream_is_the_same_for_the_same_seed_kind_and_key() -> None:
    assert draw(7, Stream.FEED, 3, 0) == draw(7, Stream.FEED, 3, 0)


def test_another_seed_kind_or_key_is_another_stream() -> None:
    first = draw(7, Stream.FEED, 3, 0)
    others = [draw(8, Stream.FEED, 3, 0), draw(7, Stream.ITEMS, 3, 0), draw(7, Stream.FEED, 3, 1)]
    assert all(other != first for other in others)


def test_streams_of_neighbouring_days_are_uncorrelated() -> None:
    left, right = (generator(7, Stream.REQUESTS, day).random(10_000) for day in (1, 2))
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.04


DAY = 2
FEED = {Drift.PRICE: {"price"}, Drift.BROKEN_FEATURE: {"user_category_affinity"}}
"""The logged columns that a drift changes."""


def days_with(drift: Drift | None) -> list[LoopDay]:
    loop = ClosedLoop(seed=4, requests_per_day=300, days=DAY + 1, drifts={drift: DAY} if drift else {})
    return [loop.play() for _ in range(DAY + 1)]


@pytest.fixture(scope="module")
def undisturbed() -> list[LoopDay]:
    return days_with(None)


def logged(day: LoopDay) -> pa.Table:
    """Return what is logged of every candidate before anything comes of it."""
    return day.tables["candidates"].drop_columns(["visible"])


@pytest.mark.parametrize("drift", list(Drift))
def test_a_drift_changes_what_it_names_from_its_day_on(drift: Drift, undisturbed: list[LoopDay]) -> None:
    drifted = days_with(drift)
    for day in range(DAY):
        assert drifted[day].tables == undisturbed[day].tables
    before, after = logged(undisturbed[DAY]), logged(drifted[DAY])
    changed = {name for name in before.column_names if not before[name].equals(after[name])}
    assert changed == FEED.get(drift, set())


def test_dear_items_are_bought_less(undisturbed: list[LoopDay]) -> None:
    dear = days_with(Drift.PRICE)[DAY].truth["purchase_7d"]
    assert dear.mean() < 0.9 * undisturbed[DAY].truth["purchase_7d"].mean()


def test_a_season_moves_clicks_by_category(undisturbed: list[LoopDay]) -> None:
    category = logged(undisturbed[DAY])["category"].to_numpy()
    ratio = days_with(Drift.SEASON)[DAY].truth["click_30m"] / undisturbed[DAY].truth["click_30m"]
    assert ratio[category == "garden"].mean() > 1.3
    assert ratio[category == "books"].mean() < 0.9
    assert np.allclose(ratio[category == "toys"], 1)


def test_the_items_of_a_spam_creator_are_hidden(undisturbed: list[LoopDay]) -> None:
    spam = logged(undisturbed[DAY])["creator"].to_numpy() == "c000"
    assert 0.02 < spam.mean() < 0.1
    ratio = days_with(Drift.SPAM_CREATOR)[DAY].truth["hide_7d"] / undisturbed[DAY].truth["hide_7d"]
    assert ratio[spam].mean() > 4
    assert np.allclose(ratio[~spam], 1)


def test_a_broken_feature_and_later_events_leave_the_truth_as_it_is(undisturbed: list[LoopDay]) -> None:
    for drift in (Drift.BROKEN_FEATURE, Drift.DELAY_CHANGE):
        day = days_with(drift)[DAY]
        assert all((day.truth[task] == values).all() for task, values in undisturbed[DAY].truth.items())


def test_a_broken_feature_is_constant(undisturbed: list[LoopDay]) -> None:
    broken = logged(days_with(Drift.BROKEN_FEATURE)[DAY])["user_category_affinity"].to_numpy()
    assert (broken == 0).all()
    assert logged(undisturbed[DAY])["user_category_affinity"].to_numpy().std() > 0.5


def test_a_change_of_delays_makes_events_late(undisturbed: list[LoopDay]) -> None:
    late = days_with(Drift.DELAY_CHANGE)[DAY]
    ours, theirs = (
        next(kind for kind in day.outcomes.events if kind.event == "add_to_cart")
        for day in (late, undisturbed[DAY])
    )
    both, place, again = np.intersect1d(ours.row, theirs.row, return_indices=True)
    assert len(both) > 10
    assert (np.take(ours.at, place) > np.take(theirs.at, again)).all()


def test_a_drift_that_ends_leaves_the_feed_as_it_would_have_been() -> None:
    loop = ClosedLoop(seed=4, requests_per_day=60, days=3, drifts={Drift.BROKEN_FEATURE: 0})
    broken = loop.play()
    loop.end(Drift.BROKEN_FEATURE)
    affinity = [
        day.tables["candidates"]["user_category_affinity"].to_numpy() for day in (broken, loop.play())
    ]
    assert not affinity[0].any()
    assert affinity[1].any()
