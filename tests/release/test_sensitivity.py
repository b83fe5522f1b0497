"""A calibration error times a weight is an error of the utility, by hand."""

import math

import pytest

from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.release_evidence import Sensitivity
from tasks.evaluation.replay_evidence import Measured, UtilityComposition
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate
from tasks.release.sensitivity import error_bar, sensitivities, slot_ratios, whole_ratios
from tests.evaluation.task_figures import task_figures
from tests.verdicts import subject

CLICK = {
    "task": "click",
    "weight": 1.0,
    "times": None,
    "prediction": 0.1,
    "contribution": 0.1,
    "spread": 0.05,
}
REPORT = {
    "task": "report",
    "weight": -150.0,
    "times": None,
    "prediction": 0.0004,
    "contribution": -0.06,
    "spread": 0.04,
}
MADE = UtilityComposition.model_validate({"utility": 0.04, "spread": 0.08, "terms": [CLICK, REPORT]})
WELL = Estimate(1.0, 0.99, 1.02, 900)
THIN = Estimate(1.2, 0.7, 1.8, 12)


def _told(slots: dict[str, Estimate], whole: dict[str, Estimate]) -> dict[str, Sensitivity]:
    return {term.task: term for term in sensitivities(MADE, slots, whole)}


def test_an_error_is_contribution_times_how_far_the_ratio_is_from_one() -> None:
    report = _told({"click": WELL, "report": THIN}, {})["report"]
    assert report.error.value == pytest.approx(-0.06 * 0.2)
    assert (report.error.low, report.error.high) == pytest.approx((-0.06 * 0.8, 0.06 * 0.3))
    assert report.share == pytest.approx(0.8 * 0.04 / 0.08)


def test_a_large_weight_on_a_thin_head_is_named_and_a_sure_head_is_not() -> None:
    told = _told({"click": WELL, "report": THIN}, {})
    assert told["report"].amplified
    assert not told["click"].amplified


def test_the_error_bar_adds_what_is_independent_in_squares() -> None:
    told = sensitivities(MADE, {"click": WELL, "report": THIN}, {})
    assert error_bar(told) == pytest.approx(math.hypot(0.1 * 0.02, 0.06 * 0.8))


def test_where_the_slots_inconclusive_all_shown_items_do() -> None:
    unknown = Estimate(0.0, math.nan, math.nan, 3)
    report = _told({"click": WELL, "report": unknown}, {"report": THIN})["report"]
    assert report.error.value == pytest.approx(-0.012)


def test_what_cannot_be_told_is_named_and_null_and_leaves_the_error_bar_alone() -> None:
    told = _told({"click": WELL}, {})
    assert told["report"].amplified
    assert math.isnan(told["report"].share)
    assert error_bar(list(told.values())) == pytest.approx(0.002)


def test_the_ratios_of_all_shown_items_are_those_of_the_heads_that_have_one() -> None:
    figures = {("calibration_ratio", ALL): WELL, ("calibration_ratio", Segment("source", "ads")): THIN}
    click = task_figures(figures)
    order = task_figures({("ndcg", ALL): WELL}, task="order", kind="ranking")
    assert whole_ratios([click, order]) == {"click": WELL}


def test_the_slots_ratios_are_read_from_the_simulation() -> None:
    figure = Estimate(1.1, math.nan, math.nan, 3)

    def measured(kind: MetricKind, task: str, segment: Segment, policy: Estimate | None) -> Measured:
        return Measured(subject(Metric(kind, task).name), segment, "ours", policy, None, None)

    rows = [
        measured(MetricKind.CALIBRATION, "click", ALL, figure),
        measured(MetricKind.CALIBRATION, "click", Segment("source", "ads"), figure),
        measured(MetricKind.CALIBRATION, "hide", ALL, None),
        measured(MetricKind.RATE, "click", ALL, figure),
    ]
    assert slot_ratios(rows) == {"click": figure}
