"""The rows of a table of metrics: named by column and value, the whole first."""

import json

import numpy as np
from pydantic import TypeAdapter

from tasks.evaluation.metric_rows import FlatRow, MetricRow, group_by_segment, metric_rows
from tasks.evaluation.resampling import Clusters
from tasks.evaluation.verdicts import Estimate


def test_values_come_in_the_order_of_their_names_and_a_null_is_unknown() -> None:
    whole, source = group_by_segment({"source": np.array(["feed", None, "ads", "feed"], dtype=object)}, 4)
    assert (whole.names, whole.codes.tolist()) == (("all",), [0, 0, 0, 0])
    assert source.names == ("source=ads", "source=feed", "source=unknown")
    assert source.codes.tolist() == [1, 2, 0, 1]


def test_booleans_are_spelled_as_in_yaml() -> None:
    assert [*group_by_segment({"new": [True, False]}, 2)][1].names == ("new=false", "new=true")


def test_a_ratio_without_a_positive_is_unknown_and_another_figure_is_not() -> None:
    _, source = group_by_segment({"source": ["ads", "feed"]}, 2)
    figures = {name: [Estimate(1.0, 0.9, 1.1, 1)] * 2 for name in ("calibration_ratio", "auc")}
    rows = metric_rows(figures, source, np.array([0.0, 1.0]), Clusters(np.arange(2), 2, "users"))
    known = {(row.metric, row.segment): row.estimate.known for row in rows}
    assert known == {
        ("calibration_ratio", "source=ads"): False,
        ("auc", "source=ads"): True,
        ("calibration_ratio", "source=feed"): True,
        ("auc", "source=feed"): True,
    }


def test_what_is_not_finite_becomes_null() -> None:
    row = MetricRow("auc", "all", Estimate(0.5, float("nan"), float("nan"), 1), rows=2, positives=1)
    assert json.loads(TypeAdapter(FlatRow).dump_json(row))["low"] is None
