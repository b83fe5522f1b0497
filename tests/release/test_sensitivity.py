"""A calibration error times a weight is an error of the utility, by hand."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.contracts.metrics import Metric, MetricKind
from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import UtilitySpec
from tasks.evaluation.evidence import Measured, Sensitivity, UtilityComposition
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate
from tasks.ranking.explain import explain
from tasks.release.sensitivity import error_bar, sensitivities, slot_ratios, whole_ratios, with_error_bars
from tests.evaluation.task_figures import task_figures
from tests.ranking.policies import candidate_rows, frame_of, slate_json, utility_json, utility_policies
from tests.verdicts import subject

CLICK = {
    "task": "click",
    "heads": ["click"],
    "weight": 1.0,
    "times": None,
    "prediction": 0.1,
    "contribution": 0.1,
    "spread": 0.05,
}
REPORT = {
    "task": "report",
    "heads": ["report"],
    "weight": -150.0,
    "times": None,
    "prediction": 0.0004,
    "contribution": -0.06,
    "spread": 0.04,
}
MADE = UtilityComposition.model_validate({"utility": 0.04, "spread": 0.08, "terms": [CLICK, REPORT]})
WELL = Estimate(1.0, 0.99, 1.02, 900)
SPARSE = Estimate(1.2, 0.7, 1.8, 12)


def _sensitivities(slots: dict[str, Estimate], whole: dict[str, Estimate]) -> dict[str, Sensitivity]:
    return {term.task: term for term in sensitivities(MADE, slots, whole)}


def test_an_error_is_contribution_times_how_far_the_ratio_is_from_one() -> None:
    report = _sensitivities({"click": WELL, "report": SPARSE}, {})["report"]
    assert report.error.value == pytest.approx(-0.06 * 0.2)
    assert (report.error.low, report.error.high) == pytest.approx((-0.06 * 0.8, 0.06 * 0.3))
    assert report.share == pytest.approx(0.8 * 0.04 / 0.08)


def test_a_column_is_exact_and_the_greater_of_two_heads_as_far_off_as_the_worse() -> None:
    terms = [REPORT | {"heads": []}, CLICK | {"heads": ["click", "report"]}]
    made = UtilityComposition.model_validate({"utility": 0.04, "spread": 0.08, "terms": terms})
    column, best = sensitivities(made, {"click": WELL, "report": SPARSE}, {})
    assert (column.error.low, column.error.high) == (0.0, 0.0)
    assert best.slots == SPARSE
    (_, unknown) = sensitivities(made, {"click": WELL}, {})
    assert not unknown.error.known


def test_a_large_weight_on_a_thin_head_is_named_and_a_sure_head_is_not() -> None:
    found = _sensitivities({"click": WELL, "report": SPARSE}, {})
    assert found["report"].amplified
    assert not found["click"].amplified


def test_the_error_bar_adds_what_is_independent_in_squares() -> None:
    found = sensitivities(MADE, {"click": WELL, "report": SPARSE}, {})
    assert error_bar(found) == pytest.approx(math.hypot(0.1 * 0.02, 0.06 * 0.8))


def test_where_the_slots_inconclusive_all_shown_items_do() -> None:
    unknown = Estimate(0.0, math.nan, math.nan, 3)
    report = _sensitivities({"click": WELL, "report": unknown}, {"report": SPARSE})["report"]
    assert report.error.value == pytest.approx(-0.012)


def test_what_cannot_be_told_is_named_and_null_and_leaves_the_error_bar_alone() -> None:
    found = _sensitivities({"click": WELL}, {})
    assert found["report"].amplified
    assert math.isnan(found["report"].share)
    assert error_bar(list(found.values())) == pytest.approx(0.002)


def test_the_ratios_of_all_shown_items_are_those_of_the_heads_that_have_one() -> None:
    figures = {("calibration_ratio", ALL): WELL, ("calibration_ratio", Segment("source", "ads")): SPARSE}
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


NAMES = ("item_id", "p_click", "p_buy", "margin", "p_back", "v_minutes", "page", "stolen")
ROWS = [
    {"request_id": "r", **dict(zip(NAMES, line, strict=True))}
    for line in [
        # contributions:  click  buy   back   minutes -> utility
        ("a", 0.4, 0.02, 2.0, 0.005, 10.0, "home", False),  # .2  .4  -.02  .1 -> .68
        ("b", 0.4, 0.015, 2.0, 0.005, 10.0, "home", False),  # .2  .3  -.02  .1 -> .58
        ("c", 0.2, 0.03, 1.0, 0.03, 20.0, "home", False),  # .1  .3  -.12  .2 -> .48
        ("d", 0.8, 0.01, -1.0, 0.0, 10.0, "home", False),  # .4 -.1    0   .1 -> .4
        ("e", 0.4, 0.02, 2.0, 0.005, 10.0, "home", True),  # as a, and dropped
    ]
]
WEIGHTS = {"click": 0.5, "buy": {"weight": 10.0, "times": "margin"}, "back": -4.0, "minutes": 0.01}
RATIOS = {
    "click": Estimate(1.05, 0.9, 1.2, 900),
    "buy": Estimate(1.0, 0.8, 1.1, 90),
    "back": Estimate(1.2, 0.5, 1.6, 9),
    "minutes": Estimate(1.0, 1.0, 1.0, 900),
}
STOLEN = [{"name": "stolen", "drop_when": {"column": "stolen", "equals": True}}]


def bars_of(
    rows: list[dict[str, Any]] = ROWS,
    ratios: dict[str, Estimate] = RATIOS,
    weights: dict[str, Any] = WEIGHTS,
    slate: dict[str, Any] | None = None,
    **fields: Any,
) -> pd.DataFrame:
    """Explain the request under a policy, with error bars."""
    frame, predictions = frame_of(rows)
    policy = UtilitySpec.model_validate(utility_json(weights=weights, hard_constraints=STOLEN, **fields))
    slates = SlateSpec.model_validate(slate_json(**(slate or {})))
    explained = explain(frame, predictions, policy, slates, request_id=rows[0]["request_id"])
    return with_error_bars(explained.frame, ratios)


def by_item(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop_duplicates("item_id").set_index("item_id")


def term(frame: pd.DataFrame, item: str, task: str) -> list[float]:
    row = frame[(frame["item_id"] == item) & (frame["task"] == task)].iloc[0]
    return [row["error"], row["error_low"], row["error_high"]]


def test_a_term_s_error_is_its_contribution_times_how_far_the_ratio_is_from_one() -> None:
    frame = bars_of()
    assert term(frame, "a", "click") == pytest.approx([0.2 * 0.05, -0.2 * 0.1, 0.2 * 0.2])
    assert term(frame, "a", "minutes") == [0, 0, 0]


def test_a_cost_and_a_negative_value_turn_the_interval_round() -> None:
    frame = bars_of()
    assert term(frame, "c", "back") == pytest.approx([-0.12 * 0.2, -0.12 * 0.6, 0.12 * 0.5])
    assert term(frame, "d", "buy") == pytest.approx([0, -0.1 * 0.1, 0.1 * 0.2])


def test_a_utility_s_error_bar_adds_the_terms_furthest_errors_in_squares() -> None:
    bars = by_item(bars_of())["utility_error"]
    assert bars["a"] == pytest.approx(math.sqrt(0.04**2 + 0.08**2 + 0.012**2))
    assert bars["c"] == pytest.approx(math.sqrt(0.02**2 + 0.06**2 + 0.072**2))
    assert bars["e"] == bars["a"], "what is dropped has a utility and an error bar too"


def test_the_order_of_neighbours_is_told_by_what_they_have_apart() -> None:
    frame = by_item(bars_of())
    assert frame["gap"].to_dict() == pytest.approx(
        {"a": 0.1, "b": 0.1, "c": 0.08, "d": math.nan, "e": math.nan}, nan_ok=True
    )
    assert frame["gap_error"]["a"] == pytest.approx(0.1 * 0.2), "they differ in purchases alone"
    assert frame["gap_error"]["b"] == pytest.approx(math.hypot(0.1 * 0.2, 0.1 * 0.6))
    assert frame["gap_error"]["c"] == pytest.approx(math.sqrt(0.06**2 + 0.08**2 + 0.072**2))
    assert frame["order"].dropna().to_dict() == {"a": "significant", "b": "significant", "c": "within_error"}


def test_two_candidates_alike_lie_within_any_error() -> None:
    twins = [ROWS[0], ROWS[0] | {"item_id": "z"}]
    frame = by_item(bars_of(twins))
    assert (frame["gap"]["a"], frame["gap_error"]["a"], frame["order"]["a"]) == (0, 0, "within_error")


def test_a_head_that_cannot_be_told_is_named_and_left_out_of_the_bar() -> None:
    thin = RATIOS | {"buy": Estimate(1.4, math.nan, math.nan, 2)}
    frame = bars_of(ratios=thin)
    one = by_item(frame)
    assert np.isnan(term(frame, "a", "buy")).all()
    assert one["untold"].to_dict() == dict.fromkeys("abcde", "buy")
    assert one["utility_error"]["a"] == pytest.approx(math.hypot(0.04, 0.012))
    # a and b differ in purchases; b and c buy alike; c and d lie within what clicks and returns leave open
    assert one["order"].dropna().to_dict() == {"a": "inconclusive", "b": "significant", "c": "within_error"}


def test_without_any_ratio_every_term_is_named_and_no_order_is_told() -> None:
    one = by_item(bars_of(ratios={}))
    assert one["untold"]["a"] == "back, buy, click, minutes"
    assert one["untold"]["d"] == "buy, click, minutes", "no return adds nothing, so nothing is unknown of it"
    assert set(one["order"].dropna()) == {"inconclusive"}
    assert one[["utility_error", "gap_error"]].isna().all(axis=None), "no error is not an error of 0"


def test_a_context_s_weight_is_the_one_that_counts() -> None:
    checkout = [row | {"page": "checkout"} for row in ROWS]
    context = {"name": "checkout", "when": {"page": "checkout"}, "weights": {"back": -8.0, "click": 0.0}}
    frame = bars_of(
        checkout, ratios=RATIOS | {"click": Estimate(1, math.nan, math.nan, 2)}, contexts=[context]
    )
    assert term(frame, "c", "back") == pytest.approx([-0.24 * 0.2, -0.24 * 0.6, 0.24 * 0.5])
    assert by_item(frame)["untold"].isna().all(), "what weighs nothing has no error"


def test_a_better_tier_is_no_matter_of_utility() -> None:
    tiers = [{"task": "back", "cuts": [0.01]}]
    frame = by_item(bars_of(lexicographic=tiers))
    assert frame["order"].dropna().to_dict() == {"a": "significant", "b": "significant", "d": "by_tier"}
    assert frame["gap"]["d"] == pytest.approx(0.4 - 0.48)


def test_under_an_offset_bars_and_gaps_are_those_of_totals_and_other_multipliers_decide_an_order() -> None:
    half = {"name": "half", "when": {"page": ["home"]}, "factor": 0.5}
    rows = [row | {"page": "away"} if row["item_id"] == "c" else row for row in ROWS]
    lifted = by_item(bars_of(rows, offset={"scale": 0.001}, multipliers=[half]))
    assert lifted["total"].to_dict() == pytest.approx(by_item(bars_of())["utility"].to_dict())
    assert lifted["utility_error"].to_dict() == pytest.approx(by_item(bars_of())["utility_error"].to_dict())
    ranked = lifted[lifted["rank"].notna()].sort_values("rank")
    assert ranked.index.tolist() == ["c", "a", "b", "d"]
    assert ranked["multiplied_by"].isna().tolist() == [True, False, False, False]
    assert ranked["order"].dropna().tolist() == ["by_multiplier", "significant", "significant"]
    assert ranked["gap"].iloc[0] == pytest.approx(0.48 - 0.68)


def test_an_unknown_value_leaves_the_error_bar_unknown() -> None:
    rows = [ROWS[0] | {"margin": None}, *ROWS[1:]]
    one = by_item(bars_of(rows))
    assert one["dropped_by"]["a"] == "unknown_value:margin"
    assert np.isnan(one["utility_error"]["a"])
    assert one["utility_error"]["b"] > 0


def test_rules_of_the_slate_move_slots_and_no_error() -> None:
    rules = {"max_per": {"page": 1}, "diversity": {"by": "page", "strength": 0.3}}
    moved, natural = by_item(bars_of(slate=rules)), by_item(bars_of())
    assert moved["moved_by"].notna().any()
    for name in ("rank", "utility_error", "gap", "gap_error", "order"):
        pd.testing.assert_series_equal(moved[name], natural[name])


@settings(max_examples=20)
@given(candidate_rows(requests=1), utility_policies(), st.sampled_from([0.25, 2.0, 8.0]))
def test_an_error_bar_grows_as_the_weights_do_and_exact_ratios_leave_none(
    rows: list[dict[str, Any]], utility: dict[str, Any], factor: float
) -> None:
    frame, predictions = frame_of(rows)

    def bars(ratio: Estimate, scale: float) -> pd.DataFrame:
        policy = UtilitySpec.model_validate(_scaled(utility, scale))
        slate = SlateSpec.model_validate(slate_json())
        explained = explain(frame, predictions, policy, slate, request_id=rows[0]["request_id"])
        return with_error_bars(explained.frame, dict.fromkeys(policy.heads, ratio))

    loose, exact = Estimate(1.0, 0.75, 1.125, 90), Estimate(1.0, 1.0, 1.0, 90)
    ours, theirs = bars(loose, 1.0), bars(loose, factor)
    for name in ("error", "error_low", "error_high", "utility_error", "gap_error"):
        np.testing.assert_allclose(theirs[name].to_numpy(float), factor * ours[name].to_numpy(float))
    assert ours["order"].fillna("").tolist() == theirs["order"].fillna("").tolist()
    none = bars(exact, 1.0)
    assert (none[["error", "utility_error", "gap_error"]].fillna(0) == 0).all(axis=None)
    assert (none.loc[none["order"] == "within_error", "gap"] == 0).all()


def _scaled(utility: dict[str, Any], factor: float) -> dict[str, Any]:
    def weights(declared: dict[str, Any]) -> dict[str, Any]:
        return {
            task: {**w, "weight": factor * w["weight"]} if isinstance(w, dict) else factor * w
            for task, w in declared.items()
        }

    def scaled(place: dict[str, Any]) -> dict[str, Any]:
        return {**place, **{name: weights(place[name]) for name in ("weights", "terms")}}

    return {**scaled(utility), "contexts": [scaled(context) for context in utility["contexts"]]}
