"""What has not come yet is taken back, and how much that is, is counted in windows that have closed."""

import numpy as np
import pytest

from benchmarks.learning.delayed import Delayed, delays
from benchmarks.learning.feed import feed
from tasks.errors import ImmatureLabels
from tasks.training.debiasing import LEAST, position_weights, truncate_outcomes

pytestmark = pytest.mark.xdist_group("learning_truth")


def a_log(rows: int = 200_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels of rate .1, delays up to 10 and elapsed times up to 20."""
    rng = np.random.default_rng(0)
    labels = (rng.random(rows) < 0.1).astype(float)
    return labels, np.where(labels > 0, 10 * rng.random(rows) ** 2, np.nan), 20 * rng.random(rows)


def test_a_row_is_known_by_what_had_come_and_a_closed_one_is_its_label() -> None:
    labels, delays_, elapsed = a_log()
    known, arrived, _ = truncate_outcomes(labels, delays_, elapsed, window=10)
    closed = elapsed >= 10
    np.testing.assert_array_equal(known[closed], labels[closed])
    assert (arrived[closed] == 1).all()
    np.testing.assert_array_equal(known[~closed], (delays_ < elapsed)[~closed])


def test_what_had_arrived_is_the_share_of_delays_that_are_shorter() -> None:
    labels, delays_, elapsed = a_log()
    _, arrived, _ = truncate_outcomes(labels, delays_, elapsed, window=10)
    open_ = elapsed < 10
    assert np.abs(arrived - np.sqrt(elapsed / 10))[open_].max() < 0.02


def test_the_corrected_rate_is_the_true_one_where_ignoring_and_waiting_are_not() -> None:
    """The rate doubles in the open windows: who waits has not seen it, who ignores sees a part."""
    labels, delays_, elapsed = a_log()
    rng, new = np.random.default_rng(1), elapsed < 10
    more = new & (rng.random(labels.size) < 0.1) & (labels == 0)
    delays_[more], labels[more] = 10 * rng.random(int(more.sum())) ** 2, 1.0
    true = labels[new].mean()
    known, arrived, kept = truncate_outcomes(labels, delays_, elapsed, window=10)
    rows = new & kept
    weights = position_weights(known[rows], arrived[rows], true)
    assert (weights * known[rows]).sum() / weights.sum() == pytest.approx(true, rel=0.03)
    assert known[new].mean() < 0.75 * true
    assert labels[~new].mean() < 0.6 * true


def test_a_row_of_which_next_to_nothing_could_have_come_is_left_out() -> None:
    labels, delays_, elapsed = a_log()
    _, arrived, kept = truncate_outcomes(labels, delays_, elapsed, window=10)
    np.testing.assert_array_equal(kept, (elapsed > 0) & (arrived >= LEAST))
    assert kept.mean() < 1


def test_a_window_that_has_not_opened_is_no_row() -> None:
    _, _, kept = truncate_outcomes(np.ones(2), np.array([1.0, 1.0]), np.array([9.0, -1.0]), window=5)
    assert kept.tolist() == [True, False]


def test_without_a_closed_positive_nothing_is_known_of_delays() -> None:
    with pytest.raises(ImmatureLabels, match="Of 1 rows whose window had closed none is positive"):
        truncate_outcomes(np.array([0.0, 1.0]), np.array([np.nan, 1.0]), np.array([9.0, 2.0]), window=5)


@pytest.fixture(scope="module")
def told() -> dict[str, Delayed]:
    return delays(feed(requests=1200, train=9))


def test_on_the_simulated_feed_a_newcomer_is_seen_in_time_and_whole(told: dict[str, Delayed]) -> None:
    """What is new in the open windows is unknown to who waits, and too small to who ignores."""
    corrected = told["delayed: true"].newcomer.ratio
    assert told["waiting for the window"].newcomer.ratio < told["ignoring what is to come"].newcomer.ratio
    assert told["ignoring what is to come"].newcomer.ratio < corrected
    assert corrected == pytest.approx(told["all that came, known later"].newcomer.ratio, abs=0.15)


def test_on_the_simulated_feed_more_days_bring_the_trees_closer_than_waiting(
    told: dict[str, Delayed],
) -> None:
    assert told["delayed: true"].all.error < told["waiting for the window"].all.error
