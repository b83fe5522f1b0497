"""What has an interval is covered by it as often as it says; what rests on too little has none."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit

from tasks.arrays import Floats
from tasks.evaluation import binary, rank_sums
from tasks.evaluation.binary import divide
from tasks.evaluation.observations import Grouping, Observations
from tasks.evaluation.report import binary_report
from tasks.evaluation.resampling import Resampler, cluster_rows, draw_counts
from tasks.evaluation.subjects import Segment
from tasks.evaluation.support import Support, calibration_interval, effective_clusters
from tasks.evaluation.verdicts import Estimate
from tests.evaluation.users_rows import draw_rows

WORLDS = 150
RATIO = Estimate(1.0, 0.9, 1.1, 90)


def test_equal_users_count_fully_and_one_heavy_user_hardly() -> None:
    users = np.r_[np.arange(30), np.repeat(30, 300)]
    codes, ones = np.zeros_like(users), np.ones(users.size)
    (heavy,) = effective_clusters(ones, users, codes, 1)
    (equal,) = effective_clusters(np.where(users == 30, 1 / 300, 1.0), users, codes, 1)
    assert heavy == pytest.approx(330**2 / (30 + 300**2))
    assert equal == pytest.approx(31)


def test_each_group_has_its_own_support_and_an_empty_one_none() -> None:
    group = Grouping(
        (Segment("group", "a"), Segment("group", "b"), Segment("group", "c")), np.repeat([0, 2], 40)
    )
    users, y = np.r_[np.arange(40), np.zeros(40, int)], np.r_[np.ones(15), np.zeros(65)]
    support = Support.of(y, np.ones(80), users, group)
    assert support.clusters.tolist() == [40, 0, 1]
    assert (support.rows.tolist(), support.positives.tolist()) == ([40, 0, 40], [15, 0, 0])
    assert [e.known for e in support.of_outcomes([RATIO] * 3)] == [True, False, False]


def _world(rng: np.random.Generator, users: int, rate: float) -> tuple[Floats, np.ndarray]:
    """Return outcomes at a rate of each user's own, 40 rows each."""
    of = np.repeat(np.arange(users), 40)
    rates = np.clip(rate * rng.gamma(1, 1, users), 0, 1)
    return (rng.random(of.size) < rates[of]).astype(float), of


def _resampled_covers(y: Floats, users: np.ndarray, rate: float) -> bool:
    """Whether the plain percentile interval of the calibration ratio holds the truth, 1."""
    by_user = np.bincount(users, y)
    (draws,) = draw_counts(by_user.size, seed=0, replicates=300, width=300)
    low, high = np.percentile(divide(by_user @ draws, rate * y.size), [2.5, 97.5])
    return bool(low <= 1 <= high)


def test_with_few_users_resampling_covers_too_little_and_there_is_no_interval() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(WORLDS):
        y, users = _world(rng, 3, 0.2)
        covered.append(_resampled_covers(y, users, 0.2))
        assert not calibration_interval(y, np.full(y.size, 0.2), users).known
    assert np.mean(covered) < 0.8


@pytest.mark.parametrize(("users", "rate"), [(20, 0.2), (40, 0.03), (150, 0.005)])
def test_a_ratio_that_has_an_interval_is_covered_by_it(users: int, rate: float) -> None:
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(WORLDS):
        y, of = _world(rng, users, rate)
        found = calibration_interval(y, np.full(y.size, rate), of)
        if found.known:
            covered.append(found.low <= 1 <= found.high)
    assert len(covered) > WORLDS / 2
    assert np.mean(covered) >= 0.88


def _ranked(rng: np.random.Generator, users: int, rate: float) -> Estimate:
    """Measure AUC where it is truly .76: positives score a standard deviation higher."""
    y, of = _world(rng, users, rate)
    scores = expit(rng.normal(size=y.size) + y)
    rows = binary_report(Observations(y, scores, of, of), replicates=100)
    return next(row.estimate for row in rows if row.subject.metric == "auc")


def test_an_auc_of_five_users_has_no_interval_and_one_of_twenty_positives_is_covered() -> None:
    rng = np.random.default_rng(2)
    assert not any(_ranked(rng, 5, 0.01).known for _ in range(20))
    found = [one for one in (_ranked(rng, 50, 0.01) for _ in range(WORLDS)) if one.known]
    assert len(found) > WORLDS / 2
    assert np.mean([one.low <= 0.7602 <= one.high for one in found]) >= 0.88


def test_a_by_request_auc_counts_the_users_whose_requests_have_an_order() -> None:
    users = np.repeat(np.arange(60), 4)
    y = np.where(users < 19, np.tile([1.0, 0, 0, 0], 60), 0.0)
    p = np.tile([0.4, 0.1, 0.2, 0.3], 60)
    known = {
        row.subject.metric: row.estimate.known for row in binary_report(Observations(y, p, users, users))
    }
    assert not known["auc_by_request"]
    assert known["calibration_ratio"]


def _intervals(y: npt.ArrayLike, p: npt.ArrayLike, users: npt.ArrayLike) -> tuple[Estimate, Estimate]:
    who = cluster_rows(users)
    (auc,), (precision,) = rank_sums.ranked_intervals(
        rank_sums.FallingRows.of(*binary.check_binary(y, p)), who.codes, Resampler(who.count, 0, 200)
    )
    return auc, precision


def test_values_are_those_of_the_plain_metrics() -> None:
    y, p, users = draw_rows(seed=5)
    w = np.random.default_rng(0).random(y.size)
    found = calibration_interval(y, p, users, weights=w)
    assert found.value == pytest.approx(binary.calibration_ratio(y, p, weights=w))
    assert found.low < found.value < found.high


def test_the_order_of_rows_does_not_move_a_value() -> None:
    y, p, users = draw_rows(seed=6)
    mixed = np.random.default_rng(0).permutation(y.size)
    before, after = _intervals(y, p, users)[0], _intervals(y[mixed], p[mixed], users[mixed])[0]
    assert after.value == pytest.approx(before.value)
    assert (after.low, after.high) == pytest.approx((before.low, before.high), abs=0.03)


@pytest.mark.parametrize(
    ("outcomes", "users"),
    [
        ([], []),
        ([0, 0, 0], ["u", "v", "w"]),
        ([1, 0, 0], ["u", "u", "u"]),
        ([1, 0, 0], ["u", "v", "w"]),
        ([1] * 9 + [0] * 30, list(range(39))),
        ([1, 0, 0] * 19, list(range(19)) * 3),
        ([1, 0, 0] * 30, [*range(10), *["ana"] * 80]),
    ],
    ids=[
        "no rows",
        "no positive",
        "one user",
        "one user's positive",
        "nine positives",
        "nineteen users",
        "one of eleven users has most rows",
    ],
)
def test_too_little_data_is_no_interval_and_no_exception(outcomes: list[int], users: npt.ArrayLike) -> None:
    predictions: npt.NDArray[np.float64] = np.resize([0.2, 0.1, 0.3], len(outcomes))
    report = binary_report(Observations(outcomes, predictions, users, users), replicates=20)
    assert not any(row.estimate.known for row in report if row.subject.metric in {"auc", "average_precision"})
    assert not calibration_interval(outcomes, predictions, users).known
