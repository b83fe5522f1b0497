"""Every metric of a slate by hand, on a page of six candidates in two requests.

How concentrated exposure is, by hand and by its definition.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts.metrics import Metric, MetricKind
from tasks.contracts.utility import Guardrail
from tasks.evaluation.clustered import Ratio
from tasks.evaluation.observations import Grouping
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Outcome
from tasks.replay.guardrails import evaluate_guardrail
from tasks.replay.log import CandidateLog
from tasks.replay.metrics import entropy, gini, group_by_segment, measure_slots, within_request
from tasks.replay.replay_policies import Replay
from tests.known import known
from tests.replay.worlds import AT_RANDOM, LOGGED, metric, page, slates, value, whole


def segmented(values: list[str], *, positives: list[int] | None = None, weights: object = None) -> Grouping:
    """Segment rows of one user each."""
    size = len(values)
    each = np.ones(size) if weights is None else np.asarray(weights, dtype=float)
    marked = None if positives is None else np.array(positives)
    users, column = np.arange(size), pd.Categorical(values)
    return group_by_segment("kind", column, weights=each, users=users, positives=marked)


def test_a_value_with_twenty_users_stands_alone_and_those_with_fewer_are_pooled() -> None:
    made = segmented(["a"] * 20 + ["b"] * 19 + ["c"] * 3)
    assert made.names == (Segment("kind", "a"), Segment("kind", "other"))
    assert made.pooled == {Segment("kind", "other"): ("b", "c")}
    assert np.bincount(made.codes).tolist() == [20, 22]


def test_one_thin_value_alone_is_not_hidden_behind_another_name() -> None:
    made = segmented(["a"] * 20 + ["b"] * 3)
    assert (made.names, made.pooled) == ((Segment("kind", "a"), Segment("kind", "b")), {})


def test_figures_of_outcomes_ask_for_ten_positives() -> None:
    values = ["a"] * 30 + ["b"] * 30 + ["c"] * 30
    positives = [1] * 10 + [0] * 20 + [1] * 9 + [0] * 21 + [0] * 30
    assert segmented(values, positives=positives).pooled == {Segment("kind", "other"): ("b", "c")}
    assert segmented(values).pooled == {}


def test_users_outside_every_slot_count_for_nothing() -> None:
    values = ["a"] * 30 + ["b"] * 30 + ["c"] * 30
    weights = [1.0] * 30 + [0.0] * 55 + [1.0] * 5
    assert segmented(values, weights=weights).pooled == {Segment("kind", "other"): ("b", "c")}


def test_a_value_that_is_called_other_is_told_from_the_pool() -> None:
    made = segmented(["other"] * 20 + ["b", "c"])
    assert made.names == (Segment("kind", "other"), Segment("kind", "other values"))
    assert made.pooled == {Segment("kind", "other values"): ("b", "c")}


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=120))
def test_every_row_is_in_one_segment_and_every_value_is_named_once(values: list[str]) -> None:
    made = segmented(values)
    assert made.codes.min() >= 0
    assert made.codes.max() < len(made.names)
    named = [name.value for name in made.names if name not in made.pooled]
    named += [value for pool in made.pooled.values() for value in pool]
    assert sorted(named) == sorted(set(values))
    for one, code in zip(values, made.codes, strict=True):
        name = made.names[code]
        assert one in made.pooled.get(name, (name.value,))


@pytest.mark.parametrize("size", [0, 3])
def test_the_whole_is_one_segment(size: int) -> None:
    assert Grouping.whole(size).names == (ALL,)


def test_predicted_weighs_each_slot_by_its_looks() -> None:
    p = [0.4, 0.2, 0.1, 0.4, 0.2, 0.1]
    at_reference = replace(slates("policy", LOGGED, {"click": p}), where_shown={"click": np.array(p)})
    measured = known(whole("click_predicted", page(), at_reference, at_reference).policy)
    assert measured.value == pytest.approx((0.4 + 0.1 + 0.025) * 2 / 3.5)


def test_what_is_said_of_the_places_where_items_stood_is_not_multiplied_by_their_looks_twice() -> None:
    """What is said of the average place is divided by its looks: so much happens per look, in every slot."""
    examined = (1.0 + 0.5 + 0.25) / 3
    assert value("click_predicted", LOGGED, click=[0.3] * 6) == pytest.approx(0.3 / examined)
    assert value("click_predicted", [1, 0, 0, 1, 0, 0], click=[0.3] * 6) == pytest.approx(0.3 / examined)


def test_calibration_holds_an_outcome_against_what_is_said_of_the_place_where_it_came() -> None:
    p = [0.8, 0.8, 0.8, 0.8, 0.8, 0.8]
    there = np.array([0.8, 0.4, 0.2, 0.8, np.nan, 0.2])
    policy = replace(slates("policy", LOGGED, {"click": p}), where_shown={"click": there})
    measured = known(whole("click_calibration", page(), policy, policy).policy)
    assert measured.value == pytest.approx(1 / (0.8 + 0.4 + 0.2 + 0.8 + 0.2))


def test_calibration_is_observed_over_predicted_on_the_items_in_slots() -> None:
    p = [0.5, 0.9, 0.9, 0.5, 0.9, 0.9]
    assert value("click_calibration", [1, 0, 0, 1, 0, 0], click=p) == pytest.approx(1 / 1.0)


def test_shares_are_shares_of_looks() -> None:
    # ads: request a slot 2 (0.5), request b slot 1 (1.0) of 2 x 1.75 looks
    assert value("source_share:ads", LOGGED) == pytest.approx(1.5 / 3.5)


def test_new_items_are_those_of_the_lowest_age_bin() -> None:
    assert value("new_item_exposure", LOGGED) == pytest.approx(2.0 / 3.5)


def test_the_naive_ndcg_is_one_where_the_positive_stands_first() -> None:
    order = [1, 2, 3, 2, 1, 3]
    naive = Metric(MetricKind.NAIVE_NDCG, "click")
    found = [measure_slots(naive, page(), one, one) for one in (slates("p", order), slates("p", LOGGED))]
    best, logged = [one.statistic.value for one in found if isinstance(one, Ratio)]
    assert best == pytest.approx(1.0)
    assert logged == pytest.approx((1 + 1 / math.log2(3)) / 2)


def test_items_outside_those_that_make_half_of_the_looks_are_the_long_tail() -> None:
    # looks: item 1 twice at 1, item 2 twice at .5, items 3 and 4 at .25; half of 3.5 is made by item 1 alone
    assert page().in_long_tail.tolist() == [False, True, True, False, True, True]
    assert value("long_tail_exposure", LOGGED) == pytest.approx(1.5 / 3.5)


@pytest.mark.parametrize(
    ("name", "log", "words"),
    [
        ("source_entropy", page(complete=False), "reordering only"),
        ("coverage", page(complete=False), "reordering only"),
        ("click_rate", page(examination=None), "no examination curve"),
        ("latency_p99_ms", page(), "no serving latency"),
    ],
)
def test_what_the_log_inconclusive_is_said_and_not_computed(name: str, log: CandidateLog, words: str) -> None:
    measured = whole(name, log, slates("p", LOGGED), slates("b", LOGGED))
    assert measured.policy is None
    assert words in measured.reason
    rail = Guardrail.model_validate({"metric": name, "relative_increase_max": 0.5})
    assert evaluate_guardrail(rail, [measured], run="r")[0].outcome is Outcome.INCONCLUSIVE


def test_no_ranking_moves_an_outcome_of_the_whole_request() -> None:
    policy = slates("p", LOGGED)
    replay = Replay(page(), policy, frozenset({"click"}))
    measured = replay.measure(metric("click_rate"), policy, slates("b", LOGGED), ())
    assert "whole request" in measured[0].reason


@pytest.mark.parametrize("name", ["click_predicted", "click_calibration", "expected_utility"])
def test_a_judge_without_predictions_measures_nothing_that_needs_them(name: str) -> None:
    policy = slates("p", LOGGED)
    assert measure_slots(metric(name), page(), policy, policy) is None


def test_expected_utility_weighs_a_slots_utility_by_its_looks() -> None:
    policy = replace(slates("p", LOGGED), utility=np.array([4.0, 2.0, 0.0, 4.0, 2.0, np.nan]))
    measured = known(whole("expected_utility", page(), policy, policy).policy)
    assert measured.value == pytest.approx((4.0 + 1.0 + 0.0 + 4.0 + 1.0) / (1.75 + 1.5))


def test_a_term_that_is_the_utility_makes_all_of_its_variance() -> None:
    utility = np.array([3.0, 2.0, 1.0, 0.0, 0.0, 6.0])
    terms = {"click": utility, "buy": np.zeros(6)}
    policy = replace(slates("p", LOGGED), utility=utility, contributions=terms)
    measured = known(whole("component_share:click", page(), policy, policy).policy)
    assert measured.value == pytest.approx(1.0)


def test_deviations_are_from_the_mean_of_the_requests_own_rows() -> None:
    values = np.array([3.0, 2.0, 100.0, 1.0, 2.0, 6.0])
    rows = np.array([True, True, False, True, True, True])
    assert within_request(page(), values, rows).tolist() == [0.5, -0.5, 0.0, -2.0, -1.0, 3.0]


def test_slate_rules_act_where_the_plain_order_would_leave_an_item_out() -> None:
    """Of two slots in each request, the first request holds its first and third, the other its best two."""
    policy = replace(slates("p", [1, 0, 2, 1, 2, 0]), rank=np.array([1, 2, 3, 1, 2, 0]))
    measured = known(whole("slate_rule_activity", page(), policy, policy).policy)
    assert measured.value == pytest.approx(1 / 4)
    unknown = whole("slate_rule_activity", page(), slates("p", LOGGED), policy)
    assert (unknown.policy, unknown.reason) == (None, "p gives no figure for it")


def test_an_exposure_ratio_is_looks_over_those_that_merit_is_due() -> None:
    """Looks 1.5 and 1 in both requests; of request a 1/4 of the merit is that of ads, of request b 1/3."""
    policy = replace(
        slates("p", [1, 2, 0, 1, 0, 0]),
        utility=np.array([6.0, 2.0, -9.0, 1.0, np.nan, 2.0]),
        rank=np.array([1, 2, 3, 2, 0, 1]),
    )
    ads, feed = (whole(f"source_exposure_ratio:{v}", page(), policy, policy).policy for v in ("ads", "feed"))
    assert known(ads).value == pytest.approx((0.5 + 1.0) / (1.5 / 4 + 1 / 3))
    assert known(feed).value == pytest.approx(1.0 / (1.5 * 3 / 4 + 2 / 3))


def test_the_baselines_exposure_is_held_against_the_same_merit() -> None:
    """Merit may be a task's probability: here a half of each request's is that of ads, and all three slots."""
    predictions = {"click": [0.1, 0.2, 0.1, 0.3, 0.1, 0.2]}
    policy = replace(slates("p", LOGGED, predictions), rank=np.array([2, 1, 3, 1, 3, 2]))
    log = replace(page(), merit="click")
    measured = whole("source_exposure_ratio:ads", log, policy, slates("b", [3, 1, 2, 1, 2, 3]))
    assert (known(measured.policy).value, known(measured.baseline).value) == pytest.approx(
        (1.5 / 1.75, 2.0 / 1.75)
    )


def test_requests_without_merit_are_left_out_of_an_exposure_ratio() -> None:
    policy = replace(slates("p", LOGGED), utility=np.array([1.0, 1.0, 2.0, -1.0, 0.0, -2.0]))
    ranked = replace(policy, rank=np.array(LOGGED))
    measured = known(whole("source_exposure_ratio:ads", page(), ranked, ranked).policy)
    assert measured.value == pytest.approx(0.5 / (1.75 / 4))
    unmerited = replace(ranked, utility=np.zeros(6))
    reasons = [whole("source_exposure_ratio:ads", page(), one, one).reason for one in (policy, unmerited)]
    assert reasons == [
        "p gives no figure for it",
        "nothing to measure it by: no candidate of ads has any merit",
    ]


def test_a_term_of_a_context_makes_its_share_of_the_requests_where_it_is_in_force() -> None:
    """Of request a it makes all; beside request b, where it has no weight, it would seem to make a tenth."""
    hide = np.array([-1.0, -2.0, -3.0, np.nan, np.nan, np.nan])
    click = np.array([0.0, 0.0, 0.0, 3.0, 0.0, -3.0])
    utility, parts = np.nan_to_num(hide) + click, {"hide": hide, "click": click}
    policy = replace(slates("p", LOGGED), utility=utility, contributions=parts)
    shares = {
        task: measure_slots(Metric(MetricKind.COMPONENT_SHARE, task), page(), policy, policy)
        for task in parts
    }
    of_all = {task: one.statistic.value for task, one in shares.items() if isinstance(one, Ratio)}
    assert of_all == {"hide": pytest.approx(1.0), "click": pytest.approx(18 / 20)}


def test_a_figure_of_nothing_says_what_is_missing() -> None:
    """A click that nobody made was seen not to be made; a term may have no weight in any request."""
    empty = replace(slates("p", [0] * 6), utility=np.arange(6.0), contributions={"click": np.full(6, np.nan)})
    reasons = {
        name: whole(name, page(labels=[0.0] * 6, propensity=AT_RANDOM), empty, slates("b", LOGGED)).reason
        for name in (
            "recall_click",
            "component_share:click",
            "source_share:ads",
            "observed_utility",
            "click_rate",
        )
    }
    assert reasons == {
        "recall_click": "nothing to measure it by: no candidate is observed or predicted to lead to click",
        "component_share:click": "nothing to measure it by: click has no weight where the utility differs "
        "between candidates of a request",
        "source_share:ads": "nothing to measure it by: the policy fills no slot",
        "observed_utility": "nothing to measure it by: the policy fills no slot",
        "click_rate": "nothing to measure it by: no slot holds an observed label of click",
    }


def test_entropy_and_gini_of_equal_and_of_single_values() -> None:
    assert entropy(np.ones(4)) == pytest.approx(np.log(4))
    assert gini(np.ones(4)) == 0.0
    assert entropy(np.array([5.0, 0.0])) == 0.0
    assert gini(np.array([0.0, 0.0, 0.0, 1.0])) == 0.75


def test_a_value_that_nobody_sees_is_unequal_but_adds_no_entropy() -> None:
    seen = np.array([2.0, 1.0, 1.0])
    and_unseen = np.append(seen, [0.0, 0.0])
    assert entropy(and_unseen) == pytest.approx(entropy(seen))
    assert entropy(seen) == pytest.approx(1.5 * np.log(2))
    assert gini(seen) == pytest.approx(1 / 6)
    assert gini(and_unseen) == 0.5


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=20))
def test_gini_is_half_the_relative_mean_difference(exposures: list[float]) -> None:
    x = np.array(exposures)
    assert gini(x) == pytest.approx(np.abs(x[:, None] - x).mean() / (2 * x.mean()), abs=1e-9)


def test_each_row_has_a_figure_and_nothing_seen_has_none() -> None:
    seen = np.array([[3.0, 1.0], [0.0, 0.0], [2.0, 2.0]])
    for figure in (entropy, gini):
        found = figure(seen)
        assert found[[0, 2]].tolist() == [figure(seen[0]), figure(seen[2])]
        assert np.isnan(found[1])
