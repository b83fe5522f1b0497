"""How many numbers a replay holds either way, counted by hand on a few rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.replay_numbers import SUMS_EACH, Held, count_sums, distinct_arrays
from tasks.contracts.metrics import Metric, MetricKind
from tasks.replay.compared import ComparedPolicies
from tasks.replay.log import PolicySlates
from tasks.replay.read_log import WORDS, LogReading, candidate_log
from tests.replay.blocks import LINKS, frame_of


def two_requests() -> ComparedPolicies:
    """Two users with three items each; ours shows the first, theirs the second, nobody the third."""
    column: pd.Categorical[Any] = pd.Categorical(["new", "old", "old"] * 2)
    reading = LogReading(LINKS, segments={"tenure": column}, kinds={"tenure": WORDS})
    frame = frame_of(["r", "r", "r", "s", "s", "s"], shown=True, item_id=["a", "b", "c"] * 2)
    first = np.array([1, 0, 0] * 2)
    return ComparedPolicies(
        candidate_log(frame, reading),
        PolicySlates("ours", first),
        PolicySlates("theirs", first[[1, 0, 2] * 2]),
    )


def test_sums_are_kept_by_user_item_and_day_of_the_rows_in_slots() -> None:
    """Users 2, items 2, days 1; recall sums the third item as well."""
    rate, recall = Metric(MetricKind.RATE, "click"), Metric(MetricKind.RECALL, "click")
    assert count_sums(two_requests(), [(rate, None)]) == Held(2 * SUMS_EACH, 2 * SUMS_EACH, SUMS_EACH)
    assert count_sums(two_requests(), [(rate, None), (recall, None)]).items == (2 + 3) * SUMS_EACH


def test_columns_are_held_in_their_arrays_and_an_array_counts_once() -> None:
    @dataclass(frozen=True)
    class Columns:
        one: object
        other: object
        name: str = "four letters"

    values = np.arange(4.0)
    held = [Columns(values, {"a": values, "b": np.arange(3)}), Columns(pd.Categorical(["x", "y"]), ())]
    assert [len(one) for one in distinct_arrays(held)] == [4, 3, 2]
