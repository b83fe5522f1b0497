"""Multicalibration error against the library of its authors."""

import numpy as np
import pandas as pd
import pytest
from mcgrad.metrics import MulticalibrationError

from tasks.errors import DataError
from tasks.evaluation.multicalibration import SortedRows, multicalibration
from tasks.evaluation.observations import Grouping
from tasks.evaluation.subjects import ALL, Segment

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
    ours = multicalibration(Y, P, SEGMENTS, weights=W if weights else None, depth=depth)
    assert ours.error == pytest.approx(theirs.mce)
    assert ours.sigma == pytest.approx(theirs.mce_sigma)
    assert ours.detectable == pytest.approx(theirs.mde)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_with_one_class_they_are_theirs_too(outcome: float) -> None:
    y = np.full(N, outcome)
    theirs, ours = _theirs(None, 2, y), multicalibration(y, P, SEGMENTS)
    assert (ours.error, ours.sigma, ours.detectable) == pytest.approx(
        (theirs.mce, theirs.mce_sigma, theirs.mde)
    )


def test_a_weight_of_two_is_a_row_twice() -> None:
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
    ours = multicalibration(Y, tied, SEGMENTS)
    assert multicalibration(Y[mixed], tied[mixed], moved).error == pytest.approx(ours.error)


def test_a_segment_of_fewer_than_ten_rows_says_nothing() -> None:
    few = np.where(np.arange(N) < 9, 0, 1)
    assert SortedRows.of(Y, P, np.ones(N)).errors(few, 2).codes.tolist() == [1]


def test_certain_predictions_are_no_noise_and_no_rows_no_figure() -> None:
    sure = multicalibration(np.ones(20), np.ones(20), [])
    assert (sure.error, sure.sigma) == (0.0, 0.0)
    assert np.isnan(multicalibration([], [], []).error)
    assert np.isnan(multicalibration([1], [0.2], []).error)


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(DataError, match="needs 3 rows"):
        multicalibration([0, 1, 0], [0.1, 0.2, 0.3], [Grouping((ALL,), np.zeros(2, dtype=np.intp))])
