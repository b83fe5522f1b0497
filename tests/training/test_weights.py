from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tasks.errors import DataError
from tasks.training import weights
from tests.known import known


def test_a_logged_column_is_taken_as_it_is() -> None:
    np.testing.assert_array_equal(
        weights.column_weights(np.array([0.0, 2.0, 0.5]), task="click", column="trust"), [0.0, 2.0, 0.5]
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-1.0, "-1 in 1 of 3"),
        (np.nan, "null in 1 of 3"),
        (np.inf, "inf in 1 of 3"),
        (1e300, r"1e\+300 in 1 of 3"),
    ],
)
def test_a_weight_that_is_none_is_refused_with_what_it_is_and_how_often(value: Any, shown: str) -> None:
    with pytest.raises(
        DataError, match=rf"'click' cannot be trained: weights\.column 'trust' is {shown} rows"
    ):
        weights.column_weights(np.array([1.0, value, 0.0]), task="click", column="trust")


def test_a_half_life_halves_by_it_and_counts_from_the_newest_row() -> None:
    shown = np.array(["2026-03-01T00:00", "2026-03-01T12:00", "2026-02-28T00:00"], dtype="datetime64[us]")
    np.testing.assert_allclose(weights.age_weights(shown, timedelta(hours=12)), [0.5, 1.0, 0.125])


def test_an_older_row_weighs_the_same_whatever_came_after_the_newest() -> None:
    shown = np.array(["2026-03-01", "2026-03-03"], dtype="datetime64[us]")
    alone, later = (weights.age_weights(shown[:n], timedelta(days=2)) for n in (1, 2))
    assert (alone[0], later[0]) == (1.0, 0.5)


def test_a_row_of_very_long_ago_weighs_next_to_nothing_and_not_nothing() -> None:
    shown = np.array(["2026-03-01", "2026-03-15"], dtype="datetime64[us]")
    old, new = weights.age_weights(shown, timedelta(seconds=1))
    assert 0 < old < 1e-29
    assert new == 1


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (np.nan, "null"), (1.5, "1.5"), (-0.1, "-0.1"), (np.inf, "inf")]
)
def test_a_propensity_without_an_inverse_is_refused(value: Any, shown: str) -> None:
    with pytest.raises(
        DataError, match=rf"the logged propensity is {shown} in 2 of 3 rows.*log it, or leave"
    ):
        weights.propensity_weights(np.array([value, 0.5, value]), clip=20, task="click")


def test_a_propensity_of_next_to_nothing_weighs_the_clip() -> None:
    assert weights.propensity_weights(np.array([5e-324, 0.5]), clip=20, task="click").tolist() == [20.0, 2.0]


def test_factors_are_multiplied_and_their_mean_is_one() -> None:
    found = weights.combine_factors([np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 4.0])])
    np.testing.assert_allclose(known(found), np.array([2.0, 4.0, 12.0]) / 6)
    assert weights.combine_factors([]) is None


@pytest.mark.parametrize("before", [None, np.array([1.0, 3.0, 1.0, 1.0, 2.0])])
def test_balanced_positives_weigh_as_much_as_negatives_and_the_offset_says_by_what_factor(
    before: Any,
) -> None:
    labels = np.array([1.0, 0.0, 0.0, 0.0, 1.0])
    after, offset = weights.balance_classes(labels, before)
    assert after[labels == 1].sum() == pytest.approx(after[labels == 0].sum())
    assert after.mean() == pytest.approx(1)
    factor = after / (np.ones(5) if before is None else before)
    assert np.exp(offset) == pytest.approx(factor[0] / factor[1])


def test_equal_weights_are_worth_their_number_and_one_heavy_row_is_worth_one() -> None:
    assert weights.effective_size(np.full(7, 3.0)) == pytest.approx(7)
    assert weights.effective_size(np.array([1e9, 1.0, 1.0])) == pytest.approx(1)


def test_each_factor_is_described_by_its_range_and_what_it_leaves_of_the_rows() -> None:
    (told,) = weights.describe_factors({"half_life": np.array([1.0, 3.0])}).values()
    assert told == {"least": 1.0, "mean": 2.0, "greatest": 3.0, "effective_rows": pytest.approx(1.6)}
