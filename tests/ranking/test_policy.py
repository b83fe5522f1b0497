from typing import Any

import pytest

from tasks.contracts import SlateSpec, UtilitySpec, canonical
from tasks.errors import ContractError
from tasks.ranking.condition import Condition
from tasks.ranking.policy import Context, Floor, HardConstraint, Tier, UtilityPolicy, Weight
from tasks.ranking.slate_policy import Diversity, SlatePolicy
from tests.ranking.policies import slate_json, utility_json

FULL = {
    "weights": {
        "purchase_7d": {"weight": 20.0, "times": "margin", "why": "a purchase earns 20 clicks"},
        "click_30m": 0.4,
        "hide_7d": -3.0,
    },
    "contexts": [
        {"name": "checkout", "when": {"page": "checkout"}, "weights": {"cart_1d": 2}},
        {"name": "new", "when": {"tenure": ["new", "back"], "app": True}, "weights": {"hide_7d": -6.0}},
    ],
    "relevance_floor": {"purchase_7d": {"quantile": 0.2}, "click_30m": 0.005},
    "hard_constraints": [
        {"name": "violation", "drop_when": {"column": "violation", "equals": True}},
        {"name": "region", "keep_when": {"column": "region", "one_of": ["north", "south"]}},
        {"name": "age", "drop_when": {"column": "age_days", "above": 30}},
    ],
    "lexicographic": [{"task": "hide_7d", "cuts": [0.1, 0.5]}],
}


def test_a_utility_policy_is_read_from_what_the_contract_writes() -> None:
    policy = UtilityPolicy.from_json(utility_json(**FULL))
    assert policy == UtilityPolicy(
        policy="p",
        version=1,
        weights={"click_30m": Weight(0.4), "hide_7d": Weight(-3.0), "purchase_7d": Weight(20.0, "margin")},
        contexts=(
            Context("checkout", (Condition("page", "one_of", ("checkout",)),), {"cart_1d": Weight(2.0)}),
            Context(
                "new",
                (Condition("app", "one_of", (True,)), Condition("tenure", "one_of", ("new", "back"))),
                {"hide_7d": Weight(-6.0)},
            ),
        ),
        floors=(
            Floor("click_30m", 0.005, within_request=False),
            Floor("purchase_7d", 0.2, within_request=True),
        ),
        hard_constraints=(
            HardConstraint("violation", Condition("violation", "one_of", (True,)), keeps=False),
            HardConstraint("region", Condition("region", "one_of", ("north", "south")), keeps=True),
            HardConstraint("age", Condition("age_days", "above", (30.0,)), keeps=False),
        ),
        tiers=(Tier("hide_7d", (0.1, 0.5), low_is_better=True),),
    )
    assert policy.terms == ("cart_1d", "click_30m", "hide_7d", "purchase_7d")
    assert policy.columns == ("age_days", "app", "margin", "page", "region", "tenure", "violation")


def test_a_slate_policy_is_read_from_what_the_contract_writes() -> None:
    content = slate_json(
        length=20,
        max_per={"creator": 2, "category": 4},
        max_where={"sponsored": 2},
        min_where_if_available={"exploration": 1},
        required_first="policy_required",
        diversity={"by": "category", "strength": 0.1},
    )
    policy = SlatePolicy.from_json(content)
    assert policy == SlatePolicy(
        policy="s",
        version=1,
        length=20,
        max_per={"category": 4, "creator": 2},
        max_where={"sponsored": 2},
        min_where={"exploration": 1},
        required_first="policy_required",
        diversity=Diversity("category", 0.1),
    )
    assert policy.columns == ("category", "creator", "exploration", "policy_required", "sponsored")


def test_the_order_of_keys_does_not_matter() -> None:
    content = utility_json(**FULL)
    turned = {name: dict(reversed(v.items())) if isinstance(v, dict) else v for name, v in content.items()}
    ours, theirs = UtilityPolicy.from_json(content), UtilityPolicy.from_json(turned)
    assert ours == theirs
    assert list(ours.weights) == list(theirs.weights)


def test_a_tier_points_where_its_weight_does_or_where_it_says() -> None:
    tier = {"task": "click_30m", "cuts": [0.5]}
    content = utility_json(weights={"click_30m": 1.0}, lexicographic=[tier])
    assert not UtilityPolicy.from_json(content).tiers[0].low_is_better
    content["lexicographic"][0]["prefer"] = "low"
    assert UtilityPolicy.from_json(content).tiers[0].low_is_better


def test_a_tier_without_a_direction_is_refused() -> None:
    content = utility_json(weights={"click": 1.0}, lexicographic=[{"task": "report", "cuts": [0.001]}])
    with pytest.raises(ContractError, match="Tier 'report' has no direction"):
        UtilityPolicy.from_json(content)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ({"column": "x"}, "takes exactly one test, found: none"),
        ({"column": "x", "above": 1, "below": 3}, "found: above, below"),
        ({"column": "x", "equal": 1}, "Unknown test 'equal' in constraint 'c'.*Did you mean 'equals'"),
    ],
)
def test_a_test_that_this_code_does_not_know_is_refused(test: dict[str, Any], message: str) -> None:
    content = utility_json() | {"hard_constraints": [{"name": "c", "drop_when": test}]}
    with pytest.raises(ContractError, match=message):
        UtilityPolicy.from_json(content)


@pytest.mark.parametrize(
    ("weight", "most"),
    [(Weight(-5.0), 5.0), (Weight(20.0, "margin"), 20.0), (Weight(20.0, "margin", 3.0), 60.0)],
)
def test_the_most_that_a_term_counts_is_its_weight_times_the_cap(weight: Weight, most: float) -> None:
    assert weight.most == most


@pytest.mark.parametrize(
    "rules",
    [
        {"exploration": {"slots": 1}},
        {"decay": {"by": "c", "factor": 0.5}},
        {"diversity": {"by": "c", "strength": 1}},
    ],
)
def test_a_rule_of_a_slate_means_the_same_with_and_without_its_defaults(rules: dict[str, Any]) -> None:
    """A release keeps contracts without defaults: a decay without a floor could not be read."""
    spec = SlateSpec.model_validate({"policy": "s", "version": 1, "length": 3} | rules)
    assert SlatePolicy.from_json(canonical(spec)) == SlatePolicy.from_json(slate_json(**rules))


def test_a_context_means_the_same_with_and_without_its_defaults() -> None:
    contexts = [{"name": "child", "when": {"mode": ["child"]}, "slate": {"length": 2}}]
    spec = UtilitySpec.model_validate(utility_json(contexts=contexts))
    assert UtilityPolicy.from_json(canonical(spec)) == UtilityPolicy.from_json(
        utility_json(contexts=contexts)
    )
