"""Exceeded bounds are brought back by the smallest change of weights, where the smallest one is known."""

import math

import pytest

from tasks.contracts import UtilitySpec
from tasks.replay.tuning.restore import restore_bounds
from tasks.replay.tuning.space import Weights, WeightSpace

WEIGHTS = {"click": 1.0, "buy": 10.0, "hide": -2.0}
RANGES = {"click": (0.01, 100.0), "buy": (0.1, 1000.0), "hide": (-200.0, -0.02)}


def space(ranges: dict[str, tuple[float, float]] = RANGES) -> WeightSpace:
    policy = UtilitySpec.model_validate(
        {"policy": "p", "version": 1, "owner": "o", "approvals": ["a"], "weights": WEIGHTS}
    )
    return WeightSpace.of(policy, ranges)


def logs(weights: Weights) -> dict[str, float]:
    return {term: math.log(weight / WEIGHTS[term]) for term, weight in weights.items()}


def test_of_a_plane_the_smallest_change_is_its_foot() -> None:
    """Excess .5 - 2 x hide + 1 x click (in logarithms): the foot is .5 x (-1, 0, 2) / 5."""

    def excess(weights: Weights) -> tuple[float, ...]:
        x = logs(weights)
        return (0.5 - 2 * x["hide"] + x["click"],)

    restored = restore_bounds(excess, space())
    assert restored is not None
    assert restored.moved == pytest.approx(0.5 / math.sqrt(5), rel=0.02)
    x = logs(restored.weights)
    assert x["hide"] == pytest.approx(0.2, abs=0.01)
    assert x["click"] == pytest.approx(-0.1, abs=0.01)


def test_a_weight_that_does_nothing_is_left_alone_to_the_last_digit() -> None:
    restored = restore_bounds(lambda w: (0.3 - logs(w)["hide"],), space())
    assert restored is not None
    assert restored.weights["buy"] == 10.0
    assert restored.weights["click"] == 1.0


def test_two_bounds_are_brought_back_together() -> None:
    def excess(weights: Weights) -> tuple[float, ...]:
        x = logs(weights)
        return (0.2 - x["hide"], 0.1 + x["hide"] - x["buy"])

    restored = restore_bounds(excess, space())
    assert restored is not None
    assert all(each <= 0 for each in excess(restored.weights))
    assert restored.moved == pytest.approx(math.hypot(0.2, 0.3), rel=0.03)


def test_a_bound_that_bends_is_followed() -> None:
    def excess(weights: Weights) -> tuple[float, ...]:
        return (1.0 - math.exp(2 * logs(weights)["hide"]) / 2,)

    restored = restore_bounds(excess, space())
    assert restored is not None
    assert logs(restored.weights)["hide"] == pytest.approx(math.log(2) / 2, rel=0.03)


def test_steps_as_slates_make_them_are_followed_too() -> None:
    def excess(weights: Weights) -> tuple[float, ...]:
        return (0.3 - round(logs(weights)["hide"] / 0.05) * 0.05,)

    restored = restore_bounds(excess, space())
    assert restored is not None
    assert logs(restored.weights)["hide"] == pytest.approx(0.28, abs=0.03)


def test_bounds_that_hold_need_no_change() -> None:
    restored = restore_bounds(lambda w: (-0.1,), space())
    assert restored is not None
    assert (dict(restored.weights), restored.moved) == (WEIGHTS, 0.0)


def test_a_bound_that_no_weight_of_the_ranges_restores_is_told() -> None:
    assert restore_bounds(lambda w: (0.3 - logs(w)["hide"],), space({"hide": (-2.2, -1.0)})) is None
    assert restore_bounds(lambda w: (0.3,), space()) is None


def test_a_weight_that_stands_outside_its_range_is_left_there_or_comes_inside() -> None:
    beyond = space({"hide": (-1.0, -0.5), "buy": (8.0, 12.0)})
    stays = restore_bounds(lambda weights: (weights["buy"] - 9.0,), beyond)
    assert stays is not None
    assert stays.weights["hide"] == -2.0
    assert stays.weights["buy"] == pytest.approx(9.0, rel=0.01)
    moves = restore_bounds(lambda weights: (-1.8 - weights["hide"],), beyond)
    assert moves is not None
    assert moves.weights == {"hide": -1.0, "buy": 10.0}
