"""The review queue: its prior and quantile by scipy, its laws, and units that have little to say."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gamma, nbinom

from tasks.errors import DataError
from tasks.monitoring.review_queue import review_units


def drawn(units: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    expected = rng.lognormal(1.0, 1.0, units)
    return rng.poisson(expected * rng.gamma(4.0, 0.25, units)).astype(float), expected


def test_the_prior_has_the_highest_likelihood_of_negative_binomial_counts() -> None:
    observed, expected = drawn()
    queue = review_units(observed, expected)

    def likelihood(a: float, b: float) -> float:
        return float(np.sum(nbinom.logpmf(observed, a, b / (b + expected))))

    best = likelihood(queue.shape, queue.rate)
    around = itertools.product((0.97, 1.0, 1.03), repeat=2)
    assert all(best >= likelihood(queue.shape * a, queue.rate * b) - 1e-6 for a, b in around)
    assert (queue.shape, queue.rate) == pytest.approx((4.0, 4.0), rel=0.35)


def test_the_excess_and_its_quantile_are_those_of_the_posterior() -> None:
    observed, expected = drawn()
    queue = review_units(observed, expected)
    posterior = gamma(queue.shape + observed, scale=1 / (queue.rate + expected))
    assert queue.excess == pytest.approx(posterior.mean())
    assert queue.eb05 == pytest.approx(posterior.ppf(0.05))


@settings(max_examples=20, deadline=None)
@given(unit=st.integers(0, 399), more=st.integers(1, 50))
def test_more_events_raise_a_unit_and_more_predicted_events_lower_it(unit: int, more: int) -> None:
    observed, expected = drawn()
    before = review_units(observed, expected).eb05[unit]
    observed[unit] += more
    after = review_units(observed, expected).eb05[unit]
    expected[unit] += more
    assert before < after
    assert review_units(observed, expected).eb05[unit] < after


def test_the_worst_unit_comes_first_and_a_high_ratio_of_little_is_not_listed() -> None:
    observed, expected = drawn()
    observed[:3], expected[:3] = [400.0, 90.0, 2.0], [100.0, 20.0, 0.1]
    assert review_units(observed, expected).listed[:2].tolist() == [0, 1]
    assert 2 not in review_units(observed, expected).listed
    order = np.random.default_rng(0).permutation(400)
    again = review_units(observed[order], expected[order])
    assert order[again.listed].tolist() == review_units(observed, expected).listed.tolist()


def test_a_few_units_do_not_confirm_themselves() -> None:
    assert review_units([3.0], [1.0]).listed.size == 0
    assert review_units([3.0, 4.0], [1.0, 1.0]).listed.size == 0
    assert review_units([300.0], [100.0]).listed.tolist() == [0]


def test_no_events_and_no_units_list_nothing() -> None:
    assert review_units([0.0, 0.0], [5.0, 0.001]).listed.size == 0
    empty = review_units([], [])
    assert (empty.listed.size, empty.eb05.size) == (0, 0)


@pytest.mark.parametrize(("observed", "expected"), [(-1.0, 1.0), (np.nan, 1.0), (1.0, 0.0), (1.0, np.inf)])
def test_a_unit_that_cannot_be_compared_is_named(observed: float, expected: float) -> None:
    with pytest.raises(DataError, match="the first is unit 1"):
        review_units([1.0, observed], [1.0, expected])
