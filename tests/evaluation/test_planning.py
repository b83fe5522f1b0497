"""Days that decide a bound: what returning users share between days is never averaged away."""

import math

import numpy as np
import pytest

from tasks.evaluation.planning import Growth, plan_days


def test_the_variances_of_one_day_and_of_all_are_those_of_the_windows() -> None:
    """Two users on two days, by hand: z is [[.3, .1], [-.2, -.2]]."""
    influence, users, days = np.array([0.3, 0.1, -0.2, -0.2]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    growth = Growth.of(influence, users, days)
    assert growth is not None
    one_day = 2 * (0.09 + 0.01 + 0.04 + 0.04)  # the mean of both days, each with twice the influence
    assert growth.by_day / 1 + growth.shared == pytest.approx(one_day)
    assert growth.by_day / 2 + growth.shared == pytest.approx(0.4**2 + 0.4**2)


def test_users_who_never_return_share_nothing_and_a_habit_is_all_shared() -> None:
    rng = np.random.default_rng(0)
    away = rng.standard_normal(4000)
    growth = Growth.of(away - away.mean(), np.arange(4000), np.arange(4000) % 7)
    assert growth is not None
    assert growth.shared == pytest.approx(0.0, abs=1e-9)
    habit = np.repeat(rng.standard_normal(500), 7)
    growth = Growth.of(habit - habit.mean(), np.repeat(np.arange(500), 7), np.tile(np.arange(7), 500))
    assert growth is not None
    assert growth.by_day == pytest.approx(0.0, abs=1e-9)


def test_no_number_of_days_decides_a_bound_that_returning_users_alone_blur() -> None:
    growth = Growth(days=7, by_day=0.02, shared=0.001)
    least = 0.001**0.5 * 2.486485
    assert growth.days_needed(math.expm1(1.01 * least)) < math.inf
    assert growth.days_needed(math.expm1(0.99 * least)) == math.inf
    assert growth.days_needed(-0.05) == math.inf


def test_the_clustering_that_asks_for_more_days_decides_and_a_bound_of_zero_has_none() -> None:
    few, many = Growth(7, 0.01, 0.0), Growth(7, 0.02, 0.0001)
    assert plan_days([few, many], 0.15) == many.days_needed(0.15)
    assert math.isnan(plan_days([few, many], 0.0))
    assert math.isnan(plan_days([], 0.15))
    assert Growth.of(np.zeros(4), np.arange(4), np.zeros(4, dtype=int)) is None
