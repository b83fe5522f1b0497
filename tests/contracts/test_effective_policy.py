"""What decides in each context: weights in units of one outcome, and what a context changes."""

from typing import Any

import pytest

from tasks.contracts.effective_policy import BASE, EffectivePolicy, default_unit, effective_policies
from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import UtilitySpec
from tasks.errors import ContractError

CHILD = {
    "name": "child",
    "when": {"mode": "child"},
    "weights": {"purchase": 4.0},
    "relevance_floor": {"click": 0.1},
    "multipliers": [{"name": "ads", "when": {"ad": True}, "factor": 0.1}],
    "hard_constraints": [{"name": "rated", "keep_when": {"column": "rated", "equals": True}}],
    "slate": {"length": 4},
}
WEIGHTS: dict[str, Any] = {
    "click": 0.4,
    "purchase": {"weight": 20.0, "times": {"column": "margin", "cap": 50}},
    "report": -50.0,
}


def utility(**given: Any) -> UtilitySpec:
    content = {
        "policy": "feed",
        "version": 1,
        "owner": "ana",
        "approvals": ["safety"],
        "weights": WEIGHTS,
        "offset": {"scale": 1.0},
        "multipliers": [{"name": "ads", "when": {"ad": True}, "factor": 0.5}],
        "relevance_floor": {"click": {"quantile": 0.2}},
        "hard_constraints": [{"name": "legal", "drop_when": {"column": "illegal", "equals": True}}],
        "contexts": [CHILD],
    }
    return UtilitySpec.model_validate(content | given)


SLATE = SlateSpec(policy="slate", version=1, length=10, max_per={"creator": 2})


def shown(unit: str = "click") -> tuple[EffectivePolicy, EffectivePolicy]:
    base, child = effective_policies(utility(), SLATE, unit=unit)
    return base, child


def test_worth_is_a_weight_over_that_of_the_unit() -> None:
    base, _ = shown()
    assert {term.task: round(term.worth, 6) for term in base.terms} == {
        "click": 1,
        "purchase": 50,
        "report": -125,
    }
    assert [term.worth for term in shown("report")[0].terms] == [0.008, 0.4, -1.0]


def test_a_value_column_is_named_with_its_cap() -> None:
    (purchase,) = (term for term in shown()[0].terms if term.task == "purchase")
    assert (purchase.times, purchase.cap) == ("margin", 50)


def test_a_term_that_is_not_one_task_says_what_it_counts() -> None:
    terms: dict[str, Any] = {
        "risk": {"column": "policy_risk", "weight": -2.0, "cap": 5},
        "sure": {"task": "purchase", "weight": 4.0, "where": {"click": {"min": 0.2}}},
    }
    context = {"name": "night", "when": {"hour": [1]}, "terms": {"risk": terms["risk"] | {"weight": -8.0}}}
    named: dict[str, Any] = {"policy": "u", "version": 1, "owner": "o", "approvals": ["p"]}
    utility = UtilitySpec.model_validate(
        named | {"weights": {"click": 4.0}, "terms": terms, "contexts": [context]}
    )
    base, night = effective_policies(utility, SlateSpec(policy="s", version=1, length=1), unit="click")
    described = {one.task: (one.of, one.worth, one.times, one.cap) for one in base.terms}
    assert described["risk"] == ("column policy_risk", -0.5, "policy_risk", 5.0)
    assert described["sure"] == ("purchase where click is at least 0.2", 1.0, None, None)
    assert described["click"][0] is None
    assert night.changed == ("risk",)
    assert [one.worth for one in night.terms if one.task == "risk"] == [-2.0]


def test_the_base_is_the_policy_where_no_context_holds() -> None:
    base, _ = shown()
    assert (base.context, dict(base.when), base.changed) == (BASE, {}, ())
    assert base.relevance_floor == {"click": "quantile 0.2"}
    assert base.multipliers == {"ads": 0.5}
    assert base.hard_constraints == ("legal",)
    assert base.slate == {"length": 10, "max_per": {"creator": 2}}


def test_a_context_replaces_by_name_and_adds_filters() -> None:
    _, child = shown()
    assert (child.context, dict(child.when)) == ("child", {"mode": ("child",)})
    assert {term.task: term.weight for term in child.terms} == {
        "click": 0.4,
        "purchase": 4.0,
        "report": -50.0,
    }
    assert child.relevance_floor == {"click": 0.1}
    assert child.multipliers == {"ads": 0.1}
    assert child.hard_constraints == ("legal", "rated")
    assert child.slate == {"length": 4, "max_per": {"creator": 2}}
    assert child.changed == ("purchase", "floor click", "multiplier ads", "constraint rated", "slate length")


def test_the_unit_is_the_first_gain_without_a_value_column() -> None:
    assert default_unit(utility()) == "click"
    costs = {"report": -1.0, "hide": -2.0}
    assert default_unit(utility(weights=costs, contexts=[], relevance_floor={})) == "report"


@pytest.mark.parametrize(("unit", "words"), [("clik", "Did you mean 'click'"), ("none", "weight is 0")])
def test_a_unit_without_a_weight_is_refused(unit: str, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        effective_policies(utility(weights=WEIGHTS | {"none": 0.0}), SLATE, unit=unit)
