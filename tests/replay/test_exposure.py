"""How concentrated exposure is, by hand and by its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.replay.exposure import entropy, gini


def test_entropy_and_gini_of_equal_and_of_single_values() -> None:
    assert entropy(np.ones(4)) == pytest.approx(np.log(4))
    assert gini(np.ones(4)) == 0.0
    assert entropy(np.array([5.0, 0.0])) == 0.0
    assert gini(np.array([0.0, 0.0, 0.0, 1.0])) == 0.75


def test_a_value_that_nobody_sees_is_unequal_but_adds_no_entropy() -> None:
    seen = np.array([2.0, 1.0, 1.0])
    and_unseen = np.append(seen, [0.0, 0.0])
    assert entropy(and_unseen) == pytest.approx(entropy(seen))
    assert entropy(seen) == pytest.approx(1.5 * np.log(2))
    assert gini(seen) == pytest.approx(1 / 6)
    assert gini(and_unseen) == 0.5


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=20))
def test_gini_is_half_the_relative_mean_difference(exposures: list[float]) -> None:
    x = np.array(exposures)
    assert gini(x) == pytest.approx(np.abs(x[:, None] - x).mean() / (2 * x.mean()), abs=1e-9)


def test_each_row_has_a_figure_and_nothing_seen_has_none() -> None:
    seen = np.array([[3.0, 1.0], [0.0, 0.0], [2.0, 2.0]])
    for figure in (entropy, gini):
        found = figure(seen)
        assert found[[0, 2]].tolist() == [figure(seen[0]), figure(seen[2])]
        assert np.isnan(found[1])
