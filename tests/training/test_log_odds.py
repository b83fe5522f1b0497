import numpy as np
import pytest

from tasks.training.log_odds import fit_log_odds


def world(n: int = 40_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    score, offset = random.normal(-4, 2, n), random.normal(0, 1, n)
    labels = (random.random(n) < 1 / (1 + np.exp(-(-1 + 0.6 * score + offset)))).astype(float)
    return np.column_stack([np.ones(n), score]), labels, offset


def test_the_truth_is_found_with_offsets_and_without_them_it_is_not() -> None:
    design, labels, offsets = world()
    np.testing.assert_allclose(fit_log_odds(design, labels, offsets=offsets), [-1, 0.6], atol=0.1)
    assert abs(fit_log_odds(design, labels)[1] - 0.6) > 0.05


def test_the_weighted_chances_add_up_to_the_weighted_labels() -> None:
    design, labels, offsets = world(2000)
    weights = np.random.default_rng(1).random(2000)
    found = fit_log_odds(design, labels, weights=weights, offsets=offsets)
    chances = 1 / (1 + np.exp(-(design @ found + offsets)))
    assert weights @ chances == pytest.approx(weights @ labels, rel=1e-9)
    assert (weights * design[:, 1]) @ (chances - labels) == pytest.approx(0, abs=1e-6)


def test_one_positive_in_a_hundred_thousand_is_no_difficulty() -> None:
    labels = np.zeros(100_000)
    labels[7] = 1
    assert fit_log_odds(np.ones((100_000, 1)), labels)[0] == pytest.approx(np.log(1e-5 / (1 - 1e-5)))


def test_a_column_that_tells_all_ends_somewhere_finite() -> None:
    design = np.column_stack([np.ones(10), np.arange(10.0)])
    assert np.isfinite(fit_log_odds(design, (np.arange(10) > 4).astype(float))).all()


def test_where_a_column_tells_all_the_chances_end_at_0_and_1_and_in_no_error() -> None:
    score = np.linspace(-500, 500, 100)
    found = fit_log_odds(np.column_stack([np.ones(100), score]), (score > 0).astype(float))
    assert ((found[0] + found[1] * score > 0) == (score > 0)).all()
