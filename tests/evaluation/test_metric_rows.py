"""The rows of a table of metrics: named by column and value, the whole first."""

import json

import numpy as np
from pydantic import TypeAdapter

from tasks.evaluation.metric_rows import Figure, group_by_segment, metric_rows
from tasks.evaluation.resampling import Support
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.evaluation.verdicts import Estimate


def test_values_come_in_the_order_of_their_names_and_a_null_is_unknown() -> None:
    whole, source = group_by_segment({"source": np.array(["feed", None, "ads", "feed"], dtype=object)}, 4)
    assert (whole.names, whole.codes.tolist()) == ((ALL,), [0, 0, 0, 0])
    assert source.names == (Segment("source", "ads"), Segment("source", "feed"), Segment("source", "unknown"))
    assert source.codes.tolist() == [1, 2, 0, 1]


def test_booleans_are_spelled_as_in_yaml() -> None:
    assert [*group_by_segment({"new": [True, False]}, 2)][1].names == (
        Segment("new", "false"),
        Segment("new", "true"),
    )


def test_a_ratio_without_a_positive_is_unknown_and_another_figure_is_not() -> None:
    _, source = group_by_segment({"source": ["ads", "feed"]}, 2)
    figures = {name: [Estimate(1.0, 0.9, 1.1, 1)] * 2 for name in ("calibration_ratio", "mean_prediction")}
    support = Support(np.full(2, 90.0), np.full(2, 90), np.array([0, 30]))
    rows = metric_rows(figures, source, support, resampled="users")
    known = {(row.subject.metric, row.segment): np.isfinite(row.estimate.value) for row in rows}
    assert known == {
        ("calibration_ratio", Segment("source", "ads")): False,
        ("mean_prediction", Segment("source", "ads")): True,
        ("calibration_ratio", Segment("source", "feed")): True,
        ("mean_prediction", Segment("source", "feed")): True,
    }


def test_what_rests_on_too_little_keeps_its_value_and_has_no_interval() -> None:
    _, kind = group_by_segment({"kind": ["few negatives", "few positives", "few users"]}, 3)
    support = Support(np.array([20.0, 20.0, 19.9]), np.array([100, 100, 100]), np.array([91, 9, 50]))
    figures = {
        name: [Estimate(0.7, 0.6, 0.8, 90)] * 3 for name in ("auc", "normalized_entropy", "mean_prediction")
    }
    rows = metric_rows(figures, kind, support, resampled="users")
    assert {row.estimate.value for row in rows} == {0.7}
    assert {(row.subject.metric, row.segment.value) for row in rows if row.estimate.known} == {
        ("mean_prediction", "few positives"),
        ("mean_prediction", "few negatives"),
        ("normalized_entropy", "few negatives"),
    }


def test_what_is_not_finite_becomes_null() -> None:
    row = Figure(Subject("auc"), ALL, 0.5, float("nan"), float("nan"), 1, rows=2, events=1)
    assert json.loads(TypeAdapter(Figure).dump_json(row))["low"] is None
