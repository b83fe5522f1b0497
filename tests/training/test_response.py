"""Answers stand for those who did not answer as far as features tell who answers, and no further."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.learning.feed import feed
from benchmarks.learning.survey import Survey, surveys
from tasks.errors import DataError
from tasks.training.debiasing import response_probabilities, response_weights

pytestmark = pytest.mark.xdist_group("learning_truth")

ROWS = 60_000
RNG = np.random.default_rng(0)
KIND = RNG.integers(0, 2, ROWS)
HAPPY = RNG.random(ROWS) < np.where(KIND == 1, 0.8, 0.4)
FEATURES = pa.table({"kind": KIND.astype(float), "noise": RNG.random(ROWS)})
HALF = np.arange(ROWS) % 2 == 0


def weights_of(answered: np.ndarray) -> np.ndarray:
    mine = FEATURES.filter(pa.array(answered))
    found = response_probabilities(FEATURES, answered, HALF, of=mine, of_half=HALF[answered])
    return response_weights(found, rate=float(answered.mean()), clip=20)


def test_who_answers_is_found_by_users_that_the_trees_did_not_see() -> None:
    answered = RNG.random(ROWS) < np.where(KIND == 1, 0.3, 0.05)
    found = response_probabilities(FEATURES, answered, HALF, of=FEATURES, of_half=HALF)
    for half in (HALF, ~HALF):
        for kind, rate in ((0, 0.05), (1, 0.3)):
            assert found[half & (kind == KIND)].mean() == pytest.approx(rate, abs=0.015)


def test_weighed_answers_speak_of_all_where_features_tell_who_answers() -> None:
    answered = RNG.random(ROWS) < np.where(KIND == 1, 0.3, 0.05)
    assert HAPPY[answered].mean() > HAPPY.mean() + 0.1
    weights = weights_of(answered)
    assert np.average(HAPPY[answered], weights=weights) == pytest.approx(HAPPY.mean(), abs=0.015)
    assert weights.mean() == pytest.approx(1, abs=0.05)


def test_where_happiness_itself_makes_people_answer_no_weight_of_features_helps() -> None:
    answered = RNG.random(ROWS) < np.where(HAPPY, 0.1, 0.2)
    plain = HAPPY[answered].mean() - HAPPY.mean()
    weighed = np.average(HAPPY[answered], weights=weights_of(answered)) - HAPPY.mean()
    assert plain < -0.1
    assert weighed < 0.7 * plain


def test_no_answer_weighs_more_than_the_clip() -> None:
    assert response_weights(np.array([0.0, 1e-9]), rate=0.5, clip=3).tolist() == [3.0, 3.0]


def test_where_everybody_answers_there_is_nothing_to_learn() -> None:
    with pytest.raises(DataError, match=r"of 30000 rows are answered\. Leave weights\.response out"):
        weights_of(np.ones(ROWS, dtype=bool))


@pytest.fixture(scope="module")
def told() -> dict[str, Survey]:
    return surveys(feed(requests=2000, train=6))


def test_on_the_simulated_feed_weights_leave_what_is_said_of_answers_about_as_right(
    told: dict[str, Survey],
) -> None:
    """Answering hangs on tenure a little there, and on happiness."""
    plain, weighed = told["answers as they come"], told["weights.response"]
    assert weighed.of_answers.error < 1.1 * plain.of_answers.error
    assert weighed.of_answers.ratio == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("how", ["answers as they come", "weights.response"])
def test_on_the_simulated_feed_the_unhappy_answer_more_readily_and_weights_do_not_know(
    told: dict[str, Survey], how: str
) -> None:
    assert told[how].of_all.ratio < 0.9
