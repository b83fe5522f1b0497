"""Fitted maps: sums agree, nothing is tied, few positives and bad slices are survived."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from tasks.calibration.fit import (
    LEVEL_SPREAD,
    LOGISTIC_BELOW,
    fit_binary,
    fit_isotonic_blocks,
    fit_joint,
    fit_logistic,
    fit_mean,
)
from tasks.errors import DataError
from tasks.evaluation.binary import calibration_ratio, log_loss
from tasks.ranking.maps import IsotonicMap, LogisticMap, expit, logit

Floats = npt.NDArray[np.float64]


def world(n: int, rate: float, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Overconfident scores, outcomes, and the true probabilities."""
    rng = np.random.default_rng(seed)
    z = rng.normal(float(logit(rate)) - 1.0, 1.5, n)
    truth = expit(z)
    return expit(0.5 + 1.6 * z), (rng.random(n) < truth).astype(float), truth


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([0.002, 0.02, 0.3, 0.8]), st.booleans())
def test_predictions_add_up_to_outcomes_but_for_the_prior_of_a_logistic_map(
    seed: int, rate: float, weighted: bool
) -> None:
    scores, outcomes, _ = world(5000, rate, seed)
    outcomes[:2] = 0, 1
    weights = np.random.default_rng(seed).uniform(0, 3, 5000) if weighted else np.ones(5000)
    found, w = fit_binary(scores, outcomes, weights if weighted else None), weights / weights.mean()
    excess = float((w * (outcomes - found.apply(scores))).sum())
    if isinstance(found, IsotonicMap):
        assert excess == pytest.approx(0, abs=1e-6 * outcomes.sum())
    else:  # at the mode, the gradient of the likelihood equals that of the normal prior, if there is one
        centre = np.average(logit(scores), weights=w * scores * (1 - scores))
        prior = (found.intercept + found.slope * centre - centre) / LEVEL_SPREAD**2
        assert min(abs(excess), abs(excess - prior)) < 1e-6 * max(1, outcomes.sum())


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_scores_on_a_coarse_grid_stay_in_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.choice(np.r_[0.0, rng.random(30), 1.0], 3000)
    outcomes = (rng.random(3000) < np.clip(scores + rng.normal(0, 0.3, 3000), 0.1, 0.9)).astype(float)
    mapped = fit_binary(scores, outcomes).apply(np.unique(scores))
    assert (np.diff(mapped) > 0).all()
    assert 0 < mapped.min() < mapped.max() < 1


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    scores, outcomes, _ = world(4000, 0.1, seed)
    mixed = np.random.default_rng(seed).permutation(4000)
    one, other = fit_binary(scores, outcomes), fit_binary(scores[mixed], outcomes[mixed])
    assert one.apply(scores) == pytest.approx(other.apply(scores), rel=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([0.002, 0.1]))
def test_scores_that_differ_by_1e_12_are_never_tied(seed: int, rate: float) -> None:
    scores, outcomes, _ = world(6000, rate, seed)
    outcomes[:2] = 0, 1
    near = np.r_[1e-9, np.random.default_rng(seed).random(500), np.geomspace(1e-9, 0.5, 100), 1 - 2e-9]
    found = fit_binary(scores, outcomes)
    low, high = found.apply(near), found.apply(near + 1e-12)
    assert (low < high).all()
    assert low.min() > 0
    assert high.max() < 1


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([0.002, 0.1]))
def test_a_row_of_weight_0_is_as_if_it_were_not_there(seed: int, rate: float) -> None:
    scores, outcomes, _ = world(6000, rate, seed)
    outcomes[:2] = 0, 1
    counted = np.arange(6000) < 5000
    assert fit_binary(scores, outcomes, counted) == fit_binary(scores[counted], outcomes[counted])


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.01, 1000))
def test_weights_count_by_their_ratios_alone(seed: int, factor: float) -> None:
    scores, outcomes, _ = world(6000, 0.1, seed)
    weights = np.random.default_rng(seed).uniform(0.5, 2, 6000)
    one, other = (fit_binary(scores, outcomes, w).apply(scores) for w in (weights, factor * weights))
    assert one == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("rate", [1e-4, 0.2])
def test_a_million_rows_of_one_score_are_mapped_to_their_rate(rate: float) -> None:
    outcomes = (np.arange(1_000_000) < 1_000_000 * rate).astype(float)
    found = fit_binary(np.full(1_000_000, 0.3), outcomes)
    assert isinstance(found, LogisticMap)
    assert found.apply([0.3])[0] == pytest.approx(rate, rel=1e-4)


def test_at_a_rate_of_1e_4_no_neighbours_tie_and_nothing_is_certain() -> None:
    scores, outcomes, truth = world(2_500_000, 1e-4)
    assert outcomes.sum() > LOGISTIC_BELOW
    found = fit_binary(scores, outcomes)
    assert isinstance(found, IsotonicMap)
    order = np.argsort(scores)
    ours = found.apply(scores)[order]
    plain = IsotonicRegression(out_of_bounds="clip").fit(scores, outcomes).predict(scores)[order]
    assert (np.diff(plain) == 0).mean() > 0.5
    assert (np.diff(ours) > 0).all()
    assert ours[0] > 0
    top = slice(-100, None)
    assert ours[top].mean() == pytest.approx(truth[order][top].mean(), rel=0.5)
    block = plain == plain[-1]
    assert plain[-1] > 2 * truth[order][block].mean()
    assert ours[block].mean() == pytest.approx(truth[order][block].mean(), rel=0.5)


