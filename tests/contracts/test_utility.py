"""A utility policy as data: terms, tests and bounds that have one meaning."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.contracts.conditions import Condition
from tasks.contracts.digest import canonical
from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import (
    Guardrail,
    HardConstraint,
    Multiplier,
    PolicyContext,
    Tier,
    UtilitySpec,
    Weight,
)
from tests.contracts.files import VALID

DROPPED = {"name": "violation", "drop_when": {"column": "violation", "equals": True}}
NIGHT = {"name": "night", "when": {"tenure": ["new"]}, "weights": {"click": 1.0}}

LESS = {"name": "less", "when": {"control": ["less"]}, "factor": 0.3}


def test_a_value_column_may_have_a_cap() -> None:
    capped = Weight.model_validate({"weight": 2.0, "times": {"column": "margin", "cap": 50}})
    assert (capped.column, capped.cap) == ("margin", 50.0)
    plain = Weight.model_validate({"weight": 2.0, "times": "margin"})
    assert (plain.column, plain.cap) == ("margin", None)


def test_what_is_not_declared_is_no_part_of_a_policy_digest() -> None:
    plain = canonical(UtilitySpec.model_validate(VALID["utility"]))
    assert not {"offset", "multipliers", "experiment"} & plain.keys()
    weights = {"return": {"weight": -9.0}}
    assert plain["contexts"] == [VALID["utility"]["contexts"][0] | {"weights": weights}]
    assert "decay" not in canonical(SlateSpec.model_validate(VALID["slate"]))


def test_a_policy_may_name_the_experiment_that_justified_it_on_one_line() -> None:
    policy = UtilitySpec.model_validate({**VALID["utility"], "experiment": " feed-142 "})
    assert policy.experiment == canonical(policy)["experiment"] == "feed-142"
    for hostile in ("", "  ", "feed-142\nowner: eve", "feed\x1b[2J", 142, "x" * 201):
        with pytest.raises(ValidationError, match="experiment"):
            UtilitySpec.model_validate({**VALID["utility"], "experiment": hostile})


def test_a_bare_number_is_a_weight_without_a_value_column() -> None:
    weights = UtilitySpec.model_validate(VALID["utility"]).weights
    assert (weights["click"].weight, weights["click"].times) == (0.4, None)
    assert (weights["buy"].weight, weights["buy"].times) == (20.0, "margin")


def test_one_value_of_a_context_may_stand_without_a_list() -> None:
    plain = {
        **VALID["utility"],
        "contexts": [{"name": "new", "when": {"tenure": "new"}, "weights": {"click": 1}}],
    }
    assert UtilitySpec.model_validate(plain).contexts[0].when == {"tenure": ("new",)}


@pytest.mark.parametrize(
    ("model", "plain", "hint"),
    [
        (Condition, {"column": "a"}, "takes exactly one of equals"),
        (Condition, {"column": "a", "above": 1, "below": 2}, "takes exactly one of equals"),
        (Condition, {"column": "a", "one_of": []}, "at least 1 item"),
        (Condition, {"column": "a", "equals": float("nan")}, "is not finite"),
        (Condition, {"column": "a", "one_of": [1.5, float("inf")]}, "is not finite"),
        (HardConstraint, {"name": "x"}, "exactly one of drop_when, keep_when"),
        (Tier, {"task": "click", "cuts": [0.2, 0.1]}, "cuts must increase"),
        (Guardrail, {"metric": "click_rate"}, "has no bound"),
        (UtilitySpec, {**VALID["utility"], "offset": {"scale": 0}}, "greater than 0"),
        (Multiplier, {**LESS, "factor": 0}, "greater than 0"),
        (PolicyContext, {"name": "night", "when": {"tenure": ["new"]}}, "changes nothing; give weights"),
        (PolicyContext, {**NIGHT, "slate": {}}, "changes nothing; give length"),
        (PolicyContext, {**NIGHT, "slate": {"required_first": "must"}}, "Extra inputs are not permitted"),
        (Weight, {"weight": 1.0, "times": {"column": "margin"}}, "Field required"),
        (Weight, {"weight": 1.0, "times": {"column": "margin", "cap": 0}}, "greater than 0"),
    ],
)
def test_what_has_no_single_meaning_is_refused(model: Any, plain: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        model.model_validate(plain)


def test_what_a_constraint_keeps_off_and_a_guardrail_protects_is_said_in_no_digest() -> None:
    plain = {
        **VALID["utility"],
        "hard_constraints": [DROPPED],
        "guardrails": [{"metric": "a_rate", "max": 0.1}],
    }
    told = {
        **plain,
        "hard_constraints": [{**DROPPED, "description": "what breaks the policy"}],
        "guardrails": [{"metric": "a_rate", "max": 0.1, "description": "people's patience"}],
    }
    spec = UtilitySpec.model_validate(told)
    assert (spec.hard_constraints[0].description, spec.guardrails[0].description) == (
        "what breaks the policy",
        "people's patience",
    )
    assert canonical(spec) == canonical(UtilitySpec.model_validate(plain))
