"""A policy beside its baseline: by segment, with intervals of the change, and mixes that are no ratios."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tasks.contracts.metrics import parse_metric
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.replay.log import CandidateLog
from tasks.replay.metrics import REORDERING, examined_by
from tasks.replay.replay_policies import Replay, measure_latency, percentile_estimate
from tests.known import known
from tests.replay.worlds import (
    LOGGED,
    SWAPPED,
    copied,
    cut,
    cut_slates,
    feed,
    metric,
    page,
    slates,
    value,
    whole,
    with_segment,
)


def served(latency: list[float], by: list[int]) -> CandidateLog:
    """Return pages of three rows a request, two requests a copy, with the latency of each request."""
    log = copied(page(), len(latency) // 2)
    return replace(log, latency=np.repeat(latency, 3), served_by=np.repeat(by, 3).astype(np.int64))


OURS = replace(slates("release 2", []), release=2)
THEIRS = replace(slates("champion 1", []), release=1)


def test_requests_count_once_and_only_those_that_the_release_served() -> None:
    """Of 200 requests each, 198 took at most 198 (or twice as many) milliseconds."""
    latency = [float(place + 1) for place in range(200)] + [2.0 * (place + 1) for place in range(200)]
    measured = measure_latency(served(latency, [1] * 200 + [2] * 200), OURS, THEIRS)
    assert measured.policy is not None
    assert (measured.policy.value, known(measured.baseline).value) == (396.0, 198.0)
    assert known(measured.relative).value == pytest.approx(1.0)
    assert not measured.policy.known  # the greatest of 200 does not bound a 99th percentile


def test_a_release_that_served_nothing_cannot_be_told() -> None:
    measured = measure_latency(served([1.0] * 40, [1] * 40), OURS, THEIRS)
    assert (measured.policy, measured.baseline) == (None, None)
    assert measured.reason == "no logged request names release 2 as its release"


def test_an_unknown_latency_is_left_out() -> None:
    measured = measure_latency(served([5.0, np.nan] * 20, [2] * 40), OURS, THEIRS)
    assert measured.policy is not None
    assert (measured.policy.value, measured.policy.n) == (5.0, 20)


def test_a_log_without_the_columns_says_which_it_wants() -> None:
    log, policy = served([1.0] * 2, [2] * 2), slates("p", LOGGED)
    for lacking in (replace(log, latency=None), replace(log, served_by=None)):
        (measured,) = Replay(lacking, policy).measure(metric("latency_p99_ms"), policy, policy, ())
        assert measured.policy is None
        assert "both latency_ms and release" in measured.reason


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng, truth, held = np.random.default_rng(0), -np.log(0.01), 0
    for _ in range(200):
        values = rng.exponential(size=1500)
        found = percentile_estimate(values, np.arange(1500), np.arange(1500) % 14)
        held += found.low <= truth <= found.high
    assert 180 <= held <= 200


def test_entropy_and_gini_tell_an_even_mix_from_a_single_source() -> None:
    assert value("source_entropy", [1, 0, 0, 1, 0, 0]) == pytest.approx(math.log(2))
    assert value("source_entropy", [1, 0, 0, 0, 1, 0]) == pytest.approx(0.0, abs=1e-12)
    assert value("source_gini", [1, 0, 0, 1, 0, 0]) == pytest.approx(0.0, abs=1e-12)


def test_coverage_counts_distinct_items_over_those_available() -> None:
    assert value("coverage", [1, 0, 0, 1, 0, 0]) == pytest.approx(1 / 4)


def test_no_figure_of_another_metric_travels_under_the_name_of_one() -> None:
    """The naive NDCG came with the other and was judged in its place where it looked worse."""
    policy, log = slates("p", LOGGED, {"click": [0.1] * 6}), page()
    for name in ("ndcg_click", "click_rate", "click_predicted", "click_calibration", "recall_click"):
        measured = Replay(log, policy).measure(metric(name), policy, slates("b", SWAPPED), ("source",))
        assert {one.subject for one in measured} == {Subject.of(metric(name))}


def test_a_segment_is_measured_on_its_own_rows() -> None:
    """Pages with one user each, copied: enough users for both sources to stand alone."""
    log, policy = copied(page(complete=False), 30), slates("p", LOGGED * 30)
    measured = Replay(log, policy).measure(metric("click_rate"), policy, policy, ("source",))
    rates = {m.segment: m.policy.value for m in measured if m.policy}
    ads, everything = 1.0 + 0.5, 3.5
    feed = everything - ads
    assert rates == {
        ALL: pytest.approx(2 / 3.5),
        Segment("source", "ads"): 0.0,
        Segment("source", "feed"): pytest.approx(2 / feed),
    }


def test_the_share_of_looks_whose_outcome_is_known_stands_beside_the_figures_of_the_whole() -> None:
    log, policy = page(labels=[1, None, 0, None, 1, 0]), slates("p", LOGGED)
    whole, other = Replay(log, policy).measure(metric("click_rate"), policy, policy, ("source",))
    assert whole.labelled_share == pytest.approx((1 + 0.25 + 0.5 + 0.25) / (2 * 1.75))
    assert other.labelled_share is None
    (mix,) = Replay(log, policy).measure(metric("source_entropy"), policy, policy, ())
    assert mix.labelled_share is None


def test_thin_values_are_pooled_and_the_row_names_them() -> None:
    policy = slates("p", LOGGED)
    measured = Replay(page(complete=False), policy).measure(metric("click_rate"), policy, policy, ("source",))
    assert [(one.segment, one.pooled) for one in measured] == [
        (ALL, ()),
        (Segment("source", "other"), ("ads", "feed")),
    ]


def test_every_figure_of_a_segment_is_that_of_its_rows_alone() -> None:
    """An oracle that knows no groups: each segment's rows cut out, one interval at a time."""
    world = feed(5)
    log = with_segment(world.log, "kind", np.array(["a", "b", "c"])[world.log.items % 3])
    ours, theirs = world.ranked("p", world.signal, predicts=True), world.ranked("b", -world.signal)
    replay = Replay(log, ours)
    for name in ("click_rate", "click_predicted", "ndcg_click", "recall_click", "coverage", "kind_entropy"):
        parsed = known(parse_metric(name, tasks=["click"], columns=["kind"]))
        measured = [one for one in replay.measure(parsed, ours, theirs, ("kind",)) if one.segment != ALL]
        assert [one.segment for one in measured] == [
            Segment("kind", "a"),
            Segment("kind", "b"),
            Segment("kind", "c"),
        ]
        for code, one in enumerate(measured):
            rows = log.segments["kind"].codes == code
            alone = Replay(cut(log, rows), cut_slates(ours, rows))
            (expected, *_) = alone.measure(parsed, cut_slates(ours, rows), cut_slates(theirs, rows), ())
            for found, wanted in ((one.policy, expected.policy), (one.relative, expected.relative)):
                assert found is not None
                assert wanted is not None
                assert (found.value, found.low, found.high) == pytest.approx(
                    (wanted.value, wanted.low, wanted.high), nan_ok=True
                )


