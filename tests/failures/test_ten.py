"""Each of the ten failures does true harm, its own gate blocks it, and it is the failure that it is called."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.failures.failure import Demonstration
from benchmarks.failures.listed import (
    CLICKS,
    HIDES,
    PENALTY,
    POOLED_RISE,
    PURCHASES,
    UTILITY,
    VIOLATION,
    cheapest_for_all,
    penalised,
    unfiltered,
)
from benchmarks.failures.world import FailureWorld
from tasks.evaluation.subjects import Segment, Subject
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.gates.policy import ReleasedPolicies, evaluate_policy, find_lost_constraints
from tests.known import known

PREDICTED_HIDES = Subject("predicted", task="hide_7d")
HARMS = {
    "F1": {"hides": 0.4, "satisfied visits": -0.05, "utility": -0.1},
    "F2": {"hides": 0.15, "utility": -0.04},
    "F3": {"satisfied visits": -0.15, "purchases": -0.15, "hides": 0.15, "utility": -0.1},
    "F4": {"hides": 0.2, "returns": 0.15, "utility": -0.03},
    "F6": {"hides of new users": 0.1, "utility of new users": -0.001},
    "F7": {"returns": 0.05},
    "F8": {"satisfied visits": -0.1, "hides": 0.2, "purchases": -0.05, "utility": -0.08},
    "F9": {"hides": 0.1, "hides of new users": 0.1, "utility": -0.001},
    "F10": {"returns": 0.1, "hides": 0.2, "utility": -0.1},
}
"""By failure, a change that the true one exceeds, in its direction."""


@pytest.mark.parametrize("number", HARMS)
def test_shipped_it_does_true_harm(number: str, shown: Mapping[str, Demonstration]) -> None:
    found = {figure.measure.name: figure.change for figure in shown[number].harms}
    assert found.keys() == HARMS[number].keys()
    assert {name for name, least in HARMS[number].items() if found[name] / least < 1} == set()


@pytest.mark.parametrize("number", [f"F{number}" for number in range(1, 11)])
def test_its_gate_blocks_it(number: str, shown: Mapping[str, Demonstration]) -> None:
    assert shown[number].stop.outcome is Outcome.BLOCK


@pytest.mark.parametrize("number", ["F1", "F8", "F10"])
def test_the_whole_interval_lies_below_the_margin(number: str, shown: Mapping[str, Demonstration]) -> None:
    stop = shown[number].stop
    assert known(stop.observed).high < stop.threshold.low == -0.05


@pytest.mark.parametrize(("number", "limit"), [("F6", 0.1), ("F9", 0.1)])
def test_predicted_hides_exceed_their_guardrail(
    number: str, limit: float, shown: Mapping[str, Demonstration]
) -> None:
    stop = shown[number].stop
    assert known(stop.observed).value > stop.threshold.high == limit


@pytest.mark.parametrize("number", ["F1", "F4"])
def test_the_guardrail_of_hides_blocks_it_too(number: str, shown: Mapping[str, Demonstration]) -> None:
    assert PREDICTED_HIDES in {one.subject for one in shown[number].holding if one.outcome is Outcome.BLOCK}


def test_a_mixed_label_of_any_engagement_is_the_click(failure_world: FailureWorld) -> None:
    parts = ["click_30m", "dwell_60s_1d", "purchase_7d"]
    labels = failure_world.data.candidates[parts].dropna()
    assert (labels.max(axis=1) == labels["click_30m"]).mean() > 0.999


def test_clicks_rise_where_they_dominate(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    assert failure_world.compare(CLICKS, shown["F1"].failure.ship(failure_world)).change > 0.1


def test_trees_that_all_tasks_share_order_by_clicks_and_not_by_hides(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    data, naive = failure_world.data, failure_world.naive["shared trees"]
    clicks, hides = (
        float(np.corrcoef(np.log(naive[name]), np.log(data.truth[name]))[0, 1])
        for name in ("p_click_30m", "p_hide_7d")
    )
    assert clicks > 0.5
    assert abs(hides) < 0.2
    stop = shown["F2"].stop
    assert known(stop.observed).low > stop.threshold.high


def test_balanced_classes_keep_the_order_of_purchases_and_spoil_their_level(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    heads, failure = failure_world.gate.heads, shown["F3"].failure
    naive, challenger = (
        known(heads.of("purchase_7d", one).headline["auc"])
        for one in (failure.ship(failure_world), failure_world.challenger)
    )
    assert abs(naive - challenger) < 0.01
    stop = shown["F3"].stop
    assert known(stop.observed).high < 0.1
    assert (stop.threshold.low, stop.threshold.high) == (0.9, 1.1)


def test_a_changed_policy_passes_its_gate_with_another_version(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    standing: ReleasedPolicies = shown["F4"].failure.evidence(failure_world)["policy"]
    raised = {"utility": replace(standing.policies["utility"], version="2")}
    verdicts = {
        one.subject: one.outcome for one in evaluate_policy(replace(standing, policies=raised), run="")
    }
    assert verdicts[Subject("utility_version")] is Outcome.PASS


def test_a_penalty_lets_some_items_through_however_high_it_is(shown: Mapping[str, Demonstration]) -> None:
    rates = [figure.naive for figure in shown["F5"].sweep.values()]
    assert rates[-1] == 0
    assert min(rates[:-1]) > 0
    assert rates == sorted(rates, reverse=True)


def test_the_constraints_gate_counts_every_violating_item(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    slots = penalised(failure_world, PENALTY).slot
    violating = failure_world.column(VIOLATION)[slots > 0].sum()
    assert known(shown["F5"].stop.observed).value == violating > 0


def test_a_policy_without_the_filter_is_named_to_those_who_approve(failure_world: FailureWorld) -> None:
    policy = failure_world.data.utility
    assert find_lost_constraints(policy, unfiltered(policy)) == (VIOLATION,)


def test_pooled_utility_and_hides_hold_while_new_users_are_harmed(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    release, new = cheapest_for_all(failure_world), Segment("user_tenure", "new")
    assert failure_world.compare(UTILITY, release).change > -0.01
    hides, in_force = (failure_world.compare(HIDES, one).naive for one in (release, failure_world.challenger))
    assert hides <= (1 + POOLED_RISE) * in_force
    held = [one.segment for one in shown["F6"].holding if one.subject == PREDICTED_HIDES]
    assert held == [shown["F6"].stop.segment] == [new]


def test_a_head_of_early_labels_expects_less_than_half_of_the_returns(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    data = failure_world.data
    early, mature, true = (
        one["p_return_30d"].mean()
        for one in (failure_world.naive["early labels"], data.challenger, data.truth)
    )
    assert early < 0.5 * data.mean_looks * true
    assert abs(mature / (data.mean_looks * true) - 1) < 0.25
    (challenger,) = shown["F7"].instead
    assert abs(challenger.change) < 0.03


def test_validation_finds_labels_before_their_maturity(failure_world: FailureWorld) -> None:
    failed = {
        (one.expectation, one.subject)
        for one in failure_world.early.validation.expectations
        if not one.success and one.severity == "critical"
    }
    assert ("expect_no_label_observed_before_maturity", "return_30d") in failed
    assert ("expect_conditional_label_only_where_parent_positive", "return_30d") in failed
    assert {subject for _, subject in failed} == {"return_30d"}


def test_hides_rise_most_among_new_users_where_a_hide_costs_one_click(
    shown: Mapping[str, Demonstration],
) -> None:
    hides, of_new_users, _ = shown["F9"].harms
    assert of_new_users.change > hides.change


def test_returns_rise_faster_than_purchases_where_conversion_is_maximised(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    failure = shown["F10"]
    purchases = failure_world.compare(PURCHASES, failure.failure.ship(failure_world)).change
    assert failure.harms[0].change > 1.3 * purchases > 0.1
