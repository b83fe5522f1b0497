"""A search of weights on problems whose answer is known; killed, it goes on as if nothing had happened."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts import UtilitySpec
from tasks.contracts.base import canonical
from tasks.tuning.search import (
    WeightFigures,
    Weights,
    WeightSpace,
    WeightTrial,
    best_trial,
    front_trials,
    search_weights,
)

SIGNED = UtilitySpec.model_validate(
    {
        "policy": "p",
        "version": 3,
        "owner": "o",
        "approvals": ["a"],
        "weights": {
            "click": 0.4,
            "buy": {"weight": 20.0, "times": {"column": "margin", "cap": 50}, "why": "it earns"},
            "hide": -3.0,
        },
    }
)
RANGES = WeightSpace.of(SIGNED, {"hide": (-20.0, 0.0), "buy": (10.0, 40.0)})


def test_an_end_of_zero_stands_for_a_thousandth_of_the_other() -> None:
    assert RANGES.sizes == {"buy": (10.0, 40.0), "hide": (0.02, 20.0)}


def test_other_weights_change_nothing_else_of_the_policy() -> None:
    plain = canonical(RANGES.policy_with({"buy": 30.0, "hide": -6.0}, version=4))
    expected = canonical(SIGNED)
    expected["version"] = 4
    weights = expected["weights"]
    assert isinstance(weights, dict)
    weights["buy"]["weight"], weights["hide"]["weight"] = 30.0, -6.0
    assert plain == expected


@given(st.floats(0.02, 20.0), st.floats(10.0, 40.0))
def test_what_is_proposed_has_the_sign_of_its_term_and_four_digits(hide: float, buy: float) -> None:
    weights = RANGES.signed({"hide": hide, "buy": buy})
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


POLICY = UtilitySpec.model_validate(
    {
        "policy": "p",
        "version": 1,
        "owner": "o",
        "approvals": ["a"],
        "weights": {"click": 0.1, "hide": -1.0},
    }
)
SPACE = WeightSpace.of(POLICY, {"click": (0.01, 10.0), "hide": (-100.0, -0.1)})


def measure(weights: Weights) -> WeightFigures:
    """Clicks pay up to a weight of 2; hides fall with their own weight; a bound asks for a weight of 4."""
    click, hide = math.log(weights["click"] / 2.0), math.log(-weights["hide"])
    return WeightFigures((-(click**2) - 0.1 * hide, hide), (math.log(4.0) - hide,))


def test_the_best_weights_under_a_bound_are_found() -> None:
    trials = search_weights(measure, SPACE, trials=80)
    best = best_trial(trials)
    assert best.feasible
    assert best.figures.objectives[0] > -0.1 * math.log(4.0) - 0.1
    assert best.weights["click"] == pytest.approx(2.0, rel=0.35)


def test_the_first_trial_is_the_current_weights_to_the_letter() -> None:
    (first,) = search_weights(measure, SPACE, trials=1)
    assert first.weights == {"click": 0.1, "hide": -1.0}


def test_a_search_that_was_cut_short_ends_like_one_that_was_not() -> None:
    whole = search_weights(measure, SPACE, trials=24, seed=5)
    told: list[WeightTrial] = []
    again = search_weights(measure, SPACE, trials=24, seed=5, before=whole[:20][::-1], tell=told.append)
    assert again == whole
    assert told == whole[20:]


def test_a_trial_that_is_missing_is_made_again_with_all_after_it() -> None:
    whole = search_weights(measure, SPACE, trials=6)
    told: list[WeightTrial] = []
    search_weights(measure, SPACE, trials=6, before=[*whole[:2], *whole[3:]], tell=told.append)
    assert told == whole[2:]


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
