"""What was usual: wide for few days, blind to one odd day, aware of weekdays and of chance.

Jensen-Shannon divergence: symmetric, bounded, and beyond what chance gives as rarely as stated.
"""

from datetime import date, timedelta

import numpy as np
import pytest

from tasks.validation import trailing as t
from tasks.validation.trailing import chance_divergence, divergence

MONDAY = date(2026, 3, 2)


def days(n: int, every: int = 1) -> list[date]:
    return [MONDAY + timedelta(days=every * k) for k in range(n)]


def usual(levels: np.ndarray, *, noise: float = 1e-4, every: int = 1, trailing: int = 28) -> t.Usual:
    found = np.full(len(levels), noise)
    return t.usual_levels(days(len(levels), every), levels, found, trailing=trailing, false_alarm_rate=0.01)


def width(found: t.Usual, day: int) -> float:
    return float(found.high[day] - found.low[day])


def test_five_days_are_needed_to_say_anything() -> None:
    found = usual(np.array([1.0, 2.0, 3.0, 2.0, 2.0, 2.0]), every=7)
    assert np.isnan(found.middle).tolist() == [True] * 5 + [False]
    assert found.middle[5] == 2.0


def test_the_interval_grows_narrower_with_more_days() -> None:
    found = usual(np.ones(30), noise=0.25)
    assert width(found, 7) > width(found, 14) > width(found, 29)


def test_one_odd_day_neither_moves_nor_widens_what_is_usual() -> None:
    levels = np.random.default_rng(2).normal(size=29)
    odd = levels.copy()
    odd[12] = 50.0
    plain, spoiled = usual(levels), usual(odd)
    assert spoiled.middle[28] == pytest.approx(plain.middle[28], abs=0.5)
    assert width(spoiled, 28) < 1.5 * width(plain, 28)


def test_the_first_of_a_weekday_is_held_against_nothing() -> None:
    assert np.isnan(usual(np.ones(10)).middle).tolist() == [True] * 7 + [False] * 3


def test_a_weekday_is_held_against_its_own_kind() -> None:
    weekend = np.array([5.0 if day.weekday() > 4 else 1.0 for day in days(35)])
    found = usual(weekend)
    assert found.middle[28:].tolist() == weekend[28:].tolist()
    assert ((found.low < weekend) & (weekend < found.high))[28:].all()


def test_days_that_are_weeks_apart_are_held_against_the_days_that_there_are() -> None:
    levels = np.array([1.0, 2.0, 3.0, 2.0, 1.0, 2.0])
    assert usual(levels, every=14).middle[5] == 2.0


def test_equal_days_are_still_allowed_what_chance_does() -> None:
    found = usual(np.ones(10), noise=0.25)
    assert width(found, 9) > 2 * 0.5 * 2


def test_only_the_trailing_days_count() -> None:
    levels = np.concatenate([np.full(10, 9.0), np.full(10, 1.0)])
    assert usual(levels, trailing=5, every=7).middle[19] == 1.0


@pytest.mark.parametrize("noisy", [True, False])
def test_a_hundred_healthy_series_stay_inside_about_as_often_as_said(noisy: bool) -> None:
    random = np.random.default_rng(3)
    outside = 0
    for _ in range(100):
        rates = np.clip(random.normal(0.1, 0.01 if noisy else 0.0, 40), 0, 1)
        hits = random.binomial(2000, rates).astype(float)
        levels, noise = t.share_levels(hits, np.full(40, 2000.0))
        found = t.usual_levels(days(40), levels, noise, trailing=28, false_alarm_rate=0.01)
        outside += int(((levels < found.low) | (levels > found.high))[28:].sum())
    assert outside <= 2 * 0.01 * 100 * 12


def test_levels_go_there_and_back() -> None:
    counts, of = np.array([0.0, 3.0, 70.0]), np.array([10.0, 10.0, 100.0])
    assert t.counts_of(t.count_levels(counts)[0]) == pytest.approx(counts)
    assert t.shares_of(t.share_levels(counts, of)[0]) == pytest.approx((counts + 3 / 8) / (of + 3 / 4))


def test_a_day_is_held_against_how_far_its_days_lie_from_one_another() -> None:
    restless = np.array([[80.0, 20], [20, 80], [70, 30], [30, 70], [50, 50], [85, 15]])
    own, usual_most = t.usual_divergences(restless, trailing=28, false_alarm_rate=0.01)
    assert own[5] < usual_most[5]
    calm = np.array([[5000.0, 5000], [5010, 4990], [4990, 5010], [5000, 5000], [5020, 4980], [8500, 1500]])
    own, usual_most = t.usual_divergences(calm, trailing=28, false_alarm_rate=0.01)
    assert own[5] > 0.1 > usual_most[5]


def test_a_divergence_is_symmetric_and_bounded() -> None:
    random = np.random.default_rng(4)
    left, right = (random.integers(0, 9, (50, 6)).astype(float) for _ in range(2))
    found = divergence(left, right)
    assert found == pytest.approx(divergence(right, left))
    assert (found >= -1e-12).all()
    assert (found <= 1 + 1e-12).all()


def test_samples_of_one_distribution_seldom_diverge_further_than_chance() -> None:
    random = np.random.default_rng(5)
    left = random.multinomial(300, [0.5, 0.2, 0.2, 0.1], 2000).astype(float)
    right = random.multinomial(5000, [0.5, 0.2, 0.2, 0.1], 2000).astype(float)
    beyond = divergence(left, right) > chance_divergence(left, right, false_alarm_rate=0.01)
    assert beyond.mean() == pytest.approx(0.01, abs=0.007)
