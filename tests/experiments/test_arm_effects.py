"""Effects by user: equal to tea-tasting on the same aggregates, by hand, and where there is no interval."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.experiments.arm_effects import ArmEffect, ArmUsers, arm_effect, novelty_slope

tt = pytest.importorskip("tea_tasting", reason="an oracle of the lock's newest version")


def draw(count: int, *, lift: float = 0.1, seed: int = 0) -> ArmUsers:
    """Draw users who differ in how much and how they act, before and in the experiment."""
    rng = np.random.default_rng(seed)
    treated = np.arange(count) % 2 == 1
    habit, visits = rng.beta(3, 9, count), rng.gamma(1.5, 8, count)
    shown, before = 1 + rng.poisson(visits), rng.poisson(visits)
    clicks = rng.binomial(shown, np.clip(habit * np.where(treated, 1 + lift, 1), 0, 1))
    past = rng.binomial(before, habit)
    sums = (clicks.astype(float), shown.astype(float))
    return ArmUsers(treated, *sums, (past.astype(float), before.astype(float)))


def by_tea_tasting(users: ArmUsers, metric: Any) -> Any:
    past = users.before or (users.numerator * 0, users.numerator * 0)
    frame = pd.DataFrame(
        {"variant": users.treated.astype(int), "y": users.numerator, "x": users.denominator, "y0": past[0]}
    )
    theirs = tt.Experiment(effect=metric).analyze(frame)["effect"]
    ends = (theirs.rel_effect_size_ci_lower, theirs.rel_effect_size_ci_upper)
    return pytest.approx((theirs.control, theirs.treatment, theirs.rel_effect_size, *ends), rel=1e-9)


def figures(ours: ArmEffect) -> tuple[float, ...]:
    found = ours.interval()
    return (ours.control, ours.treatment, found.value, found.low, found.high)


def test_the_effect_on_a_ratio_equals_that_of_tea_tasting() -> None:
    users = draw(800)
    plain = ArmUsers(users.treated, users.numerator, users.denominator)
    assert figures(arm_effect(plain)) == by_tea_tasting(plain, tt.RatioOfMeans("y", "x"))


def test_the_effect_adjusted_for_one_covariate_equals_that_of_tea_tasting() -> None:
    users = draw(800)
    assert users.before is not None
    adjusted = ArmUsers(users.treated, users.numerator, users.denominator, (users.before[0], np.ones(800)))
    assert figures(arm_effect(adjusted)) == by_tea_tasting(adjusted, tt.RatioOfMeans("y", "x", "y0"))


def test_history_narrows_the_interval_and_does_not_move_the_effect_beyond_it() -> None:
    users = draw(4000)
    plain = arm_effect(ArmUsers(users.treated, users.numerator, users.denominator))
    adjusted = arm_effect(users)
    assert adjusted.explained > 0.2
    assert adjusted.log_error < 0.9 * plain.log_error
    assert adjusted.interval().low < 0.1 < adjusted.interval().high


def test_users_without_any_history_are_read_as_without_a_pre_period() -> None:
    users = draw(400)
    none = ArmUsers(users.treated, users.numerator, users.denominator, (np.zeros(400), np.zeros(400)))
    assert arm_effect(none) == arm_effect(ArmUsers(users.treated, users.numerator, users.denominator))


def test_two_users_by_hand_have_levels_and_no_interval() -> None:
    effect = arm_effect(ArmUsers(np.array([False, True]), np.array([1.0, 3.0]), np.array([4.0, 4.0])))
    assert (effect.control, effect.treatment, effect.known) == (0.25, 0.75, False)
    assert math.isnan(effect.interval().low)
    assert effect.p_value_beyond(0.1, rise=True) == 1.0


def test_an_arm_without_impressions_or_with_a_negative_level_has_no_interval() -> None:
    users = draw(400)
    alone = arm_effect(users.select(~users.treated))
    assert (alone.known, alone.users) == (False, (200, 0))
    lossy = ArmUsers(users.treated, users.numerator - 9.0, users.denominator)
    assert arm_effect(lossy).known is False


def test_an_effect_that_fades_has_a_slope_and_a_constant_one_has_none() -> None:
    rng, users, ages = np.random.default_rng(1), np.repeat(np.arange(3000), 7), np.tile(np.arange(7), 3000)
    treated = users % 2 == 1
    shown = np.full(len(users), 4.0)
    for fade, present in ((0.04, True), (0.0, False)):
        rate = np.where(treated, 0.5 - fade * ages, 0.3)
        clicks = rng.binomial(4, rate).astype(float)
        novelty = novelty_slope(users, ages, treated, clicks, shown)
        assert novelty is not None
        assert novelty.present is present
    assert novelty_slope(users[:7], ages[:7], treated[:7], np.ones(7), shown[:7]) is None
