"""One row a task, with a small picture of its reliability and the worst verdict on it."""

import math
from dataclasses import replace

import numpy as np

from tasks.evaluation.evidence import HeadInputs, InputChange
from tasks.evaluation.figures import CurvePoint
from tasks.evaluation.references import HeadReferences
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate, Outcome
from tasks.promotion.pages.task_rows import (
    SIZE,
    FeatureCell,
    chart_features,
    draw_points,
    list_tasks,
    tabulate_head_models,
)
from tests.evaluation.task_figures import estimates_of, task_figures
from tests.promotion.gates.test_reports import head_models
from tests.reports.vocabularies import WORDS, verdict

HIDE = task_figures(
    {
        ("auc", ALL): Estimate(0.7, 0.6, 0.8, 90),
        ("auc_by_request", ALL): Estimate(0.6, 0.5, 0.7, 90),
        ("normalized_entropy", ALL): Estimate(0.9, 0.8, 1.0, 90),
        ("calibration_ratio", ALL): Estimate(1.1, 0.9, 1.3, 90),
    },
    task="hide",
    size=(1200, 30),
)


def test_a_row_says_what_people_did_and_which_way_is_better() -> None:
    judged = [verdict("model", "hide.auc", Outcome.PASS), verdict("data", "hide.rows", Outcome.INCONCLUSIVE)]
    (row,) = list_tasks([HIDE], [*judged, verdict("model", "hide_more.auc", Outcome.BLOCK)], WORDS)
    assert (row.did, row.family, row.better) == ("hid it", "negative", "fewer")
    assert (row.rows, row.positives) == ("1,200", "30")
    assert (row.order, row.error, row.ratio) == ("0.6 [0.5, 0.7]", "0.9 [0.8, 1]", "1.1 [0.9, 1.3]")
    assert row.verdict == "inconclusive"


def test_a_task_whose_guardrail_is_broken_is_not_called_a_pass() -> None:
    passed = verdict("model", "hide.auc", Outcome.PASS)
    broken = replace(verdict("decision", "hide_predicted", Outcome.BLOCK), segment=Segment("tenure", "new"))
    (row,) = list_tasks([HIDE], [passed, broken], WORDS)
    assert row.verdict == "block"


def test_order_falls_back_to_all_rows_and_error_to_the_squared_one() -> None:
    unknown = Estimate(0.6, math.nan, math.nan, 0)
    figures = estimates_of(HIDE) | {("auc_by_request", ALL): unknown}
    del figures["normalized_entropy", ALL]
    beside = HeadReferences(
        base=8.0, relative_squared_error=Estimate(0.5, 0.4, 0.6, 9), auc=None, auc_by_request=None
    )
    (row,) = list_tasks([task_figures(figures, task="hide", references=beside)], [], WORDS)
    assert (row.order, row.error, row.verdict) == ("0.7 [0.6, 0.8]", "0.5 [0.4, 0.6]", "")


def test_a_task_without_words_keeps_its_name_alone() -> None:
    (row,) = list_tasks([task_figures(task="gone")], [], WORDS)
    assert (row.did, row.family, row.better, row.order, row.error) == ("", "", "", "", "")


def test_calibrated_bins_lie_on_the_diagonal_inside_the_picture() -> None:
    curve = tuple(CurvePoint(predicted=p, observed=p, rows=9) for p in (0.0, 0.001, 0.02, 0.3))
    points = draw_points(curve)
    assert all(x == SIZE - y for x, y in points)
    assert points[0] == (4.0, 56.0)
    assert points[-1] == (56.0, 4.0)


def test_without_a_curve_there_is_no_picture() -> None:
    assert draw_points(()) == ()
    assert draw_points((CurvePoint(predicted=0.0, observed=0.0, rows=9),)) == ()


def test_changed_features_come_first_then_those_that_heads_gain_most_from() -> None:
    change = InputChange(feature="age", days="test", kind="distribution", observed=0.12, bound=0.05)
    click = HeadInputs(task="click", gains={"price": 0.7, "shop": 0.2, "age": 0.1}, changes=(change,))
    buy = HeadInputs(task="buy", gains={"price": 0.9, "shop": 0.1})
    served = HeadInputs(
        task="buy",
        gains={},
        changes=(
            InputChange(feature="shop", days="served", kind="constant", observed=math.nan, bound=math.nan),
        ),
    )
    chart = chart_features([click, buy], [served])
    assert chart is not None
    assert chart.heads == ("click", "buy")
    assert [row.feature for row in chart.rows] == ["shop", "age", "price"]
    shop, age, price = chart.rows
    assert age.cells == (
        FeatureCell(0.1, ("distribution on test days: 0.12, limit 0.05",)),
        FeatureCell(None, ()),
    )
    assert shop.cells[1].changes == ("constant on served days: not measured, limit not measured",)
    assert [cell.share for cell in price.cells] == [0.7, 0.9]
    assert chart_features([], []) is None


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
