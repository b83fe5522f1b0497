"""What a search finds on one half of the users is measured on the other, which chose nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tasks.contracts.utility import Bounded
from tasks.evaluation.verdicts import Estimate
from tasks.replay.guardrails import one_sided
from tasks.tuning.goal import GoalBound, GoalMeter, ReplayedWeights, WeightGoal
from tasks.tuning.search import Weights, WeightSpace
from tasks.tuning.tuned import Chosen, Halves, restore_bounds, restore_weights, tune_weights
from tests.tuning.weight_feeds import CLICKS, SPACE, at_random, policy, replayed, weighted

WEIGHTS = {"click": 1.0, "buy": 10.0, "hide": -2.0}
RANGES = {"click": (0.01, 100.0), "buy": (0.1, 1000.0), "hide": (-200.0, -0.02)}


def space(ranges: dict[str, tuple[float, float]] = RANGES) -> WeightSpace:
    return WeightSpace.of(policy(**WEIGHTS), ranges)


def logs(weights: Weights) -> dict[str, float]:
    return {term: math.log(weight / WEIGHTS[term]) for term, weight in weights.items()}


def test_of_a_plane_the_smallest_change_is_its_foot() -> None:
    """Excess .5 - 2 x hide + 1 x click (in logarithms): the foot is .5 x (-1, 0, 2) / 5."""

    def excess(weights: Weights) -> tuple[float, ...]:
        x = logs(weights)
        return (0.5 - 2 * x["hide"] + x["click"],)

    restored = restore_bounds(excess, space())
    assert restored is not None
    assert space().moved(restored) == pytest.approx(0.5 / math.sqrt(5), rel=0.02)
    x = logs(restored)
    assert x["hide"] == pytest.approx(0.2, abs=0.01)
    assert x["click"] == pytest.approx(-0.1, abs=0.01)


def test_a_weight_that_does_nothing_is_left_alone_to_the_last_digit() -> None:
    restored = restore_bounds(lambda w: (0.3 - logs(w)["hide"],), space())
    assert restored is not None
    assert restored["buy"] == 10.0
    assert restored["click"] == 1.0


def test_two_bounds_are_brought_back_together() -> None:
    def excess(weights: Weights) -> tuple[float, ...]:
        x = logs(weights)
        return (0.2 - x["hide"], 0.1 + x["hide"] - x["buy"])

    restored = restore_bounds(excess, space())
    assert restored is not None
    assert all(each <= 0 for each in excess(restored))
    assert space().moved(restored) == pytest.approx(math.hypot(0.2, 0.3), rel=0.03)


def test_a_bound_that_bends_is_followed() -> None:
    def excess(weights: Weights) -> tuple[float, ...]:
        return (1.0 - math.exp(2 * logs(weights)["hide"]) / 2,)

    restored = restore_bounds(excess, space())
    assert restored is not None
    assert logs(restored)["hide"] == pytest.approx(math.log(2) / 2, rel=0.03)


def test_steps_as_slates_make_them_are_followed_too() -> None:
    def excess(weights: Weights) -> tuple[float, ...]:
        return (0.3 - round(logs(weights)["hide"] / 0.05) * 0.05,)

    restored = restore_bounds(excess, space())
    assert restored is not None
    assert logs(restored)["hide"] == pytest.approx(0.28, abs=0.03)


def test_bounds_that_hold_need_no_change() -> None:
    restored = restore_bounds(lambda w: (-0.1,), space())
    assert restored is not None
    assert (dict(restored), space().moved(restored)) == (WEIGHTS, 0.0)


def test_a_bound_that_no_weight_of_the_ranges_restores_is_told() -> None:
    assert restore_bounds(lambda w: (0.3 - logs(w)["hide"],), space({"hide": (-2.2, -1.0)})) is None
    assert restore_bounds(lambda w: (0.3,), space()) is None


def test_a_weight_that_stands_outside_its_range_is_left_there_or_comes_inside() -> None:
    beyond = space({"hide": (-1.0, -0.5), "buy": (8.0, 12.0)})
    stays = restore_bounds(lambda weights: (weights["buy"] - 9.0,), beyond)
    assert stays is not None
    assert stays["hide"] == -2.0
    assert stays["buy"] == pytest.approx(9.0, rel=0.01)
    moves = restore_bounds(lambda weights: (-1.8 - weights["hide"],), beyond)
    assert moves is not None
    assert moves == {"hide": -1.0, "buy": 10.0}


def test_the_best_of_equal_policies_gains_nothing_on_the_half_that_did_not_choose() -> None:
    seemed, confirmed = [], []
    for seed in range(4):
        halves = Halves(replayed(2 * seed, at_random, rise=9.0), replayed(2 * seed + 1, at_random, rise=9.0))
        chosen = tune_weights(halves, SPACE, trials=60, seed=seed).chosen
        assert chosen is not None
        assert chosen.gain_predicted is not None
        assert chosen.gain_searched is not None
        seemed.append(chosen.gain_searched / chosen.gain_predicted.standard_error)
        confirmed.append(chosen.gain_predicted.value / chosen.gain_predicted.standard_error)
    assert np.mean(seemed) > 1.2
    assert abs(np.mean(confirmed)) < 0.8


def test_what_is_proposed_keeps_its_bounds_and_gains_on_both_halves() -> None:
    halves = Halves(replayed(1), replayed(2, requests=1_500))
    tuned = tune_weights(halves, SPACE, trials=40)
    assert tuned.ending == "proposed"
    assert tuned.chosen is not None
    gain = gain_of(tuned.chosen)
    assert tuned.chosen.gain is not None
    assert tuned.chosen.gain.subject.name == "click_rate"
    assert one_sided(gain).low > 0
    assert halves.search.figures(tuned.chosen.weights).exceeded == 0
    hides = halves.confirm.changes(tuned.chosen.weights)[1]
    assert -hides.value < 0.3
    assert tuned.hypervolume > 0
    assert tuned.knee in {point.trial for point in tuned.front}
    assert tuned.searched == 40


def test_a_gain_that_only_the_model_sees_is_not_proposed() -> None:
    tuned = tune_weights(Halves(replayed(1), replayed(2, deaf=True)), SPACE, trials=20)
    assert tuned.ending == "nothing better"
    assert tuned.chosen is not None
    assert tuned.chosen.gain_predicted is not None
    assert tuned.chosen.gain_predicted.low > 0
    assert gain_of(tuned.chosen).low < 0


def test_a_gain_that_the_log_cannot_measure_is_not_proposed() -> None:
    half = replayed(2, requests=1_500)
    replay = replace(half.meter.replay, log=replace(half.meter.replay.log, inclusion=None, propensity=None))
    blind = ReplayedWeights(GoalMeter(replay, half.meter.baseline, half.meter.goal), half.slates)
    tuned = tune_weights(Halves(replayed(1), blind), SPACE, trials=20)
    assert tuned.ending == "nothing better"
    assert tuned.chosen is not None
    assert tuned.chosen.gain is not None
    assert tuned.chosen.gain.reason


def gain_of(chosen: Chosen) -> Estimate:
    assert chosen.gain is not None
    assert chosen.gain.relative is not None
    return chosen.gain.relative


def test_a_gain_that_falls_away_on_the_other_half_is_not_proposed() -> None:
    backwards = replayed(2, lambda small, weights: -weighted(small, weights))
    tuned = tune_weights(Halves(replayed(1), backwards), SPACE, trials=20)
    assert tuned.ending == "nothing better"
    assert tuned.chosen is not None
    assert tuned.chosen.gain_searched is not None
    assert gain_of(tuned.chosen).value < 0 < tuned.chosen.gain_searched


def test_weights_that_cannot_be_bettered_stay() -> None:
    halves = Halves(replayed(1, rise=0.0), replayed(2, rise=0.0))
    tuned = tune_weights(halves, SPACE, trials=1)
    assert (tuned.ending, tuned.chosen) == ("nothing better", None)
    assert [point.trial for point in tuned.front] == [0]


def test_points_of_a_front_that_are_told_apart_from_nothing_dominate_nothing() -> None:
    half = replayed(3)
    far = half.find_dominated([{"click": 1.0, "hide": -1.5}, {"click": 1.0, "hide": -1.51}])
    assert far.tolist() == [False, False]


def test_weights_that_lose_both_objectives_are_dominated() -> None:
    half = replayed(3, lambda small, w: w["click"] * (small.click - small.hide))
    backwards = {"click": -1.0, "hide": -1.5}
    assert half.find_dominated([SPACE.current, backwards]).tolist() == [False, True]


def test_a_rise_of_hides_is_brought_back_by_as_little_as_it_takes() -> None:
    half = replayed(1)
    light = SPACE.policy_with({"hide": -0.01})
    start = type(SPACE)(light, SPACE.sizes)
    tuned = restore_weights(Halves(half, replayed(2)), start)
    assert tuned.exceeded["hide_predicted"] > 0
    assert tuned.chosen is not None
    weights = tuned.chosen.weights
    assert half.figures(weights).exceeded == 0
    less = {term: start.current[term] * (weights[term] / start.current[term]) ** 0.8 for term in weights}
    assert half.figures(less).exceeded > 0


def test_bounds_that_hold_are_left_alone() -> None:
    tuned = restore_weights(Halves(replayed(1), replayed(2)), SPACE)
    assert (tuned.ending, tuned.chosen, tuned.searched) == ("within bounds", None, 1)


def test_bounds_that_no_weights_keep_are_out_of_reach() -> None:
    half = replayed(1, at_random, rise=0.0)
    assert half.figures({"click": 2.0, "hide": -1.0}).exceeded > 0
    start = type(SPACE)(SPACE.policy_with({"click": 2.0, "hide": -1.0}), {"click": (1.9999, 2.0001)})
    tuned = restore_weights(Halves(half, half), start)
    assert tuned.ending in {"out of reach", "proposed"}


def test_policies_that_were_measured_in_vain_are_counted_too() -> None:
    half = replayed(1)
    never = Bounded(metric="click_predicted", relative_increase_min=9.0)
    meter = GoalMeter(half.meter.replay, half.meter.baseline, WeightGoal((), (GoalBound(never, (CLICKS,)),)))
    vain = ReplayedWeights(meter, half.slates)
    tuned = restore_weights(Halves(vain, vain), SPACE)
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
