"""Offline against online: the line by a search over slopes, its symmetry, intervals, and few experiments."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import linregress, t

from tasks.errors import DataError
from tasks.evaluation.deming import compare_offline_online


def drawn(count: int = 30, seed: int = 0, slope: float = 0.6) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(0.02, 0.05, count)
    errors_x, errors_y = rng.uniform(0.02, 0.04, (2, count))
    offline = truth + errors_x * rng.standard_normal(count)
    return offline, 0.01 + slope * truth + errors_y * rng.standard_normal(count), errors_x, errors_y


def test_the_line_has_the_least_distances_weighted_by_both_variances() -> None:
    x, y, errors_x, errors_y = drawn()
    ratio = (errors_y**2).sum() / (errors_x**2).sum()

    def loss(slope: float) -> float:
        intercept = y.mean() - slope * x.mean()
        return float(((y - intercept - slope * x) ** 2).sum() / (ratio + slope**2))

    best = float(minimize_scalar(loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-9}).x)
    found = compare_offline_online(x, y, errors_x, errors_y)
    assert found.slope.value == pytest.approx(best, abs=1e-6)
    assert found.intercept.value == pytest.approx(y.mean() - best * x.mean(), abs=1e-6)


def test_the_axes_can_be_exchanged_and_certain_changes_give_least_squares() -> None:
    x, y, errors_x, errors_y = drawn()
    one, other = (
        compare_offline_online(x, y, errors_x, errors_y),
        compare_offline_online(y, x, errors_y, errors_x),
    )
    assert one.slope.value == pytest.approx(1 / other.slope.value)
    certain = compare_offline_online(x, y, 0 * errors_x, errors_y).slope.value
    assert certain == pytest.approx(linregress(x, y).slope)
    assert compare_offline_online(x, y, errors_x, 0 * errors_y).slope.value == pytest.approx(
        1 / linregress(y, x).slope
    )
    assert certain < one.slope.value


def test_intervals_hold_the_slope_that_least_squares_would_miss() -> None:
    fits = [compare_offline_online(*drawn(seed=seed)) for seed in range(200)]
    assert np.mean([fit.slope.low <= 0.6 <= fit.slope.high for fit in fits]) > 0.9
    assert np.mean([fit.intercept.low <= 0.01 <= fit.intercept.high for fit in fits]) > 0.9
    assert np.median([fit.slope.value for fit in fits]) == pytest.approx(0.6, abs=0.05)


def test_an_interval_is_that_of_the_jackknife_with_its_freedom() -> None:
    figures = drawn(6)
    left = [compare_offline_online(*(np.delete(each, one) for each in figures)) for one in range(6)]
    slopes = np.array([fit.slope.value for fit in left])
    error = math.sqrt(5 / 6 * ((slopes - slopes.mean()) ** 2).sum())
    slope = compare_offline_online(*figures).slope
    assert slope.high - slope.value == pytest.approx(t.ppf(0.975, 4) * error)


def test_signs_are_counted_and_few_experiments_have_no_line() -> None:
    two = compare_offline_online([0.1, -0.1], [0.2, 0.1], [0.01] * 2, [0.01] * 2)
    assert (two.agreeing, two.slope.n) == (0.5, 2)
    assert math.isnan(two.slope.value)
    three = compare_offline_online([0.1, 0.2, 0.4], [0.1, 0.2, 0.4], [0.0] * 3, [0.0] * 3)
    assert three.slope.value == pytest.approx(1.0)
    assert not three.slope.known
    same = compare_offline_online([0.1] * 5, [0.1, 0.2, 0.3, 0.4, 0.5], [0.0] * 5, [0.1] * 5)
    assert math.isnan(same.slope.value)
    assert math.isnan(compare_offline_online([], [], [], []).agreeing)


def test_unknown_figures_and_negative_errors_are_refused() -> None:
    with pytest.raises(DataError, match="finite and of one length"):
        compare_offline_online([0.1, math.nan], [0.1, 0.2], [0.1] * 2, [0.1] * 2)
    with pytest.raises(DataError, match="finite and of one length"):
        compare_offline_online([0.1], [0.1, 0.2], [0.1] * 2, [0.1] * 2)
    with pytest.raises(DataError, match="negative"):
        compare_offline_online([0.1], [0.1], [-0.1], [0.1])
