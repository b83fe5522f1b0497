"""A drift changes what it names, from its day on, and nothing else."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.datasets.world.drifts import Drift
from tasks.datasets.world.loop import ClosedLoop, LoopDay

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
