"""Jensen-Shannon divergence: symmetric, bounded, and beyond what chance gives as rarely as stated."""

import numpy as np
import pytest

from tasks.evaluation.divergence import LEAST_WEEKS, chance_divergence, distance_floor, divergence


def test_a_divergence_is_symmetric_and_bounded() -> None:
    random = np.random.default_rng(4)
    left, right = (random.integers(0, 9, (50, 6)).astype(float) for _ in range(2))
    found = divergence(left, right)
    assert found == pytest.approx(divergence(right, left))
    assert (found >= -1e-12).all()
    assert (found <= 1 + 1e-12).all()


def test_samples_of_one_distribution_seldom_diverge_further_than_chance() -> None:
    random = np.random.default_rng(5)
    left = random.multinomial(300, [0.5, 0.2, 0.2, 0.1], 2000).astype(float)
    right = random.multinomial(5000, [0.5, 0.2, 0.2, 0.1], 2000).astype(float)
    beyond = divergence(left, right) > chance_divergence(left, right, false_alarm_rate=0.01)
    assert beyond.mean() == pytest.approx(0.01, abs=0.007)


def test_the_floor_is_the_largest_distance_of_two_past_weeks() -> None:
    random = np.random.default_rng(6)
    weeks = random.multinomial(1000, [0.5, 0.3, 0.2], LEAST_WEEKS).astype(float)
    pairs = [divergence(weeks[[a]], weeks[[b]])[0] for a in range(LEAST_WEEKS) for b in range(a)]
    assert distance_floor(weeks) == max(pairs)
    assert np.isnan(distance_floor(np.vstack([weeks[1:], np.zeros(3)])))


def test_weeks_that_differ_lie_beyond_chance_but_not_beyond_the_floor() -> None:
    random = np.random.default_rng(7)
    shares = random.dirichlet([500, 300, 200], 40)
    weeks = np.array([random.multinomial(100_000, each) for each in shares], dtype=float)
    before, later = weeks[:8], weeks[8:]
    past = np.repeat(before.sum(axis=0, keepdims=True), len(later), axis=0)
    distances = divergence(past, later)
    assert (distances > chance_divergence(past, later, false_alarm_rate=0.01)).mean() > 0.8
    assert (distances > distance_floor(before)).mean() < 0.1
