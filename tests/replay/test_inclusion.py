"""Weights of shown items: over the log's draws they add up to one for every item."""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from benchmarks.covering.own_exploration import SLATE, World, world
from tasks.contracts.metrics import Metric, MetricKind
from tasks.replay.inclusion import (
    inclusion_weights,
    refuse_slot_weights,
    sequential_weights,
    unsupported_share,
)

RATE = Metric(MetricKind.RATE, "click")

LOOKS = np.array([1.0, 0.6])


def test_over_all_orders_that_the_log_may_draw_an_item_weighs_one() -> None:
    """Plackett-Luce over three items of odds 5, 2, 1 and two places: every order, with its probability."""
    odds = np.array([5.0, 2.0, 1.0])
    mean = np.zeros(3)
    for first, second in permutations(range(3), 2):
        p1, p2 = odds[first] / odds.sum(), odds[second] / (odds.sum() - odds[first])
        positions, propensity, examined = np.full(3, np.nan), np.full(3, np.nan), np.zeros(3)
        positions[[first, second]], propensity[[first, second]] = [1.0, 2.0], [p1, p2]
        examined[[first, second]] = LOOKS
        mean += p1 * p2 * sequential_weights(np.zeros(3, dtype=int), positions, propensity, examined)
    assert mean == pytest.approx([1.0, 1.0, 1.0])


def test_rows_may_come_in_any_order() -> None:
    requests = np.array([1, 0, 1, 0])
    positions = np.array([2.0, 1.0, 1.0, 2.0])
    propensity = np.array([0.5, 0.25, 0.25, 0.5])
    examined = LOOKS[positions.astype(int) - 1]
    sorted_rows = np.array([1, 3, 2, 0])
    weights = sequential_weights(requests, positions, propensity, examined)
    again = sequential_weights(
        requests[sorted_rows], positions[sorted_rows], propensity[sorted_rows], examined[sorted_rows]
    )
    assert weights[sorted_rows] == pytest.approx(again)


def test_a_probability_of_being_on_the_page_at_all_is_inverted() -> None:
    shown = np.array([True, True, False])
    assert inclusion_weights(np.array([0.5, 0.0, 0.7]), shown).tolist() == [2.0, 0.0, 0.0]


def test_weights_of_slots_that_are_one_on_average_are_no_reason_to_doubt() -> None:
    rng = np.random.default_rng(0)
    weights, examined = rng.choice([0.0, 2.0], size=4000), np.ones(4000)
    requests = np.repeat(np.arange(400), 10)
    assert refuse_slot_weights(requests, examined, weights) == ""
    assert "the mean weight is 1.32" in refuse_slot_weights(requests, examined, weights * 1.3)


def test_slots_that_the_log_can_never_fill_are_no_evidence_against_its_propensities() -> None:
    """A slot in ten holds what a constraint keeps out, marked so; of the others half are shown, at 1/2."""
    requests, examined = np.repeat(np.arange(400), 10), np.ones(4000)
    possible = np.arange(4000) % 10 > 0
    weights = np.where(possible, np.tile([2.0, 0.0], 2000), 0.0)
    weights[possible] = np.random.default_rng(1).choice([0.0, 2.0], size=3600)
    assert refuse_slot_weights(requests, examined, weights, possible).startswith(
        "10% of its exposure falls on items that"
    )
    assert refuse_slot_weights(requests, np.where(possible, examined, 0.0), weights, possible) == ""
    too_large = refuse_slot_weights(requests, examined, weights / 1.3, possible)
    assert "are wrong: the mean weight is 0.7" in too_large


def test_where_nothing_is_marked_a_shortfall_is_judged_by_its_size() -> None:
    requests, examined = np.repeat(np.arange(400), 25), np.ones(10000)
    weights = np.where(np.arange(10000) % 25 > 0, 1.0, 0.0)
    assert refuse_slot_weights(requests, examined, weights) == ""
    assert refuse_slot_weights(requests, examined, weights / 1.3).endswith(
        ", unless the logged propensities are wrong"
    )


