"""A task's figures: measured where the outcome is known, shown to people, read by the gates.

The table of metrics: the whole and every segment value.

The rows of a table of metrics: named by column and value, the whole first.
"""

import json
import math
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from sklearn import metrics as oracle

from tasks.contracts.training import HeadKind
from tasks.errors import DataError
from tasks.evaluation.binary import calibration_ratio, log_loss, normalized_entropy
from tasks.evaluation.calibration_error import SortedRows, debiased_ece, smooth_ece
from tasks.evaluation.figures import (
    Figure,
    MeasuredHead,
    TaskFigures,
    binary_report,
    group_by_segment,
    measure,
    metric_rows,
    quantile_report,
    ranking_report,
    value_report,
)
from tasks.evaluation.observations import Observations
from tasks.evaluation.ranking_metrics import RequestGains, request_gains
from tasks.evaluation.resampling import Support
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.evaluation.verdicts import Estimate
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


RNG = np.random.default_rng(4)
N = 3000
USERS = RNG.integers(150, size=N)
REQUESTS = USERS * 10 + RNG.integers(5, size=N)
P = RNG.beta(1, 6, N)
Y = (RNG.random(N) < P).astype(float)
SOURCE = np.array(["ads", "feed", None], dtype=object)[RNG.integers(3, size=N)]
NEW = RNG.random(N) < 0.5


def plain(row: Figure) -> dict[str, object]:
    """Return a row in the form of a document."""
    written: dict[str, object] = json.loads(TypeAdapter(Figure).dump_json(row))
    return written


def _found(rows: list[Figure], metric: str, segment: Segment) -> Figure:
    [row] = [row for row in rows if (row.subject.metric, row.segment) == (metric, segment)]
    return row


@pytest.fixture(scope="module")
def rows() -> list[Figure]:
    return binary_report(Observations(Y, P, USERS, REQUESTS, {"source": SOURCE, "new": NEW}))


def test_the_whole_comes_first_and_every_value_of_every_segment_follows(rows: list[Figure]) -> None:
    segments = list(dict.fromkeys(row.segment for row in rows))
    assert segments == [
        ALL,
        Segment("source", "ads"),
        Segment("source", "feed"),
        Segment("source", "unknown"),
        Segment("new", "false"),
        Segment("new", "true"),
    ]
    assert len(rows) == 9 * len(segments) + 5


BY_NAME = {
    "auc": oracle.roc_auc_score,
    "average_precision": oracle.average_precision_score,
    "log_loss": log_loss,
    "normalized_entropy": normalized_entropy,
    "calibration_ratio": calibration_ratio,
}


@pytest.mark.parametrize("metric", BY_NAME)
@pytest.mark.parametrize(
    ("segment", "inside"), [(ALL, np.ones(N, dtype=bool)), (Segment("new", "true"), NEW)]
)
def test_each_row_is_the_metric_of_its_segment(
    rows: list[Figure], metric: Any, segment: Segment, inside: Any
) -> None:
    row = _found(rows, metric, segment)
    assert row.estimate.value == pytest.approx(BY_NAME[metric](Y[inside], P[inside]))
    assert row.estimate.low < row.estimate.value < row.estimate.high
    assert (row.rows, row.events) == (inside.sum(), Y[inside].sum())
    assert row.estimate.n == np.unique(USERS[inside]).size


def test_a_request_is_ranked_within_the_segment_and_counts_by_its_pairs(rows: list[Figure]) -> None:
    feed = [(SOURCE == "feed") & (request == REQUESTS) for request in np.unique(REQUESTS)]
    both = [one for one in feed if 0 < Y[one].sum() < one.sum()]
    aucs = [oracle.roc_auc_score(Y[one], P[one]) for one in both]
    pairs = [Y[one].sum() * (one.sum() - Y[one].sum()) for one in both]
    calibrated = _found(rows, "auc_by_request", Segment("source", "feed")).estimate.value
    assert calibrated == pytest.approx(np.average(aucs, weights=pairs))


def test_the_whole_has_its_calibration_errors_over_all_segment_columns(rows: list[Figure]) -> None:
    columns = list(group_by_segment({"source": SOURCE, "new": NEW}, N))[1:]
    many = SortedRows.of(Y, P, np.ones(N)).worst(columns)
    expected = {
        "smooth_ece": smooth_ece(Y, P),
        "debiased_ece": debiased_ece(Y, P),
        "multicalibration_error": many.error,
        "multicalibration_sigma": many.sigma,
        "multicalibration_detectable": many.detectable,
    }
    for metric, value in expected.items():
        row = _found(rows, metric, ALL)
        assert row.estimate.value == pytest.approx(value)
        assert not row.estimate.known
        assert plain(row)["low"] is None


