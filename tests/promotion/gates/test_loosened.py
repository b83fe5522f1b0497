"""Every bound, base rate and reviewer counts, in the direction in which it lets more through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tasks.contracts import canonical
from tasks.contracts.gates import Rules
from tasks.promotion.gates.loosened import lasting_reviewers, name_loosened

RAMP = {"stages": [{"share": 0.05, "harm": 1.0}], "guardrails": ["hide_rate"]}
LOOSER: dict[str, tuple[Any, Any]] = {
    "data.rows": (100, 99),
    "data.positives": (100, 99),
    "data.severity": ("warning", "critical"),
    "model.auc_drop_max": (0.1, 0.2),
    "model.normalized_entropy_rise_max": (0.1, 0.2),
    "model.auc_max": (0.9, 0.91),
    "model.feature_auc_max": (0.9, 0.91),
    "model.refit_shift_max": (0.1, 0.2),
    "model.refit_shift_max_by_task": ({"click": 0.05}, {}),
    "model.first.auc_min": (0.6, 0.5),
    "calibration.ratio": ((0.9, 1.1), (0.9, 1.2)),
    "calibration.by": (("a", "b"), ("b",)),
    "decision.first": ("logged", {"column": "popularity"}),
    "decision.shown_only": ("hold", "canary"),
    "shadow.overlap_at_k_min": (0.5, 0.4),
    "shadow.score_shift_max": (0.5, 0.6),
    "shadow.error_rate_max": (0.0, 0.01),
    "shadow.latency_ratio_max": (2.0, 3.0),
    "shadow.latency_action": ("block", "warn"),
    "freshness.newest_training_row": ("P10D", "P11D"),
    "freshness.parts": ({"click": "P1D"}, {}),
    "inconclusive": ("hold", "warn"),
    "base_rates": ({"click": [0.1, 0.2]}, {"click": [0.1, 0.3]}),
    "reviewers": ({"safety": ["sam"]}, {"safety": ["sam", "eve"]}),
    "approvals_on_command_line": ("by_account", True),
    "override": (
        {"role": "lead", "gates": ["shadow"]},
        {"role": "lead", "gates": ["shadow", "decision"]},
    ),
    "ramp": (RAMP, {**RAMP, "stages": [{"share": 0.1, "harm": 1.0}]}),
    "shown_is_all": (False, True),
}
"""A stricter and a looser value of every bound."""
ABOVE = {
    "base_rates": "",
    "reviewers": "",
    "approvals_on_command_line": "promotion.",
    "override": "",
    "ramp": "",
    "shown_is_all": "",
}


def rules(**values: Any) -> Rules:
    """Return rules with values by their place, as in ``data.rows``."""
    plain: dict[str, Any] = {"base_rates": {}, "reviewers": {}}
    for place, value in values.items():
        holder = plain
        *above, name = place.split(".")
        for key in above:
            holder = holder.setdefault(key, {})
        holder[name] = value
    return Rules.model_validate(plain)


def places(model: type[BaseModel], above: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= places(kind, f"{above}{name}.")
        else:
            found.add(f"{above}{name}")
    return found


def test_no_bound_of_the_contract_is_left_out() -> None:
    assert places(Rules) == LOOSER.keys()


@pytest.mark.parametrize("place", sorted(LOOSER))
def test_a_bound_that_lets_more_through_is_named_and_the_way_back_is_not(place: str) -> None:
    strict, loose = (rules(**{place: value}) for value in LOOSER[place])
    (named,) = name_loosened(strict, loose)
    above = ABOVE.get(place, "gates.")
    assert named.startswith(f"{above}{place.removesuffix('.first') if place == 'decision.first' else place}")
    assert name_loosened(strict, strict) == ()
    assert place == "decision.first" or name_loosened(loose, strict) == ()


@given(st.sets(st.sampled_from(sorted(LOOSER)), min_size=1))
def test_what_was_loosened_together_is_named_one_by_one(changed: set[str]) -> None:
    strict = rules(**{place: values[0] for place, values in LOOSER.items()})
    loose = rules(**{place: values[place in changed] for place, values in LOOSER.items()})
    assert len(name_loosened(strict, loose)) >= len(changed)
    assert name_loosened(strict, strict) == ()


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ({"click": [0.1, 0.2]}, {}, ["base_rates.click from 0.1 -> none", "base_rates.click to 0.2 -> none"]),
        ({"click": [0.1, 0.2]}, {"click": [0.05, 0.15]}, ["base_rates.click from 0.1 -> 0.05"]),
        ({}, {"click": [0.1, 0.2]}, []),
    ],
)
def test_a_base_rate_is_looser_where_its_range_is_wider_or_gone(
    before: dict[str, Any], after: dict[str, Any], named: list[str]
) -> None:
    assert list(name_loosened(rules(base_rates=before), rules(base_rates=after))) == named


def test_a_reviewer_who_left_loosens_nothing_and_each_who_came_is_named_with_the_role() -> None:
    before = rules(reviewers={"safety": ["sam", "eve"], "product": ["ana"]})
    after = rules(reviewers={"safety": ["sam"], "product": ["ana", "sam"], "legal": ["kim"]})
    assert name_loosened(before, after) == ("reviewers.product none -> sam", "reviewers.legal none -> kim")


def test_rules_without_reviewers_let_nobody_answer() -> None:
    after = rules(reviewers={"safety": ["sam"]})
    assert lasting_reviewers(Rules(), after) == {"safety": ()}
    assert name_loosened(Rules(), after) == ("reviewers.safety none -> sam",)


@given(st.sets(st.sampled_from(sorted(LOOSER))))
def test_rules_come_back_from_evidence_as_they_were(loose: set[str]) -> None:
    before = rules(**{place: values[place in loose] for place, values in LOOSER.items()})
    assert name_loosened(before, Rules.model_validate(canonical(before))) == ()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"stages": [{"share": 0.05, "harm": 2.0}]}, "ramp.stages 1 harm 1.0 -> 2.0"),
        ({"guardrails": ["report_rate"]}, "ramp.guardrails hide_rate evaluated -> none"),
        ({"wait": {"least": "P1D"}}, "ramp.wait.least P2D -> P1D"),
        ({"alpha": 0.1}, "ramp.alpha of an advance 0.05 -> 0.1"),
        ({"alpha": 0.01}, "ramp.alpha of an alarm 0.05 -> 0.01"),
    ],
)
def test_each_rule_of_a_ramp_counts(change: dict[str, Any], named: str) -> None:
    assert name_loosened(rules(ramp=RAMP), rules(ramp={**RAMP, **change})) == (named,)


def test_an_override_by_another_role_and_a_ramp_that_is_gone_are_named() -> None:
    before = rules(override={"role": "lead", "gates": ["shadow"]}, ramp=RAMP)
    after = rules(override={"role": "intern", "gates": ["shadow"]})
    named = name_loosened(before, after)
    assert {"ramp.stages 1 share 0.05 -> none", "override.role lead -> intern"} < {*named}
    assert name_loosened(rules(), before) == ("override.gates shadow held -> lifted",)
