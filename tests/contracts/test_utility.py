"""A utility policy as data: terms, tests and bounds that have one meaning."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.contracts.utility import Condition, Guardrail, HardConstraint, Tier, UtilitySpec
from tests.contracts.files import VALID

DROPPED = {"name": "violation", "drop_when": {"column": "violation", "equals": True}}
KEPT = {"column": "permitted", "equals": False}
NIGHT = {"name": "night", "when": {"tenure": ["new"]}, "weights": {"click": 1.0}}


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
        (HardConstraint, {"name": "x"}, "exactly one of drop_when, keep_when"),
        (Tier, {"task": "click", "cuts": [0.2, 0.1]}, "cuts must increase"),
        (Guardrail, {"metric": "click_rate"}, "has no bound"),
        (
            UtilitySpec,
            {**VALID["utility"], "hard_constraints": [DROPPED, {**DROPPED, "drop_when": KEPT}]},
            "hard_constraints name violation more than once",
        ),
        (
            UtilitySpec,
            {**VALID["utility"], "contexts": [NIGHT, NIGHT]},
            "contexts name night more than once",
        ),
    ],
)
def test_what_has_no_single_meaning_is_refused(model: Any, plain: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        model.model_validate(plain)