def test_a_change_is_told_by_day_too() -> None:
    world = feed(1)
    ours, theirs = world.ranked("p", world.signal), world.ranked("b", -world.signal)
    (measured,) = Replay(world.log, ours).measure(metric("click_rate"), ours, theirs, ())
    assert [one.day.isoformat() for one in measured.by_day] == [f"2026-03-0{day}" for day in range(1, 8)]
    assert all(one.change > 0 for one in measured.by_day)


def test_two_users_are_too_few_for_an_interval() -> None:
    measured = whole("click_rate", page(complete=False), slates("p", LOGGED), slates("b", LOGGED))
    assert measured.relative is not None
    assert measured.relative.value == 0.0
    assert not measured.relative.known


def test_the_interval_of_coverage_counts_what_few_users_add() -> None:
    """Every one of 700 users is given other items: no two of them decide it."""
    world = feed(2)
    policy, other = world.ranked("p", world.signal), world.ranked("b", world.rng.random(world.signal.shape))
    (measured,) = Replay(world.log, policy).measure(metric("coverage"), policy, other, ())
    assert measured.policy is not None
    assert measured.policy.low < measured.policy.value <= measured.policy.high


def test_policies_beside_one_baseline_are_measured_by_one_definition() -> None:
    """A policy whose slots hold one click of the forty would else be measured by what is believed of it."""
    log = copied(page(complete=False), 20)
    worth = {"click": np.ones(120)}
    release = replace(slates("release", LOGGED * 20, {"click": [0.3] * 120}), worth=worth)
    few = replace(slates("few", [0, 1, 2] * 2 + [0] * 114, {"click": [0.9] * 120}), worth=worth)
    replay = Replay(log, release, baseline=release)
    for pair in ((release, release), (few, release), (release, few)):
        (term,) = replay.utility_terms(*pair).terms
        assert term.predictions is None
    alone = Replay(log, few).utility_terms(release, release)
    assert alone.believed == {"click": 1}


