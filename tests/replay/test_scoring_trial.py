"""Requests that are scored alone: which get an answer, and how long two releases take beside each other."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.replay.shadow import count_failures, median_estimate, sample_requests, time_scoring

DAY = pd.DataFrame({"request_id": ["a", "a", "b", "c", "c", "c"], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(utility=frame["x"], dropped_by=None, slate_position=1.0)


def without_b(frame: pd.DataFrame) -> pd.DataFrame:
    if "b" in set(frame["request_id"]) and len(frame) == 1:
        raise ValueError("no b")
    return scored(frame)


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=30), most=st.integers(1, 12))
def test_a_sample_holds_whole_requests_in_order_with_the_first_and_the_last(
    sizes: list[int], most: int
) -> None:
    names = np.repeat(np.arange(len(sizes)), sizes)
    sample = sample_requests(pd.DataFrame({"request_id": names}), most)
    chosen = [int(one["request_id"].iloc[0]) for one in sample]
    assert len(sample) == min(most, len(sizes))
    assert chosen == sorted(chosen)
    assert [len(one) for one in sample] == [sizes[name] for name in chosen]
    assert chosen[0] == 0
    assert most == 1 or chosen[-1] == len(sizes) - 1


def test_a_release_that_answers_every_request_has_no_failure() -> None:
    found = count_failures(sample_requests(DAY), [scored(DAY)], [scored])
    assert (found.requests, found.alone, found.challenger, found.champion) == (3, 3, 0, None)


def test_a_request_that_raises_alone_is_counted_with_what_it_said() -> None:
    found = count_failures(sample_requests(DAY), [scored(DAY), scored(DAY)], [without_b, scored])
    assert (found.challenger, found.champion, found.example) == (1, 0, "ValueError: no b")


@pytest.mark.parametrize(("dropped", "failed"), [(None, 1), ("adult", 0)])
def test_a_kept_candidate_without_a_finite_utility_is_no_answer(dropped: Any, failed: int) -> None:
    day = scored(DAY)
    day.loc[3, "utility"] = np.inf
    day.loc[3, "dropped_by"] = dropped
    assert count_failures([], [day], [scored]).challenger == failed


@dataclass
class Clock:
    """A clock that moves only while a release scores; it notes who did."""

    now: float = 0.0
    order: list[str] = field(default_factory=list)

    def release(self, name: str, *seconds: float) -> Any:
        """Return a release that takes these seconds for its calls, in turn."""
        calls = iter(seconds)

        def score(frame: pd.DataFrame) -> pd.DataFrame:
            self.now += next(calls)
            self.order.append(name)
            return frame

        return score


def test_the_shorter_of_two_repetitions_counts_and_pairs_change_their_order() -> None:
    clock = Clock()
    slow = clock.release("slow", *[0.030] * 6, *[0.020] * 6)
    fast = clock.release("fast", *[0.010] * 12)
    times = time_scoring([DAY] * 6, slow, fast, clock=lambda: clock.now)
    assert (times.requests, times.candidates) == (6, 36)
    assert times.challenger_ms.value == pytest.approx(20)
    assert times.champion_ms.value == pytest.approx(10)
    assert [times.ratio.low, times.ratio.high] == pytest.approx([2, 2])
    pairs = list(zip(clock.order[::2], clock.order[1::2], strict=True))
    assert {("slow", "fast"), ("fast", "slow")} == {*pairs}
    assert pairs.count(("slow", "fast")) == 6


@given(st.lists(st.floats(0.1, 10), min_size=6, max_size=60))
def test_the_interval_of_a_median_holds_it(values: list[float]) -> None:
    found = median_estimate(np.array(values))
    assert found.low <= found.value <= found.high


def test_the_interval_holds_the_true_median_in_19_of_20_samples() -> None:
    random = np.random.default_rng(5)
    found = [median_estimate(random.exponential(size=12)) for _ in range(2000)]
    assert np.mean([one.low <= np.log(2) <= one.high for one in found]) > 0.94


def test_nothing_measured_is_unknown() -> None:
    assert not median_estimate(np.array([])).known


def test_a_request_whose_candidates_are_all_dropped_gets_no_answer() -> None:
    """A constraint's column that is null dropped every candidate, and 0 of 120 requests were said to lack one."""
    dropped = scored(DAY).assign(dropped_by="not_permitted", slate_position=np.nan)
    partly = scored(DAY).assign(slate_position=[np.nan, 1.0, np.nan, 1.0, 2.0, 3.0])
    counted = count_failures(sample_requests(DAY), [dropped, partly], [scored, scored])
    assert (counted.challenger, counted.champion) == (3, 1)
    assert (counted.empty, counted.emptied_by) == (3, "not_permitted")
