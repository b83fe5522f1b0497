"""What a log of candidates says of requests, users and places, and the slates that need no release."""

import numpy as np
import pytest

from tests.replay.worlds import page


def test_beyond_the_curve_its_last_value_holds_and_an_unknown_place_is_the_first() -> None:
    assert page().examined_at(np.array([1.0, 3.0, 9.0, np.nan])).tolist() == [1.0, 0.25, 0.25, 1.0]
    assert page(examination=None).examined_at(np.array([1.0, 9.0])).tolist() == [1.0, 1.0]


def test_predictions_per_look_sum_to_the_known_outcomes_that_calibrated_predictions_sum_to() -> None:
    predictions = np.array([0.4, 0.2, 0.2, 0.3, 0.3, 0.1])
    fading = page(labels=[1, 0, None, 0, None, None])
    known = np.array([True, True, False, True, False, False])
    for log, rows in ((page(), np.ones(6, dtype=bool)), (fading, known)):
        per_examined = predictions / log.mean_examination("click", predictions)
        assert (per_examined * log.logged_examined)[rows].sum() == pytest.approx(predictions[rows].sum())


def test_without_a_known_outcome_the_mean_examination_is_that_of_what_was_shown() -> None:
    unknown = page(labels=[None] * 6)
    assert unknown.mean_examination("click", np.ones(6)) == pytest.approx((1.0 + 0.5 + 0.25) / 3)
