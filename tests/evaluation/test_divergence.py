"""Jensen-Shannon divergence: symmetric, bounded, and beyond what chance gives as rarely as stated."""

import numpy as np
import pytest

from tasks.evaluation.divergence import chance_divergence, divergence


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
