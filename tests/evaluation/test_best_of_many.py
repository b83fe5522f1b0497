"""The luck of the best of many: known expectations of normal maxima, and equal policies on noise."""

import math

import numpy as np
import pytest

from tasks.evaluation.best_of_many import expected_best, without_selection
from tasks.evaluation.verdicts import Estimate


@pytest.mark.parametrize(
    ("policies", "expected"),
    [(1, 0.0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi)), (200, 2.7460)],
)
def test_the_expected_maximum_is_that_of_the_closed_forms(policies: int, expected: float) -> None:
    assert expected_best(policies) == pytest.approx(expected, abs=1e-4)


def test_it_grows_with_every_policy_and_stays_finite() -> None:
    luck = [expected_best(n) for n in (1, 2, 5, 50, 1_000, 1_000_000)]
    assert luck == sorted(luck)
    assert luck[-1] < 6


def test_no_policy_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        expected_best(0)


def test_of_equal_policies_the_best_gains_nothing_once_its_luck_is_taken_off() -> None:
    rng, left = np.random.default_rng(5), []
    for _ in range(300):
        best = float(rng.normal(0.0, 0.01, size=40).max())
        left.append(without_selection(Estimate(best, best - 0.0196, best + 0.0196, 900), 40))
    assert abs(np.mean(left)) < 4 * np.std(left) / math.sqrt(300)


def test_a_gain_without_an_interval_has_no_corrected_one() -> None:
    assert math.isnan(without_selection(Estimate(0.1, math.nan, math.nan, 0), 3))
