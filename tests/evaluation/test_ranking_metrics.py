"""AUC and average precision of resampled users from one sort: the drawn rows themselves are the oracle.

NDCG against scikit-learn, and which ranker its two forms prefer when positions bias the log.
"""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

from tasks.errors import DataError
from tasks.evaluation import binary, ranking_metrics
from tasks.evaluation.observations import Grouping
from tasks.evaluation.ranking_metrics import request_gains, sum_ranks
from tasks.evaluation.resampling import Resampler, cluster_rows, draw_counts
from tasks.evaluation.subjects import Segment
from tasks.evaluation.verdicts import Estimate
from tests.evaluation.users_rows import draw_rows


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_each_replicate_is_the_metric_of_the_drawn_rows(seed: int) -> None:
    y, p, users = draw_rows(seed=seed)
    ranked = sum_ranks(ranking_metrics.FallingRows.of(y, p, np.ones_like(y)), users, 40)
    aucs, precisions = ranked.replicated(Resampler(40, 5))
    for i, times in enumerate(next(draw_counts(40, replicates=5, width=5)).T):
        drawn = times[users]
        if 0 < (drawn * y).sum() < drawn.sum():
            assert aucs[0, i] == pytest.approx(roc_auc_score(y, p, sample_weight=drawn))
            assert precisions[0, i] == pytest.approx(average_precision_score(y, p, sample_weight=drawn))


def test_groups_are_ranked_apart() -> None:
    y, p, users = draw_rows(seed=3)
    groups = users % 3
    group = Grouping(
        (Segment("group", "0"), Segment("group", "1"), Segment("group", "2"), Segment("group", "none")),
        groups,
    )
    rows = ranking_metrics.FallingRows.of(y, p, np.ones_like(y))
    auc, precision = ranking_metrics.ranked_intervals(rows, cluster_rows(users), 30, group)
    for g in range(3):
        rows = groups == g
        assert auc[g].value == pytest.approx(roc_auc_score(y[rows], p[rows]))
        assert precision[g].value == pytest.approx(average_precision_score(y[rows], p[rows]))
        assert auc[g].n == np.unique(users[rows]).size
    assert not auc[3].known


def _ranked(y: npt.ArrayLike, p: npt.ArrayLike, users: npt.ArrayLike) -> tuple[Estimate, Estimate]:
    rows = ranking_metrics.FallingRows.of(*binary.check_binary(y, p))
    (auc,), (precision,) = ranking_metrics.ranked_intervals(rows, cluster_rows(users), 200)
    return auc, precision


def test_coarse_bins_keep_the_value_and_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=20_000)
    y, users = (rng.random(z.size) < 1 / (1 + np.exp(1 - z))).astype(float), rng.integers(300, size=z.size)
    exact = _ranked(y, z, users)
    monkeypatch.setattr(ranking_metrics, "MOST_BINS", 512)
    for ours, theirs in zip(_ranked(y, z, users), exact, strict=True):
        assert ours.value == theirs.value
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=3e-4)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_naive_ndcg_is_that_of_scikit_learn_with_ties(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    outcomes, scores = rng.integers(0, 3, (20, 9)).astype(float), rng.integers(0, 5, (20, 9)).astype(float)
    outcomes[:, 0] = 1
    requests = np.repeat(np.arange(20), 9)
    gains = request_gains(outcomes.ravel(), scores.ravel(), requests, k=k)
    assert gains.by_request.mean() == pytest.approx(ndcg_score(outcomes, scores, k=k))


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_without_ties_it_is_that_of_scikit_learn_too_in_requests_of_two_sizes(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [(rng.integers(0, 3, (12, m)).astype(float), rng.random((12, m))) for m in (7, 9)]
    for outcomes, _ in parts:
        outcomes[:, 0] = 1
    outcomes, scores = (np.concatenate([part[i].ravel() for part in parts]) for i in (0, 1))
    requests = np.repeat(np.arange(24), [7] * 12 + [9] * 12)
    expected = np.mean([ndcg_score(o, s, k=k) for o, s in parts])
    mixed = rng.permutation(len(requests))
    found = request_gains(outcomes[mixed], scores[mixed], requests[mixed], k=k).by_request.mean()
    assert found == pytest.approx(expected, rel=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outcomes, scores, requests = rng.integers(0, 2, 60), rng.integers(0, 4, 60), rng.integers(0, 9, 60)
    examination, mixed = rng.uniform(0.1, 1, 60), rng.permutation(60)
    calibrated = [
        request_gains(outcomes[rows], scores[rows], requests[rows], k=3, examination=examination[rows])
        for rows in (np.arange(60), mixed)
    ]
    assert sorted(calibrated[0].gained) == pytest.approx(sorted(calibrated[1].gained))
    assert sorted(calibrated[0].ideal) == pytest.approx(sorted(calibrated[1].ideal))


def test_requests_of_any_size_stand_side_by_side() -> None:
    gains = request_gains([1, 0, 1], [0.1, 0.9, 0.5], ["long", "long", "single"], k=2)
    assert gains.by_request.tolist() == pytest.approx([1 / np.log2(3), 1.0])
    assert gains.first_rows.tolist() == [0, 2]


def test_a_request_without_a_positive_has_no_figure() -> None:
    gains = request_gains([0, 0, 1, 0], [2, 1, 2, 1], [1, 1, 2, 2], k=2)
    assert gains.by_request.tolist() == pytest.approx([np.nan, 1.0], nan_ok=True)
    assert gains.gained.tolist() == gains.ideal.tolist() == [0.0, 1.0]


def test_no_rows_are_no_requests() -> None:
    assert request_gains([], [], [], k=2).by_request.size == 0


def test_equally_good_rankers_read_equal_only_when_examination_is_allowed_for() -> None:
    rng = np.random.default_rng(1)
    appeal = rng.normal(size=(20_000, 12))
    logger, rival, better = (appeal + s * rng.normal(size=appeal.shape) for s in (1.0, 1.0, 0.5))
    position = np.argsort(np.argsort(-logger, axis=1), axis=1)
    examination = (1.0 / np.arange(1, 13) ** 0.7)[position]
    clicked = rng.random(appeal.shape) < examination / (1 + np.exp(2.5 - appeal))
    requests = np.repeat(np.arange(20_000), 12)

    def naive(scores: np.ndarray) -> float:
        gains = request_gains(clicked.ravel(), scores.ravel(), requests, k=12)
        return float(np.nanmean(gains.by_request))

    def examined(scores: np.ndarray) -> float:
        weights = examination.ravel()
        gains = request_gains(clicked.ravel(), scores.ravel(), requests, k=12, examination=weights)
        return float(gains.gained.sum() / gains.ideal.sum())

    assert naive(logger) > naive(better) + 0.03
    assert examined(logger) == pytest.approx(examined(rival), abs=0.01)
    assert examined(better) > examined(logger) + 0.02


def test_a_position_that_nobody_looks_at_is_refused() -> None:
    with pytest.raises(DataError, match="examination above 0"):
        request_gains([1, 0], [1, 2], [1, 1], k=2, examination=[0.0, 1.0])