def test_few_positives_get_a_logistic_map_near_the_truth() -> None:
    scores, outcomes, truth = world(1_000_000, 1e-4)
    assert outcomes.sum() < LOGISTIC_BELOW
    found = fit_binary(scores, outcomes)
    assert isinstance(found, LogisticMap)
    top = np.argsort(scores)[-100:]
    assert found.apply(scores)[top].mean() == pytest.approx(truth[top].mean(), rel=0.6)
    plain = IsotonicRegression(out_of_bounds="clip").fit(scores, outcomes).predict(scores)
    block = plain == plain.max()
    assert plain.max() > 2 * truth[block].mean()
    assert found.apply(scores)[block].mean() == pytest.approx(truth[block].mean(), rel=0.6)


def test_fresh_rows_are_predicted_better_than_by_plain_isotonic() -> None:
    for seed in range(3):
        scores, outcomes, _ = world(200_000, 0.003, seed)
        fresh, happened, _ = world(200_000, 0.003, seed + 100)
        plain = IsotonicRegression(out_of_bounds="clip").fit(scores, outcomes)
        ours = log_loss(happened, fit_binary(scores, outcomes).apply(fresh))
        assert ours < log_loss(happened, plain.predict(fresh))
        assert ours < log_loss(happened, fresh)


def test_a_single_positive_moves_the_level_and_hardly_the_slope() -> None:
    scores = np.linspace(0.01, 0.2, 1000)
    found = fit_binary(scores, (np.arange(1000) == 10).astype(float))
    assert isinstance(found, LogisticMap)
    assert 0.3 < found.slope < 1.2
    assert found.apply(scores).sum() == pytest.approx(1.0)


def test_constant_and_misordered_scores_still_increase() -> None:
    outcomes = (np.arange(1000) < 300).astype(float)
    for scores in (np.full(1000, 0.2), np.linspace(0.1, 0.9, 1000)):
        found = fit_binary(scores, outcomes)
        assert isinstance(found, LogisticMap)
        assert found.slope > 0
        assert found.apply(scores).mean() == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize(("outcome", "kind"), [(0.0, "positive"), (1.0, "negative")])
def test_a_slice_with_one_outcome_says_which_is_missing(outcome: float, kind: str) -> None:
    with pytest.raises(DataError, match=f"there is no {kind} among 5 observed rows"):
        fit_binary(np.linspace(0.1, 0.5, 5), np.full(5, outcome))


def test_no_rows_and_unknown_labels_are_refused() -> None:
    with pytest.raises(DataError, match="no positive among 0"):
        fit_binary([], [])
    with pytest.raises(DataError, match="not finite"):
        fit_binary([0.1, 0.2], [1.0, np.nan])


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([500, 20_000]), st.booleans())
def test_calibrated_values_add_up_and_keep_their_order(seed: int, n: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    predictions = rng.normal(2, 2, n)
    values = (rng.random(n) < 0.4) * rng.exponential(1, n) * np.clip(predictions, 0.2, None) ** 1.5
    weights = rng.uniform(0, 3, n) if weighted else np.ones(n)
    found = fit_mean(predictions, values, weights)
    mapped = found.apply(predictions)
    assert np.average(mapped, weights=weights) == pytest.approx(np.average(values, weights=weights))
    assert mapped.min() > 0
    assert (np.diff(found.apply(np.sort(predictions))) > 0).all()


def test_enough_values_bend_the_mean_map_and_few_give_a_factor() -> None:
    rng = np.random.default_rng(0)
    predictions = rng.uniform(1, 10, 30_000)
    values = predictions**2 * rng.exponential(1, 30_000)
    bent = fit_mean(predictions, values)
    assert bent.apply([2.0, 8.0]) == pytest.approx([4.0, 64.0], rel=0.15)
    few = fit_mean(predictions[:500], values[:500])
    assert len(few.knots_x) == 1
    assert few.apply([4.0])[0] == pytest.approx(2 * few.apply([2.0])[0])


def test_values_that_add_up_to_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="2 rows add up to 0"):
        fit_mean([1.0, 2.0], [0.0, 0.0])


@pytest.mark.parametrize("certain", [0.0, 1e-300, 1e-14, 1.0])
@pytest.mark.parametrize("level", [-2.0, -6.0])
def test_scores_of_0_and_1_count_where_the_fit_took_them_to_be(certain: float, level: float) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(level, 1.0, 40_000)
    outcomes = (rng.random(z.size) < expit(z)).astype(float)
    scores = np.where(rng.random(z.size) < 0.1, certain, expit(z))
    mapped = fit_binary(scores, outcomes).apply(scores)
    few = outcomes.sum() < LOGISTIC_BELOW
    assert calibration_ratio(outcomes, mapped) == pytest.approx(1.0, abs=0.1 if few else 1e-6)
    at = scores == certain
    assert abs(np.log(mapped[at].mean() / outcomes[at].mean())) < np.log(10)


