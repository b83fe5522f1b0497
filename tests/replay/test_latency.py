"""The latency of what a release served: a percentile of the log's requests, never the time of a batch run."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.replay.latency import measure_latency, percentile_estimate
from tasks.replay.log import CandidateLog
from tasks.replay.replay_policies import Replay
from tests.replay.worlds import LOGGED, copied, metric, page, slates


def served(latency: list[float], by: list[int]) -> CandidateLog:
    """Return pages of three rows a request, two requests a copy, with the latency of each request."""
    log = copied(page(), len(latency) // 2)
    return replace(log, latency=np.repeat(latency, 3), served_by=np.repeat(by, 3).astype(np.int64))


OURS = replace(slates("release 2", []), release=2)
THEIRS = replace(slates("champion 1", []), release=1)


def test_requests_count_once_and_only_those_that_the_release_served() -> None:
    """Of 200 requests each, 198 took at most 198 (or twice as many) milliseconds."""
    latency = [float(place + 1) for place in range(200)] + [2.0 * (place + 1) for place in range(200)]
    measured = measure_latency(served(latency, [1] * 200 + [2] * 200), OURS, THEIRS)
    assert measured.policy is not None
    assert measured.baseline is not None
    assert measured.relative is not None
    assert (measured.policy.value, measured.baseline.value) == (396.0, 198.0)
    assert measured.relative.value == pytest.approx(1.0)
    assert not measured.policy.known  # the greatest of 200 does not bound a 99th percentile


def test_a_release_that_served_nothing_cannot_be_told() -> None:
    measured = measure_latency(served([1.0] * 40, [1] * 40), OURS, THEIRS)
    assert (measured.policy, measured.baseline) == (None, None)
    assert measured.reason == "no request of the log says that release 2 served it"


def test_an_unknown_latency_is_left_out() -> None:
    measured = measure_latency(served([5.0, np.nan] * 20, [2] * 40), OURS, THEIRS)
    assert measured.policy is not None
    assert (measured.policy.value, measured.policy.n) == (5.0, 20)


def test_a_log_without_the_columns_says_which_it_wants() -> None:
    log, policy = served([1.0] * 2, [2] * 2), slates("p", LOGGED)
    for lacking in (replace(log, latency=None), replace(log, served_by=None)):
        (measured,) = Replay(lacking, policy).measure(metric("latency_p99_ms"), policy, policy, ())
        assert measured.policy is None
        assert "both latency_ms and release" in measured.reason


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng, truth, held = np.random.default_rng(0), -np.log(0.01), 0
    for _ in range(200):
        values = rng.exponential(size=1500)
        found = percentile_estimate(values, np.arange(1500), np.arange(1500) % 14)
        held += found.low <= truth <= found.high
    assert 180 <= held <= 200
