"""Weights from experiments: least squares, the signal by definition, refusals, and laws of units."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh

from tasks.errors import DataError
from tasks.experiments.weights import learn_weights


def drawn(arms: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    covariance = np.array([[0.1, 0.03, 0.0], [0.03, 0.2, 0.0], [0.0, 0.0, 0.1]])
    short = rng.standard_normal((arms, 3)) + rng.multivariate_normal(np.zeros(3), covariance, arms)
    return short, short @ [1.0, 0.5, -2.0] + 0.3 * rng.standard_normal(arms), covariance


def test_weights_are_least_squares_and_the_signal_is_the_smallest_generalised_eigenvalue() -> None:
    short, long, covariance = drawn()
    learned = learn_weights(short, long, covariance)
    assert learned.weights == pytest.approx(np.linalg.solve(short.T @ short, short.T @ long))
    assert learned.signal == pytest.approx(eigh(short.T @ short / 20, covariance, eigvals_only=True)[0])
    assert not learned.refused
    assert (learned.low < learned.weights).all()
    assert (learned.weights < learned.high).all()


def test_intervals_have_the_width_of_ordinary_least_squares_where_errors_are_equal() -> None:
    rng = np.random.default_rng(1)
    short = rng.standard_normal((200, 2))
    long = short @ [1.0, 2.0] + 0.5 * rng.standard_normal(200)
    learned = learn_weights(short, long, 0.01 * np.eye(2))
    width = 2 * 1.972 * 0.5 * np.sqrt(np.diag(np.linalg.inv(short.T @ short)))
    assert learned.high - learned.low == pytest.approx(width, rel=0.15)


@pytest.mark.parametrize(("arms", "noise", "refused"), [(8, 1, False), (7, 1, True), (20, 4, True)])
def test_few_arms_or_little_signal_are_refused(arms: int, noise: float, refused: bool) -> None:
    short, long, covariance = drawn(arms, seed=5)
    learned = learn_weights(short, long, noise * covariance)
    assert learned.refused == refused
    assert np.isnan(learned.weights).all() == refused


def test_as_many_outcomes_as_arms_are_refused() -> None:
    rng = np.random.default_rng(2)
    assert learn_weights(10 * rng.standard_normal((9, 9)), rng.standard_normal(9), 1e-9 * np.eye(9)).refused
    assert not learn_weights(rng.standard_normal((9, 8)), rng.standard_normal(9), 1e-9 * np.eye(8)).refused
    assert learn_weights(np.empty((0, 2)), [], np.eye(2)).refused


@settings(max_examples=10, deadline=None)
@given(units=st.tuples(*[st.floats(0.01, 100)] * 3), seed=st.integers(0, 9))
def test_units_change_weights_alone(units: tuple[float, ...], seed: int) -> None:
    short, long, covariance = drawn(seed=seed)
    scale = np.array(units)
    one = learn_weights(short, long, covariance)
    other = learn_weights(short * scale, long, covariance * np.outer(scale, scale))
    assert other.signal == pytest.approx(one.signal)
    assert other.weights * scale == pytest.approx(one.weights, nan_ok=True)
    assert other.high * scale == pytest.approx(one.high, rel=1e-6, nan_ok=True)


def test_shapes_that_do_not_fit_and_unknown_figures_are_named() -> None:
    short, long, covariance = drawn()
    with pytest.raises(DataError, match="do not fit"):
        learn_weights(short, long[:-1], covariance)
    with pytest.raises(DataError, match="not finite"):
        learn_weights(short, np.full(20, np.nan), covariance)
