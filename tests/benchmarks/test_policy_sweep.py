"""Many weight vectors in one pass: the slots are those of a sort, and sums of parts are sums of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import policy_sweep
from benchmarks.policy_sweep import SweptCandidates, sweep_policies
from tasks.errors import DataError
from tasks.evaluation.ranking_metrics import request_gains


def drawn(seed: int, *, requests: int = 12, longest: int = 9) -> SweptCandidates:
    """Requests of 1 to some candidates, with terms of few values, so that many are tied."""
    rng = np.random.default_rng(seed)
    starts = np.r_[0, np.cumsum(rng.integers(1, longest + 1, requests))]
    n = starts[-1]
    terms = rng.integers(-2, 3, (n, 2)).astype(float)
    return SweptCandidates(terms, rng.random((n, 3)), starts)


def by_a_loop(candidates: SweptCandidates, weights: np.ndarray, slots: int) -> tuple[np.ndarray, np.ndarray]:
    values = np.zeros((len(weights), slots, candidates.summed.shape[1]))
    filled = np.zeros((len(weights), slots))
    for p, weight in enumerate(weights):
        for first, end in zip(candidates.starts[:-1], candidates.starts[1:], strict=True):
            rows = np.arange(first, end)
            best = rows[np.argsort(-(candidates.terms[rows] @ weight), kind="stable")][:slots]
            values[p, : len(best)] += candidates.summed[best]
            filled[p, : len(best)] += 1
    return values, filled


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_slots_are_those_of_a_stable_sort_of_every_request(seed: int, slots: int) -> None:
    candidates = drawn(seed)
    weights = np.random.default_rng(seed).integers(-3, 4, (5, 2)).astype(float)
    found = sweep_policies(candidates, weights, slots=slots)
    values, filled = by_a_loop(candidates, weights, slots)
    np.testing.assert_allclose(found.sums, values, atol=1e-12)
    np.testing.assert_array_equal(found.filled, filled)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates, weights = drawn(1), np.random.default_rng(1).normal(size=(7, 2))
    whole = sweep_policies(candidates, weights, slots=4)
    monkeypatch.setattr(policy_sweep, "_CELLS", 20)
    monkeypatch.setattr(policy_sweep, "_POLICIES", 3)
    parts = sweep_policies(candidates, weights, slots=4)
    np.testing.assert_allclose(parts.sums, whole.sums, rtol=1e-12)
    np.testing.assert_array_equal(parts.filled, whole.filled)


def test_ndcg_is_a_discount_away() -> None:
    rng = np.random.default_rng(3)
    outcomes = rng.integers(0, 2, (8, 6)).astype(float)
    outcomes[:, 0] = 1.0
    score, k = rng.random((8, 6)), 4
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = -np.sort(-outcomes, axis=1)[:, :k] @ discounts
    gains = (outcomes / ideal[:, None]).ravel()[:, None]
    starts = np.arange(0, 49, 6)
    sums = sweep_policies(
        SweptCandidates(score.reshape(-1, 1), gains, starts), np.array([[1.0], [-1.0]]), slots=k
    )
    for sign, found in zip((1, -1), sums.at_discounts(discounts)[:, 0] / 8, strict=True):
        truth = request_gains(outcomes.ravel(), sign * score.ravel(), np.repeat(np.arange(8), 6), k=k)
        assert found == pytest.approx(truth.by_request.mean(), rel=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    ones, starts = np.ones((2, 1)), np.array([0, 2])
    with pytest.raises(DataError, match="not finite"):
        SweptCandidates(np.array([[1.0], [bad]]), ones, starts)
    with pytest.raises(DataError, match="weight is not finite"):
        sweep_policies(SweptCandidates(ones, ones, starts), np.array([[bad]]), slots=1)


@pytest.mark.parametrize(
    ("starts", "said"), [([0, 0, 2], "without candidates"), ([0, 3], "different numbers")]
)
def test_requests_that_do_not_fit_the_rows_are_refused(starts: list[int], said: str) -> None:
    with pytest.raises(DataError, match=said):
        SweptCandidates(np.ones((2, 1)), np.ones((2, 1)), np.array(starts))
