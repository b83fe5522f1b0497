"""AUC and average precision of resampled users from one sort: the drawn rows themselves are the oracle."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tasks.evaluation import binary, rank_sums
from tasks.evaluation.observations import Grouping
from tasks.evaluation.rank_sums import sum_ranks
from tasks.evaluation.resampling import Resampler, cluster_rows, draw_counts
from tasks.evaluation.subjects import Segment
from tasks.evaluation.verdicts import Estimate
from tests.evaluation.users_rows import draw_rows


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_each_replicate_is_the_metric_of_the_drawn_rows(seed: int) -> None:
    y, p, users = draw_rows(seed=seed)
    aucs, precisions = sum_ranks(rank_sums.FallingRows.of(y, p, np.ones_like(y)), users, 40).replicated(
        Resampler(40, 1, 5)
    )
    for i, times in enumerate(next(draw_counts(40, seed=1, replicates=5, width=5)).T):
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
    auc, precision = rank_sums.ranked_intervals(
        rank_sums.FallingRows.of(y, p, np.ones_like(y)), users, Resampler(40, 0, 30), group
    )
    for g in range(3):
        rows = groups == g
        assert auc[g].value == pytest.approx(roc_auc_score(y[rows], p[rows]))
        assert precision[g].value == pytest.approx(average_precision_score(y[rows], p[rows]))
        assert auc[g].n == np.unique(users[rows]).size
    assert not auc[3].known


def _ranked(y: npt.ArrayLike, p: npt.ArrayLike, users: npt.ArrayLike) -> tuple[Estimate, Estimate]:
    who = cluster_rows(users)
    (auc,), (precision,) = rank_sums.ranked_intervals(
        rank_sums.FallingRows.of(*binary.check_binary(y, p)), who.codes, Resampler(who.count, 0, 200)
    )
    return auc, precision


def test_coarse_bins_keep_the_value_and_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=20_000)
    y, users = (rng.random(z.size) < 1 / (1 + np.exp(1 - z))).astype(float), rng.integers(300, size=z.size)
    exact = _ranked(y, z, users)
    monkeypatch.setattr(rank_sums, "MOST_BINS", 512)
    for ours, theirs in zip(_ranked(y, z, users), exact, strict=True):
        assert ours.value == theirs.value
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=3e-4)
