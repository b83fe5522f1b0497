"""Intervals of the metrics: the resampled samples themselves are the oracle."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from tasks.evaluation import binary, intervals, rank_sums
from tasks.evaluation.resampling import Resampler, cluster_rows
from tasks.evaluation.verdicts import Estimate

Rows = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.intp]]


def _rows(n: int = 400, users: int = 40, rate: float = 0.1, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(1, 9, n), 2)
    y = (rng.random(n) < np.clip(p * rate / 0.1, 0, 1)).astype(float)
    y[:2] = 0, 1
    return y, p, np.r_[np.arange(users), rng.integers(users, size=n - users)]


def _ranked(y: npt.ArrayLike, p: npt.ArrayLike, users: npt.ArrayLike) -> tuple[Estimate, Estimate]:
    who = cluster_rows(users)
    (auc,), (precision,) = rank_sums.ranked_intervals(
        *binary.check_binary(y, p), who.codes, Resampler(who.count, 0, 200)
    )
    return auc, precision


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
def test_too_little_data_is_no_figure_and_no_exception(outcomes: list[int], users: list[str]) -> None:
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
