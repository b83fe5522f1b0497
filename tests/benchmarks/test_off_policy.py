"""The simulated feeds of the off-policy benchmark: their true value is what a long log of the target earns."""

import dataclasses

import numpy as np
import pytest

from benchmarks.off_policy import Feed


@pytest.mark.parametrize(("slots", "kinds"), [(1, (0,)), (3, (0,)), (3, (0, 1)), (3, (0, 1, 2))])
def test_the_true_value_is_what_the_target_earns_when_it_serves(slots: int, kinds: tuple[int, ...]) -> None:
    feed = Feed.draw(np.random.default_rng(3), slots=slots, kinds=kinds)
    served = dataclasses.replace(feed, logging=feed.target).log(np.random.default_rng(4), users=20_000)
    earned = served.groupby("request_id").reward.sum()
    assert earned.mean() == pytest.approx(feed.true_value(), abs=5 * earned.std() / np.sqrt(20_000))
