"""The rule that chooses trees, trunk or blend: laws on any data, and what it does in worlds that are known."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.calibration.choice import MEASURED, assign_folds
from tasks.calibration.head_models import WORST, ModelScores, choose, decide
from tasks.evaluation.verdicts import Estimate

USERS, ROWS = 250, 4


def world(seed: int, *, trees: float, trunk: float, level: float = -1.0) -> ModelScores:
    """Rows of users whose truth both models see through noise of their own: log odds + noise x a normal."""
    rng = np.random.default_rng(seed)
    n = USERS * ROWS
    truth = level + 1.5 * rng.normal(size=n)
    outcomes = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(float)
    one, other = (truth + noise * rng.normal(size=n) for noise in (trees, trunk))
    return ModelScores(one, other, outcomes, np.repeat(np.arange(USERS), ROWS))


def test_a_trunk_that_knows_the_truth_takes_the_place_of_trees_that_know_nothing() -> None:
    found = choose(world(0, trees=30.0, trunk=0.0))
    assert found.model == "trunk"
    assert found.rises["trunk"].high < 0
    assert found.held_out["trunk"] < found.held_out["trees"]


def test_a_trunk_of_noise_leaves_the_trees() -> None:
    assert choose(world(0, trees=0.0, trunk=30.0)).model == "trees"


def test_two_models_with_errors_of_their_own_are_blended() -> None:
    found = choose(world(0, trees=1.5, trunk=1.5))
    assert found.model == "blend"
    assert found.held_out["blend"] < min(found.held_out["trees"], found.held_out["trunk"])


def test_a_scale_that_a_line_takes_out_leaves_the_choice_between_trees_and_trunk() -> None:
    """Log odds that are off by a factor and a level are no worse: a map mends them."""
    rows = world(1, trees=30.0, trunk=0.0)
    one, other = choose(rows), choose(replace(rows, trunk=3 * rows.trunk - 2))
    assert one.model == other.model == "trunk"
    assert other.held_out["trunk"] == pytest.approx(one.held_out["trunk"], abs=2e-3)


def estimate(low: float, half: float, known: bool) -> Estimate:
    ends = (low, low + 2 * half) if known else (nan, nan)
    return Estimate(low + half, ends[0], ends[1], 99)


estimates = st.builds(
    estimate,
    st.floats(-0.5, 0.5),
    st.floats(0, 0.3),
    st.booleans(),
)


@given(trunk=estimates, blend=estimates, over=estimates, trees=st.floats(0.1, 1.1))
def test_a_trunk_is_taken_only_where_it_is_shown_to_be_better_than_the_trees(
    trunk: Estimate, blend: Estimate, over: Estimate, trees: float
) -> None:
    better = trunk.high < 0 and over.value < 0
    assert (decide(trunk, blend, over, trees=trees) == "trunk") == better


@given(trunk=estimates, blend=estimates, over=estimates, trees=st.floats(0.1, 1.1))
def test_a_blend_is_no_worse_by_its_estimate_and_of_no_trunk_that_is_shown_to_be_far_worse(
    trunk: Estimate, blend: Estimate, over: Estimate, trees: float
) -> None:
    if decide(trunk, blend, over, trees=trees) == "blend":
        assert blend.value <= 0
        assert not trunk.low > WORST * trees


@given(seed=st.integers(0, 2**16), noise=st.floats(0, 3))
def test_the_order_of_rows_does_not_matter(seed: int, noise: float) -> None:
    rows = world(seed, trees=1.0, trunk=noise)
    mixed = np.random.default_rng(seed).permutation(len(rows.outcomes))
    other = ModelScores(rows.trees[mixed], rows.trunk[mixed], rows.outcomes[mixed], rows.users[mixed])
    one, again = choose(rows), choose(other)
    assert again.held_out == pytest.approx(one.held_out, rel=1e-9)


@given(seed=st.integers(0, 2**16))
def test_the_users_on_whom_the_map_is_measured_do_not_choose(seed: int) -> None:
    """What the map gains on them is printed: neither choice may have seen their outcomes."""
    rows = world(seed, trees=1.0, trunk=1.0)
    _, fold = assign_folds(rows.users)
    turned = np.where(fold == MEASURED, 1 - rows.outcomes, rows.outcomes)
    assert choose(replace(rows, outcomes=turned)) == choose(rows)


def test_no_row_is_predicted_by_a_line_that_its_user_was_fitted_to() -> None:
    """A model that gives each user's own mean outcome as a level gains nothing over chance by its line alone."""
    rng = np.random.default_rng(0)
    outcomes, users = (rng.random(1000) < 0.3).astype(float), np.repeat(np.arange(250), 4)
    noise = rng.normal(size=1000)
    found = choose(ModelScores(noise, -noise, outcomes, users))
    assert found.held_out["trees"] == pytest.approx(1.0, abs=0.02)
    assert found.held_out["trees"] >= 0.995


@pytest.mark.parametrize("positives", [0, 1])
def test_too_few_positives_to_hold_users_out_leave_the_trees(positives: int) -> None:
    rows = world(0, trees=30.0, trunk=0.0)
    few = np.where(np.arange(len(rows.outcomes)) < positives, 1.0, 0.0)
    found = choose(replace(rows, outcomes=few))
    assert (found.model, found.held_out) == ("trees", {})
    assert "too few users" in found.reason


def test_values_are_compared_by_the_squared_error_of_scaled_means() -> None:
    rng = np.random.default_rng(0)
    truth, users = np.exp(rng.normal(size=1000)), np.repeat(np.arange(250), 4)
    values = truth * rng.gamma(2.0, 0.5, size=1000)
    found = choose(ModelScores(np.full(1000, 5.0), truth, values, users, value=True))
    assert found.model == "trunk"
    assert found.held_out["trees"] == pytest.approx(1.0, abs=0.02)
