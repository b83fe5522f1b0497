"""Drift alarms: the definition in plain loops, its laws, and series that have little to say."""

import itertools
import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from tasks.monitoring.drift_alarms import HISTORY, detect_drift


def drawn(series: int, days: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.08, (series, days))


def deviation(series: np.ndarray, one: int, day: int) -> float:
    """Return z of a series without gaps, step by step."""
    windows = [each[day - 97 : day - 13] for each in series]
    correlations = []
    for window in windows:
        away = (window - window.mean()) / window.std(ddof=1)
        correlations.append(sum(a * b for a, b in zip(away[1:], away[:-1], strict=True)) / 83)
    h = max(0.0, sum(correlations) / len(correlations))
    own = windows[one]
    spread = math.sqrt(own.var(ddof=1) * (1 + 1 / 84) * (1 + h) / (1 - h))
    return float(norm.ppf(t.cdf((series[one, day] - own.mean()) / spread, 83)))


def alarm_days(z: np.ndarray, limit: float) -> list[int]:
    """Return the days on which a series' evidence reaches the limit, step by step."""
    evidence, days = dict.fromkeys((-2, -1, -0.5, 0.5, 1, 2), 0.0), list[int]()
    for day, each in enumerate(z):
        for bet, m in evidence.items():
            evidence[bet] = m if math.isnan(each) else (m + 1) * math.exp(bet * each - bet**2 / 2)
        if sum(evidence.values()) / 6 >= limit:
            days.append(day)
            evidence = dict.fromkeys(evidence, 0.0)
    return days


def test_z_and_alarms_are_those_of_the_definition() -> None:
    series = drawn(3, 180)
    series[1] += np.cumsum(drawn(1, 180, seed=1)[0]) / 4
    series[2, 130:] -= 0.2
    reading = detect_drift(series)
    for one, day in ((0, 97), (1, 120), (2, 150), (2, 179)):
        assert reading.z[one, day] == pytest.approx(deviation(series, one, day), rel=1e-9)
    assert np.isnan(reading.z[:, :97]).all()


@pytest.mark.parametrize("shift", [-0.25, -0.1, 0.06, 0.15])
def test_alarms_are_raised_and_evidence_begins_anew_as_defined(shift: float) -> None:
    series = drawn(3, 200, seed=8)
    series[:2, 130:] += [[shift], [shift / 2]]
    reading = detect_drift(series)
    for one in range(3):
        own = [alarm for alarm in reading.alarms if alarm.series == one]
        assert [alarm.day for alarm in own] == alarm_days(reading.z[one], 3 * 3 * 700)
        assert all(before.day < after.since <= after.day for before, after in itertools.pairwise(own))


def test_an_alarm_names_the_day_and_the_size_of_the_shift() -> None:
    series = drawn(20, 160)
    series[7, 120:] += np.log(1.5)
    alarm = detect_drift(series).alarms[0]
    assert (alarm.series, alarm.since) == (7, 120)
    assert alarm.shift == pytest.approx(np.log(1.5), abs=0.1)
    assert alarm.z > 3
    fallen = detect_drift(-series).alarms[0]
    assert (fallen.series, fallen.day, fallen.shift, fallen.z) == (7, alarm.day, -alarm.shift, -alarm.z)


@settings(max_examples=15, deadline=None)
@given(
    days=arrays.arrays(np.float64, (2, 110), elements=st.floats(-1, 1, width=16) | st.just(math.nan)),
    cut=st.integers(90, 110),
    scale=st.sampled_from([0.25, 4.0]),
)
def test_later_days_change_nothing_and_the_unit_does_not_matter(
    days: np.ndarray, cut: int, scale: float
) -> None:
    reading, before, scaled = detect_drift(days), detect_drift(days[:, :cut]), detect_drift(scale * days)
    assert np.array_equal(reading.z[:, :cut], before.z, equal_nan=True)
    assert [alarm for alarm in reading.alarms if alarm.day < cut] == list(before.alarms)
    assert np.allclose(reading.z, scaled.z, rtol=1e-6, equal_nan=True)
    assert (np.isnan(reading.z) | np.isfinite(reading.z)).all()


def test_a_short_or_sparse_history_shows_levels_only() -> None:
    series = drawn(4, HISTORY)
    series[1, 0] = math.nan  # 97 days
    series[2, 1:44] = math.nan  # 98 days, 41 of the reference with a figure
    series[3, 1:43] = math.nan
    assert detect_drift(series).levels_only.tolist() == [False, True, True, False]
    assert detect_drift(series[:, :-1]).levels_only.all()
    assert detect_drift(np.empty((0, 300))).alarms == ()


def test_days_without_a_figure_neither_alarm_nor_clear_what_was_seen() -> None:
    series = drawn(1, 150, seed=1)
    series[0, 120:] += 0.15
    with_gap = np.insert(series, [122] * 3, math.nan, axis=1)
    assert np.isnan(detect_drift(with_gap).z[0, 122:125]).all()
    first, later = detect_drift(series).alarms[0], detect_drift(with_gap).alarms[0]
    assert later.since == first.since == 120
    assert 122 < first.day < later.day


def test_a_constant_series_alarms_on_the_day_it_changes() -> None:
    constant = np.full((1, 130), 0.3)
    assert detect_drift(constant).alarms == ()
    constant[0, 110] = 0.0
    alarm = detect_drift(constant).alarms[0]
    assert (alarm.day, alarm.since) == (110, 110)
    assert alarm.shift == pytest.approx(-0.3)


def test_days_are_taken_to_correlate_by_095_at_most() -> None:
    halves = np.repeat([-1.0, 1.0], [42, 56])[None]
    spread = math.sqrt((84 / 83) * (1 + 1 / 84) * 1.95 / 0.05)
    assert detect_drift(halves).z[0, -1] == pytest.approx(norm.ppf(t.cdf(1 / spread, 83)))


def test_a_series_that_persists_does_not_make_another_kind_persistent() -> None:
    series = drawn(2, 120)
    series[1] = np.cumsum(series[1])
    pooled, apart = (detect_drift(series, kinds=kinds).z for kinds in (None, ["share", "distance"]))
    assert apart[0] == pytest.approx(detect_drift(series[:1]).z[0], nan_ok=True)
    assert abs(pooled[0, -1]) < abs(apart[0, -1])
    assert abs(pooled[1, -1]) > abs(apart[1, -1])
