"""A reliability curve by hand."""

import numpy as np
import pytest

from tasks.calibration.reliability import MOST_BINS, assign_equal_shares, curve_points, reliability_curve
from tasks.evaluation.resampling import cluster_rows

RNG = np.random.default_rng(0)
P = RNG.beta(1, 9, 4000)
Y = (RNG.random(4000) < P).astype(float)


def test_each_bin_holds_an_equal_share_of_what_is_predicted() -> None:
    bins, count = assign_equal_shares(P, 400)
    shares = np.bincount(bins, P) / P.sum()
    assert count == MOST_BINS
    assert shares == pytest.approx(np.full(count, 1 / count), abs=0.01)


def test_few_positives_make_few_bins_and_equal_predictions_share_one() -> None:
    assert assign_equal_shares(P, 5)[1] == 2
    assert assign_equal_shares(np.full(50, 0.2), 400)[1] == 1


def test_a_point_is_the_mean_prediction_and_the_observed_rate_of_its_bin() -> None:
    curve = reliability_curve(P, Y, cluster_rows(np.arange(P.size)))
    bins, count = assign_equal_shares(P, int(Y.sum()))
    for b in range(count):
        assert curve.predicted[b] == pytest.approx(P[bins == b].mean())
        assert curve.observed[b].value == pytest.approx(Y[bins == b].mean())
        assert curve.observed[b].low < curve.observed[b].value < curve.observed[b].high
    assert curve.ratio.value == pytest.approx(Y.sum() / P.sum())


def test_the_points_of_a_small_picture_are_those_of_the_curve() -> None:
    curve = reliability_curve(P, Y, cluster_rows(np.arange(P.size)))
    points = curve_points(P, Y)
    assert [point.predicted for point in points] == pytest.approx(list(curve.predicted))
    assert [point.observed for point in points] == pytest.approx([rate.value for rate in curve.observed])
    assert sum(point.rows for point in points) == P.size


def test_rows_of_which_nothing_is_known_are_in_no_point() -> None:
    outcomes = np.where(np.arange(P.size) % 2, Y, np.nan)
    assert curve_points(P, outcomes) == curve_points(P[1::2], Y[1::2])
    assert curve_points(P[:3], np.full(3, np.nan)) == ()
