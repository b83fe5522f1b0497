"""The review queue: its prior and quantile by scipy, its laws, and units that have little to say.

What sources bring and cost: sums by the policy's weights, with intervals by users.
"""

import csv
import io
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gamma, nbinom

from tasks.errors import DataError
from tasks.monitoring import monitor
from tasks.monitoring.page import write_textfile
from tasks.monitoring.units import review_units
from tests.monitoring.served_log import FILES, FIRST, ServedLog, run_monitor


def drawn(units: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    expected = rng.lognormal(1.0, 1.0, units)
    return rng.poisson(expected * rng.gamma(4.0, 0.25, units)).astype(float), expected


def test_the_prior_has_the_highest_likelihood_of_negative_binomial_counts() -> None:
    observed, expected = drawn()
    queue = review_units(observed, expected)

    def likelihood(a: float, b: float) -> float:
        return float(np.sum(nbinom.logpmf(observed, a, b / (b + expected))))

    best = likelihood(queue.shape, queue.rate)
    around = itertools.product((0.97, 1.0, 1.03), repeat=2)
    assert all(best >= likelihood(queue.shape * a, queue.rate * b) - 1e-6 for a, b in around)
    assert (queue.shape, queue.rate) == pytest.approx((4.0, 4.0), rel=0.35)


def test_the_excess_and_its_quantile_are_those_of_the_posterior() -> None:
    observed, expected = drawn()
    queue = review_units(observed, expected)
    posterior = gamma(queue.shape + observed, scale=1 / (queue.rate + expected))
    assert queue.excess == pytest.approx(posterior.mean())
    assert queue.eb05 == pytest.approx(posterior.ppf(0.05))


@settings(max_examples=20, deadline=None)
@given(unit=st.integers(0, 399), more=st.integers(1, 50))
def test_more_events_raise_a_unit_and_more_predicted_events_lower_it(unit: int, more: int) -> None:
    observed, expected = drawn()
    before = review_units(observed, expected).eb05[unit]
    observed[unit] += more
    after = review_units(observed, expected).eb05[unit]
    expected[unit] += more
    assert before < after
    assert review_units(observed, expected).eb05[unit] < after


def test_the_worst_unit_comes_first_and_a_high_ratio_of_little_is_not_listed() -> None:
    observed, expected = drawn()
    observed[:3], expected[:3] = [400.0, 90.0, 2.0], [100.0, 20.0, 0.1]
    assert review_units(observed, expected).listed[:2].tolist() == [0, 1]
    assert 2 not in review_units(observed, expected).listed
    order = np.random.default_rng(0).permutation(400)
    again = review_units(observed[order], expected[order])
    assert order[again.listed].tolist() == review_units(observed, expected).listed.tolist()


def test_a_few_units_do_not_confirm_themselves() -> None:
    assert review_units([3.0], [1.0]).listed.size == 0
    assert review_units([3.0, 4.0], [1.0, 1.0]).listed.size == 0
    assert review_units([300.0], [100.0]).listed.tolist() == [0]


def test_no_events_and_no_units_list_nothing() -> None:
    assert review_units([0.0, 0.0], [5.0, 0.001]).listed.size == 0
    empty = review_units([], [])
    assert (empty.listed.size, empty.eb05.size) == (0, 0)


@pytest.mark.parametrize(("observed", "expected"), [(-1.0, 1.0), (np.nan, 1.0), (1.0, 0.0), (1.0, np.inf)])
def test_a_unit_that_cannot_be_compared_is_named(observed: float, expected: float) -> None:
    with pytest.raises(DataError, match="the first is unit 1"):
        review_units([1.0, observed], [1.0, expected])


DAYS = 40
Spammed = tuple[ServedLog, monitor.MonitorResult]


@pytest.fixture(scope="module")
def spammed(tmp_path_factory: pytest.TempPathFactory) -> Spammed:
    """A log of thirty creators, of whom the impressions of one are hidden six times as often as predicted."""
    log = ServedLog.of(tmp_path_factory.mktemp("spammed"), days=DAYS, requests=40)
    rng = np.random.default_rng(5)
    creators = rng.integers(0, 30, len(log.rows))
    log.rows["creator"] = [f"c{one}" for one in creators]
    log.rows.loc[creators == 7, "hide"] = (rng.random((creators == 7).sum()) < 0.6).astype(float)
    slate = "{policy: shop-slate, version: 1, length: 2, max_per: {creator: 1}}\n"
    workspace = log.write(slate=slate)
    return log, run_monitor(workspace, DAYS)


def test_a_creator_with_an_excess_is_listed_with_the_sums_of_its_mature_days(spammed: Spammed) -> None:
    log, result = spammed
    (unit,) = result.queue
    day = (log.rows["shown_at"] - pd.Timestamp(FIRST)).dt.days
    newest = DAYS - 3  # hides of two days: the last mature day
    own = log.rows[(log.rows["creator"] == "c7") & (day <= newest) & (day > newest - 28)]
    assert (unit["task"], unit["column"], unit["unit"]) == ("hide_2d", "creator", "c7")
    assert (unit["impressions"], unit["observed"]) == (len(own), own["hide"].sum())
    assert unit["expected"] == pytest.approx(own["served_p_hide_2d"].sum())
    assert 2 < unit["eb05"] < unit["observed"] / unit["expected"]


def test_the_queue_is_a_table_of_the_page_and_a_csv_beside_it(spammed: Spammed) -> None:
    _, result = spammed
    page = Path(result.page)
    assert "<td>hide_2d</td><td>creator=c7</td>" in page.read_text(encoding="utf-8")
    (row,) = csv.DictReader(io.StringIO(page.with_name("review_queue.csv").read_text(encoding="utf-8")))
    assert (row["unit"], int(row["observed"])) == ("c7", result.queue[0]["observed"])


def test_prometheus_reads_the_newest_levels_and_the_alarms(spammed: Spammed) -> None:
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
    assert run_monitor(workspace, 5).queue == []


def test_an_unknown_level_is_left_out() -> None:
    level = {"metric": "auc_by_request", "task": "click", "value": float("nan")}
    assert "auc_by_request" not in write_textfile("feed", [level], [], history=1, review_units=0)  # type: ignore[list-item]


VALUED_DAYS = 36
Valued = tuple[ServedLog, Path]


@pytest.fixture(scope="module")
def valued(tmp_path_factory: pytest.TempPathFactory) -> Valued:
    """A log of two sources, of which ads are hidden four times as often, and the page of its monitor."""
    log, rng = (
        ServedLog.of(tmp_path_factory.mktemp("valued"), days=VALUED_DAYS, requests=20),
        np.random.default_rng(3),
    )
    ads = rng.random(len(log.rows)) < 0.3
    log.rows["source"] = np.where(ads, "ads", "feed")
    log.rows.loc[ads, "hide"] = (rng.random(ads.sum()) < 0.4).astype(float)
    log.rows["creator"] = [f"c{one}" for one in rng.integers(0, 12, len(log.rows))]
    workspace = log.write(slate="{policy: shop-slate, version: 1, length: 2, max_per: {creator: 2}}\n")
    return log, Path(run_monitor(workspace, VALUED_DAYS).page)


def newest(log: ServedLog, source: str, delay: int) -> pd.DataFrame:
    day = (log.rows["shown_at"] - pd.Timestamp(FIRST)).dt.days
    last = VALUED_DAYS - 1 - delay  # of tasks that are mature within so many days
    return log.rows[(log.rows["source"] == source) & (day <= last) & (day > last - 28)]


def test_value_and_cost_are_weighted_outcomes_of_each_term_s_mature_days(valued: Valued) -> None:
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


def test_an_interval_has_users_as_units(valued: Valued) -> None:
    log, page = valued
    row = next(csv.DictReader(io.StringIO(page.with_name("source_values.csv").read_text(encoding="utf-8"))))
    own = newest(log, row["unit"], 2)
    by_user = own.groupby("user_id")["hide"].agg(["sum", "size"])
    influence = (by_user["sum"] - own["hide"].mean() * by_user["size"]) / len(own)
    half = 5 * np.sqrt((influence**2).sum())
    assert float(row["cost_high"]) - float(row["cost"]) == pytest.approx(2 * half, rel=0.05)


def test_the_page_lists_ten_of_each_column(valued: Valued) -> None:
    page = valued[1].read_text(encoding="utf-8")
    assert [page.count(f"<tr><td>{column}=") for column in ("source", "creator")] == [2, 10]
