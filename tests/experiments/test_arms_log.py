"""Sums of metrics over impressions, by hand: what is not mature counts for nothing."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.contracts import Contracts
from tasks.contracts.metrics import Metric, MetricKind
from tasks.errors import DataError
from tasks.experiments.arm_effects import novelty_slope
from tasks.experiments.arms_log import ArmLog, UserDays, measure_rows, read_triggers
from tests.contracts.files import load_files, setting

RATE, GIVEN = Metric(MetricKind.RATE, "return"), Metric(MetricKind.GIVEN, "return", "buy")
SHARE, UTILITY = Metric(MetricKind.SHARE, "age", "<1"), Metric(MetricKind.OBSERVED_UTILITY)


def contracts(folder: Path) -> Contracts:
    return load_files(folder)


def a_frame() -> pd.DataFrame:
    """Four impressions: one bought and returned, one bought, one did not buy, one is not mature."""
    observed = ["observed"] * 3 + ["immature"]
    child = ["observed", "observed", "not_applicable", "immature"]
    return pd.DataFrame(
        {
            "user_id": ["u", "u", "v", "v"],
            "click": [1.0, 1.0, 0.0, 1.0],
            "click__status": ["observed"] * 4,
            "buy": [1.0, 1.0, 0.0, np.nan],
            "buy__status": observed,
            "return": [1.0, 0.0, np.nan, np.nan],
            "return__status": child,
            "margin": [2.0, 3.0, 4.0, 5.0],
            "tenure": ["old", "new", "new", "old"],
            "item_age": [0.5, 2.0, 9.0, 0.1],
        }
    )


def test_rates_count_observed_outcomes_along_the_chain(tmp_path: Path) -> None:
    sums = measure_rows(a_frame(), {"rate": RATE, "given": GIVEN}, contracts(tmp_path))
    assert [part.tolist() for part in sums["rate"]] == [[1, 0, 0, 0], [1, 1, 1, 0]]
    assert [part.tolist() for part in sums["given"]] == [[1, 0, 0, 0], [1, 1, 0, 0]]


def test_the_utility_adds_what_each_outcome_is_worth_in_its_context(tmp_path: Path) -> None:
    sums = measure_rows(a_frame(), {"utility": UTILITY}, contracts(tmp_path))
    worth, rows = sums["utility"]
    assert rows.tolist() == [1, 1, 1, 0]
    assert worth.tolist() == [0.4 + 20 * 2 - 5, 0.4 + 20 * 3, 0, 0]


def test_a_term_that_is_known_of_some_rows_stands_for_all_of_its_arm(tmp_path: Path) -> None:
    frame = a_frame()
    frame["click"] = [1.0, np.nan, 0.0, 0.0]
    frame["click__status"] = ["observed", "excluded", "observed", "observed"]
    arms = np.array([0, 0, 1, 1])
    worth, _ = measure_rows(frame, {"utility": UTILITY}, contracts(tmp_path), arms=arms)["utility"]
    assert worth[:2].tolist() == [0.4 * 2 + 20 * 2 - 5, 20 * 3]


def test_a_column_counts_of_every_mature_row_and_a_threshold_by_the_served_prediction(tmp_path: Path) -> None:
    terms = {
        "cost": {"column": "margin", "weight": -0.5, "cap": 3},
        "sure": {"task": "buy", "weight": 10.0, "where": {"click": {"min": 0.5}}},
    }
    declared = load_files(tmp_path, setting("utility.terms", terms))
    frame = a_frame().assign(served_p_click=[0.6, 0.4, 0.9, 0.9])
    worth, _ = measure_rows(frame, {"utility": UTILITY}, declared)["utility"]
    assert worth.tolist() == [0.4 + 20 * 2 - 5 - 1 + 10, 0.4 + 20 * 3 - 1.5, -1.5, 0]
    with pytest.raises(DataError, match="p_click"):
        measure_rows(a_frame(), {"utility": UTILITY}, declared)


def test_a_share_is_that_of_impressions_with_the_segment_s_value(tmp_path: Path) -> None:
    sums = measure_rows(a_frame(), {"share": SHARE}, contracts(tmp_path))
    assert [part.tolist() for part in sums["share"]] == [[1, 0, 0, 1], [1, 1, 1, 1]]


def test_a_request_that_does_not_say_whether_the_arms_differ_is_refused() -> None:
    day = date(2026, 1, 12)
    assert read_triggers(pd.DataFrame({"triggered": [True, False]}), day).tolist() == [True, False]
    with pytest.raises(DataError, match=r"null in 1 of the experiment's 2 impressions of 2026-01-12"):
        read_triggers(pd.DataFrame({"triggered": [True, None]}), day)
    with pytest.raises(DataError, match="other values than true and false"):
        read_triggers(pd.DataFrame({"triggered": ["yes", "no"]}), day)


def test_users_of_both_arms_and_users_without_mature_impressions_count_in_no_arm() -> None:
    users, days = np.array([0, 1, 2, 2, 3]), np.array([0, 0, 0, 8, 1])
    sums = {"rate": (np.array([1.0, 0.0, 1.0, 1.0, 0.0]), np.array([2.0, 1.0, 1.0, 2.0, 0.0]))}
    log = ArmLog(
        UserDays(users, days, sums),
        treated=np.array([False, True, True, False]),
        first_day=np.array([0, 0, 0, 1]),
        crossed=np.array([False, True, False, False]),
        impressions=np.ones((9, 2), dtype=np.intp),
    )
    whole, late = log.users("rate"), log.users("rate", aged=7)
    assert (whole.treated.tolist(), whole.numerator.tolist()) == ([False, True], [1, 2])
    assert (late.treated.tolist(), late.denominator.tolist()) == ([True], [2])
    assert log.users("rate", until=0).denominator.tolist() == [2, 1]


def test_novelty_is_by_days_since_the_first_exposure_without_users_of_both_arms() -> None:
    users, ages, crossed = np.repeat(np.arange(400), 2), np.tile([0, 3], 400), np.arange(400) < 9
    treated, first = np.arange(400) % 2 == 1, np.arange(400) % 5
    clicks, shown = np.random.default_rng(0).binomial(9, 0.5, 800).astype(float), np.full(800, 9.0)
    rows = UserDays(users, first[users] + ages, {"rate": (clicks, shown)})
    log = ArmLog(rows, treated, first, crossed, np.ones((9, 2), dtype=np.intp))
    alone = novelty_slope(users[18:], ages[18:], treated[users][18:], clicks[18:], shown[18:])
    assert log.novelty("rate") == alone
