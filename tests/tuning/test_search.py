"""A search of weights on problems whose answer is known; killed, it goes on as if nothing had happened.

Fronts against what their definitions say, point by point, and volumes against counted cells.
"""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.contracts.base import canonical
from tasks.errors import DataError
from tasks.tuning.search import (
    WeightFigures,
    Weights,
    WeightSpace,
    WeightTrial,
    best_trial,
    find_front,
    find_knee,
    front_trials,
    hypervolume,
    search_weights,
)
from tests.tuning.weight_feeds import policy

BUY = {"weight": 20.0, "times": {"column": "margin", "cap": 50}, "why": "it earns"}
SIGNED = policy(click=0.4, buy=BUY, hide=-3.0)
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


POLICY = policy(click=0.1, hide=-1.0)
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


Points = list[tuple[int, ...]]


def some(dimensions: int) -> st.SearchStrategy[Points]:
    return st.lists(st.tuples(*[st.integers(0, 5)] * dimensions), min_size=1, max_size=9)


any_points = st.integers(1, 4).flatmap(some)


@settings(max_examples=80)
@given(any_points)
def test_a_point_is_on_the_front_unless_another_is_as_good_in_all_and_better_in_one(points: Points) -> None:
    expected = [
        not any(all(a >= b for a, b in zip(other, one, strict=True)) and other != one for other in points)
        for one in points
    ]
    assert find_front(points).tolist() == expected


@settings(max_examples=80)
@given(any_points)
def test_volume_counts_the_unit_cells_below_some_point(points: Points) -> None:
    cells = product(range(5), repeat=len(points[0]))
    expected = sum(
        any(all(c < p for c, p in zip(cell, one, strict=True)) for one in points) for cell in cells
    )
    assert hypervolume(points, [0] * len(points[0])) == pytest.approx(expected)


@settings(max_examples=40)
@given(any_points)
def test_what_is_dominated_adds_no_volume_and_order_does_not_matter(points: Points) -> None:
    reference = [0] * len(points[0])
    front = np.array(points)[find_front(points)]
    whole = hypervolume(points, reference)
    assert hypervolume(front[::-1], reference) == pytest.approx(whole)


def test_what_does_not_exceed_the_reference_adds_nothing() -> None:
    assert hypervolume([[2.0, 1.0], [1.0, 5.0]], [1.0, 0.0]) == pytest.approx(1.0)


def test_the_knee_does_not_depend_on_units() -> None:
    front = np.array([[0.0, 1.0], [0.7, 0.8], [0.9, 0.3], [1.0, 0.0]])
    assert find_knee(front) == find_knee(front * [1000.0, 0.01] + [3.0, -2.0]) == 1


def test_an_objective_that_nobody_moves_does_not_choose_the_knee() -> None:
    assert find_knee([[0.0, 1.0, 7.0], [0.8, 0.8, 7.0], [1.0, 0.0, 7.0]]) == 1


def test_without_points_there_is_no_knee_and_no_volume() -> None:
    assert hypervolume(np.zeros((0, 2)), [0.0, 0.0]) == 0.0
    with pytest.raises(DataError, match="empty front"):
        find_knee(np.zeros((0, 2)))


@pytest.mark.parametrize("points", [[[np.nan, 1.0]], [1.0, 2.0]])
def test_what_is_no_set_of_points_is_refused(points: list[float]) -> None:
    with pytest.raises(DataError, match="finite objectives"):
        find_front(points)
