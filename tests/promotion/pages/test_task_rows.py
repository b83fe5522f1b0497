"""One row a task, with a small picture of its reliability and the worst verdict on it.

The heat map places predictions above its diagonal; a proxy is drawn tenth by tenth.
"""

import json
import math
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from tasks.evaluation.evidence import HeadInputs, InputChange
from tasks.evaluation.figures import CurvePoint
from tasks.evaluation.references import HeadReferences
from tasks.evaluation.release_evidence import ProxyEvidence
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.task_pairs import ConflictEvidence, PairEvidence, Tenth, measure_conflicts
from tasks.evaluation.verdicts import Estimate, Outcome
from tasks.promotion.pages.task_rows import (
    DEEPEST,
    SIZE,
    FeatureCell,
    describe_overlaps,
    draw_heat_map,
    draw_proxy,
    draw_reliability,
    draw_rises,
    list_head_models,
    list_segment_models,
    list_tasks,
    tabulate_features,
)
from tests.evaluation.task_figures import estimates_of, task_figures
from tests.promotion.gates.test_reports import head_models
from tests.reports.drawings import find, points_of, sides_of, words_of
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
    drawn = draw_reliability("buy", curve)
    assert drawn is not None
    points = [points_of(dot)[0] for dot in find(drawn, "circle")]
    assert all(x == SIZE - y for x, y in points)
    assert points[0] == (4.0, 56.0)
    assert points[-1] == (56.0, 4.0)


def test_without_a_curve_there_is_no_picture() -> None:
    assert draw_reliability("buy", ()) is None
    assert draw_reliability("buy", (CurvePoint(predicted=0.0, observed=0.0, rows=9),)) is None


def test_changed_features_come_first_then_those_that_heads_gain_most_from() -> None:
    east = Segment("region", "east")
    change = InputChange(feature="age", days="test", kind="empty", observed=0.8, bound=0.5, category=east)
    click = HeadInputs(task="click", gains={"price": 0.7, "shop": 0.2, "age": 0.1}, changes=(change,))
    buy = HeadInputs(task="buy", gains={"price": 0.9, "shop": 0.1})
    served = HeadInputs(
        task="buy",
        gains={},
        changes=(
            InputChange(feature="shop", days="served", kind="constant", observed=math.nan, bound=math.nan),
        ),
    )
    rows = tabulate_features([click, buy], [served])
    assert list(rows) == ["shop", "age", "price"]
    assert rows["age"] == (
        FeatureCell(0.1, ("empty on test days, region=east: 0.8, limit 0.5",)),
        FeatureCell(None, ()),
    )
    assert rows["shop"][1].changes == ("constant on served days: not measured, limit not measured",)
    assert [cell.share for cell in rows["price"]] == [0.7, 0.9]
    assert tabulate_features([], []) == {}


def test_the_table_of_models_shows_what_predicts_and_the_rise_against_the_trees() -> None:
    models = {"buy": head_models("blend", Estimate(-0.02, -0.03, -0.01, 50))}
    (row,) = list_head_models(models)
    assert (row.task, row.segment, row.asked, row.model) == ("buy", str(ALL), "best", "blend")
    assert row.errors[2] == "0.9 [0.8, 1]"
    assert row.rises[1] == "-0.02 [-0.03, -0.01]"
    assert list_segment_models(models) == []


def test_a_segment_in_which_nothing_is_measured_has_no_row() -> None:
    models = head_models("blend", Estimate(-0.02, -0.03, -0.01, 50))
    rows = [
        replace(figure, segment=Segment("tab", value), value=measured)
        for value, measured in (("1", 0.9), ("10", np.nan))
        for figure in models.figures
    ]
    by_segment = models.model_copy(update={"figures": (*models.figures, *rows)})
    assert [row.segment for row in list_segment_models({"buy": by_segment})] == ["tab=1"]


def test_the_chart_has_a_mark_for_each_known_rise_by_its_side_of_the_trees() -> None:
    better = head_models("blend", Estimate(-0.02, -0.03, -0.01, 50))
    worse = head_models("trunk", Estimate(0.5, 0.4, 2.0, 50))
    chart = draw_rises({"buy": better, "click": worse})
    assert chart is not None
    assert [(mark.name, mark.tone) for mark in chart.marks] == [
        ("buy, blend", "pass"),
        ("click, trunk", "warn"),
    ]
    trees = chart.band[0]
    assert chart.marks[0].high < trees < chart.marks[1].low
    assert chart.marks[1].high == 96.0


def test_without_a_trunk_there_is_no_table() -> None:
    assert list_head_models({}) == []
    assert draw_rises({}) is None


def pair(first: str, second: str, predictions: float, outcomes: float) -> PairEvidence:
    return PairEvidence(tasks=(first, second), predictions=predictions, outcomes=outcomes, rows=9)


