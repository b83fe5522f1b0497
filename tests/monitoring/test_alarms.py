"""Alarms on series of the table: what raises them, what is critical, and when a surface has levels only."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.evaluation.subjects import Subject
from tasks.labels import build as labels
from tasks.monitoring import monitor
from tasks.monitoring.alarms import read_alarms
from tests.monitoring.served_log import FILES, ServedLog, day_after

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
    labels.run(workspace, as_of=day_after(124))
    result = monitor.run(workspace, as_of=day_after(124))
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
