"""Weights of shown items: over the log's draws they add up to one for every item.

What a chain of tasks led to, and how what is known stands for what is not.
"""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.covering.own_exploration import SLATE, World, world
from tasks.contracts.metrics import Metric, MetricKind
from tasks.replay.inclusion import (
    inclusion_weights,
    joint_outcome,
    refuse_slot_weights,
    sequential_weights,
    unsupported_share,
)
from tests.known import known

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
    assert known(replay.log.inclusion).sum() < 0.9 * len(own.log)
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


NAN = np.nan
SHOWN = np.ones(6, dtype=bool)


def test_who_did_not_buy_did_not_return_and_who_did_stands_for_others_who_did() -> None:
    bought = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    returned = np.array([NAN, NAN, NAN, 1.0, 0.0, NAN])
    outcome = joint_outcome({"buy": bought, "back": returned}, ["buy", "back"], shown=SHOWN)
    assert outcome.value.tolist() == [0, 0, 0, 1, 0, 0]
    assert outcome.weight == pytest.approx([1, 1, 1, 1.5, 1.5, 0])


def test_a_child_that_is_not_mature_is_unknown_even_where_its_parent_is_zero() -> None:
    """Else only the zeros of a slow outcome would be known, and its rate would read 0."""
    labels = {"buy": np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0]), "back": np.full(6, NAN)}
    outcome = joint_outcome(labels, ["buy", "back"], shown=SHOWN, immature=SHOWN)
    assert not outcome.known.any()


def test_an_answer_needs_a_look_so_answers_from_low_places_stand_for_more() -> None:
    answered = np.array([1.0, NAN, 0.0, NAN, NAN, NAN])
    examined = np.array([1.0, 1.0, 0.5, 0.5, 0.5, 0.5])
    outcome = joint_outcome({"happy": answered}, ["happy"], shown=SHOWN, answered_at=examined)
    # 2 answers of 4 looks: an answer has the probability looks / 2
    assert outcome.weight == pytest.approx([2, 0, 4, 0, 0, 0])
    assert not outcome.by_examination


def test_known_labels_stand_for_unknown_ones_at_their_own_position() -> None:
    """Of the first place all 60 labels are known, of the second 15 of 60: one share would be 75 of 120."""
    label = np.r_[np.zeros(60), np.ones(15), np.full(45, NAN)]
    places = np.repeat([1.0, 2.0], 60)
    outcome = joint_outcome({"click": label}, ["click"], shown=np.ones(120, dtype=bool), positions=places)
    assert outcome.weight == pytest.approx(np.r_[np.ones(60), np.full(15, 4.0), np.zeros(45)])
    assert outcome.unseen is None


def test_every_link_of_a_chain_has_its_own_share_at_a_position() -> None:
    """Returns are known of every sale from the first place, and of 30 of 60 from the second."""
    bought = np.r_[np.tile([1.0, 0.0], 60), np.tile([1.0, 0.0], 60)]
    returned = np.where(bought == 1, 0.0, NAN)
    returned[120 + 2 * np.arange(30)] = NAN
    places = np.repeat([1.0, 2.0], 120)
    labels = {"buy": bought, "back": returned}
    outcome = joint_outcome(labels, ["buy", "back"], shown=np.ones(240, dtype=bool), positions=places)
    sold = bought == 1
    assert outcome.weight[sold & (places == 1)] == pytest.approx(np.ones(60))
    assert outcome.weight[sold & (places == 2)] == pytest.approx(np.repeat([0.0, 2.0], 30))
    assert outcome.weight[~sold] == pytest.approx(np.ones(120))


def test_neighbouring_positions_are_pooled_until_fifty_rows_tell_their_share() -> None:
    """60, 30 and 30, then 10 at the end, which join the pool above them; and no position at all is one."""
    places = np.repeat([1.0, 2.0, 3.0, 4.0], [60, 30, 30, 10])
    label = np.where(np.arange(130) % 2 == 0, 0.0, NAN)
    label[:60] = 0.0
    label[60:75] = 0.0
    outcome = joint_outcome({"click": label}, ["click"], shown=np.ones(130, dtype=bool), positions=places)
    known = np.isfinite(label)
    below = np.arange(130) >= 60
    assert outcome.weight[known & ~below] == pytest.approx(np.ones(60))
    assert outcome.weight[known & below] == pytest.approx(
        np.full((known & below).sum(), 70 / known[60:].sum())
    )
    unplaced = joint_outcome({"click": label}, ["click"], shown=np.ones(130, dtype=bool))
    assert unplaced.weight[known] == pytest.approx(np.full(known.sum(), 130 / known.sum()))


def test_a_position_where_hardly_any_label_is_known_is_unseen() -> None:
    """Of 100 labels 3 are known: not used, since each would stand for 33 others."""
    label = np.r_[np.zeros(100), np.ones(3), np.full(97, NAN)]
    places = np.repeat([1.0, 2.0], 100)
    outcome = joint_outcome({"click": label}, ["click"], shown=np.ones(200, dtype=bool), positions=places)
    assert known(outcome.unseen).tolist() == (places == 2).tolist()
    assert outcome.known.tolist() == (places == 1).tolist()


def test_answers_may_be_few_everywhere_and_unseen_is_where_they_are_few_beside_the_best_place() -> None:
    """2 in 100 answer at the first place, 1 in 100 at the second, none of 100 at the third."""
    answer = np.full(300, NAN)
    answer[[0, 1, 100]] = 1.0
    places, examined = np.repeat([1.0, 2.0, 3.0], 100), np.repeat([1.0, 0.9, 0.8], 100)
    shown = np.ones(300, dtype=bool)
    made = joint_outcome({"happy": answer}, ["happy"], shown=shown, positions=places, answered_at=examined)
    assert made.weight[[0, 1, 100]] == pytest.approx([50, 50, 100])
    assert known(made.unseen).tolist() == (places == 3).tolist()


@given(st.lists(st.sampled_from([0.0, 1.0, None]), min_size=3, max_size=40))
def test_the_known_rows_stand_for_all_shown_rows(labels: list[float | None]) -> None:
    column = np.array([NAN if y is None else y for y in labels])
    shown = np.arange(len(labels)) % 3 != 0
    outcome = joint_outcome({"click": column}, ["click"], shown=shown)
    known = shown & np.isfinite(column)
    assert outcome.known.tolist() == known.tolist()
    if known.any():
        assert outcome.weight.sum() == pytest.approx(shown.sum())
