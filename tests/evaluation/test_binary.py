"""Ranking and calibration figures against scikit-learn, by hand, and by their laws."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcgrad import metrics as peer
from sklearn import metrics as oracle

from tasks.errors import DataError
from tasks.evaluation import binary

laws = settings(max_examples=60)
LEVELS = np.linspace(0.01, 0.99, 12)


@st.composite
def scored(draw: st.DrawFn, both: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions with many ties, and weights."""
    n = draw(st.integers(2, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    outcomes = (rng.random(n) < draw(st.floats(0.05, 0.95))).astype(float)
    if both:
        outcomes[:2] = 0, 1
    return outcomes, rng.choice(LEVELS, n), rng.integers(1, 5, n).astype(float)


def auc_of_one_request(
    outcomes: npt.ArrayLike, predictions: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    return binary.request_pairs(outcomes, predictions, np.zeros(np.size(outcomes)), weights=weights).auc


@laws
@given(scored())
def test_auc_is_that_of_scikit_learn_with_ties_and_weights(rows: tuple[np.ndarray, ...]) -> None:
    y, p, w = rows
    assert auc_of_one_request(y, p) == pytest.approx(oracle.roc_auc_score(y, p))
    assert auc_of_one_request(y, p, weights=w) == pytest.approx(oracle.roc_auc_score(y, p, sample_weight=w))


@laws
@given(scored())
def test_log_loss_is_that_of_scikit_learn(rows: tuple[np.ndarray, ...]) -> None:
    y, p, w = rows
    assert binary.log_loss(y, p) == pytest.approx(oracle.log_loss(y, p))
    assert binary.log_loss(y, p, weights=w) == pytest.approx(oracle.log_loss(y, p, sample_weight=w))


@laws
@given(scored())
def test_the_base_rate_as_prediction_has_a_normalized_entropy_of_one(rows: tuple[np.ndarray, ...]) -> None:
    y, _, w = rows
    rate = np.average(y, weights=w)
    assert binary.normalized_entropy(y, np.full(y.size, rate), weights=w) == pytest.approx(1.0)


@laws
@given(scored())
def test_normalized_entropy_is_that_of_scikit_learn_and_of_mcgrad(rows: tuple[np.ndarray, ...]) -> None:
    y, p, w = rows
    for weights in (None, w):
        rate = np.full(y.size, np.average(y, weights=weights))
        expected = oracle.log_loss(y, p, sample_weight=weights) / oracle.log_loss(
            y, rate, sample_weight=weights
        )
        ours = binary.normalized_entropy(y, p, weights=weights)
        assert ours == pytest.approx(expected)
        # mcgrad rounds the base rate to 32 bits
        assert ours == pytest.approx(peer.normalized_entropy(y, p, weights), rel=1e-6)


@laws
@given(scored())
def test_the_calibration_ratio_is_that_of_mcgrad_turned_round(rows: tuple[np.ndarray, ...]) -> None:
    y, p, w = rows
    for weights in (None, w):
        theirs = peer.calibration_ratio(y, p, weights)
        assert binary.calibration_ratio(y, p, weights=weights) == pytest.approx(1 / theirs)


def test_with_one_class_or_one_row_the_ratio_is_known_and_the_entropy_is_not() -> None:
    assert binary.calibration_ratio([1, 1], [0.2, 0.3]) == pytest.approx(4.0)
    assert binary.calibration_ratio([0, 0], [0.2, 0.3]) == 0.0
    assert binary.calibration_ratio([1], [0.25]) == pytest.approx(4.0)
    assert np.isnan(binary.calibration_ratio([0], [0.0]))
    for outcomes in ([1.0, 1.0], [0.0, 0.0], [1.0]):
        assert np.isnan(binary.normalized_entropy(outcomes, [0.3] * len(outcomes)))


METRICS = [
    auc_of_one_request,
    binary.log_loss,
    binary.normalized_entropy,
    binary.calibration_ratio,
]


@pytest.mark.parametrize("metric", METRICS)
@laws
@given(rows=scored(), seed=st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(metric: Any, rows: Any, seed: int) -> None:
    y, p, w = rows
    mixed = np.random.default_rng(seed).permutation(y.size)
    assert metric(y[mixed], p[mixed], weights=w[mixed]) == pytest.approx(metric(y, p, weights=w))


@pytest.mark.parametrize("metric", METRICS)
@laws
@given(rows=scored())
def test_a_row_of_weight_two_counts_as_two_rows(metric: Any, rows: Any) -> None:
    y, p, w = rows
    often = w.astype(int)
    assert metric(np.repeat(y, often), np.repeat(p, often)) == pytest.approx(metric(y, p, weights=w))


@laws
@given(scored(both=False), st.integers(1, 9))
def test_a_request_has_an_auc_where_it_has_both_classes(rows: Any, requests: int) -> None:
    y, p, _ = rows
    of = np.arange(y.size) % requests
    inside = [(y[of == r], p[of == r]) for r in range(requests)]
    expected = [oracle.roc_auc_score(a, b) for a, b in inside if 0 < a.sum() < a.size]
    found = binary.request_pairs(y, p, of)
    assert (found.won / found.pairs).tolist() == pytest.approx(expected)
    assert found.pairs.tolist() == [a.sum() * (a.size - a.sum()) for a, _ in inside if 0 < a.sum() < a.size]


def test_the_auc_by_request_weighs_requests_by_their_pairs() -> None:
    """Two pairs won in one request, one lost in another: 2 of 3, where the mean of both AUCs is a half."""
    found = binary.request_pairs([1, 0, 0, 1, 0], [0.9, 0.1, 0.2, 0.1, 0.5], list("aaabb"))
    assert found.auc == pytest.approx(2 / 3)
    assert np.isnan(binary.request_pairs([1, 0], [0.9, 0.1], ["a", "b"]).auc)


def test_each_request_comes_with_a_row_to_look_up_its_user() -> None:
    found = binary.request_pairs([0, 0, 1, 1, 0], [0.1, 0.2, 0.1, 0.9, 0.4], ["x", "a", "b", "a", "b"])
    assert found.won.tolist() == [1.0, 0.0]
    assert found.first_rows.tolist() == [1, 2]


def test_the_calibration_ratio_is_observed_over_predicted() -> None:
    assert binary.calibration_ratio([1, 1, 0, 0], [0.1, 0.1, 0.1, 0.1]) == pytest.approx(5.0)


def test_certainty_that_was_wrong_costs_much_but_not_everything() -> None:
    assert 30 < binary.log_loss([1, 0], [0.0, 0.0]) * 2 < 40


def test_figures_that_the_rows_cannot_give_are_nan() -> None:
    nobody = [0, 0, 0], [0.1, 0.2, 0.3]
    assert np.isnan(auc_of_one_request(*nobody))
    assert np.isnan(binary.normalized_entropy(*nobody))
    assert all(np.isnan(metric([], [])) for metric in METRICS)


@pytest.mark.parametrize(
    ("outcomes", "predictions", "said"),
    [
        ([1, np.nan], [0.1, 0.2], "1 of 2 outcomes are not finite"),
        ([1, 2], [0.1, 0.2], "1 of 2 outcomes are neither 0 nor 1"),
        ([1, 0], [0.1, np.inf], "1 of 2 predictions are not finite"),
        ([1, 0, 0], [0.1, 0.2], "one length"),
    ],
)
def test_unknown_labels_and_broken_predictions_are_refused(
    outcomes: list[float], predictions: list[float], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        binary.check_binary(outcomes, predictions)


def test_negative_weights_are_refused() -> None:
    with pytest.raises(DataError, match="negative"):
        binary.check_binary([1, 0], [0.1, 0.2], weights=[1, -1])