def test_each_segment_has_its_mean_prediction_and_its_cumulative_error(rows: list[Figure]) -> None:
    assert _found(rows, "mean_prediction", Segment("new", "true")).estimate.value == pytest.approx(
        P[NEW].mean()
    )
    walk = np.r_[0, np.cumsum((Y - P)[NEW][np.argsort(P[NEW])])] / NEW.sum()
    assert _found(rows, "cumulative_error", Segment("new", "true")).estimate.value == pytest.approx(
        np.ptp(walk)
    )
    deviation = np.sqrt((P * (1 - P))[NEW].sum()) / NEW.sum()
    calibrated = _found(rows, "cumulative_sigma", Segment("new", "true")).estimate.value
    assert calibrated == pytest.approx(np.ptp(walk) / deviation)


def test_a_segment_without_a_positive_is_unknown_and_breaks_nothing() -> None:
    lonely = np.where(np.arange(N) == int(np.argmin(Y)), "rare", "usual")
    calibrated = binary_report(Observations(Y, P, USERS, REQUESTS, {"kind": lonely}))
    row = _found(calibrated, "calibration_ratio", Segment("kind", "rare"))
    assert (row.rows, row.events) == (1, 0)
    assert plain(row)["value"] is None
    assert _found(calibrated, "calibration_ratio", Segment("kind", "usual")).estimate.known


def test_no_rows_give_a_table_of_unknowns() -> None:
    calibrated = binary_report(Observations([], [], [], [], {"source": []}))
    assert {row.segment for row in calibrated} == {ALL}
    assert not any(row.estimate.known for row in calibrated)


def test_the_report_says_when_requests_were_resampled() -> None:
    users = np.array([None] * N, dtype=object)
    calibrated = binary_report(Observations(Y, P, users, REQUESTS))
    assert {row.resampled for row in calibrated} == {"requests"}


def test_a_row_is_plain_json(rows: list[Figure]) -> None:
    assert plain(rows[0])["subject"] == {"metric": "auc"}


def test_a_seed_gives_the_same_table_again(rows: list[Figure]) -> None:
    again = binary_report(Observations(Y, P, USERS, REQUESTS, {"source": SOURCE, "new": NEW}))
    assert [plain(row) for row in again] == [plain(row) for row in rows]


def test_a_value_head_has_errors_and_a_mean_ratio_by_segment() -> None:
    values, predictions = Y * RNG.exponential(3, N), P * 2
    weights = RNG.integers(1, 4, N).astype(float)
    calibrated = value_report(Observations(values, predictions, USERS, REQUESTS, {"new": NEW}, weights))
    rows, w = (values[NEW], predictions[NEW]), weights[NEW]
    expected = {
        "rmse": oracle.root_mean_squared_error(*rows, sample_weight=w),
        "mae": oracle.mean_absolute_error(*rows, sample_weight=w),
        "mean_ratio": (w @ rows[0]) / (w @ rows[1]),
    }
    for metric, value in expected.items():
        row = _found(calibrated, metric, Segment("new", "true"))
        assert row.estimate.value == pytest.approx(value)
        assert row.estimate.known
        assert row.events == np.count_nonzero(values[NEW])


def test_a_value_that_is_not_known_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 outcomes are not finite"):
        value_report(Observations([1.0, np.nan], [1.0, 1.0], [1, 2], [1, 2]))


def test_a_quantile_head_has_its_coverage_and_its_pinball_loss_by_segment() -> None:
    values = np.arange(N) % 10.0
    calibrated = quantile_report(
        Observations(values, np.full(N, 7.0), USERS, REQUESTS, {"new": NEW}), quantile=0.8
    )
    coverage = _found(calibrated, "coverage", ALL).estimate
    assert coverage.value == pytest.approx(0.8)
    assert coverage.low < 0.8 < coverage.high
    by_hand = np.where(values > 7, 0.8 * (values - 7), 0.2 * (7 - values))
    assert _found(calibrated, "pinball_loss", ALL).estimate.value == pytest.approx(by_hand.mean())
    assert _found(calibrated, "pinball_loss", Segment("new", "true")).estimate.value == pytest.approx(
        by_hand[NEW].mean()
    )


def averaged(gains: RequestGains) -> float:
    return float(np.nanmean(gains.by_request))


