"""What a log of candidates says of requests, users and places, and the slates that need no release."""

import numpy as np
import pytest

from tests.replay.worlds import page


def test_beyond_the_curve_its_last_value_holds_and_an_unknown_place_is_the_first() -> None:
    assert page().examined_at(np.array([1.0, 3.0, 9.0, np.nan])).tolist() == [1.0, 0.25, 0.25, 1.0]
    assert page(examination=None).examined_at(np.array([1.0, 9.0])).tolist() == [1.0, 1.0]


def test_the_mean_examination_is_that_of_what_was_shown() -> None:
    assert page().mean_examination == pytest.approx((1.0 + 0.5 + 0.25) / 3)
