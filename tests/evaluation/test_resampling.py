"""Who is resampled, the draws, and whether intervals cover what they say."""

import numpy as np
import pytest

from tasks.errors import DataError
from tasks.evaluation import resampling
from tasks.evaluation.binary import divide
from tasks.evaluation.resampling import (
    Resampler,
    cluster_rows,
    draw_counts,
    percentile_interval,
    sum_intervals,
)


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


def test_draws_depend_on_the_seed_and_not_on_the_width() -> None:
    narrow, wide = (
        np.concatenate(list(draw_counts(7, seed=3, replicates=10, width=w)), axis=1) for w in (1, 4)
    )
    assert np.array_equal(narrow, wide)
    assert (narrow.sum(axis=0) == 7).all()
    assert not np.array_equal(
        narrow, np.concatenate(list(draw_counts(7, seed=4, replicates=10, width=4)), axis=1)
    )


def test_draws_that_are_kept_are_those_that_are_drawn_anew_and_nobody_changes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, again = (list(draw_counts(40, seed=5, replicates=30, width=7)) for _ in range(2))
    assert all(one is other for one, other in zip(kept, again, strict=True))
    with pytest.raises(ValueError, match="read-only"):
        kept[0][0, 0] = 1
    monkeypatch.setattr(resampling, "KEPT_CELLS", 0)
    anew = list(draw_counts(40, seed=5, replicates=30, width=7))
    assert all(np.array_equal(one, other) for one, other in zip(kept, anew, strict=True))


def test_every_group_is_measured_on_the_same_draws() -> None:
    users, groups = np.tile(np.arange(30), 2), np.repeat([0, 1], 30)
    y, p = np.tile([1.0, 0, 1], 20), np.full(60, 0.5)
    resampler = Resampler(30, seed=0, replicates=50)
    first, second = sum_intervals([y, p], {"r": divide}, users, resampler, groups=groups, count=2)["r"]
    assert first == second
    assert first.value == pytest.approx(4 / 3)
    assert first.n == 30
    assert first.known


@pytest.mark.parametrize("count", [1, 19, 20])
def test_fewer_than_twenty_users_give_a_value_without_bounds(count: int) -> None:
    columns, users = [np.ones(60), np.full(60, 2.0)], np.arange(60) % count
    only = sum_intervals(columns, {"r": divide}, users, Resampler(count, 0, 20))
    assert only["r"][0].value == 0.5
    assert only["r"][0].known == (count == 20)


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
            resampler = Resampler(int(codes.max()) + 1, seed=0, replicates=200)
            calibrated = sum_intervals([y, np.ones_like(y)], {"rate": divide}, codes, resampler)["rate"][0]
            hits[name] += calibrated.low <= 0.1 <= calibrated.high
    assert 180 <= hits["user"] <= 200
    assert hits["row"] < 160


def test_packs_of_users_give_the_interval_of_users(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    users, y = np.repeat(np.arange(4000), 3), rng.random(12_000)
    y += rng.normal(size=4000)[users]
    columns = [y, np.ones_like(y)]

    def width(most: int) -> float:
        monkeypatch.setattr(resampling, "MOST_DRAWN", most)
        calibrated = sum_intervals(columns, {"mean": divide}, users, Resampler(4000, 0, 1000))["mean"][0]
        assert calibrated.n == 4000
        return calibrated.high - calibrated.low

    assert width(1000) == pytest.approx(width(4000), rel=0.15)
