"""Intervals of the metrics: the resampled samples themselves are the oracle."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tasks.evaluation import binary, intervals, rank_sums
from tasks.evaluation.multicalibration import Grouping
from tasks.evaluation.rank_sums import sum_ranks as sorted_once
from tasks.evaluation.resampling import Resampler, cluster_rows, draw_counts
from tasks.evaluation.verdicts import Estimate

Rows = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.intp]]


def _rows(n: int = 400, users: int = 40, rate: float = 0.1, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(1, 9, n), 2)
    y = (rng.random(n) < np.clip(p * rate / 0.1, 0, 1)).astype(float)
    y[:2] = 0, 1
    return y, p, np.r_[np.arange(users), rng.integers(users, size=n - users)]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_each_replicate_is_the_metric_of_the_drawn_rows(seed: int) -> None:
    y, p, users = _rows(seed=seed)
    aucs, precisions = sorted_once(y, p, np.ones_like(y), users, 40).replicated(Resampler(40, 1, 5))
    for i, times in enumerate(next(draw_counts(40, seed=1, replicates=5, width=5)).T):
        drawn = times[users]
        if 0 < (drawn * y).sum() < drawn.sum():
            assert aucs[0, i] == pytest.approx(roc_auc_score(y, p, sample_weight=drawn))
            assert precisions[0, i] == pytest.approx(average_precision_score(y, p, sample_weight=drawn))


def test_groups_are_ranked_apart() -> None:
    y, p, users = _rows(seed=3)
    groups = users % 3
    group = Grouping(("0", "1", "2", "none"), groups)
    auc, precision = rank_sums.ranked_intervals(y, p, np.ones_like(y), users, Resampler(40, 0, 30), group)
    for g in range(3):
        rows = groups == g
        assert auc[g].value == pytest.approx(roc_auc_score(y[rows], p[rows]))
        assert precision[g].value == pytest.approx(average_precision_score(y[rows], p[rows]))
        assert auc[g].n == np.unique(users[rows]).size
    assert not auc[3].known


def _ranked(y, p, users) -> tuple[Estimate, Estimate]:  # type: ignore[no-untyped-def]
    who = cluster_rows(users)
    (auc,), (precision,) = rank_sums.ranked_intervals(
        *binary.check_binary(y, p), who.codes, Resampler(who.count, 0, 200)
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


def test_values_are_those_of_the_plain_metrics() -> None:
    y, p, users = _rows(seed=5)
    w = np.random.default_rng(0).random(y.size)
    told = intervals.calibration_interval(y, p, users, weights=w)
    assert told.value == pytest.approx(binary.calibration_ratio(y, p, weights=w))
    assert told.low < told.value < told.high


def test_the_order_of_rows_does_not_move_a_value() -> None:
    y, p, users = _rows(seed=6)
    mixed = np.random.default_rng(0).permutation(y.size)
    before, after = _ranked(y, p, users)[0], _ranked(y[mixed], p[mixed], users[mixed])[0]
    assert after.value == pytest.approx(before.value)
    assert (after.low, after.high) == pytest.approx((before.low, before.high), abs=0.03)


@pytest.mark.parametrize(
    ("outcomes", "users"),
    [([], []), ([0, 0, 0], ["u", "v", "w"]), ([1, 0, 0], ["u", "u", "u"]), ([1, 0, 0], ["u", "v", "w"])],
    ids=["no rows", "no positive", "one user", "one user's positive"],
)
def test_too_little_data_is_no_figure_and_no_exception(outcomes, users) -> None:  # type: ignore[no-untyped-def]
    predictions = [0.2, 0.1, 0.3][: len(outcomes)]
    assert not any(told.known for told in _ranked(outcomes, predictions, users))
    ratio = intervals.calibration_interval(outcomes, predictions, users)
    assert ratio.known == (users == ["u", "v", "w"] and any(outcomes))


def test_a_challenger_equal_to_its_champion_drops_exactly_nothing() -> None:
    y, p, users = _rows(seed=7)
    assert intervals.auc_drop(y, users, champion=p, challenger=p) == Estimate(0.0, 0.0, 0.0, 40)
    rise = intervals.normalized_entropy_rise(y, users, champion=p, challenger=p)
    assert (rise.value, rise.low, rise.high) == (0.0, 0.0, 0.0)


def test_paired_differences_are_told_where_single_intervals_overlap() -> None:
    rng = np.random.default_rng(2)
    users = np.repeat(np.arange(200), 20)
    z = rng.normal(size=users.size) + rng.normal(size=200)[users]
    y = (rng.random(z.size) < 1 / (1 + np.exp(3 - z))).astype(float)
    good = 1 / (1 + np.exp(3 - z))
    worse = 1 / (1 + np.exp(3 - z - 0.4 * rng.normal(size=z.size)))
    drop = intervals.auc_drop(y, users, champion=good, challenger=worse)
    alone = _ranked(y, good, users)[0]
    assert drop.value == pytest.approx(roc_auc_score(y, good) - roc_auc_score(y, worse))
    assert drop.low > 0
    assert drop.high - drop.low < (alone.high - alone.low) / 2
    rise = intervals.normalized_entropy_rise(y, users, champion=good, challenger=worse)
    expected = binary.normalized_entropy(y, worse) - binary.normalized_entropy(y, good)
    assert rise.value == pytest.approx(expected)
    assert rise.low > 0
