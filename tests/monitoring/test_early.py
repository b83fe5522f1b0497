"""Estimates before maturity: their sums from label store and log, what is stored, and how often they held."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from tasks.monitoring import monitor
from tasks.monitoring.early import EarlyEstimates, estimate_early
from tests.monitoring.served_log import FIRST, ServedLog, day_after, run_monitor, series
from tests.monitoring.test_monitor import one

DAYS = 50
Read = tuple[ServedLog, monitor.MonitorResult, pd.DataFrame]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """The log, its monitor as of a day before its end and then of its end, and the table."""
    log = ServedLog.of(tmp_path_factory.mktemp("early"), days=DAYS, requests=60)
    workspace = log.write()
    run_monitor(workspace, DAYS - 1)
    return log, run_monitor(workspace, DAYS), series(workspace)


def estimates(log: ServedLog) -> EarlyEstimates:
    """Return what the kernel gives of sums over the rows: the two predictions of hides are the strata."""
    rows, known = log.rows, pd.Timestamp(day_after(DAYS))
    day = (rows["shown_at"] - pd.Timestamp(FIRST)).dt.days
    at = rows["shown_at"] + rows["hidden_after"]
    stratum = (rows["kind"] == "b").astype(int)
    predicted, arrived = np.zeros((DAYS, 2)), np.zeros((DAYS, 2, 3))
    np.add.at(predicted, (day, stratum), rows["served_p_hide_2d"])
    seen = (rows["hide"] > 0) & (at < known)
    age = (at.dt.normalize() - rows["shown_at"].dt.normalize()).dt.days
    np.add.at(arrived, (day[seen], stratum[seen], age[seen]), 1.0)
    return estimate_early(predicted, arrived)


def test_immature_days_are_estimated_from_the_events_so_far(read: Read) -> None:
    log, result, _ = read
    expected = estimates(log)
    assert [(level["task"], level["age"], level["day"]) for level in result.early] == [
        ("hide_2d", age, day_after(DAYS - 1 - age).date()) for age in (0, 1)
    ]
    for level in result.early:
        place = (DAYS - 1 - level["age"], level["age"])
        assert level["value"] == pytest.approx(expected.value[place])
        assert [level["low"], level["high"]] == pytest.approx([expected.low[place], expected.high[place]])
        assert level["held"] == pytest.approx(expected.coverage[level["age"]])


def test_each_estimate_is_stored_once_as_it_was_known_then(read: Read) -> None:
    log, _, table = read
    expected = estimates(log)
    stored = table[table["metric"] == "early_calibration"]
    assert not stored.duplicated(["day", "value_of"]).any()
    day = [(day - FIRST.date()) // timedelta(days=1) for day in stored["day"]]
    values = expected.value[day, stored["value_of"].astype(int)]
    assert stored["value"].to_numpy() == pytest.approx(values)
    assert len(stored) == np.isfinite(expected.value).sum()


def test_the_share_of_events_that_came_within_a_day_is_a_series(read: Read) -> None:
    log, _, table = read
    rows = log.rows[(log.rows["shown_at"] - pd.Timestamp(FIRST)).dt.days == 5]
    hidden = rows[rows["hide"] > 0]
    same_day = (hidden["shown_at"] + hidden["hidden_after"]).dt.normalize() == pd.Timestamp(day_after(5))
    assert one(table, "arrived_share", "hide_2d", 5, value_of="1")["value"] == pytest.approx(same_day.mean())
    assert set(table.loc[table["metric"] == "arrived_share", "task"]) == {"hide_2d"}