def pooled(gains: RequestGains) -> float:
    return float(gains.gained.sum() / gains.ideal.sum())


def test_a_ranking_head_is_measured_within_requests_alone() -> None:
    moved = 5.0 * (REQUESTS % 7)  # a level for each request, which no request can see
    calibrated, shifted = (
        ranking_report(Observations(Y, scores, USERS, REQUESTS, {"new": NEW}), k=3)
        for scores in (P, P + moved)
    )
    assert {row.subject.metric for row in calibrated} == {"auc_by_request", "ndcg", "naive_ndcg"}
    for ours, theirs in zip(calibrated, shifted, strict=True):
        assert ours.estimate.value == pytest.approx(theirs.estimate.value)
    gains = request_gains(Y, P, REQUESTS, k=3)
    assert _found(calibrated, "naive_ndcg", ALL).estimate.value == pytest.approx(averaged(gains))
    assert _found(calibrated, "ndcg", ALL).estimate.value == pytest.approx(pooled(gains))
    inside = request_gains(Y[NEW], P[NEW], REQUESTS[NEW], k=3)
    assert _found(calibrated, "naive_ndcg", Segment("new", "true")).estimate.value == pytest.approx(
        averaged(inside)
    )


def test_a_ranking_head_s_ndcg_allows_for_where_the_log_showed_things() -> None:
    looked_at = RNG.uniform(0.2, 1.0, N)
    calibrated = ranking_report(
        Observations(Y, P, USERS, REQUESTS, examination=looked_at), k=3, replicates=20
    )
    expected = pooled(request_gains(Y, P, REQUESTS, k=3, examination=looked_at))
    row = _found(calibrated, "ndcg", ALL)
    assert row.estimate.value == pytest.approx(expected)
    assert row.estimate.low < expected < row.estimate.high


def test_rows_whose_place_is_not_known_are_left_out_of_the_ndcg_and_others_close_ranks() -> None:
    looked_at = np.where(NEW, np.nan, RNG.uniform(0.2, 1.0, N))
    calibrated = ranking_report(Observations(Y, P, USERS, REQUESTS, {"new": NEW}, examination=looked_at), k=3)
    old = ~NEW
    expected = pooled(request_gains(Y[old], P[old], REQUESTS[old], k=3, examination=looked_at[old]))
    assert _found(calibrated, "ndcg", ALL).estimate.value == pytest.approx(expected)
    assert not _found(calibrated, "ndcg", Segment("new", "true")).estimate.known
    assert _found(calibrated, "naive_ndcg", Segment("new", "true")).estimate.known


def test_where_no_place_is_known_the_ndcg_cannot_be_told_and_the_naive_one_is_beside_it() -> None:
    nowhere = np.full(N, np.nan)
    calibrated = ranking_report(Observations(Y, P, USERS, REQUESTS, examination=nowhere), k=3)
    assert not _found(calibrated, "ndcg", ALL).estimate.known
    assert _found(calibrated, "naive_ndcg", ALL).estimate.value == pytest.approx(
        averaged(request_gains(Y, P, REQUESTS, k=3))
    )


def test_two_rankers_of_equal_worth_report_equal_ndcg_only_where_examination_is_allowed_for() -> None:
    rng = np.random.default_rng(3)
    appeal = rng.normal(size=(4_000, 12))
    logger, rival, better = (appeal + noise * rng.normal(size=appeal.shape) for noise in (1.0, 1.0, 0.5))
    place = np.argsort(np.argsort(-logger, axis=1), axis=1)
    looked_at = ((1.0 / np.arange(1, 13) ** 0.7)[place]).ravel()
    outcomes = rng.random(appeal.size) < looked_at / (1 + np.exp(2.5 - appeal.ravel()))
    requests = np.repeat(np.arange(4_000), 12)
    observations = Observations(outcomes, logger, requests, requests, examination=looked_at)
    found = [
        ranking_report(replace(observations, predictions=ranker.ravel()), k=12)
        for ranker in (logger, rival, better)
    ]
    calibrated = {
        metric: [_found(rows, metric, ALL).estimate for rows in found] for metric in ("ndcg", "naive_ndcg")
    }
    ours, theirs, best = calibrated["ndcg"]
    assert ours.low < theirs.value < ours.high
    assert best.low > max(ours.high, theirs.high)
    ours, theirs, best = calibrated["naive_ndcg"]
    assert ours.low > best.high > theirs.high, "the ranker that wrote the log looks best of all"


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
