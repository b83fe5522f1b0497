"""A utility policy as data: terms, tests and bounds that have one meaning."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.contracts.base import canonical
from tasks.contracts.slate import Condition, SlateSpec
from tasks.contracts.utility import (
    Bounded,
    Constrained,
    Multiplier,
    PolicyContext,
    Quantile,
    Term,
    UtilitySpec,
    Weight,
)
from tests.contracts.files import VALID, check_files, setting
from tests.ranking.policies import slate_json, utility_json

DROPPED = {"name": "violation", "drop_when": {"column": "violation", "equals": True}}
NIGHT = {"name": "night", "when": {"tenure": ["new"]}, "weights": {"click": 1.0}}

LESS = {"name": "less", "when": {"control": ["less"]}, "factor": 0.3}


def test_a_value_column_may_have_a_cap() -> None:
    capped = Weight.model_validate({"weight": 2.0, "times": {"column": "margin", "cap": 50}})
    assert (capped.value_column, capped.value_cap) == ("margin", 50.0)
    plain = Weight.model_validate({"weight": 2.0, "times": "margin"})
    assert (plain.value_column, plain.value_cap) == ("margin", None)


def test_what_is_not_declared_is_no_part_of_a_policy_digest() -> None:
    plain = canonical(UtilitySpec.model_validate(VALID["utility"]))
    assert not {"offset", "multipliers", "experiment", "constrained"} & plain.keys()
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
        (Term, {"weight": 1}, "takes exactly one of task, greater_of, column"),
        (Term, {"weight": 1, "task": "a", "column": "b"}, "takes exactly one of task, greater_of, column"),
        (Term, {"weight": 1, "column": "a", "times": "b"}, "a column counts by itself"),
        (Term, {"weight": 1, "task": "a", "cap": 2}, "takes cap for a column"),
        (Term, {"weight": 1, "greater_of": ["a"]}, "at least 2 items"),
        (Term, {"weight": 1, "task": "a", "where": {"b": {"min": 0}}}, "greater than 0"),
        (Condition, {"column": "a", "above": 1, "below": 2}, "takes exactly one of equals"),
        (Condition, {"column": "a", "equals": 1, "equals_column": "b"}, "takes exactly one of equals"),
        (Condition, {"column": "a", "below_column": "a"}, "compares a with itself"),
        (Condition, {"column": "a", "one_of": []}, "at least 1 item"),
        (Condition, {"column": "a", "equals": float("nan")}, "is not finite"),
        (Condition, {"column": "a", "one_of": [1.5, float("inf")]}, "is not finite"),
        (Bounded, {"metric": "hide_rate"}, "has no bound; give max, min"),
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


FULL: dict[str, Any] = {
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
}


def test_the_decision_reads_terms_and_columns_in_order_of_their_names() -> None:
    policy = UtilitySpec.model_validate(utility_json(**FULL))
    assert policy.term_names == ("cart_1d", "click_30m", "hide_7d", "purchase_7d")
    assert policy.columns == ("age_days", "app", "margin", "page", "region", "tenure", "violation")
    assert policy.weighing_columns == {"app": True, "margin": False, "page": True, "tenure": True}
    assert [one.weight for one in policy.variants["hide_7d"]] == [-3.0, -3.0, -6.0]
    less = policy.model_copy(update={"weights": {"hide_7d": Weight(weight=-1.0)}, "contexts": ()})
    assert {name: [one.weight for one in of] for name, of in less.variants.items()} == {"hide_7d": [-1.0]}
    assert [one.keeps for one in policy.hard_constraints] == [False, True, False]
    assert UtilitySpec.model_validate(canonical(policy)).columns == policy.columns


def test_a_floor_holds_in_every_context_that_declares_no_other() -> None:
    own = {"name": "own", "when": {"page": "home"}, "relevance_floor": {"click_30m": 0.1}}
    policy = UtilitySpec.model_validate(utility_json(**FULL | {"contexts": [*FULL["contexts"], own]}))
    floors = policy.floors_by_context()
    assert floors["click_30m"] == [(0.005, [-1, 0, 1]), (0.1, [2])]
    assert floors["purchase_7d"] == [(Quantile(quantile=0.2), [-1, 0, 1, 2])]


@pytest.mark.parametrize(
    ("weight", "prefer", "first"), [(1.0, None, "high"), (-1.0, None, "low"), (1.0, "low", "low")]
)
def test_a_tier_points_where_its_weight_does_or_where_it_is_declared(
    weight: float, prefer: str | None, first: str
) -> None:
    tier = {"task": "click", "cuts": [0.5], "prefer": prefer}
    policy = UtilitySpec.model_validate(utility_json(weights={"click": weight}, lexicographic=[tier]))
    assert policy.better_first(policy.lexicographic[0]) == first


@pytest.mark.parametrize(
    ("times", "most"), [(None, 20.0), ("margin", 20.0), ({"column": "margin", "cap": 3.0}, 60.0)]
)
def test_the_most_that_a_term_counts_is_its_weight_times_the_cap(times: Any, most: float) -> None:
    assert Weight.model_validate({"weight": -20.0, "times": times}).most == most


def test_the_columns_of_a_slate_are_those_of_its_rules() -> None:
    slate = SlateSpec.model_validate(
        slate_json(
            max_per={"creator": 2, "category": 4},
            max_where={"sponsored": 2},
            min_where_if_available={"fresh": 1},
            required_first="policy_required",
            diversity={"by": "topic", "strength": 0.1},
            exploration={"slots": 1, "where": {"column": "new", "equals": True}},
        )
    )
    assert slate.columns == (
        "category", "creator", "fresh", "new", "policy_required", "sponsored", "topic", "user_id",
    )  # fmt: skip


@pytest.mark.parametrize("value", ["home decor", "a:b", "Küche & Bad", " ads", "x" * 100])
def test_the_share_of_any_value_on_one_line_may_be_bounded(value: str) -> None:
    assert Bounded.model_validate({"metric": f"category_share:{value}", "max": 0.5}).metric.endswith(value)


@pytest.mark.parametrize(
    "value", ["", "two\nlines", "bell\x07", "next\x85line", "para\u2029graph", "x" * 101]
)
def test_a_value_of_several_lines_of_none_or_of_too_many_letters_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        Bounded.model_validate({"metric": f"category_share:{value}", "max": 0.5})


def test_a_bound_of_zero_is_a_bound() -> None:
    assert Bounded.model_validate({"metric": "hide_rate", "relative_increase_max": 0}).max is None


CONSTRAINED: dict[str, Any] = {
    "maximise": "buy_predicted",
    "subject_to": [{"metric": "return_predicted", "relative_increase_max": 0.0}],
    "ranges": {"return": [-20, 0], "click": [0, 2]},
}


def problems(folder: Path, **changes: Any) -> list[tuple[str, str]]:
    changed = setting("utility.constrained", {**CONSTRAINED, **changes})
    found = check_files(folder, changed).problems
    return [(one.field, one.hint) for one in found]


def test_a_policy_may_say_what_its_weights_are_tuned_for(tmp_path: Path) -> None:
    assert problems(tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "hint"),
    [
        ({"ranges": {"click": [2, 1]}}, "must increase"),
        ({"ranges": {"click": [1, 1]}}, "must increase"),
        ({"ranges": {"click": [-1, 1]}}, "holds both signs"),
        ({"ranges": {"click": [0, float("inf")]}}, "finite"),
        ({"ranges": {}}, "at least 1"),
        ({"subject_to": []}, "at least 1"),
        ({"subject_to": [{"metric": "return_rate"}]}, "has no bound"),
        ({"subject_to": [{"metric": "buy_predicted", "max": 1}]}, "names buy_predicted more than once"),
        ({"minimise": "buy_predicted"}, "Extra inputs"),
    ],
)
def test_what_has_no_one_meaning_is_refused(changed: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        Constrained.model_validate({**CONSTRAINED, **changed})


def test_a_range_belongs_to_a_term_and_has_its_familys_sign(tmp_path: Path) -> None:
    found = problems(tmp_path, ranges={"clik": [0, 1], "return": [1, 2], "click": [-2, 0]})
    assert [field for field, _ in found] == [
        "constrained.ranges.clik",
        "constrained.ranges.return",
        "constrained.ranges.click",
    ]
    assert "Did you mean 'click'?" in found[0][1]
    assert found[1][1] == "a task of the family negative has a negative weight"


@pytest.mark.parametrize(
    ("metric", "hint"),
    [
        ("buy_predictd", "Did you mean 'buy_predicted'?"),
        ("expected_utility", "changes with the weights"),
        ("latency_p99_ms", "no weight changes it"),
    ],
)
def test_only_a_known_metric_that_weights_move_is_raised(tmp_path: Path, metric: str, hint: str) -> None:
    ((field, said),) = problems(tmp_path, maximise=metric)
    assert field == "constrained.maximise"
    assert hint in said
