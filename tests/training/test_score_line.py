"""A line in the logit gives two scores the same chance to be probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ranking.maps import expit, logit
from tasks.training.same_day import LEAST_SLOPE, fit_score_line


def test_a_score_whose_logit_was_bent_by_a_line_is_bent_back() -> None:
    random = np.random.default_rng(3)
    truth = random.normal(-1.0, 1.0, 60_000)
    outcomes = (random.random(truth.size) < expit(truth)).astype(float)
    line = fit_score_line(expit(2 * truth + 1.5), outcomes)
    assert line is not None
    assert (line.slope, line.intercept) == pytest.approx((0.5, -0.75), abs=0.03)


@given(st.integers(0, 10_000))
def test_the_mean_of_the_probabilities_is_the_rate(seed: int) -> None:
    """A property of least log loss with an intercept, whatever the scores."""
    random = np.random.default_rng(seed)
    scores, outcomes = random.random(50), (random.random(50) < 0.3).astype(float)
    outcomes[:2] = 0.0, 1.0
    line = fit_score_line(scores, outcomes)
    assert line is not None
    assert line.apply(scores).mean() == pytest.approx(outcomes.mean(), abs=1e-6)


def test_scores_the_wrong_way_round_keep_their_order() -> None:
    scores, outcomes = np.repeat([0.2, 0.8], 50), np.repeat([1.0, 0.0], 50)
    line = fit_score_line(scores, outcomes)
    assert line is not None
    assert line.slope == LEAST_SLOPE
    assert line.apply(scores).mean() == pytest.approx(0.5)


def test_scores_of_0_and_1_are_taken_as_they_come() -> None:
    line = fit_score_line(np.array([0.0, 1.0, 0.0, 1.0, 0.5]), np.array([0.0, 1.0, 1.0, 0.0, 1.0]))
    assert line is not None
    assert np.isfinite(logit(line.apply([0.0, 1.0]))).all()


@pytest.mark.parametrize(
    "outcomes", [[], [0.0, 0.0], [1.0, 1.0]], ids=["no row", "no positive", "no negative"]
)
def test_one_outcome_alone_gives_no_line(outcomes: list[float]) -> None:
    assert fit_score_line(np.full(len(outcomes), 0.4), np.array(outcomes)) is None
