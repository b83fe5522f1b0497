"""Alarms on series of the table: what raises them, what is critical, and when a surface has levels only.

Drift alarms: the definition in plain loops, its laws, and series that have little to say.
"""

import itertools
import math
from datetime import date, timedelta
from pathlib import Path

import hypothesis.extra.numpy as arrays
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from tasks.evaluation.subjects import Subject
from tasks.monitoring import monitor
from tasks.monitoring.alarms import HISTORY, detect_drift, read_alarms
from tests.monitoring.served_log import FILES, ServedLog, day_after, run_monitor

FIRST = date(2026, 1, 1)
SHIFTED = 130


def table(days: int, **series: tuple[str, str, np.ndarray]) -> pd.DataFrame:
    """Return rows as the table of series has them: by name, metric, task and a value a day."""
    rows = [
        {"day": FIRST + timedelta(days=n), "metric": metric, "task": task, "value": value}
        for metric, task, values in series.values()
        for n, value in enumerate(values[:days])
    ]
    nothing = dict.fromkeys(("feature", "constraint", "column", "value_of", "segment"), "")
    return pd.DataFrame(rows).assign(days=1, release=np.nan, **nothing)


def steady(level: float, *, spread: float = 0.05, seed: int = 0) -> np.ndarray:
    return level * np.exp(np.random.default_rng(seed).normal(0, spread, 160))


def shifted(level: float, by: float) -> np.ndarray:
    values = steady(level, seed=1)
    values[SHIFTED:] *= by
    return values


SERIES = {
    "clicks": ("calibration_ratio", "click", shifted(1.0, 1.3)),
    "hides": ("calibration_ratio", "hide", steady(1.0)),
    "traffic": ("rows", "", steady(5000)),
}


def test_a_shifted_level_is_named_with_its_days_and_levels() -> None:
    reading = read_alarms(table(134, **SERIES), critical=["click"], sent={})
    (alarm,) = reading.current
    values = SERIES["clicks"][2]
    raised = [(day - FIRST).days for day in reading.raised[alarm.subject]]
    assert alarm.subject == Subject("calibration_ratio", task="click")
    assert alarm.day == FIRST + timedelta(days=raised[-1])
    assert alarm.since == FIRST + timedelta(days=SHIFTED)
    assert alarm.before == pytest.approx(values[raised[0] - 97 : raised[0] - 13].mean())
    assert alarm.now == pytest.approx(values[SHIFTED : raised[-1] + 1].mean())
    assert alarm.sentence.startswith(
        f"calibration ratio of click: {alarm.before:.3g} to {alarm.now:.3g} since 2026-05-11. "
    )
    assert "more frequent" in alarm.meaning


@pytest.mark.parametrize(
    ("critical", "is_critical"), [(["click"], True), (["calibration_ratio"], True), (["hide", "rows"], False)]
)
def test_a_task_or_a_metric_is_declared_critical(critical: list[str], is_critical: bool) -> None:
    (alarm,) = read_alarms(table(134, **SERIES), critical=critical, sent={}).current
    assert alarm.critical == is_critical


def test_an_alarm_is_new_once_and_current_for_a_week() -> None:
    alone = {
        name: (metric, task, np.r_[values[:134], steady(1.0)[134:]])
        for name, (metric, task, values) in SERIES.items()
        if task
    }
    (alarm,) = read_alarms(
        table(134, **alone), critical=[], sent={"calibration ratio of click": FIRST + timedelta(days=128)}
    ).current
    assert alarm.new
    until = read_alarms(table(134, **alone), critical=[], sent={alarm.name: alarm.day}).current
    assert [one.new for one in until] == [False]
    raised = (alarm.day - FIRST).days
    assert len(read_alarms(table(raised + 7, **alone), critical=[], sent={}).current) == 1
    gone = read_alarms(table(raised + 8, **alone), critical=[], sent={})
    assert (gone.current, gone.raised[alarm.subject][-1]) == ((), alarm.day)


def test_with_fewer_days_than_a_reference_needs_there_are_levels_only() -> None:
    assert read_alarms(table(97, **SERIES), critical=[], sent={}).levels_only
    assert not read_alarms(table(98, **SERIES), critical=[], sent={}).levels_only
    assert read_alarms(table(99, **SERIES).head(0), critical=[], sent={}).history == 0


def test_a_surface_whose_clicks_drift_fails_where_they_are_critical(tmp_path: Path) -> None:
    workspace = ServedLog.of(tmp_path, days=124, requests=30, drift_from=112).write(
        surface=FILES["surface"] + "monitor: {critical: [click_1h]}\n"
    )
    result = run_monitor(workspace, 124)
    (alarm,) = result.alarms
    assert (alarm.subject, alarm.critical, alarm.new) == (
        Subject("calibration_ratio", task="click_1h"),
        True,
        True,
    )
    assert abs((alarm.since - day_after(112).date()).days) <= 1
    assert alarm.before == pytest.approx(1.0, abs=0.05)
    assert alarm.now == pytest.approx(1.5, abs=0.15)
    assert not result.passed
    again = monitor.run(workspace, as_of=day_after(124))
    assert [one.new for one in again.alarms] == [True]  # until a message was sent
    monitor.mark_sent(workspace, again.describe_alarms())
    assert [one.new for one in monitor.run(workspace, as_of=day_after(124)).alarms] == [False]
    stored = monitor.read_current(workspace)
    assert stored is not None
    assert [one.sentence for one in stored.current] == [alarm.sentence]
    assert alarm.name in monitor.read_page(workspace)


@pytest.mark.parametrize(("metric", "level"), [("dropped_share", 0.0), ("unmet_share", 1.0)])
def test_a_rule_that_suddenly_takes_nothing_or_everything_raises_an_alarm_within_two_days(
    metric: str, level: float
) -> None:
    values = steady(0.1, spread=0.2)
    values[SHIFTED:] = level
    (alarm,) = read_alarms(table(SHIFTED + 2, rule=(metric, "", values)), critical=[], sent={}).current
    assert abs((alarm.since - FIRST).days - SHIFTED) <= 1
    assert alarm.now == pytest.approx(level, abs=0.1)


def test_the_first_candidates_that_a_rule_drops_raise_none() -> None:
    values = np.zeros(160)
    values[SHIFTED:] = 0.004
    reading = read_alarms(table(SHIFTED + 5, rule=("dropped_share", "", values)), critical=[], sent={})
    assert (reading.current, reading.raised) == ((), {})


def test_a_value_that_no_impression_has_any_more_raises_an_alarm() -> None:
    rows = table(130, kept=("share", "", steady(0.6)), gone=("share", "", steady(0.3, seed=2)))
    rows["column"], rows["value_of"] = "kind", np.repeat(["a", "b"], 130)
    gone = rows[(rows["value_of"] == "a") | (rows["day"] < FIRST + timedelta(days=127))]
    (alarm,) = read_alarms(gone, critical=[], sent={}).current
    assert (alarm.name, alarm.now, alarm.since) == ("share of kind=b", 0.0, FIRST + timedelta(days=127))


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
