import numpy as np
import pytest

from tasks.datasets.world.users import SEEN_NOISE, draw_users
from tasks.datasets.world.vocabulary import TENURES


def test_what_the_feed_sees_of_a_person_is_off_by_its_noise_alone() -> None:
    taste = draw_users(1, 5000).taste
    assert taste.true.shape == (5000, 8)
    assert (taste.seen - taste.true).std() == pytest.approx(SEEN_NOISE, rel=0.05)


def test_the_loyal_are_the_most_active_and_the_new_the_least() -> None:
    users = draw_users(1, 20_000)
    by_tenure = [users.activity[users.tenure == i].mean() for i in range(len(TENURES))]
    assert by_tenure == sorted(by_tenure)
    assert np.bincount(users.tenure).min() > 4000