def test_each_pair_has_a_cell_on_both_sides_of_the_diagonal() -> None:
    pairs = (pair("click", "hide", 1.0, -0.404), pair("like", "hide", -0.001, math.nan))
    drawn = draw_heat_map(ConflictEvidence(tasks=("click", "like", "hide"), pairs=pairs, at_top=()))
    assert drawn is not None
    cells, texts = find(drawn, "rect"), words_of(drawn, "middle")
    found = [
        (*sides_of(cell, "x", "y"), text, cell.attributes["class"], *sides_of(cell, "fill-opacity"))
        for cell, text in zip(cells, texts, strict=True)
    ]
    assert found == [
        (190 + 2 * 64, 120, "1.00", "together", DEEPEST),
        (190, 120 + 2 * 32, "-0.40", "apart", 0.4),
        (190 + 2 * 64, 120 + 32, "0.00", "apart", 0.0),
        (190 + 64, 120 + 2 * 32, "?", "unknown", 0.15),
    ]
    assert cells[1].words == "outcomes of click and hide"
    assert (drawn.width, drawn.height) == (190 + 3 * 64 + 90, 120 + 3 * 32 + 8)


def test_one_task_alone_has_nothing_to_go_with() -> None:
    assert draw_heat_map(ConflictEvidence(tasks=("click",), pairs=(), at_top=())) is None
    assert draw_heat_map(None) is None


RNG = np.random.default_rng(3)
N = 3000
BAIT = RNG.random(N)
PREDICTIONS = {"click": BAIT, "like": 1 - BAIT + 0.1 * RNG.random(N), "<hide>": BAIT**2}


@pytest.fixture(scope="module")
def found() -> ConflictEvidence:
    outcomes = {name: (RNG.random(N) < 0.5 * p).astype(float) for name, p in PREDICTIONS.items()}
    outcomes["like"] = np.full(N, np.nan)
    users = RNG.integers(200, size=N)
    return measure_conflicts(PREDICTIONS, outcomes, users, costs=["<hide>"])


def test_it_is_plain_json_of_every_pair(found: ConflictEvidence) -> None:
    plain = found.to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert [pair.tasks for pair in found.pairs] == [
        ("click", "like"),
        ("click", "<hide>"),
        ("like", "<hide>"),
    ]
    assert found.pairs[1].predictions == pytest.approx(1)
    assert plain["pairs"][0]["outcomes"] is None


def test_words_name_what_is_a_costs_top_more_often_than_by_chance(found: ConflictEvidence) -> None:
    [said] = describe_overlaps(found)
    assert said.startswith("click: 1")
    assert said.endswith("of its top tenth is in <hide>'s, by chance 0.1")


LOW = Tenth(0.1, Estimate(0.2, 0.1, 0.3, 9), rows=5, positives=1)
TOP = Tenth(0.4, Estimate(0.1, math.nan, math.nan, 9), rows=7, positives=2)


def proxy(*tenths: Tenth, **more: Any) -> ProxyEvidence:
    plain = {"fast": "click", "slow": "watched", "days": (date(2026, 1, 1), date(2026, 1, 7)), "cost": False}
    plain |= {"learned": False, "mean": Estimate(0.15, 0.1, 0.2, 9), "gap": Estimate(-0.1, -0.2, -0.05, 9)}
    return ProxyEvidence.model_validate({**plain, "worst_at_top": True, "tenths": tenths, **more})


def test_tenths_stand_side_by_side_below_the_highest_end_of_an_interval() -> None:
    drawn = draw_proxy(proxy(LOW, TOP))
    assert drawn is not None
    assert [points_of(tenth) for tenth in find(drawn, "circle")] == [[(60 + 125, 82.7)], [(60 + 375, 149.3)]]
    assert [tenth.attributes["class"] for tenth in find(drawn, "circle")] == [None, "warn"]
    assert [mark.attributes["d"] for mark in find(drawn, "path", "spread")] == ["M185,149.3V16"]
    assert [mark.attributes["d"] for mark in find(drawn, "path", "mean")] == ["M60,116H560"]
    assert words_of(drawn) == ["0", "0.3", "0.1", "0.4", "mean prediction of click"]


@pytest.mark.parametrize(
    ("mean", "low", "high", "axis", "place"), [(0.0, 0.0, 0.0, 216, 216.0), (-0.2, -0.3, 0.1, 66, 166.0)]
)
def test_a_mean_of_0_lies_on_the_axis_and_a_negative_one_below_it(
    mean: float, low: float, high: float, axis: int, place: float
) -> None:
    drawn = draw_proxy(proxy(Tenth(0.1, Estimate(mean, low, high, 9), rows=5, positives=0)))
    assert drawn is not None
    assert find(drawn, "path", "axis")[0].attributes["d"] == f"M60,{axis}H560"
    assert points_of(find(drawn, "circle")[0]) == [(310.0, place)]


def test_where_no_row_knows_both_there_is_no_chart() -> None:
    assert draw_proxy(proxy()) is None
