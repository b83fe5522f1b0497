"""Tenths are those of pandas where nothing ties; what ties stays together."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluation.grouping import TENTHS, assign_tenths


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
