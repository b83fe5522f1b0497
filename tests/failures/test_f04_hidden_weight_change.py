"""F4: a weight slips by a decimal point, and the policy keeps its version."""

from collections.abc import Mapping
from dataclasses import replace

from benchmarks.failures.failure import Demonstration
from benchmarks.failures.world import FailureWorld
from tasks.evaluation.subjects import Subject
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.gates.policy import ReleasedPolicies, evaluate_policy


def test_a_tenfold_weight_of_clicks_raises_hides_and_returns(shown: Mapping[str, Demonstration]) -> None:
    hides, returns, utility = shown["F4"].harms
    assert hides.change > 0.2
    assert returns.change > 0.15
    assert utility.change < -0.03


def test_the_policy_gate_blocks_a_changed_policy_of_the_same_version(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    assert shown["F4"].stop.outcome is Outcome.BLOCK
    standing: ReleasedPolicies = shown["F4"].failure.evidence(failure_world)["policy"]
    raised = {"utility": replace(standing.policies["utility"], version="2")}
    verdicts = {
        one.subject: one.outcome for one in evaluate_policy(replace(standing, policies=raised), run="")
    }
    assert verdicts[Subject("utility_version")] is Outcome.PASS


def test_the_guardrail_of_hides_would_block_it_under_any_version(shown: Mapping[str, Demonstration]) -> None:
    blocked = {one.subject for one in shown["F4"].holding if one.outcome is Outcome.BLOCK}
    assert Subject("predicted", task="hide_7d") in blocked
