"""Calibration errors against independent libraries, and what they say of known distortions.

Multicalibration error against the library of its authors.
"""

from typing import Any

import calibration
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from mcgrad.metrics import MulticalibrationError
from relplot.metrics import smECE
from scipy.stats import norm

from tasks.errors import DataError
from tasks.evaluation.binary import check_binary
from tasks.evaluation.calibration_error import (
    Multicalibration,
    SortedRows,
    assign_equal_bins,
    debiased_ece,
    smooth_ece,
)
from tasks.evaluation.observations import Grouping
from tasks.evaluation.subjects import ALL, Segment

Floats = npt.NDArray[np.float64]


def _rows(distortion: str, n: int = 6000, a: float = 2, b: float = 6) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(1)
    p = rng.beta(a, b, n)
    truth = {"none": p, "low": np.minimum(1, 1.4 * p), "steep": p**1.4}[distortion]
    return (rng.random(n) < truth).astype(float), p


@pytest.mark.parametrize("distortion", ["none", "low", "steep"])
def test_smooth_ece_is_that_of_its_authors_to_the_step_of_their_search(distortion: str) -> None:
    y, p = _rows(distortion)
    assert smooth_ece(y, p) == pytest.approx(smECE(p, y), abs=1 / 1024)


@pytest.mark.parametrize("distortion", ["low", "steep"])
def test_smooth_ece_is_where_a_kernel_drawn_by_hand_equals_its_bandwidth(distortion: str) -> None:
    y, p = _rows(distortion, n=300)
    at = (np.arange(4000) + 0.5) / 4000
    bandwidth = smooth_ece(y, p)
    kernel = sum(norm.pdf(at[:, None], mirrored, bandwidth) for mirrored in (p, -p, 2 - p))
    by_hand = np.abs(kernel @ (y - p) / y.size).mean()
    assert by_hand == pytest.approx(bandwidth, rel=2e-3)


def test_errors_that_cancel_in_the_ratio_do_not_cancel_here() -> None:
    p = np.repeat([0.2, 0.4], 5000)
    y = np.concatenate([np.arange(5000) % 10 < 4, np.arange(5000) % 10 < 2]).astype(float)
    assert y.sum() == pytest.approx(p.sum())
    assert smooth_ece(y, p) > 0.1
    assert debiased_ece(y, p) == pytest.approx(0.2, abs=0.001)


def test_a_rare_outcome_has_an_error_on_its_own_scale() -> None:
    y, p = _rows("low", n=200_000, a=1, b=400)
    assert smooth_ece(y, p) == pytest.approx(0.4 * p.mean(), rel=0.25)


@pytest.mark.parametrize("distortion", ["none", "low", "steep"])
@pytest.mark.parametrize("decimals", [2, 12])
def test_debiased_ece_is_that_of_its_authors_with_ties_and_without(distortion: str, decimals: int) -> None:
    y, p = _rows(distortion)
    p = np.round(p, decimals)
    theirs = calibration.lower_bound_scaling_ce(p, y.astype(int), p=2, debias=True, num_bins=15)
    assert debiased_ece(y, p) == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_debiasing_takes_the_noise_of_a_calibrated_sample_away() -> None:
    rng = np.random.default_rng(0)
    p = np.full(400, 0.3)
    squares = [debiased_ece(rng.random(400) < p, p, bins=1) for _ in range(200)]
    assert np.mean(np.array(squares) == 0) > 0.5


@pytest.mark.parametrize("error", [smooth_ece, debiased_ece])
def test_the_order_of_rows_does_not_matter_and_equal_weights_are_none(error: Any) -> None:
    y, p = _rows("low", n=2000)
    mixed = np.random.default_rng(0).permutation(y.size)
    assert error(y[mixed], p[mixed]) == pytest.approx(error(y, p))
    assert error(y, p, weights=np.full(y.size, 3.0)) == pytest.approx(error(y, p))


def test_a_weight_of_two_is_a_row_twice() -> None:
    y, p = _rows("steep", n=2000)
    twice = 1.0 + (np.arange(y.size) % 2)
    rows = np.repeat(np.arange(y.size), twice.astype(int))
    assert smooth_ece(y, p, weights=twice) == pytest.approx(smooth_ece(y[rows], p[rows]))


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_with_one_class_both_errors_are_those_of_their_authors(outcome: float) -> None:
    p = _rows("none", n=900)[1]
    y = np.full(p.size, outcome)
    assert smooth_ece(y, p) == pytest.approx(smECE(p, y), abs=1 / 1024)
    theirs = calibration.lower_bound_scaling_ce(p, y.astype(int), p=2, debias=True, num_bins=15)
    assert debiased_ece(y, p) == pytest.approx(theirs, rel=1e-9)


def test_a_single_row_has_a_smooth_error_and_none_without_noise() -> None:
    assert smooth_ece([1.0], [0.3]) == pytest.approx(smECE(np.array([0.3]), np.array([1.0])), abs=1 / 1024)
    assert np.isnan(debiased_ece([1.0], [0.3]))
    assert np.isnan(debiased_ece([1.0, 0.0], [0.3, 0.6]))


def test_weighted_debiased_ece_by_hand() -> None:
    y, p, w = [1.0, 0, 1, 1], [0.2, 0.2, 0.7, 0.7], [3.0, 1, 1, 1]
    # low bin: rate 3/4, 16/10 rows that count; high bin: rate 1, without noise
    low, high = (0.75 - 0.2) ** 2 - 0.75 * 0.25 / (1.6 - 1), (1 - 0.7) ** 2
    assert debiased_ece(y, p, weights=w, bins=2) == pytest.approx(np.sqrt((4 * low + 2 * high) / 6))


