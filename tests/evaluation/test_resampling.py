"""Who is resampled, the draws, and whether intervals cover what they say.

What has an interval is covered by it as often as it says; what rests on too little has none.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
from scipy.special import expit

from tasks.arrays import Floats
from tasks.errors import DataError
from tasks.evaluation import binary, ranking_metrics, resampling
from tasks.evaluation.binary import divide
from tasks.evaluation.figures import binary_report
from tasks.evaluation.observations import Grouping, Observations
from tasks.evaluation.resampling import (
    Support,
    calibration_interval,
    cluster_rows,
    draw_counts,
    effective_clusters,
    percentile_interval,
    statistic_intervals,
    users_of,
)
from tasks.evaluation.subjects import Segment
from tasks.evaluation.verdicts import Estimate
from tasks.logs.tables import to_frame
from tests.evaluation.users_rows import draw_rows

LARGE = 2**63 - 1


@pytest.mark.parametrize("kind", [pa.int64(), pa.string()])
def test_what_is_known_is_left_as_it_is(kind: pa.DataType) -> None:
    table = pa.table({"request_id": ["a", "b"], "user_id": pa.array([LARGE, 2], pa.int64()).cast(kind)})
    users = users_of(to_frame(table))
    assert users.tolist() == table.column("user_id").to_pylist()
    assert users.dtype == table.to_pandas()["user_id"].dtype


def test_beside_nobody_the_numbers_of_others_keep_their_digits() -> None:
    table = pa.table({"request_id": [1, 2, 3], "user_id": [LARGE, None, LARGE - 1]})
    assert users_of(to_frame(table)).tolist() == [LARGE, "request 2", LARGE - 1]


def test_an_index_of_its_own_is_kept() -> None:
    frame = pd.DataFrame({"request_id": ["a", "b"], "user_id": [None, "u"]}, index=[7, 3])
    assert users_of(frame).to_dict() == {7: "request a", 3: "u"}


def test_rows_without_a_user_are_resampled_by_request() -> None:
    found = cluster_rows(np.array(["u", None, "u", None, None], dtype=object), ["a", "b", "c", "b", "d"])
    assert found.codes.tolist() == [0, 1, 0, 1, 2]
    assert found.count == 3
    assert found.resampled == "requests in the 3 rows without a user, else users"


def test_where_no_row_has_a_user_requests_are_resampled() -> None:
    found = cluster_rows(np.array([np.nan, np.nan]), ["a", "b"])
    assert (found.count, found.resampled) == (2, "requests")


def test_missing_users_without_requests_are_refused() -> None:
    with pytest.raises(DataError, match="user_id is missing in 1 of 2 rows"):
        cluster_rows(np.array(["u", None], dtype=object))


def test_draws_do_not_depend_on_the_width() -> None:
    narrow, wide = (np.concatenate(list(draw_counts(7, replicates=10, width=w)), axis=1) for w in (1, 4))
    assert np.array_equal(narrow, wide)
    assert (narrow.sum(axis=0) == 7).all()


def test_draws_that_are_kept_are_those_that_are_drawn_anew_and_nobody_changes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, again = (list(draw_counts(40, replicates=30, width=7)) for _ in range(2))
    assert all(one is other for one, other in zip(kept, again, strict=True))
    with pytest.raises(ValueError, match="read-only"):
        kept[0][0, 0] = 1
    monkeypatch.setattr(resampling, "KEPT_CELLS", 0)
    anew = list(draw_counts(40, replicates=30, width=7))
    assert all(np.array_equal(one, other) for one, other in zip(kept, anew, strict=True))


def test_every_group_is_measured_on_the_same_draws() -> None:
    users, groups = np.tile(np.arange(30), 2), np.repeat([0, 1], 30)
    y, p = np.tile([1.0, 0, 1], 20), np.full(60, 0.5)
    first, second = statistic_intervals([y, p], divide, cluster_rows(users), 50, Grouping.of_bins(groups, 2))
    assert first == second
    assert first.value == pytest.approx(4 / 3)
    assert first.n == 30
    assert first.known


@pytest.mark.parametrize("count", [1, 19, 20])
def test_fewer_than_twenty_users_give_a_value_without_bounds(count: int) -> None:
    columns, users = [np.ones(60), np.full(60, 2.0)], np.arange(60) % count
    (only,) = statistic_intervals(columns, divide, cluster_rows(users), 20)
    assert (only.value, only.known) == (0.5, count == 20)


def test_an_interval_hanging_on_few_users_cannot_be_told() -> None:
    replicated = np.r_[np.full(90, 0.5), np.full(10, np.nan)]
    assert not percentile_interval(0.5, replicated, 100).known
    assert percentile_interval(0.5, replicated[:92], 100).known


def _visits(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """120 users with 15 rows each and rates of their own, .1 on average."""
    rates = rng.beta(0.5, 4.5, 120)
    users = np.repeat(np.arange(120), 15)
    return users, (rng.random(users.size) < rates[users]).astype(float)


def test_intervals_by_user_cover_and_intervals_by_row_do_not() -> None:
    rng = np.random.default_rng(0)
    hits = {"user": 0, "row": 0}
    for _ in range(200):
        users, y = _visits(rng)
        for name, codes in (("user", users), ("row", np.arange(y.size))):
            (rate,) = statistic_intervals([y, np.ones_like(y)], divide, cluster_rows(codes), 200)
            hits[name] += rate.low <= 0.1 <= rate.high
    assert 180 <= hits["user"] <= 200
    assert hits["row"] < 160


def test_packs_of_users_give_the_interval_of_users(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    users, y = np.repeat(np.arange(4000), 3), rng.random(12_000)
    y += rng.normal(size=4000)[users]
    columns = [y, np.ones_like(y)]

    def width(most: int) -> float:
        monkeypatch.setattr(resampling, "MOST_DRAWN", most)
        (mean,) = statistic_intervals(columns, divide, cluster_rows(users), 1000)
        assert mean.n == 4000
        return mean.high - mean.low

    assert width(1000) == pytest.approx(width(4000), rel=0.15)


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
    (draws,) = draw_counts(by_user.size, replicates=300, width=300)
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
    rows = ranking_metrics.FallingRows.of(*binary.check_binary(y, p))
    (auc,), (precision,) = ranking_metrics.ranked_intervals(rows, cluster_rows(users), 200)
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
