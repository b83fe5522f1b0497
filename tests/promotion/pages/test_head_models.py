from dataclasses import replace

import numpy as np

from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate
from tasks.promotion.pages.head_models import tabulate_head_models
from tests.promotion.gates.test_reports import head_models


def test_the_table_of_models_shows_what_predicts_and_the_rise_against_the_trees() -> None:
    table = tabulate_head_models({"buy": head_models("blend", Estimate(-0.02, -0.03, -0.01, 50))})
    assert table is not None
    (row,) = table.rows
    assert (row.task, row.segment, row.asked, row.model) == ("buy", str(ALL), "best", "blend")
    assert row.errors[2] == "0.9 [0.8, 1]"
    assert row.rises[1] == "-0.02 [-0.03, -0.01]"
    assert table.segments == []


def test_a_segment_in_which_nothing_is_measured_has_no_row() -> None:
    models = head_models("blend", Estimate(-0.02, -0.03, -0.01, 50))
    rows = [
        replace(figure, segment=Segment("tab", value), value=measured)
        for value, measured in (("1", 0.9), ("10", np.nan))
        for figure in models.figures
    ]
    table = tabulate_head_models({"buy": models.model_copy(update={"figures": (*models.figures, *rows)})})
    assert table is not None
    assert [row.segment for row in table.segments] == ["tab=1"]


def test_the_chart_has_a_mark_for_each_known_rise_by_its_side_of_the_trees() -> None:
    better = head_models("blend", Estimate(-0.02, -0.03, -0.01, 50))
    worse = head_models("trunk", Estimate(0.5, 0.4, 2.0, 50))
    table = tabulate_head_models({"buy": better, "click": worse})
    assert table is not None
    assert table.chart is not None
    assert [(mark.name, mark.tone) for mark in table.chart.marks] == [
        ("buy, blend", "pass"),
        ("click, trunk", "warn"),
    ]
    trees = table.chart.band[0]
    assert table.chart.marks[0].high < trees < table.chart.marks[1].low
    assert table.chart.marks[1].high == 96.0


def test_without_a_trunk_there_is_no_table() -> None:
    assert tabulate_head_models({}) is None
