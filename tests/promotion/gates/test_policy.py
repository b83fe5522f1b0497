"""What decides in a release, judged: in force, under a version of its own, with people who may answer."""

from dataclasses import replace

import pytest

from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.gates.policy import PolicyStanding, PolicyVersion, judge_policy

CONTRACTS = {"surface": "s", "tasks": "t", "utility": "u", "slate": "l"}
UTILITY, SLATE = PolicyVersion("feed-utility", "2", "u2"), PolicyVersion("feed-slate", "1", "l1")
SOUND = PolicyStanding(
    contracts=CONTRACTS,
    in_force=CONTRACTS,
    policies={"utility": UTILITY, "slate": SLATE},
    champion={"utility": PolicyVersion("feed-utility", "1", "u1"), "slate": SLATE},
    reviewers={"product": ("ana",), "safety": ("sam", "eve")},
)


def _judged(standing: PolicyStanding) -> dict[str, Verdict]:
    return {str(verdict.subject): verdict for verdict in judge_policy(standing, run="run-1")}


def test_a_raised_version_and_reviewers_pass_and_each_row_says_what_was_looked_at() -> None:
    verdicts = _judged(SOUND)
    assert {v.outcome for v in verdicts.values()} == {Outcome.PASS}
    assert {name: v.reason for name, v in verdicts.items()} == {
        "in_force": "tasks.yaml, utility.yaml, slate.yaml as in force",
        "utility_version": "feed-utility version 2, the champion's is feed-utility version 1",
        "slate_version": "feed-slate version 1, as the champion's",
        "approvals": "asked before it moves: product: ana; safety: sam or eve",
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
    assert (found.outcome, found.reason) == (Outcome.WARN, "nobody may answer for safety")
