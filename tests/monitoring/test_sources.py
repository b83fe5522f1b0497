"""What sources bring and cost: sums by the policy's weights, with intervals by users."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.labels import build as labels
from tasks.monitoring import monitor
from tests.monitoring.served_log import FIRST, ServedLog, day_after

DAYS = 36


@pytest.fixture(scope="module")
def valued(tmp_path_factory: pytest.TempPathFactory) -> tuple[ServedLog, Path]:
    """A log of two sources, of which ads are hidden four times as often, and the page of its monitor."""
    log, rng = (
        ServedLog.of(tmp_path_factory.mktemp("valued"), days=DAYS, requests=20),
        np.random.default_rng(3),
    )
    ads = rng.random(len(log.rows)) < 0.3
    log.rows["source"] = np.where(ads, "ads", "feed")
    log.rows.loc[ads, "hide"] = (rng.random(ads.sum()) < 0.4).astype(float)
    log.rows["creator"] = [f"c{one}" for one in rng.integers(0, 12, len(log.rows))]
    workspace = log.write(slate="{policy: shop-slate, version: 1, length: 2, max_per: {creator: 2}}\n")
    labels.run(workspace, as_of=day_after(DAYS))
    return log, Path(monitor.run(workspace, as_of=day_after(DAYS)).page)


def newest(log: ServedLog, source: str, delay: int) -> pd.DataFrame:
    day = (log.rows["shown_at"] - pd.Timestamp(FIRST)).dt.days
    last = DAYS - 1 - delay  # of tasks that are mature within so many days
    return log.rows[(log.rows["source"] == source) & (day <= last) & (day > last - 28)]


def test_value_and_cost_are_weighted_outcomes_of_each_term_s_mature_days(
    valued: tuple[ServedLog, Path],
) -> None:
    log, page = valued
    text = page.with_name("source_values.csv").read_text(encoding="utf-8")
    rows = {row["unit"]: row for row in csv.DictReader(io.StringIO(text))}
    assert {"ads", "feed"} < set(rows)
    for source, row in ((source, rows[source]) for source in ("ads", "feed")):
        clicks, hides = newest(log, source, 1), newest(log, source, 2)
        assert float(row["value"]) == pytest.approx(clicks["click"].mean())
        assert float(row["cost"]) == pytest.approx(5 * hides["hide"].mean())
        assert int(row["impressions"]) == max(len(clicks), len(hides))
        assert float(row["value_low"]) < float(row["value"]) < float(row["value_high"])
    assert float(rows["ads"]["cost_low"]) > float(rows["feed"]["cost_high"])


def test_an_interval_has_users_as_units(valued: tuple[ServedLog, Path]) -> None:
    log, page = valued
    row = next(csv.DictReader(io.StringIO(page.with_name("source_values.csv").read_text(encoding="utf-8"))))
    own = newest(log, row["unit"], 2)
    by_user = own.groupby("user_id")["hide"].agg(["sum", "size"])
    influence = (by_user["sum"] - own["hide"].mean() * by_user["size"]) / len(own)
    half = 5 * np.sqrt((influence**2).sum())
    assert float(row["cost_high"]) - float(row["cost"]) == pytest.approx(2 * half, rel=0.05)


def test_the_page_lists_ten_of_each_column(valued: tuple[ServedLog, Path]) -> None:
    page = valued[1].read_text(encoding="utf-8")
    assert [page.count(f"<tr><td>{column}=") for column in ("source", "creator")] == [2, 10]
