"""What decides in a release, judged: in force, under a version of its own, with people who may answer."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tasks.contracts.utility import UtilitySpec
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.gates.policy import (
    PolicyVersion,
    ReleasedPolicies,
    evaluate_front,
    evaluate_policy,
    find_lost_constraints,
)
from tasks.tuning.evidence import FrontPoint, TuningEvidence, WeightProposal
from tests.tuning.tuning_documents import evidence

CONTRACTS = {"surface": "s", "tasks": "t", "utility": "u", "slate": "l"}
UTILITY, SLATE = PolicyVersion("feed-utility", "2", "u2"), PolicyVersion("feed-slate", "1", "l1")
SOUND = ReleasedPolicies(
    contracts=CONTRACTS,
    in_force=CONTRACTS,
    policies={"utility": UTILITY, "slate": SLATE},
    champion={"utility": PolicyVersion("feed-utility", "1", "u1"), "slate": SLATE},
    reviewers={"product": ("ana",), "safety": ("sam", "eve")},
)


def _judged(standing: ReleasedPolicies) -> dict[str, Verdict]:
    return {str(verdict.subject): verdict for verdict in evaluate_policy(standing, run="run-1")}


def test_a_raised_version_and_reviewers_pass_and_each_row_says_what_was_looked_at() -> None:
    verdicts = _judged(SOUND)
    assert {v.outcome for v in verdicts.values()} == {Outcome.PASS}
    assert {name: v.reason for name, v in verdicts.items()} == {
        "in_force": "tasks.yaml, utility.yaml, slate.yaml as in force",
        "utility_version": "feed-utility version 2, the champion's is feed-utility version 1",
        "slate_version": "feed-slate version 1, as the champion's",
        "approvals": "required approvals: product: ana; safety: sam or eve",
    }
    assert {v.evidence for v in verdicts.values()} == {"run-1"}


def test_a_first_release_has_no_version_to_raise() -> None:
    version = _judged(replace(SOUND, champion={}))["utility_version"]
    assert (version.outcome, version.reason) == (
        Outcome.PASS,
        "feed-utility version 2; no champion's to compare with",
    )


def test_another_content_under_the_champions_version_blocks() -> None:
    silent = replace(SOUND, champion={"utility": replace(UTILITY, digest="other"), "slate": SLATE})
    assert _judged(silent)["utility_version"].outcome is Outcome.BLOCK


def test_a_policy_that_was_taken_back_is_another_version_and_passes() -> None:
    back = replace(SOUND, champion={"utility": PolicyVersion("feed-utility", "3", "u3"), "slate": SLATE})
    assert _judged(back)["utility_version"].outcome is Outcome.PASS


@pytest.mark.parametrize("kind", ["tasks", "utility", "slate"])
def test_a_release_of_other_contracts_than_are_in_force_blocks(kind: str) -> None:
    found = _judged(replace(SOUND, in_force=CONTRACTS | {kind: "other"}))["in_force"]
    assert (found.outcome, found.reason) == (Outcome.BLOCK, f"made under another {kind}.yaml")


def test_other_gates_of_the_surface_are_no_other_policy() -> None:
    assert _judged(replace(SOUND, in_force=CONTRACTS | {"surface": "x"}))["in_force"].outcome is Outcome.PASS


def test_a_role_that_nobody_may_answer_for_is_warned_of() -> None:
    found = _judged(replace(SOUND, reviewers={"product": ("ana",), "safety": ()}))["approvals"]
    assert (found.outcome, found.reason) == (Outcome.WARN, "nobody may review for safety")


LEGAL = {"name": "legal", "drop_when": {"column": "banned", "equals": True}}
CURRENT, BETTER = {"click": 1.0, "hide": -5.0}, {"click": 1.5, "hide": -9.0}
GAIN = Estimate(0.03, 0.01, 0.05, 400)


def _policy(**changes: Any) -> UtilitySpec:
    base = {"policy": "p", "version": 1, "owner": "o", "approvals": ["safety"], "weights": CURRENT}
    return UtilitySpec.model_validate({**base, **changes})


def _point(trial: int, weights: dict[str, float], *, dominated: bool = False) -> FrontPoint:
    return FrontPoint(trial=trial, weights=weights, searched=(0.1,), confirmed=(GAIN,), dominated=dominated)


def _proposal(gain: Estimate | None) -> WeightProposal:
    proposal = evidence().proposal
    assert proposal is not None
    return proposal.model_copy(update={"trial": 7, "gain": gain})


def _front(**changes: object) -> TuningEvidence:
    """Return a tuning of two points, without a proposal."""
    days = date(2026, 3, 1), date(2026, 3, 14)
    front = _point(7, BETTER), _point(9, {"click": 2.0, "hide": -5.0})
    plain = {"release": 3, "days": days, "current": CURRENT, "front": front, "proposal": None}
    return evidence(**(plain | changes))


def _on_front(policy: UtilitySpec, tuning: TuningEvidence | None) -> Verdict:
    return evaluate_front(policy, tuning, tuning_run="run-tune", simulation="run-simulate")


def test_without_a_front_nothing_is_said_but_how_to_find_one() -> None:
    for front in (None, _front(front=())):
        verdict = _on_front(_policy(), front)
        assert (verdict.outcome, verdict.evidence) == (Outcome.NO_RULE, "run-simulate")
        assert "equipoise tune" in verdict.reason


def test_weights_of_a_point_are_on_the_front_and_the_row_names_its_run() -> None:
    verdict = _on_front(_policy(weights=BETTER), _front())
    assert (verdict.outcome, verdict.evidence) == (Outcome.PASS, "run-tune")
    assert verdict.reason == "trial 7 of a front of 2; searched with release 3 on 2026-03-01 to 2026-03-14"


def test_a_point_that_another_was_confirmed_to_beat_warns() -> None:
    verdict = _on_front(_policy(weights=BETTER), _front(front=(_point(7, BETTER, dominated=True),)))
    assert verdict.outcome is Outcome.WARN


def test_weights_below_the_front_warn_where_a_gain_was_confirmed() -> None:
    verdict = _on_front(_policy(), _front(proposal=_proposal(GAIN)))
    assert verdict.outcome is Outcome.WARN
    assert "trial 7 was confirmed to gain click_rate +3.0%" in verdict.reason


@pytest.mark.parametrize("gain", [None, Estimate(0.03, -0.01, 0.07, 400)])
def test_a_gain_that_was_not_confirmed_is_no_warning(gain: Estimate | None) -> None:
    verdict = _on_front(_policy(), _front(proposal=_proposal(gain)))
    assert (verdict.outcome, "no gain was confirmed" in verdict.reason) == (Outcome.NO_RULE, True)


def test_weights_that_no_search_began_with_are_no_part_of_it() -> None:
    verdict = _on_front(_policy(weights={"click": 3.0, "hide": -1.0}), _front())
    assert (verdict.outcome, "none of a front of 2" in verdict.reason) == (Outcome.NO_RULE, True)


def test_a_weight_that_the_search_could_not_move_is_not_compared() -> None:
    policy = _policy(weights={**BETTER, "buy": 9.0})
    assert _on_front(policy, _front()).outcome is Outcome.PASS


def test_a_lost_hard_constraint_is_a_warning_by_its_name() -> None:
    verdict = _judged(replace(SOUND, lost_constraints=("legal",)))["legal"]
    assert (verdict.gate, verdict.outcome) == ("policy", Outcome.WARN)


def test_a_constraint_is_lost_where_its_condition_changes_and_not_where_its_description_does() -> None:
    def policy(**constraint: object) -> UtilitySpec:
        return _policy(hard_constraints=[{**LEGAL, **constraint}])

    assert find_lost_constraints(policy(), policy(description="nobody may sell it")) == ()
    other = {"column": "banned", "equals": False}
    assert find_lost_constraints(policy(), policy(drop_when=other)) == ("legal",)
    assert find_lost_constraints(policy(), policy(drop_when=None, keep_when=LEGAL["drop_when"])) == ("legal",)


def test_a_constraint_is_lost_where_it_holds_in_a_context_alone_and_kept_where_it_holds_everywhere() -> None:
    child = {"name": "child", "when": {"mode": ["child"]}, "hard_constraints": [LEGAL]}
    everywhere, in_context = _policy(hard_constraints=[LEGAL]), _policy(contexts=[child])
    in_another = _policy(contexts=[{**child, "name": "teen"}])
    assert find_lost_constraints(everywhere, in_context) == ("legal",)
    assert find_lost_constraints(in_context, everywhere) == ()
    assert find_lost_constraints(in_context, in_another) == ("legal",)
