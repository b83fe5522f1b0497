"""Segments of a log, with thin values pooled and the pool named; never silently."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.replay.segmentation import Segmentation, Thinness


def segmented(
    values: list[str], *, positives: list[int] | None = None, weights: object = None
) -> Segmentation:
    """Segment rows of one user each."""
    size = len(values)
    each = np.ones(size) if weights is None else np.asarray(weights, dtype=float)
    marked = None if positives is None else np.array(positives)
    return Thinness(each, np.arange(size)).segmentation("kind", pd.Categorical(values), marked)


def test_a_value_with_twenty_users_stands_alone_and_those_with_fewer_are_pooled() -> None:
    made = segmented(["a"] * 20 + ["b"] * 19 + ["c"] * 3)
    assert made.names == ("kind=a", "kind=other")
    assert made.pooled == {"kind=other": ("b", "c")}
    assert np.bincount(made.codes).tolist() == [20, 22]


def test_one_thin_value_alone_is_not_hidden_behind_another_name() -> None:
    made = segmented(["a"] * 20 + ["b"] * 3)
    assert (made.names, made.pooled) == (("kind=a", "kind=b"), {})


def test_figures_of_outcomes_ask_for_ten_positives() -> None:
    values = ["a"] * 30 + ["b"] * 30 + ["c"] * 30
    positives = [1] * 10 + [0] * 20 + [1] * 9 + [0] * 21 + [0] * 30
    assert segmented(values, positives=positives).pooled == {"kind=other": ("b", "c")}
    assert segmented(values).pooled == {}


def test_users_outside_every_slot_count_for_nothing() -> None:
    values = ["a"] * 30 + ["b"] * 30 + ["c"] * 30
    weights = [1.0] * 30 + [0.0] * 55 + [1.0] * 5
    assert segmented(values, weights=weights).pooled == {"kind=other": ("b", "c")}


def test_a_value_that_is_called_other_is_told_from_the_pool() -> None:
    made = segmented(["other"] * 20 + ["b", "c"])
    assert made.names == ("kind=other", "kind=other values")
    assert made.pooled == {"kind=other values": ("b", "c")}


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=120))
def test_every_row_is_in_one_segment_and_every_value_is_named_once(values: list[str]) -> None:
    made = segmented(values)
    assert made.codes.min() >= 0
    assert made.codes.max() < len(made.names)
    named = [name.removeprefix("kind=") for name in made.names if name not in made.pooled]
    named += [value for pool in made.pooled.values() for value in pool]
    assert sorted(named) == sorted(set(values))
    for value, code in zip(values, made.codes, strict=True):
        name = made.names[code]
        assert value in made.pooled.get(name, (name.removeprefix("kind="),))


@pytest.mark.parametrize("size", [0, 3])
def test_the_whole_is_one_segment(size: int) -> None:
    assert Segmentation.whole(size).names == ("all",)