def test_a_column_of_the_utility_counts_where_it_has_a_slot_and_needs_no_outcome() -> None:
    log = copied(page(complete=False), 20)
    risk = np.tile([-1.0, 0.0, -3.0, 0.0, 0.0, 0.0], 20)
    policy = replace(slates("p", LOGGED * 20), worth={"risk": risk})
    (measured,) = Replay(log, policy).measure(metric("observed_utility"), policy, policy, ())
    (term,) = Replay(log, policy).utility_terms(policy, policy).terms
    assert term.task == "risk"
    examined = examined_by(log, policy)
    assert known(measured.policy).value == pytest.approx((examined * risk).sum() / examined.sum())


@pytest.mark.parametrize(
    "name", ["click_rate", "click_predicted", "ndcg_click", "coverage", "source_entropy"]
)
def test_a_reordering_of_what_was_shown_is_never_evidence_and_of_all_candidates_it_is(name: str) -> None:
    """Three of three releases that truly lost were promoted on reorderings."""
    policy, baseline = slates("p", LOGGED, {"click": [0.1] * 6}), slates("b", SWAPPED, {"click": [0.1] * 6})
    for log, reason in ((page(complete=False), REORDERING), (page(shown_is_all=True), "")):
        measured = Replay(log, policy).measure(metric(name), policy, baseline, ("source",))
        assert {one.reason for one in measured} == {reason}


def test_the_interval_of_a_rate_does_not_reach_below_zero() -> None:
    """A rate of .0025 was printed as from -.0013 to .0063."""
    log = copied(page(labels=[1, 0, 0, 0, 0, 0], shown_is_all=True), 40)
    rare = np.where(np.arange(len(log.requests)) % 24 == 0, log.outcomes["click"].value, 0.0)
    outcome = replace(log.outcomes["click"], value=rare * np.where(np.arange(len(rare)) < 24, 40.0, 1.0))
    policy = slates("p", LOGGED * 40)
    costs = replace(outcome, value=-outcome.value)
    rate, negative = (
        Replay(replace(log, outcomes={"click": one}), policy).measure(
            metric("click_rate"), policy, policy, ()
        )[0]
        for one in (outcome, costs)
    )
    assert rate.policy is not None
    assert rate.policy.low == 0.0 < rate.policy.value < rate.policy.high
    assert negative.policy is None or not negative.policy.known or negative.policy.low < 0


def test_a_segment_falls_by_the_models_only_where_both_releases_predict_it() -> None:
    log = copied(page(), 30)
    theirs = [0.1, 0.4, 0.2, 0.1, 0.4, 0.2]
    baseline = replace(slates("b", SWAPPED * 30, {"click": theirs * 30}), worth={"click": np.ones(180)})
    falls = slates("p", LOGGED * 30, {"click": theirs * 30})
    # two rows of ads: from slots 1, 2 with .4, .1 to slots 2, 1, at which half and all is looked at
    rises = slates("p", LOGGED * 30, {"click": [0.1, 0.1, 0.2, 0.4, 0.1, 0.2] * 30})
    changes = [
        Replay(log, policy).predicted_changes(policy, baseline, ("source",))[Segment("source", "ads")]
        for policy in (falls, rises)
    ]
    assert changes == pytest.approx([(0.2 + 0.1) / (0.4 + 0.05) - 1, (0.05 + 0.4) / (0.1 + 0.2) - 1])
    partial = replace(log, complete=False)
    assert Replay(partial, falls).predicted_changes(falls, baseline, ("source",)) == {}
    order = replace(baseline, worth={}, predictions={})
    assert Replay(log, falls).predicted_changes(falls, order, ("source",)) == {}
