"""Weighted by position, outcomes average to those of the reference; heads learned so are closer to the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.learning.feed import Distance, Feed, feed
from benchmarks.learning.position import distances, heads
from tasks.datasets.world.entities import EXAMINATION
from tasks.errors import DataError
from tasks.ranking.examination import Examination
from tasks.training.debiasing import CLIP, mean_at_reference, position_weights
from tasks.training.examination import require_positions

pytestmark = pytest.mark.xdist_group("learning_truth")

Distances = dict[str, tuple[Distance, Distance]]


@pytest.fixture(scope="module")
def small() -> Feed:
    """96,000 impressions of eight days."""
    return feed(requests=1000)


@pytest.fixture(scope="module")
def told(small: Feed) -> Distances:
    """By correction the distance at the reference, and that where the items stood."""
    return distances(small, heads(small, Examination(EXAMINATION)))


def weighted_mean(labels: np.ndarray, weights: np.ndarray) -> float:
    return float((weights * labels).sum() / weights.sum())


@given(st.floats(0.01, 0.9), st.lists(st.floats(0.1, 1.0), min_size=1, max_size=6))
def test_the_weighted_mean_is_the_probability_at_the_reference_whatever_the_places(
    p: float, looks: list[float]
) -> None:
    """Two rows a place with the frequencies of its outcomes as multiplicities: an infinite log."""
    e = np.repeat(looks, 2)
    labels = np.tile([1.0, 0.0], len(looks))
    frequency = np.where(labels > 0, e * p, 1 - e * p)
    weights = frequency * position_weights(labels, e, p)
    assert weighted_mean(labels, weights) == pytest.approx(p)
    assert weights.sum() == pytest.approx(len(looks))


def test_a_first_guess_that_is_off_moves_the_odds_by_its_error_times_the_looks_that_are_missing() -> None:
    p, e, off = 0.1, np.array([0.5, 0.5]), 0.03
    labels = np.array([1.0, 0.0])
    weights = np.array([e[0] * p, 1 - e[0] * p]) * position_weights(labels, e, p + off)
    found = weighted_mean(labels, weights)
    moved = np.log(found / (1 - found)) - np.log(p / (1 - p))
    assert moved == pytest.approx(off * (1 - e[0]), rel=0.2)


def test_at_the_reference_every_row_weighs_1() -> None:
    assert position_weights(np.array([1.0, 0.0]), np.ones(2)).tolist() == [1.0, 1.0]


def test_a_click_where_hardly_anybody_looks_weighs_no_more_than_the_clip() -> None:
    assert position_weights(np.array([1.0]), np.array([0.001]))[0] == CLIP


def test_every_weight_is_above_0_even_where_the_guess_is_certain() -> None:
    assert (position_weights(np.array([0.0, 1.0]), np.array([1.5, 0.2]), np.ones(2)) > 0).all()


def test_the_mean_at_the_reference_is_outcomes_over_looks() -> None:
    assert mean_at_reference(np.array([1.0, 0.0, 0.0]), np.array([1.0, 0.5, 0.5])) == 0.5
    assert mean_at_reference(np.empty(0), np.empty(0)) == 0.0


def test_a_row_without_a_position_is_refused_with_the_way_out() -> None:
    with pytest.raises(DataError, match=r"1 of 2 rows have no position.*leave `position: weight` out"):
        position_weights(np.array([1.0, 0.0]), np.array([1.0, np.nan]))


def test_without_a_correction_a_probability_is_a_third_below_the_reference(told: Distances) -> None:
    at_reference, where_shown = told["none"]
    assert 0.64 < at_reference.ratio < 0.74
    assert where_shown.ratio == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("correction", ["feature", "weight"])
def test_each_correction_brings_the_reference_within_a_twentieth_and_its_error_down_by_a_quarter(
    told: Distances, correction: str
) -> None:
    at_reference, where_shown = told[correction]
    assert at_reference.ratio == pytest.approx(1, abs=0.05)
    assert at_reference.error < 0.77 * told["none"][0].error
    assert where_shown.ratio == pytest.approx(1, abs=0.05)
    assert where_shown.error < told["none"][1].error


@pytest.mark.parametrize(
    "trap", ["feature, calibrated at the reference", "weight, calibrated without weights"]
)
def test_a_calibrator_fitted_at_the_reference_against_logged_outcomes_undoes_the_correction(
    told: Distances, trap: str
) -> None:
    at_reference, where_shown = told[trap]
    assert at_reference.ratio < 0.74
    assert where_shown.ratio < 0.75


def test_the_steeper_the_page_the_more_such_a_calibrator_shrinks() -> None:
    """Where most places are hardly looked at, a probability is left with a quarter of itself."""
    steep = np.array([1.0, 0.3, 0.15, 0.1, 0.05] * 20_000)
    p = np.full(steep.size, 0.2)
    clicks = (np.random.default_rng(0).random(steep.size) < steep * p).astype(float)
    assert clicks.mean() / p.mean() == pytest.approx(0.32, abs=0.02)
    assert weighted_mean(clicks, position_weights(clicks, steep, p)) == pytest.approx(0.2, rel=0.04)


@pytest.mark.parametrize("position", [0.0, -1.0, 0.5])
def test_places_that_count_from_0_are_refused_with_the_way_out(position: float) -> None:
    with pytest.raises(
        DataError, match=rf"1 of 3 positions are below 1, the least is {position:g}; .* from 1"
    ):
        require_positions(np.array([np.nan, 2.0, position]))
    require_positions(np.array([np.nan, 2.0, 1.0]))