@pytest.mark.parametrize("marked", [True, False])
def test_a_policy_with_few_drawn_slots_is_not_doubted_because_none_of_them_was_shown(*, marked: bool) -> None:
    """800 requests of a certain item and of fifty that one slot was drawn from; a hundred slots hold one of these."""
    weights = np.tile(np.r_[1.0, 50.0, np.zeros(49)], (800, 1))
    examined = np.zeros((800, 51))
    examined[:, 0] = 1.0
    examined[:100, 0], examined[:100, 40] = 0.0, 1.0
    possible = np.ones(weights.size, dtype=bool) if marked else None
    requests = np.repeat(np.arange(800), 51)
    assert refuse_slot_weights(requests, examined.ravel(), weights.ravel(), possible) == ""
    never = np.where(weights == 50.0, 0.0, weights).ravel()
    assert refuse_slot_weights(requests, examined.ravel(), never, possible) != ""


def test_looks_on_positions_where_no_label_is_known_are_not_supported() -> None:
    examined, weights = np.array([1.0, 1.0, 2.0]), np.array([2.0, 1.0, 1.0])
    unseen = np.array([False, False, True])
    assert unsupported_share(examined, weights, np.ones(3, dtype=bool), unseen)[0] == 0.5


@pytest.fixture(scope="module")
def own() -> World:
    return world(0)


CHANGED: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "x 1.3, at most 1": lambda log: log.assign(propensity=np.minimum(1.3 * log["propensity"], 1.0)),
    "x .77 where drawn": lambda log: log.assign(
        propensity=log["propensity"].where(log["propensity"] == 1, 0.77 * log["propensity"])
    ),
    "x 1.3": lambda log: log.assign(propensity=1.3 * log["propensity"]),
    "x .77": lambda log: log.assign(propensity=0.77 * log["propensity"]),
    "x 1.3 without marks": lambda log: log.assign(propensity=1.3 * log["propensity"]).drop(
        columns="drawable"
    ),
}


@pytest.mark.parametrize("marked", [True, False])
def test_a_log_that_a_release_wrote_under_constraints_and_caps_is_accepted(
    own: World, *, marked: bool
) -> None:
    """Thirty candidates of which some can never be drawn: "a request has 10.4 candidates, and 40 are logged"."""
    replay = own.measure(own.log if marked else own.log.drop(columns="drawable"))
    assert replay.log.inclusion is not None
    assert replay.log.inclusion.sum() < 0.9 * len(own.log)
    assert replay.caveat(RATE, own.release, own.champion) == ""


def test_days_before_anything_was_drawn_or_marked_leave_slots_unsupported(own: World) -> None:
    """Half of the requests served by the ranker alone, with propensities of 1 and no marks."""
    before = own.log["request_id"] < 400
    certain = own.log["propensity"].where(~before | own.log["propensity"].isna(), 1.0)
    marks = own.log["drawable"].astype("boolean").mask(before)
    replay = own.measure(own.log.assign(propensity=certain, drawable=marks))
    assert "of its exposure falls on items" in replay.caveat(RATE, own.release, own.champion)


def test_what_one_draw_closes_for_the_next_is_no_evidence_against_propensities() -> None:
    """One of a category, and two drawn slots: after the first draw its category can no longer be drawn."""
    explores = SLATE.exploration.model_copy(update={"slots": 2}) if SLATE.exploration else None
    slate = SLATE.model_copy(update={"max_per": {"category": 1}, "exploration": explores})
    twice = world(0, requests=2000, slate=slate)
    replay = twice.measure()
    assert replay.log.possible is None
    assert replay.caveat(RATE, twice.champion, twice.champion) == ""


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_the_same_log_with_other_propensities_is_refused(
    own: World, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    assert "the logged propensities are wrong" in own.measure(change(own.log)).caveat(
        RATE, own.release, own.champion
    )


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
