"""How far one model's predictions lie from another's: by hand, by segment, and what chance allows."""

import numpy as np
import pytest

from tasks.calibration.fit import fit_binary
from tasks.evaluation.subjects import ALL, Segment
from tasks.release.refit import chance_shift, predicted_shares, prediction_shift

RNG = np.random.default_rng(8)
N = 6000
USERS = RNG.integers(500, size=N)
TRUE = RNG.beta(2, 30, N)
NEW = RNG.random(N) < 0.1


def model() -> np.ndarray:
    return TRUE * np.exp(0.2 * RNG.normal(size=N))


GATED = model()


def test_the_same_model_has_not_moved() -> None:
    found = prediction_shift(GATED, GATED, USERS)[ALL]
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_all_predictions_a_tenth_higher_are_a_tenth() -> None:
    found = prediction_shift(GATED, 1.1 * GATED, USERS)[ALL]
    assert found.value == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1) == found.high


def test_rows_that_move_and_even_out_are_no_shift_of_note() -> None:
    other = model()
    assert np.abs(other - GATED).sum() / GATED.sum() > 0.2
    assert prediction_shift(GATED, other, USERS)[ALL].high < 0.05


def test_a_model_that_says_the_same_of_all_has_moved_though_its_mean_has_not() -> None:
    flat = np.full(N, GATED.mean())
    assert prediction_shift(GATED, flat, USERS)[ALL].low > 0.2


def test_it_is_the_sum_over_tenths_by_hand() -> None:
    before, after = np.arange(1.0, 21.0), np.arange(1.0, 21.0)
    after[:2] += [1, 0.5]
    after[-2:] -= [2, 1]
    assert prediction_shift(before, after, np.arange(20))[ALL].value == pytest.approx(4.5 / before.sum())


def test_a_segment_that_moved_is_seen_where_the_whole_hides_it() -> None:
    other = np.where(NEW, 1.5 * GATED, GATED)
    found = prediction_shift(GATED, other, USERS, segments={"tenure": np.where(NEW, "new", "old")})
    assert found[ALL].high < 0.1
    assert found[Segment("tenure", "new")].low > 0.4
    assert found[Segment("tenure", "old")].value == 0


def test_the_interval_holds_the_value() -> None:
    found = prediction_shift(GATED, model(), USERS, segments={"tenure": NEW})
    assert all(estimate.low <= estimate.value <= estimate.high for estimate in found.values())


def test_one_user_alone_tells_no_interval() -> None:
    found = prediction_shift([0.1, 0.2], [0.2, 0.2], ["u", "u"])[ALL]
    assert found.value == pytest.approx(1 / 3)
    assert not found.known


@pytest.mark.parametrize("positives", [30, 190, 300, 800])
def test_maps_that_learned_from_other_days_shift_by_no_more_than_chance_allows(positives: int) -> None:
    """Same scores, same truth: two days' worth of outcomes, of which each map has its own."""
    rng = np.random.default_rng(positives)
    rate = 0.04
    shown = rng.beta(1, 1 / rate - 1, 5000)

    def calibrated() -> tuple[np.ndarray, int]:
        scores = rng.beta(1, 1 / rate - 1, round(positives / rate))
        outcomes = (rng.random(scores.size) < scores).astype(float)
        return fit_binary(scores, outcomes).apply(shown), int(outcomes.sum())

    over = {"chance": 0, "declared": 0}
    for _ in range(100):
        (tested, n), (served, m) = calibrated(), calibrated()
        shift = prediction_shift(tested, served, np.arange(shown.size))[ALL]
        for name, most in {"chance": chance_shift(n, m), "declared": 0.1}.items():
            over[name] += shift.low > most
    assert over["chance"] <= 5
    assert over["declared"] > 5


def test_a_segment_has_the_share_of_positives_that_is_predicted_there() -> None:
    shares = predicted_shares(GATED, {"tenure": np.where(NEW, "new", "old")})
    assert shares[Segment("tenure", "new")] == pytest.approx(GATED[NEW].sum() / GATED.sum())
    assert (
        shares[Segment("tenure", "new")] + shares[Segment("tenure", "old")] == pytest.approx(1) == shares[ALL]
    )


def test_where_no_positive_is_expected_chance_may_do_anything() -> None:
    assert chance_shift(0, 90) == np.inf
