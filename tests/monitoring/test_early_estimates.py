"""Early estimates: the definition in plain loops, nothing of the future, and worlds whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from tasks.monitoring.early import estimate_early

DAYS, STRATA, COLUMNS = 64, 3, 5


def drawn(seed: int = 0, days: int = DAYS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(50, 150, (days, STRATA))
    means = predicted[:, :, None] * np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    return predicted, rng.poisson(means * rng.uniform(0.7, 1.3, (days, 1, COLUMNS))).astype(float)


def estimate(predicted: np.ndarray, arrived: np.ndarray, day: int, age: int) -> tuple[float, float]:
    """Return a day's estimate and the variance that counts give its log, step by step."""
    newest = day + age - (COLUMNS - 1)
    window = range(newest - 27, newest + 1)
    expected = 0.0
    for s in range(STRATA):
        early = sum(arrived[m, s, : age + 1].sum() for m in window if m >= 0)
        late = sum(arrived[m, s].sum() for m in window if m >= 0)
        expected += early / late * predicted[day, s]
    seen = arrived[day, :, : age + 1].sum()
    return seen / expected, (1 - expected / predicted[day].sum()) / seen


def test_estimates_and_intervals_are_those_of_the_definition() -> None:
    predicted, arrived = drawn()
    early = estimate_early(predicted, arrived)
    for day, age in ((61, 0), (60, 1), (63, 0), (50, 3)):
        value, counted = estimate(predicted, arrived, day, age)
        surplus = []
        for d in range(day + age - 4 - 27, day + age - 4 + 1):
            if d + age - 4 >= 13:  # fourteen matured days gave its F
                guess, chance = estimate(predicted, arrived, d, age)
                error = math.log(guess / (arrived[d].sum() / predicted[d].sum()))
                surplus.append(error**2 - chance)
        spread = math.sqrt(counted + max(0.0, sum(surplus) / len(surplus)))
        reach = t.ppf(0.975, len(surplus) - 1) * spread
        assert early.value[day, age] == pytest.approx(value)
        assert early.low[day, age] == pytest.approx(value * math.exp(-reach))
        assert early.high[day, age] == pytest.approx(value * math.exp(reach))


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(20, DAYS), later=st.floats(0, 1e6), seed=st.integers(0, 3))
def test_what_was_estimated_on_a_day_stays_whatever_comes_later(cut: int, later: float, seed: int) -> None:
    predicted, arrived = drawn(seed)
    unknown = np.add.outer(np.arange(cut), np.arange(COLUMNS)) >= cut
    cut_off = np.where(unknown[:, None], later, arrived[:cut])
    early, then = estimate_early(predicted, arrived), estimate_early(predicted[:cut], cut_off)
    for name in ("value", "low", "high"):
        now, before = getattr(early, name)[:cut], getattr(then, name)
        assert np.array_equal(np.where(unknown[:, :-1], np.nan, now), before, equal_nan=True)
    assert np.isnan(then.matured[cut - 4 :]).all()


def test_nothing_is_estimated_before_there_is_something_to_estimate_from() -> None:
    early = estimate_early(*drawn())
    first = [int(np.isfinite(early.value[:, age]).argmax()) + age for age in range(4)]
    assert first == [17] * 4  # fourteen days have matured at the end of day 17
    banded = [int(np.isfinite(early.low[:, age]).argmax()) for age in range(4)]
    assert banded == [34 - 2 * age for age in range(4)]  # fourteen of them too
    predicted, arrived = drawn()
    arrived[5], predicted[5] = 0.0, 0.0
    later = np.isfinite(estimate_early(predicted, arrived).value[:, 0])
    assert int(later.argmax()) == 18  # a day without impressions is none of the fourteen
    predicted, arrived = drawn()
    arrived[60], predicted[59] = 0.0, 0.0
    early = estimate_early(predicted, arrived)
    assert np.isnan(early.value[59:61]).all()
    assert np.isfinite(early.value[61, :2]).all()
    assert np.isnan(estimate_early(predicted[:0], arrived[:0]).coverage).all()


def test_a_stratum_without_matured_events_arrives_like_the_others() -> None:
    predicted, arrived = np.full((40, 2), 100.0), np.tile([20.0, 20.0], (40, 2, 1))
    arrived[:, 1] = 0.0
    arrived[-1, 1, 0] = 20.0
    early = estimate_early(predicted, arrived)
    assert early.value[-1, 0] == pytest.approx((20 + 20) / (0.5 * 200))


def test_more_slow_rows_do_not_look_like_fewer_events() -> None:
    predicted, fast, slow = np.full((60, 2), 100.0), np.array([80.0, 20.0]), np.array([20.0, 80.0])
    arrived = np.tile(np.stack([fast, slow]), (60, 1, 1))
    predicted[-1], arrived[-1] = [40.0, 160.0], [0.4 * fast, 1.6 * slow]
    by_stratum = estimate_early(predicted, arrived).value[-1, 0]
    pooled = estimate_early(predicted.sum(axis=1, keepdims=True), arrived.sum(axis=1, keepdims=True))
    assert by_stratum == pytest.approx(1.0)
    assert pooled.value[-1, 0] == pytest.approx(0.64)


def test_coverage_counts_the_intervals_that_held_what_matured() -> None:
    predicted, arrived = drawn(1, 400)
    early = estimate_early(predicted, arrived)
    target = arrived.sum(axis=(1, 2)) / predicted.sum(axis=1)
    inside = [early.low[d, 0] <= target[d] <= early.high[d, 0] for d in range(34, 396)]
    assert early.coverage[0] == pytest.approx(np.mean(inside))
    assert early.coverage == pytest.approx(0.95, abs=0.03)
    assert early.shares[0, 0] == arrived[0, :, 0].sum() / arrived[0].sum()