@pytest.mark.parametrize("error", [smooth_ece, debiased_ece])
def test_a_row_of_weight_0_is_as_if_it_were_not_there(error: Any) -> None:
    y, p = np.array([1.0, 0, 1, 1, 0]), np.array([0.2, 0.2, 0.7, 0.7, 0.7])
    counted = np.array([1.0, 1, 1, 1, 0])
    assert error(y, p, weights=counted) == pytest.approx(error(y[:4], p[:4]))


@pytest.mark.parametrize("error", [smooth_ece, debiased_ece])
def test_no_rows_and_no_weight_are_nan_and_extremes_break_nothing(error: Any) -> None:
    assert np.isnan(error([], []))
    assert np.isnan(error([1, 0], [0.5, 0.5], weights=[0, 0]))
    assert error([0, 0, 0], [0.0, 0.0, 0.0]) == 0.0
    assert error([1, 1, 1], [1.0, 1.0, 1.0]) == 0.0
    assert error([1, 1, 1], [0.0, 0.0, 0.0]) == pytest.approx(1.0)


def test_rows_that_do_not_divide_make_the_first_bins_larger() -> None:
    assert np.bincount(assign_equal_bins(np.arange(8.0), 3)).tolist() == [3, 3, 2]


# the library of the authors sorts in place
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

RNG = np.random.default_rng(0)
N = 8000
SIZES = {"source": 3, "tenure": 3, "region": 2}
CODES = {name: RNG.integers(size, size=N) for name, size in SIZES.items()}
P = RNG.beta(1, 8, N)
HARMED = (CODES["source"] == 1) & (CODES["tenure"] == 2)
Y = (RNG.random(N) < np.clip(P * np.where(HARMED, 1.8, 1.0), 0, 1)).astype(float)
W = RNG.random(N)
SEGMENTS = [
    Grouping(tuple(Segment(name, str(i)) for i in range(size)), CODES[name]) for name, size in SIZES.items()
]


def worst(y: npt.ArrayLike, p: npt.ArrayLike, segments: list[Grouping]) -> Multicalibration:
    return SortedRows.of(*check_binary(y, p)).worst(segments)


def _theirs(weights: str | None, depth: int, y: np.ndarray = Y) -> MulticalibrationError:
    frame = pd.DataFrame({"y": y, "p": P, "w": W, **{name: c.astype(str) for name, c in CODES.items()}})
    return MulticalibrationError(
        frame,
        "y",
        "p",
        weight_column=weights,
        categorical_segment_columns=list(CODES),
        max_depth=depth,
        precision_dtype="float64",
    )


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_error_sigma_and_what_is_detectable_are_theirs(weights: str | None, depth: int) -> None:
    theirs = _theirs(weights, depth)
    ours = SortedRows.of(Y, P, W if weights else np.ones(N)).worst(SEGMENTS, depth=depth)
    assert ours.error == pytest.approx(theirs.mce)
    assert ours.sigma == pytest.approx(theirs.mce_sigma)
    assert ours.detectable == pytest.approx(theirs.mde)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_with_one_class_they_are_theirs_too(outcome: float) -> None:
    y = np.full(N, outcome)
    theirs, ours = _theirs(None, 2, y), worst(y, P, SEGMENTS)
    assert (ours.error, ours.sigma, ours.detectable) == pytest.approx(
        (theirs.mce, theirs.mce_sigma, theirs.mde)
    )


def test_a_weight_of_two_counts_a_row_of_a_segment_twice() -> None:
    twice = np.where(np.arange(N) % 2, 2.0, 1.0)
    rows = np.repeat(np.arange(N), twice.astype(int))
    one = SortedRows.of(Y, P, twice).errors(CODES["source"], 3)
    other = SortedRows.of(Y[rows], P[rows], np.ones(rows.size)).errors(CODES["source"][rows], 3)
    assert one.errors == pytest.approx(other.errors)
    assert (one.deviations > other.deviations).all()


def test_the_error_of_each_segment_is_theirs() -> None:
    theirs = _theirs(None, 1)
    for segment in SEGMENTS:
        ours = SortedRows.of(Y, P, np.ones(N)).errors(segment.codes, segment.count)
        for code, error, sigma in zip(ours.codes, ours.errors, ours.sigmas, strict=True):
            at = int(np.flatnonzero(np.isclose(theirs.segments_ecce, error, rtol=1e-9))[0])
            assert theirs.segments_ecce_sigma[at] == pytest.approx(sigma), segment.names[code]


def test_the_order_of_tied_rows_does_not_matter() -> None:
    tied, mixed = np.round(P, 2), RNG.permutation(N)
    moved = [Grouping(segment.names, segment.codes[mixed]) for segment in SEGMENTS]
    ours = worst(Y, tied, SEGMENTS)
    assert worst(Y[mixed], tied[mixed], moved).error == pytest.approx(ours.error)


def test_a_segment_of_fewer_than_ten_rows_says_nothing() -> None:
    few = np.where(np.arange(N) < 9, 0, 1)
    assert SortedRows.of(Y, P, np.ones(N)).errors(few, 2).codes.tolist() == [1]


def test_certain_predictions_are_no_noise_and_no_rows_no_figure() -> None:
    sure = worst(np.ones(20), np.ones(20), [])
    assert (sure.error, sure.sigma) == (0.0, 0.0)
    assert np.isnan(worst([], [], []).error)
    assert np.isnan(worst([1], [0.2], []).error)


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(DataError, match="needs 3 rows"):
        worst([0, 1, 0], [0.1, 0.2, 0.3], [Grouping((ALL,), np.zeros(2, dtype=np.intp))])
