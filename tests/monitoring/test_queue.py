"""The review queue: which units are listed, of which days, with which sums."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.labels import build as labels
from tasks.monitoring import monitor
from tasks.monitoring.textfile import write_textfile
from tests.monitoring.served_log import FILES, FIRST, ServedLog, day_after

DAYS = 40


@pytest.fixture(scope="module")
def spammed(tmp_path_factory: pytest.TempPathFactory) -> tuple[ServedLog, monitor.MonitorResult]:
    """A log of thirty creators, of whom the impressions of one are hidden six times as often as predicted."""
    log = ServedLog.of(tmp_path_factory.mktemp("spammed"), days=DAYS, requests=40)
    rng = np.random.default_rng(5)
    creators = rng.integers(0, 30, len(log.rows))
    log.rows["creator"] = [f"c{one}" for one in creators]
    log.rows.loc[creators == 7, "hide"] = (rng.random((creators == 7).sum()) < 0.6).astype(float)
    slate = "{policy: shop-slate, version: 1, length: 2, max_per: {creator: 1}}\n"
    workspace = log.write(slate=slate)
    labels.run(workspace, as_of=day_after(DAYS))
    return log, monitor.run(workspace, as_of=day_after(DAYS))


def test_a_creator_with_an_excess_is_listed_with_the_sums_of_its_mature_days(
    spammed: tuple[ServedLog, monitor.MonitorResult],
) -> None:
    log, result = spammed
    (unit,) = result.queue
    day = (log.rows["shown_at"] - pd.Timestamp(FIRST)).dt.days
    newest = DAYS - 3  # hides of two days: the last mature day
    own = log.rows[(log.rows["creator"] == "c7") & (day <= newest) & (day > newest - 28)]
    assert (unit["task"], unit["column"], unit["unit"]) == ("hide_2d", "creator", "c7")
    assert (unit["impressions"], unit["observed"]) == (len(own), own["hide"].sum())
    assert unit["expected"] == pytest.approx(own["served_p_hide_2d"].sum())
    assert 2 < unit["eb05"] < unit["observed"] / unit["expected"]


def test_the_queue_is_a_table_of_the_page_and_a_csv_beside_it(
    spammed: tuple[ServedLog, monitor.MonitorResult],
) -> None:
    _, result = spammed
    page = Path(result.page)
    assert "<td>hide_2d</td><td>creator=c7</td>" in page.read_text(encoding="utf-8")
    (row,) = csv.DictReader(io.StringIO(page.with_name("review_queue.csv").read_text(encoding="utf-8")))
    assert (row["unit"], int(row["observed"])) == ("c7", result.queue[0]["observed"])


def test_prometheus_reads_the_newest_levels_and_the_alarms(
    spammed: tuple[ServedLog, monitor.MonitorResult],
) -> None:
    _, result = spammed
    lines = result.textfile().splitlines()
    (level,) = (
        one for one in result.series if (one["metric"], one["task"]) == ("calibration_ratio", "click_1h")
    )
    assert f'equipoise_calibration_ratio{{surface="shop",task="click_1h"}} {level["value"]:g}' in lines
    assert f'equipoise_history_days{{surface="shop"}} {DAYS}' in lines
    assert 'equipoise_review_units{surface="shop"} 1' in lines
    assert all(line.startswith(("# HELP equipoise_", "# TYPE equipoise_", "equipoise_")) for line in lines)


def test_without_a_task_that_costs_nothing_is_reviewed(tmp_path: Path) -> None:
    tasks = FILES["tasks"].replace("family: negative", "family: engagement")
    utility = FILES["utility"].split("guardrails")[0].replace("-5.0", "5.0")
    workspace = ServedLog.of(tmp_path, days=5, requests=5).write(tasks=tasks, utility=utility)
    labels.run(workspace, as_of=day_after(5))
    assert monitor.run(workspace, as_of=day_after(5)).queue == []


def test_an_unknown_level_is_left_out() -> None:
    level = {"metric": "auc_by_request", "task": "click", "value": float("nan")}
    assert "auc_by_request" not in write_textfile("feed", [level], [], history=1, review_units=0)  # type: ignore[list-item]
