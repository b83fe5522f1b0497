"""The empirical Bernstein bound: by hand, and holding the mean of skewed values."""

import math

import numpy as np
import pytest

from tasks.evaluation.off_policy.bounds import bernstein_by_cluster, empirical_bernstein


def test_the_bound_is_that_of_theorem_4() -> None:
    values = np.array([0.0, 0.0, 1.0, 1.0])
    half = math.sqrt(2 * (1 / 3) * math.log(80) / 4) + 7 * math.log(80) / (3 * 3)
    assert empirical_bernstein(values, 1.0).low == pytest.approx(0.5 - half)
    assert empirical_bernstein(values, 1.0).high == pytest.approx(0.5 + half)


def test_one_value_has_no_bound_and_none_has_no_mean() -> None:
    one, none = empirical_bernstein(np.array([2.0]), 1.0), empirical_bernstein(np.array([]), 1.0)
    assert one.value == 2
    assert not one.known
    assert math.isnan(none.value)


def test_it_holds_the_mean_of_rare_outcomes_at_least_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [empirical_bernstein(rng.binomial(1, 0.01, 300).astype(float), 1.0) for _ in range(400)]
    assert np.mean([one.low <= 0.01 <= one.high for one in intervals]) >= 0.95


def test_rows_of_one_user_count_once() -> None:
    rng = np.random.default_rng(1)
    of_users = rng.uniform(size=100)
    alone = bernstein_by_cluster(of_users, np.ones(100), np.arange(100))
    again = bernstein_by_cluster(np.repeat(of_users, 5), np.ones(500), np.repeat(np.arange(100), 5))
    assert (again.low, again.high) == pytest.approx((alone.low, alone.high))