def test_certain_scores_that_are_wrong_are_not_believed() -> None:
    rng = np.random.default_rng(0)
    certain = rng.random(40_000) < 0.01
    scores = np.where(certain, 1 - 10.0 ** -rng.uniform(1, 16, 40_000), rng.beta(1, 30, 40_000))
    outcomes = (rng.random(40_000) < np.where(certain, 0.05, scores)).astype(float)
    mapped = fit_binary(scores, outcomes).apply(scores)
    plain = IsotonicRegression(out_of_bounds="clip").fit(scores, outcomes).predict(scores)
    assert mapped[certain].mean() < 1.5 * plain[certain].mean()
    assert (np.diff(mapped[np.argsort(scores)]) >= 0).all()


def _chain(dependence: float) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Product of two factors, outcomes of the joint, users; the joint is that much more likely."""
    rng = np.random.default_rng(3)
    product = rng.beta(2, 20, 40_000) * rng.beta(2, 4, 40_000)
    return product, (rng.random(40_000) < product * dependence).astype(float), rng.integers(2000, size=40_000)


def test_a_product_that_holds_is_left_alone() -> None:
    product, outcomes, users = _chain(1.0)
    assert fit_joint(product, outcomes, users) is None


def test_a_product_that_does_not_hold_gets_a_map() -> None:
    product, outcomes, users = _chain(1.5)
    found = fit_joint(product, outcomes, users)
    assert found is not None
    assert calibration_ratio(outcomes, found.apply(product)) == pytest.approx(1.0)


def test_too_little_to_tell_gives_no_map() -> None:
    product, outcomes, users = _chain(1.0)
    assert fit_joint(product, np.zeros_like(outcomes), users) is None
    assert fit_joint(product[:50], outcomes[:50], users[:50]) is None
    assert fit_joint([0.1, 0.1], [1.0, 1.0], ["u", "v"]) is None


def level(expected: float, seen: int) -> float:
    """Return the positives that the map of a head which expects so many predicts where so many are seen."""
    rows = 100_000
    fitted = fit_logistic(
        np.full(rows, logit(expected / rows)), (np.arange(rows) < seen).astype(float), np.ones(rows)
    )
    return rows * float(fitted.apply([expected / rows])[0])


def test_three_reports_where_ten_are_expected_are_mostly_luck() -> None:
    """By hand, with a prior of 16 reports: 10 exp(a) - 3 is 16 (-a) at a = -.2833, and 10 exp(a) is 7.53."""
    assert level(10, 3) == pytest.approx(7.533, abs=0.01)


def test_the_more_positives_the_less_the_scores_own_level_counts() -> None:
    kept = [(level(n, n // 2) - n / 2) / (n / 2) for n in (10, 40, 160)]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 0.15


@pytest.mark.parametrize("expected", [0.5, 2_000.0])
def test_a_level_that_the_rows_refute_has_no_say(expected: float) -> None:
    assert level(expected, 20) == pytest.approx(20, rel=1e-6)


def test_a_level_without_chance_or_drift_is_told_better_than_by_the_rows_alone() -> None:
    rng = np.random.default_rng(0)
    seen = [int(n) for n in rng.poisson(8, 300) if n]
    errors = [(np.log(level(8, n) / 8), np.log(n / 8)) for n in seen]
    ours, rows_alone = np.sqrt(np.mean(np.square(errors), axis=0))
    assert ours < rows_alone / 2


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 20))
def test_blocks_increase_and_each_is_supported(seed: int, least: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=500), 2)
    y, w = (rng.random(500) < 1 / (1 + np.exp(-x))).astype(float), rng.uniform(0.5, 2, 500)
    found = fit_isotonic_blocks(x, y, w, required=(y == 1, y == 0), least=least)
    assert (np.diff(found.centres) > 0).all()
    assert (np.diff(found.means) > 0).all()
    assert found.support.min() >= least
    assert found.support.sum() == y.sum()
    assert (found.first, found.last) == (x.min(), x.max())


def test_two_neighbours_that_disagree_become_one_block() -> None:
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 5.0, 1.0, 9.0])
    found = fit_isotonic_blocks(x, y, np.ones(4), required=(np.ones(4, bool),), least=1)
    assert found.means == pytest.approx([0, 3, 9])
    assert found.centres == pytest.approx([1, 2.5, 4])


def test_what_is_left_too_thin_joins_its_neighbour() -> None:
    x, y = np.arange(5.0), np.arange(5.0)
    found = fit_isotonic_blocks(x, y, np.ones(5), required=(np.ones(5, bool),), least=2)
    assert found.support.tolist() == [2, 3]


def test_tied_scores_share_a_block() -> None:
    found = fit_isotonic_blocks(
        np.zeros(4), np.array([0.0, 1, 0, 1]), np.ones(4), required=(np.ones(4, bool),), least=1
    )
    assert found.means.tolist() == [0.5]
