"""A search of weights on problems whose answer is known; killed, it goes on as if nothing had happened.

What it finds on one half of the users is measured on the other, which chose nothing.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts.base import canonical
from tasks.contracts.utility import Bounded
from tasks.evaluation.evidence import Measured
from tasks.tuning.evidence import Ending
from tasks.tuning.goal import GoalBound, WeightFigures, WeightGoal, Weights
from tasks.tuning.search import (
    Chosen,
    WeightSearchResult,
    WeightSpace,
    WeightTrial,
    best_trial,
    front_trials,
    restore_bounds,
    restore_weights,
    search_weights,
    tune_weights,
)
from tests.known import known
from tests.tuning.weight_feeds import CLICKS, SPACE, at_random, policy, replayed, weighted

BUY = {"weight": 20.0, "times": {"column": "margin", "cap": 50}, "why": "it earns"}
SIGNED = policy(click=0.4, buy=BUY, hide=-3.0)
SIGNED_SPACE = WeightSpace.of(SIGNED, {"hide": (-20.0, 0.0), "buy": (10.0, 40.0)})


def test_an_end_of_zero_stands_for_a_thousandth_of_the_other() -> None:
    assert SIGNED_SPACE.sizes == {"buy": (10.0, 40.0), "hide": (0.02, 20.0)}


def test_other_weights_change_nothing_else_of_the_policy() -> None:
    changed = SIGNED_SPACE.policy_with({"buy": 30.0, "hide": -6.0})
    assert canonical(changed) == canonical(policy(click=0.4, buy={**BUY, "weight": 30.0}, hide=-6.0))


@given(st.floats(0.02, 20.0), st.floats(10.0, 40.0))
def test_what_is_proposed_has_the_sign_of_its_term_and_four_digits(hide: float, buy: float) -> None:
    weights = SIGNED_SPACE.signed({"hide": hide, "buy": buy})
    assert weights["hide"] < 0 < weights["buy"]
    assert weights["hide"] == pytest.approx(-hide, rel=1e-3)
    assert all(float(f"{weight:.4g}") == weight for weight in weights.values())


def test_four_digits_take_no_weight_beyond_its_range() -> None:
    narrow = WeightSpace.of(SIGNED, {"hide": (-12.34567, -1.23456)})
    assert narrow.signed({"hide": 12.34567}) == {"hide": -12.34567}
    assert narrow.signed({"hide": 1.23456}) == {"hide": -1.235}
    assert narrow.signed({"hide": 1.23444}) == {"hide": -1.23456}


def test_current_weights_outside_their_range_are_drawn_to_its_end() -> None:
    far = WeightSpace.of(SIGNED, {"hide": (-2.0, 0.0)})
    assert far.clipped(far.current) == {"hide": 2.0}


KNOWN = WeightSpace.of(policy(click=0.1, hide=-1.0), {"click": (0.01, 10.0), "hide": (-100.0, -0.1)})


def measure(weights: Weights) -> WeightFigures:
    """Clicks pay up to a weight of 2; hides fall with their own weight; a bound asks for a weight of 4."""
    click, hide = math.log(weights["click"] / 2.0), math.log(-weights["hide"])
    return WeightFigures((-(click**2) - 0.1 * hide, hide), (math.log(4.0) - hide,))


def test_the_best_weights_under_a_bound_are_found() -> None:
    trials = search_weights(measure, KNOWN, trials=80)
    best = best_trial(trials)
    assert best.feasible
    assert best.figures.objectives[0] > -0.1 * math.log(4.0) - 0.1
    assert best.weights["click"] == pytest.approx(2.0, rel=0.35)


def test_the_first_trial_is_the_current_weights_to_the_letter() -> None:
    (first,) = search_weights(measure, KNOWN, trials=1)
    assert first.weights == {"click": 0.1, "hide": -1.0}


def test_a_search_that_was_cut_short_ends_like_one_that_was_not() -> None:
    whole = search_weights(measure, KNOWN, trials=24, seed=5)
    searched: list[WeightTrial] = []
    again = search_weights(measure, KNOWN, trials=24, seed=5, before=whole[:20][::-1], tell=searched.append)
    assert again == whole
    assert searched == whole[20:]


def test_a_trial_that_is_missing_is_made_again_with_all_after_it() -> None:
    whole = search_weights(measure, KNOWN, trials=6)
    searched: list[WeightTrial] = []
    search_weights(measure, KNOWN, trials=6, before=[*whole[:2], *whole[3:]], tell=searched.append)
    assert searched == whole[2:]


def trial(number: int, *objectives: float, excess: float = 0.0) -> WeightTrial:
    return WeightTrial(number, {"click": 1.0}, WeightFigures(objectives, (excess,)))


def test_the_best_trial_keeps_its_bounds_before_it_has_more() -> None:
    trials = [trial(0, 1.0), trial(1, 9.0, excess=0.1), trial(2, 2.0)]
    assert best_trial(trials).number == 2
    assert best_trial([trials[1], trial(3, 0.0, excess=0.05)]).number == 3


def test_the_front_is_of_trials_that_keep_their_bounds_and_its_ends_stay_when_it_is_thinned() -> None:
    trials = [trial(i, float(i), float(-i)) for i in range(9)]
    trials += [trial(9, 20.0, 20.0, excess=1.0), trial(10, 3.0, -5.0)]
    assert [one.number for one in front_trials(trials, most=9)] == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert [one.number for one in front_trials(trials, most=3)] == [8, 4, 0]
    assert front_trials([trials[9]], most=3) == []


WEIGHTS = {"click": 1.0, "buy": 10.0, "hide": -2.0}
RANGES = {"click": (0.01, 100.0), "buy": (0.1, 1000.0), "hide": (-200.0, -0.02)}


def space(ranges: dict[str, tuple[float, float]] = RANGES) -> WeightSpace:
    return WeightSpace.of(policy(**WEIGHTS), ranges)


def logs(weights: Weights) -> dict[str, float]:
    return {term: math.log(weight / WEIGHTS[term]) for term, weight in weights.items()}


def restore(excess: Callable[[Weights], tuple[float, ...]], within: WeightSpace | None = None) -> Weights:
    return known(restore_bounds(excess, within or space()))


def test_of_a_plane_the_smallest_change_is_its_foot() -> None:
    """Excess .5 - 2 x hide + 1 x click (in logarithms): the foot is .5 x (-1, 0, 2) / 5."""

    def excess(weights: Weights) -> tuple[float, ...]:
        x = logs(weights)
        return (0.5 - 2 * x["hide"] + x["click"],)

    restored = restore(excess)
    assert space().moved(restored) == pytest.approx(0.5 / math.sqrt(5), rel=0.02)
    x = logs(restored)
    assert x["hide"] == pytest.approx(0.2, abs=0.01)
    assert x["click"] == pytest.approx(-0.1, abs=0.01)


def test_a_weight_that_does_nothing_is_left_alone_to_the_last_digit() -> None:
    restored = restore(lambda w: (0.3 - logs(w)["hide"],))
    assert (restored["buy"], restored["click"]) == (10.0, 1.0)


def test_two_bounds_are_brought_back_together() -> None:
    def excess(weights: Weights) -> tuple[float, ...]:
        x = logs(weights)
        return (0.2 - x["hide"], 0.1 + x["hide"] - x["buy"])

    restored = restore(excess)
    assert all(each <= 0 for each in excess(restored))
    assert space().moved(restored) == pytest.approx(math.hypot(0.2, 0.3), rel=0.03)


def test_a_bound_that_bends_is_followed() -> None:
    restored = restore(lambda w: (1.0 - math.exp(2 * logs(w)["hide"]) / 2,))
    assert logs(restored)["hide"] == pytest.approx(math.log(2) / 2, rel=0.03)


def test_steps_as_slates_make_them_are_followed_too() -> None:
    restored = restore(lambda w: (0.3 - round(logs(w)["hide"] / 0.05) * 0.05,))
    assert logs(restored)["hide"] == pytest.approx(0.28, abs=0.03)


def test_bounds_that_hold_need_no_change() -> None:
    restored = restore(lambda w: (-0.1,))
    assert (dict(restored), space().moved(restored)) == (WEIGHTS, 0.0)


def test_a_bound_that_no_weight_of_the_ranges_restores_is_told() -> None:
    assert restore_bounds(lambda w: (0.3 - logs(w)["hide"],), space({"hide": (-2.2, -1.0)})) is None
    assert restore_bounds(lambda w: (0.3,), space()) is None


def test_a_weight_that_stands_outside_its_range_is_left_there_or_comes_inside() -> None:
    beyond = space({"hide": (-1.0, -0.5), "buy": (8.0, 12.0)})
    stays = restore(lambda weights: (weights["buy"] - 9.0,), beyond)
    assert stays == {"hide": -2.0, "buy": pytest.approx(9.0, rel=0.01)}
    assert restore(lambda weights: (-1.8 - weights["hide"],), beyond) == {"hide": -1.0, "buy": 10.0}


def test_the_best_of_equal_policies_gains_nothing_on_the_half_that_did_not_choose() -> None:
    seemed, confirmed = [], []
    for seed in range(4):
        halves = replayed(2 * seed, at_random, rise=9.0), replayed(2 * seed + 1, at_random, rise=9.0)
        chosen = known(tune_weights(halves, SPACE, trials=60, seed=seed).chosen)
        assert chosen.gain_predicted is not None
        seemed.append(known(chosen.gain_searched) / chosen.gain_predicted.standard_error)
        confirmed.append(chosen.gain_predicted.value / chosen.gain_predicted.standard_error)
    assert np.mean(seemed) > 1.2
    assert abs(np.mean(confirmed)) < 0.8


def chosen_of(tuned: WeightSearchResult, ending: Ending) -> tuple[Chosen, Measured]:
    assert tuned.ending == ending
    assert tuned.chosen is not None
    return tuned.chosen, known(tuned.chosen.gain)


def test_what_is_proposed_keeps_its_bounds_and_gains_on_both_halves() -> None:
    halves = replayed(1), replayed(2, requests=1_500)
    tuned = tune_weights(halves, SPACE, trials=40)
    chosen, gain = chosen_of(tuned, "proposed")
    assert (gain.subject.name, chosen.confirmed) == ("click_rate", True)
    assert halves[0].figures(chosen.weights).exceeded == 0
    assert -halves[1].changes(chosen.weights)[1].value < 0.3
    assert tuned.hypervolume > 0
    assert tuned.knee in {point.trial for point in tuned.front}
    assert tuned.searched == 40


def test_a_gain_that_only_the_model_sees_is_not_proposed() -> None:
    tuned = tune_weights((replayed(1), replayed(2, deaf=True)), SPACE, trials=20)
    chosen, gain = chosen_of(tuned, "nothing better")
    assert known(gain.relative).low < 0 < known(chosen.gain_predicted).low


def test_a_gain_that_the_log_cannot_measure_is_not_proposed() -> None:
    half = replayed(2, requests=1_500)
    log = replace(half.replay.log, inclusion=None, propensity=None)
    blind = replace(half, replay=replace(half.replay, log=log))
    tuned = tune_weights((replayed(1), blind), SPACE, trials=20)
    assert chosen_of(tuned, "nothing better")[1].reason


def test_a_gain_that_falls_away_on_the_other_half_is_not_proposed() -> None:
    backwards = replayed(2, lambda small, weights: -weighted(small, weights))
    tuned = tune_weights((replayed(1), backwards), SPACE, trials=20)
    chosen, gain = chosen_of(tuned, "nothing better")
    assert known(gain.relative).value < 0 < known(chosen.gain_searched)


def test_weights_that_cannot_be_bettered_stay() -> None:
    tuned = tune_weights((replayed(1, rise=0.0), replayed(2, rise=0.0)), SPACE, trials=1)
    assert (tuned.ending, tuned.chosen) == ("nothing better", None)
    assert [point.trial for point in tuned.front] == [0]


def test_points_of_a_front_that_are_told_apart_from_nothing_dominate_nothing() -> None:
    near = [{"click": 1.0, "hide": -1.5}, {"click": 1.0, "hide": -1.51}]
    assert replayed(3).find_dominated(near).tolist() == [False, False]


def test_weights_that_lose_both_objectives_are_dominated() -> None:
    half = replayed(3, lambda small, w: w["click"] * (small.click - small.hide))
    backwards = {"click": -1.0, "hide": -1.5}
    assert half.find_dominated([SPACE.current, backwards]).tolist() == [False, True]


def test_a_rise_of_hides_is_brought_back_by_as_little_as_it_takes() -> None:
    half = replayed(1)
    start = WeightSpace(SPACE.policy_with({"hide": -0.01}), SPACE.sizes)
    tuned = restore_weights(half, start)
    assert tuned.exceeded["hide_predicted"] > 0
    weights = known(tuned.chosen).weights
    assert half.figures(weights).exceeded == 0
    less = {term: start.current[term] * (weights[term] / start.current[term]) ** 0.8 for term in weights}
    assert half.figures(less).exceeded > 0


def test_bounds_that_hold_are_left_alone() -> None:
    tuned = restore_weights(replayed(1), SPACE)
    assert (tuned.ending, tuned.chosen, tuned.searched) == ("within bounds", None, 1)


def test_bounds_that_no_weights_keep_are_out_of_reach() -> None:
    half = replayed(1, at_random, rise=0.0)
    assert half.figures({"click": 2.0, "hide": -1.0}).exceeded > 0
    start = WeightSpace(SPACE.policy_with({"click": 2.0, "hide": -1.0}), {"click": (1.9999, 2.0001)})
    tuned = restore_weights(half, start)
    assert tuned.ending in {"out of reach", "proposed"}


def test_policies_that_were_measured_in_vain_are_counted_too() -> None:
    half = replayed(1)
    never = Bounded(metric="click_predicted", relative_increase_min=9.0)
    vain = replace(half, goal=WeightGoal((), (GoalBound(never, (CLICKS,)),)))
    tuned = restore_weights(vain, SPACE)
    assert tuned.ending == "out of reach"
    assert tuned.searched > 20


def test_without_a_front_there_is_no_volume() -> None:
    assert np.isnan(replayed(1).volume([]))


def test_volume_counts_from_no_gain_and_the_bound() -> None:
    half = replayed(1)
    changes = half.changes({"click": 1.0, "hide": -1.2})
    gain, fall = (one.value for one in changes)
    assert gain > 0
    assert half.volume([changes]) == pytest.approx(gain * (fall + 0.3))
