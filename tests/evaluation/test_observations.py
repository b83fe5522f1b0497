"""Rows that are measured together stay together."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluation.observations import TENTHS, Observations, assign_tenths

ROWS = Observations(
    [1.0, np.nan, 0.0],
    [0.9, 0.5, 0.1],
    users=["u", "v", "w"],
    requests=["r", "r", "s"],
    segments={"source": ["ads", "feed", "ads"]},
    weights=[1.0, 2.0, 3.0],
    examination=[1.0, 0.5, np.nan],
)


def test_every_column_follows_the_rows_whose_outcome_is_known() -> None:
    known = ROWS.select_known()
    columns = (known.outcomes, known.predictions, known.users, known.requests, known.weights)
    assert [np.asarray(c).tolist() for c in columns] == [[1, 0], [0.9, 0.1], ["u", "w"], ["r", "s"], [1, 3]]
    assert np.asarray(known.segments["source"]).tolist() == ["ads", "ads"]
    np.testing.assert_array_equal(np.asarray(known.examination), [1.0, np.nan])


def test_what_is_left_out_stays_left_out() -> None:
    known = Observations([1.0], [0.9], ["u"], ["r"]).select_known()
    assert (known.weights, known.examination, known.segments) == (None, None, {})


def test_tenths_of_different_figures_are_those_of_pandas() -> None:
    figures = np.random.default_rng(1).random(1000)
    np.testing.assert_array_equal(assign_tenths(figures), pd.qcut(figures, TENTHS, labels=False))


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5]) | st.floats(0, 1), max_size=60))
def test_equal_figures_are_together_in_order_and_no_tenth_is_empty(figures: list[float]) -> None:
    values = np.array(figures)
    codes = assign_tenths(values)
    by_value = pd.Series(codes).groupby(values)
    assert by_value.min().equals(by_value.max())
    assert by_value.first().is_monotonic_increasing
    assert sorted(set(codes)) == list(range(len(set(codes))))
