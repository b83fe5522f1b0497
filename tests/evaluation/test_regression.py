"""Value heads' figures against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from tasks.errors import DataError
from tasks.evaluation import regression

RNG = np.random.default_rng(1)
VALUES, PREDICTIONS, WEIGHTS = RNG.exponential(5, 100), RNG.normal(5, 2, 100), RNG.random(100)


def test_errors_are_those_of_scikit_learn() -> None:
    assert regression.rmse(VALUES, PREDICTIONS, weights=WEIGHTS) == pytest.approx(
        oracle.root_mean_squared_error(VALUES, PREDICTIONS, sample_weight=WEIGHTS)
    )
    assert regression.mae(VALUES, PREDICTIONS, weights=WEIGHTS) == pytest.approx(
        oracle.mean_absolute_error(VALUES, PREDICTIONS, sample_weight=WEIGHTS)
    )


def test_the_mean_ratio_is_observed_over_predicted() -> None:
    assert regression.mean_ratio([3.0, 0.0, 0.0], [0.5, 0.5, 0.5]) == 2.0


def test_nothing_gives_nan() -> None:
    assert np.isnan(regression.rmse([], []))
    assert np.isnan(regression.mean_ratio([1.0], [0.0]))


def test_an_unknown_value_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 outcomes are not finite"):
        regression.mae([1.0, np.nan], [1.0, 1.0])
