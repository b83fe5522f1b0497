"""Levels of one task: every figure against its formula, and intervals against the truth of many logs."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from tasks.evaluation.observations import Observations
from tasks.evaluation.subjects import ALL, Segment
from tasks.monitoring.levels import measure_levels


def test_figures_of_each_segment_follow_their_formulas() -> None:
    y = np.array([1.0, 0, 1, 0, 0, 1])
    p = np.array([0.6, 0.2, 0.3, 0.4, 0.1, 0.8])
    kind, request = ["a", "a", "b", "b", "a", "b"], ["r", "r", "r", "s", "s", "s"]
    rows = Observations(y, p, list("uvwxyz"), request, {"kind": kind})
    found = {
        (f.subject.metric, f.segment): f for f in measure_levels("click", "binary", rows, np.zeros(6, int))
    }
    losses = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    assert found["calibration_ratio", ALL].value == pytest.approx(3 / 2.4)
    assert found["normalized_entropy", ALL].value == pytest.approx(losses.mean() / np.log(2))
    assert found["auc_by_request", ALL].value == pytest.approx(
        4 / 4
    )  # .6 and .3 above .2; .8 above .4 and .1
    assert found["calibration_ratio", Segment("kind", "a")].value == pytest.approx(1 / 0.9)
    assert found["auc_by_request", Segment("kind", "b")].value == 1.0  # one pair: .8 above .4
    assert {f.subject.task for f in found.values()} == {"click"}
    assert (found["calibration_ratio", ALL].rows, found["calibration_ratio", ALL].events) == (6, 3)


def test_calibration_by_tenth_finds_what_the_whole_hides() -> None:
    p = np.repeat([0.05, 0.2, 0.5], [200, 50, 20])  # each a third of the 30 events that are predicted
    y = np.zeros(270)
    y[:5], y[200:210], y[250:265] = 1, 1, 1  # 5, 10 and 15 events
    rows = Observations(y, p, np.arange(270), np.arange(270), {"kind": np.repeat(["a", "b"], [200, 70])})
    found = [*measure_levels("click", "binary", rows, np.zeros(270, int), tenths=True)]
    whole = {f.subject.metric: f.value for f in found if f.segment == ALL}
    tenths = {
        int(f.subject.value): f.value
        for f in found
        if f.subject.metric == "calibration_by_tenth" and f.segment == ALL
    }
    assert whole["calibration_ratio"] == pytest.approx(1)
    assert list(tenths.values()) == pytest.approx([0.5, 1.0, 1.5])  # equal predictions share a bin
    assert sorted(tenths) == [4, 7, 10]
    of_b = [f.value for f in found if f.subject.column == "tenth" and f.segment == Segment("kind", "b")]
    assert of_b == pytest.approx([1.0, 1.5])


def test_a_quantile_is_measured_by_the_share_of_outcomes_below_it() -> None:
    rows = Observations([1.0, 5.0, 3.0, 2.0], [2.0, 2.0, 3.0, 9.0], list("uvwx"), list("rrss"))
    (coverage,) = measure_levels("watch", "quantile", rows, np.zeros(4, int))
    assert (coverage.subject.metric, coverage.value) == ("coverage", 0.75)


def test_one_class_alone_has_neither_entropy_nor_order() -> None:
    rows = Observations([0.0, 0.0], [0.2, 0.3], list("uv"), list("rr"))
    values = [figure.value for figure in measure_levels("click", "binary", rows, np.zeros(2, int))]
    assert values[0] == 0.0
    assert np.isnan(values[1:]).all()


def test_days_that_move_the_level_widen_the_interval_of_a_week() -> None:
    rng = np.random.default_rng(1)
    days, users = np.repeat(np.arange(7), 600), rng.integers(0, 900, 4200)
    p = np.full(4200, 0.2)
    y = (rng.random(4200) < p * np.exp(rng.normal(0, 0.3, 7))[days]).astype(float)
    rows = Observations(y, p, users, np.arange(4200) // 3)
    (ratio, *_) = measure_levels("click", "binary", rows, days)
    daily = pd.Series((y - ratio.value * p) / p.sum()).groupby(days).sum()
    half = t(6).ppf(0.975) * np.sqrt(7 / 6 * (daily**2).sum())
    assert ratio.high - ratio.value == pytest.approx(half)
    (one_day, *_) = measure_levels("click", "binary", rows, np.zeros(4200, int))
    assert one_day.high - one_day.low < ratio.high - ratio.low


def test_the_interval_of_normalized_entropy_covers_the_truth() -> None:
    rng = np.random.default_rng(2)
    price = rng.random(400_000)
    truth = 0.1 + 0.3 * price
    y = (rng.random(400_000) < truth).astype(float)
    (_, whole, _) = measure_levels(
        "click",
        "binary",
        Observations(y, truth, np.arange(400_000), np.arange(400_000)),
        np.zeros(400_000, int),
    )
    covered = 0
    for draw in range(200):
        rows = slice(2000 * draw, 2000 * (draw + 1))
        one = Observations(y[rows], truth[rows], np.arange(2000), np.arange(2000))
        (_, entropy, _) = measure_levels("click", "binary", one, np.zeros(2000, int))
        covered += entropy.low <= whole.value <= entropy.high
    assert 180 <= covered <= 199


def test_a_task_that_is_never_trained_is_measured_by_its_rate() -> None:
    nothing, kind = np.full(4, np.nan), {"kind": ["a", "a", "b", "b"]}
    rows = Observations([1.0, 0.0, 0.0, 0.0], nothing, list("uvwx"), list("rrss"), kind)
    found = {f.segment: f for f in measure_levels("report", None, rows, np.zeros(4, int))}
    assert {str(segment): figure.value for segment, figure in found.items()} == {
        "all": 0.25, "kind=a": 0.5, "kind=b": 0.0,
    }  # fmt: skip
    assert {figure.subject.metric for figure in found.values()} == {"rate"}
    assert found[ALL].events == 1
