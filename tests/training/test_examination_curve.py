"""The examination curve is found in a log that deals its places partly by chance, whatever ranks where."""

import numpy as np
import pytest

from benchmarks.learning.feed import Feed, feed
from benchmarks.learning.position import harvested
from tasks.datasets.world.entities import EXAMINATION
from tasks.datasets.world.feed import place
from tasks.errors import DataError, ImmatureLabels
from tasks.training.examination import (
    LEAST_POSITIVES,
    EstimatedExamination,
    estimate_examination,
    find_swappable_pairs,
)

pytestmark = pytest.mark.xdist_group("learning_truth")


@pytest.fixture(scope="module")
def found() -> EstimatedExamination:
    log: Feed = feed(requests=3000, train=4, other=1)
    return harvested(log.train)


def test_the_curve_of_the_simulated_feed_is_found_within_its_intervals(found: EstimatedExamination) -> None:
    low, high = (np.array([getattr(point, side) for point in found.curve]) for side in ("low", "high"))
    true = np.array(EXAMINATION)
    assert found.by_position == pytest.approx(true, rel=0.1)
    assert ((low <= true) & (true <= high)).sum() >= 11
    assert (high[1:] - low[1:]).max() < 0.2


def test_the_first_place_is_1_by_definition(found: EstimatedExamination) -> None:
    assert (found.curve[0].value, found.curve[0].low, found.curve[0].high) == (1.0, 1.0, 1.0)


def a_page(
    strength: float, *, requests: int = 60_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return outcomes, positions, propensities and requests of pages of four, ranked by what will be clicked."""
    rng = np.random.default_rng(seed)
    appeal = rng.random((requests, 4))
    placed = place(strength * appeal, 4, rng)
    looks = np.array([1.0, 0.6, 0.4, 0.2])
    clicks = rng.random((requests, 4)) < looks * 0.3 * np.take_along_axis(appeal, placed.order, axis=1)
    positions = np.tile(np.arange(1.0, 5.0), requests)
    return (
        clicks.ravel().astype(float),
        positions,
        placed.propensity.ravel(),
        np.repeat(np.arange(requests), 4),
    )


def estimate(
    outcomes: np.ndarray, positions: np.ndarray, propensities: np.ndarray, requests: np.ndarray
) -> EstimatedExamination:
    """Estimate the curve where every request is of a user of its own."""
    return estimate_examination(outcomes, positions, propensities, requests=requests, users=requests)


@pytest.mark.parametrize("strength", [0.0, 2.0])
def test_a_ranker_that_knows_what_is_clicked_does_not_bend_the_curve(strength: float) -> None:
    outcomes, positions, propensities, requests = a_page(strength)
    curve = estimate(outcomes, positions, propensities, requests).by_position
    assert curve == pytest.approx([1.0, 0.6, 0.4, 0.2], abs=0.03)
    naive = [outcomes[positions == k].mean() / outcomes[positions == 1].mean() for k in (1, 4)]
    assert (naive[1] < 0.16) == (strength > 0)


def test_the_order_of_the_rows_is_of_no_matter_nor_is_a_row_without_a_place() -> None:
    columns = [part[:40_000] for part in a_page(1.0)]
    shuffled = np.random.default_rng(1).permutation(40_000)
    without_a_place = (1.0, np.nan, np.nan, 0)
    again = [np.append(part[shuffled], extra) for part, extra in zip(columns, without_a_place, strict=True)]
    assert estimate(*again).by_position == pytest.approx(estimate(*columns).by_position)


def test_a_pair_weighs_what_its_order_was_the_less_probable_for() -> None:
    """Odds 3 : 1 alone on a page: the greater first has probability .75 and weighs 1 / .75, the lesser 1 / .25."""
    usual = find_swappable_pairs(np.array([0, 0]), np.array([1.0, 2.0]), np.array([0.75, 1.0]))
    rare = find_swappable_pairs(np.array([0, 0]), np.array([1.0, 2.0]), np.array([0.25, 1.0]))
    assert usual.weights.tolist() == pytest.approx([1 / 0.75])
    assert rare.weights.tolist() == pytest.approx([1 / 0.25])


def test_neighbours_are_of_one_page_and_one_place_apart() -> None:
    pairs = find_swappable_pairs(np.array([0, 0, 1, 1]), np.array([1.0, 3.0, 1.0, 2.0]), np.full(4, 0.5))
    assert (pairs.upper.tolist(), pairs.lower.tolist()) == ([2], [3])


def test_a_policy_that_leaves_nothing_to_chance_inconclusive_a_place_from_what_stands_there() -> None:
    outcomes, positions, _, requests = a_page(0.0, requests=100)
    with pytest.raises(DataError, match=r"randomises no position.*Declare examination\.by_position"):
        estimate(outcomes, positions, np.ones(400), requests)


def test_too_few_positives_are_a_matter_of_time() -> None:
    with pytest.raises(ImmatureLabels, match=f"{LEAST_POSITIVES} are needed"):
        estimate(*a_page(0.0, requests=100))


def test_the_curve_ends_where_positives_do() -> None:
    outcomes, positions, propensities, requests = a_page(0.0)
    outcomes = np.where(positions == 4, 0.0, outcomes)
    assert len(estimate(outcomes, positions, propensities, requests).curve) == 3
