"""A task's figures: measured where the outcome is known, told to people, read by the gates."""

import json
import math
from datetime import date
from functools import partial

import numpy as np
import pytest

from tasks.contracts.training import HeadKind
from tasks.errors import DataError
from tasks.evaluation.figures import MeasuredHead, TaskFigures, measure
from tasks.evaluation.observations import Observations
from tasks.evaluation.subjects import Segment
from tests.known import known

DAYS = (date(2026, 5, 1), date(2026, 5, 7))
NAN = float("nan")


def figures(
    outcomes: list[float], predictions: list[float], *, kind: HeadKind = "binary", segment: str = "source"
) -> TaskFigures:
    rows = len(outcomes)
    observations = Observations(
        outcomes,
        predictions,
        users=[f"u{i // 2 % 40}" for i in range(rows)],
        requests=[f"r{i // 2}" for i in range(rows)],
        segments={segment: ["a", "b"] * (rows // 2)},
    )
    head = MeasuredHead("click_30m", kind)
    return measure(head, observations, days=DAYS, newest_training_row=date(2026, 4, 20))


def test_unknown_outcomes_are_no_negatives() -> None:
    calibrated = figures([1, 0, NAN, 1, 0, NAN], [0.9, 0.1, 0.9, 0.8, 0.3, 0.1])
    assert (calibrated.rows, calibrated.positives) == (4, 2)
    assert calibrated.headline["auc"] == 1.0
    assert calibrated.headline["calibration_ratio"] == pytest.approx(2 / 2.1)


def test_the_headline_has_intervals_where_people_ask_for_them() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.05, 0.6, 400)
    calibrated = figures((rng.uniform(size=400) < p).astype(float).tolist(), p.tolist()).headline
    for metric in ("auc", "auc_by_request", "calibration_ratio"):
        low, value, high = (known(calibrated[f"{metric}{bound}"]) for bound in ("_low", "", "_high"))
        assert low <= value <= high
    assert {"normalized_entropy", "rows", "positives"} <= calibrated.keys()


def test_what_cannot_be_told_is_null_and_not_a_number() -> None:
    calibrated = figures([0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4])
    assert calibrated.headline["auc"] is None
    assert json.loads(json.dumps(calibrated.to_json(), allow_nan=False))["figures"][0]["value"] is None


def test_without_estimates_the_rows_are_counted_and_nothing_is_told() -> None:
    calibrated = figures([1, 0, NAN, 1, 0, NAN], [0.9, 0.1, 0.9, 0.8, 0.3, 0.1])
    counts = calibrated.without_estimates()
    assert (counts.rows, counts.positives, counts.days) == (
        calibrated.rows,
        calibrated.positives,
        calibrated.days,
    )
    assert [(row.subject.metric, row.segment, row.rows) for row in counts.figures] == [
        (row.subject.metric, row.segment, row.rows) for row in calibrated.figures
    ]
    assert not any(row.estimate.known for row in counts.figures)
    assert {name for name, value in counts.headline.items() if value is not None} == {"rows", "positives"}


def test_a_value_task_s_calibration_is_its_ratio_of_sums() -> None:
    calibrated = figures([0, 6, 2, 4], [1, 5, 1, 3], kind="value")
    assert calibrated.headline["calibration_ratio"] == pytest.approx(1.2)
    assert calibrated.positives == 3
    assert "auc" not in calibrated.headline


def test_a_quantile_and_a_ranking_head_have_their_own_figures() -> None:
    rows = Observations([1.0, 0.0, 0.0, 1.0], [0.9, 0.1, 0.4, 0.3], np.arange(4), [0, 0, 1, 1])
    measured = partial(measure, days=DAYS, newest_training_row=DAYS[0])
    spend = measured(MeasuredHead("spend", "quantile", quantile=0.5), rows)
    assert spend.headline["coverage"] == 0.5
    order = measured(MeasuredHead("click", "ranking", slots=2), rows)
    assert order.headline["auc_by_request"] == 0.5
    assert "calibration_ratio" not in order.headline
    with pytest.raises(DataError, match="'click' is a ranking head: to measure it, give the slots"):
        measured(MeasuredHead("click", "ranking"), rows)


def test_the_gates_read_what_was_written() -> None:
    written = json.dumps(figures([1, 0, 0, 1], [0.9, 0.1, 0.4, 0.3]).to_json())
    read = TaskFigures.model_validate_json(written)
    assert (read.task, read.rows, read.positives) == ("click_30m", 4, 2)
    assert read.newest_training_row == date(2026, 4, 20)
    assert known(read.estimate("auc")).value == 0.75
    of_a, of_b = (
        known(read.figure("calibration_ratio", Segment("source", "a"))),
        known(read.figure("auc", Segment("source", "b"))),
    )
    assert (of_a.rows, of_a.events) == (2, 1)
    assert math.isnan(of_b.low)
    assert read.figure("auc", Segment("source", "c")) is None
