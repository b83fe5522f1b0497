"""The monitoring step on a log whose outcomes are in hand: its table, what is added later, what is not there."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.errors import ContractError, DataError
from tasks.labels import build as labels
from tasks.monitoring import monitor
from tasks.monitoring.traffic import LoggedTraffic, ServingReleases
from tasks.stores.workspace import Workspace
from tests.monitoring.served_log import (
    CHANGE_OF_RELEASE,
    FILES,
    FIRST,
    ServedLog,
    day_after,
    run_monitor,
    series,
)

DAYS = 74
AS_OF = day_after(DAYS)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> ServedLog:
    return ServedLog.of(tmp_path_factory.mktemp("monitored"), days=DAYS, requests=20)


@pytest.fixture(scope="module")
def monitored(log: ServedLog) -> pd.DataFrame:
    """The table after the monitor ran three times, the second time as of the days of the first."""
    workspace = log.write()
    labels.run(workspace, as_of=AS_OF)
    for days in (60, 60, DAYS):
        monitor.run(workspace, as_of=day_after(days))
    return series(workspace)


def one(found: pd.DataFrame, metric: str, task: str, day: int, **where: object) -> Any:
    wanted: dict[str, Any] = {"days": 1, "segment_value": "", "release": None, **where}
    rows = found[
        (found["metric"] == metric) & (found["task"] == task) & (found["day"] == day_after(day).date())
    ]
    for name, value in wanted.items():
        rows = rows[rows[name].isna() if value is None else rows[name] == value]
    (row,) = (rows.iloc[n] for n in range(len(rows)))
    return row


def test_a_day_s_figures_are_those_of_its_rows(log: ServedLog, monitored: pd.DataFrame) -> None:
    day = (log.rows["shown_at"] - pd.Timestamp(FIRST)).dt.days
    for of in (3, 65):
        rows = log.rows[day == of]
        ratio = rows["click"].sum() / rows["served_p_click_1h"].sum()
        assert one(monitored, "calibration_ratio", "click_1h", of)["value"] == pytest.approx(ratio)
        kind = rows[rows["kind"] == "b"]
        ratio = kind["hide"].sum() / kind["served_p_hide_2d"].sum()
        found = one(monitored, "calibration_ratio", "hide_2d", of, segment_value="b")
        assert (found["value"], found["rows"], found["events"]) == (
            pytest.approx(ratio), len(kind), kind["hide"].sum(),
        )  # fmt: skip


def test_a_week_is_measured_once_its_last_day_is_mature(log: ServedLog, monitored: pd.DataFrame) -> None:
    rows = log.rows[log.rows["shown_at"] < pd.Timestamp(day_after(7))]
    ratio = rows["click"].sum() / rows["served_p_click_1h"].sum()
    assert one(monitored, "calibration_ratio", "click_1h", 6, days=7)["value"] == pytest.approx(ratio)
    weeks = monitored[(monitored["days"] == 7) & (monitored["metric"] == "rows")]
    assert weeks[weeks["release"].isna()].groupby("task").size().to_dict() == {"click_1h": 10, "hide_2d": 10}


def test_the_traffic_of_each_release_is_measured_by_itself(log: ServedLog, monitored: pd.DataFrame) -> None:
    of = monitored[
        (monitored["metric"] == "rows") & (monitored["task"] == "click_1h") & (monitored["days"] == 1)
    ]
    days = of.groupby("release")["day"]
    assert days.min().to_dict() == {1: FIRST.date(), 2: day_after(CHANGE_OF_RELEASE).date()}
    assert days.max().to_dict() == {1: day_after(CHANGE_OF_RELEASE - 1).date(), 2: day_after(DAYS - 2).date()}


@pytest.fixture(scope="module")
def shared_days(tmp_path_factory: pytest.TempPathFactory) -> tuple[ServedLog, pd.DataFrame]:
    """A log of large user ids, one of them missing, with as many rows of each release, and its table."""
    log = ServedLog.of(tmp_path_factory.mktemp("shared_days"), days=10, requests=20)
    number = log.rows["user_id"].str[1:].astype("Int64") + 2**60
    release = 1 + log.rows.index.to_numpy() % 2
    clicks = log.rows["click"].where(release == 1, 0.0)
    log.rows = log.rows.assign(user_id=number.mask(number == 2**60), release=release, click=clicks)
    workspace = log.write()
    run_monitor(workspace, 10)
    return log, series(workspace)


def test_releases_with_as_many_rows_each_have_their_own_figures(
    shared_days: tuple[ServedLog, pd.DataFrame],
) -> None:
    log, found = shared_days
    rows = log.rows[log.rows["shown_at"] < pd.Timestamp(day_after(1))]
    clicked = rows.groupby("release")["click"].sum()
    events = [one(found, "rows", "click_1h", 0, release=release)["events"] for release in (None, 1, 2)]
    assert events == [clicked.sum(), clicked[1], clicked[2]]
    assert clicked[1] > clicked[2] == 0


def test_large_user_ids_stay_distinct_if_one_is_missing(
    shared_days: tuple[ServedLog, pd.DataFrame],
) -> None:
    log, found = shared_days
    users = log.rows.loc[log.rows["shown_at"] < pd.Timestamp(day_after(1)), "user_id"].nunique()
    assert one(found, "returned_share", "", 0)["n"] == users > 10


def test_each_task_ends_with_its_newest_mature_day_and_no_figure_comes_twice(monitored: pd.DataFrame) -> None:
    ends = monitored[(monitored["days"] == 1) & (monitored["metric"] == "rows")].groupby("task")["day"].max()
    assert ends.to_dict() == {
        "": day_after(DAYS - 1).date(),
        "click_1h": day_after(DAYS - 2).date(),
        "hide_2d": day_after(DAYS - 3).date(),
    }
    key = ["day", "days", "release", "metric", "task", "column", "value_of", "segment", "segment_value"]
    assert not monitored.duplicated(key).any()


def test_runs_in_between_leave_the_table_of_one_run(tmp_path: Path, monitored: pd.DataFrame) -> None:
    log = ServedLog.of(tmp_path, days=DAYS, requests=20)
    workspace = log.write()
    labels.run(workspace, as_of=AS_OF)
    monitor.run(workspace, as_of=AS_OF)
    order = ["day", "days", "release", "metric", "task", "value_of", "segment_value"]
    once, often = (
        found[found["metric"] != "early_calibration"]
        .drop(columns="computed_at")
        .sort_values(order, ignore_index=True)
        for found in (series(workspace), monitored)
    )
    pd.testing.assert_frame_equal(once, often)
    assert monitor.run(workspace, as_of=AS_OF).figures == 0


def test_without_predictions_and_champion_only_traffic_is_counted(tmp_path: Path) -> None:
    log = ServedLog.of(tmp_path, days=9, requests=20)
    workspace = log.write(without=("release", "served_p_click_1h", "served_p_hide_2d"))
    result = run_monitor(workspace, 9)
    assert [note[:15] for note in result.notes] == ["No predictions:"]
    assert set(series(workspace)["task"]) == {""}
    assert series(workspace).query("metric == 'rows'")["value"].tolist() == [60.0] * 9


def test_an_unknown_release_is_named_and_logged_predictions_stay(tmp_path: Path) -> None:
    log = ServedLog.of(tmp_path, days=9, requests=20)
    log.rows.loc[log.rows.index[::2], "served_p_hide_2d"] = np.nan
    workspace = log.write()
    result = run_monitor(workspace, 9)
    assert [note[:43] for note in result.notes] == ["The log names release 1, which is unknown. "]
    known = one(series(workspace), "rows", "hide_2d", 2)
    assert (known["value"], one(series(workspace), "rows", "click_1h", 2)["value"]) == (30.0, 60.0)


def test_a_day_without_traffic_counts_none_and_is_not_asked_for_again(tmp_path: Path) -> None:
    log = ServedLog.of(tmp_path, days=9, requests=20)
    day = (log.rows["shown_at"] - pd.Timestamp(FIRST)).dt.days
    log.rows = log.rows[day != 4]
    workspace = log.write()
    run_monitor(workspace, 9)
    assert one(series(workspace), "rows", "", 4)["value"] == 0.0
    assert monitor.run(workspace, as_of=day_after(9)).figures == 0


def test_labels_have_to_be_built_and_of_the_contract_in_force(tmp_path: Path) -> None:
    log = ServedLog.of(tmp_path, days=4, requests=5)
    workspace = log.write()
    with pytest.raises(DataError, match="has no labels yet"):
        monitor.run(workspace, as_of=day_after(4))
    assert monitor.read_current(workspace) is None
    with pytest.raises(ContractError, match="was not monitored yet"):
        monitor.read_page(workspace)
    labels.run(workspace, as_of=day_after(4))
    tasks = FILES["tasks"].replace("within: P2D", "within: P1D").replace("version: 1", "version: 2")
    (workspace.surfaces / "shop" / "tasks.yaml").write_text(tasks, encoding="utf-8")
    other = Workspace.open("shop", surfaces=workspace.surfaces, home=workspace.home)
    with pytest.raises(DataError, match="built under another tasks"):
        monitor.run(other, as_of=day_after(4))


def test_a_run_reads_and_scores_each_day_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ServedLog.of(tmp_path, days=30, requests=5)
    workspace = log.write(without=("served_p_hide_2d", "served_p_click_1h"))
    labels.run(workspace, as_of=day_after(30))
    read, predict, days, scored = LoggedTraffic.read, ServingReleases.predict, list[date](), list[int]()

    def reading(*args: Any) -> LoggedTraffic:
        days.extend(args[2].first + timedelta(days=n) for n in range((args[2].last - args[2].first).days + 1))
        return read(*args)

    def predicting(self: ServingReleases, frame: pd.DataFrame, served_by: Any) -> Any:
        scored.append(len(frame))
        return predict(self, frame, served_by)

    monkeypatch.setattr(LoggedTraffic, "read", reading)
    monkeypatch.setattr(ServingReleases, "predict", predicting)
    monitor.run(workspace, as_of=day_after(30))
    assert days == [day_after(n).date() for n in range(30)]
    assert sum(scored) == len(log.rows)


def test_a_task_that_is_never_trained_has_its_rate_and_delays_whatever_is_predicted(tmp_path: Path) -> None:
    """Nobody predicts: the log has no prediction, names no release, and there is no champion."""
    log = ServedLog.of(tmp_path, days=21)
    untrained = FILES["tasks"].replace("within: P2D}}", "within: P2D}, train: false}")
    weights = FILES["utility"].replace(", hide_2d: -5.0", "")
    without = ("release", "served_p_click_1h", "served_p_hide_2d")
    workspace = log.write(without=without, tasks=untrained, utility=weights)
    run_monitor(workspace, 21)
    found = series(workspace)
    assert {*found.loc[found["task"] == "hide_2d", "metric"]} == {"rows", "rate", "arrived_share"}
    assert found[found["task"] == "click_1h"].empty
    of_day = log.rows[(log.rows["shown_at"] - pd.Timestamp(FIRST)).dt.days == 3]
    for kind, rows in (("", of_day), ("b", of_day[of_day["kind"] == "b"])):
        rate = one(found, "rate", "hide_2d", 3, segment_value=kind)
        assert (rate["value"], rate["rows"]) == (pytest.approx(rows["hide"].mean()), len(rows))
    week = log.rows[log.rows["shown_at"] < pd.Timestamp(day_after(7))]
    of_week = one(found, "rate", "hide_2d", 6, days=7)
    assert of_week["value"] == pytest.approx(week["hide"].mean())
    assert of_week["low"] < of_week["value"] < of_week["high"]
