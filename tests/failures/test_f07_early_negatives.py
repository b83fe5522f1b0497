"""F7: returns that are still to come count as none, so what comes back looks better than it is."""

from collections.abc import Mapping

from benchmarks.failures.failure import Demonstration
from benchmarks.failures.world import FailureWorld
from tasks.evaluation.verdicts import Outcome


def test_the_head_expects_less_than_half_of_the_returns(failure_world: FailureWorld) -> None:
    data = failure_world.data
    early, true = (one["p_return_30d"].mean() for one in (failure_world.naive["early labels"], data.truth))
    assert early < 0.5 * data.mean_looks * true
    mature = data.challenger["p_return_30d"].mean()
    assert abs(mature / (data.mean_looks * true) - 1) < 0.25


def test_more_items_come_back(shown: Mapping[str, Demonstration]) -> None:
    (returns,), (instead,) = shown["F7"].harms, shown["F7"].instead
    assert returns.change > 0.05
    assert abs(instead.change) < 0.03


def test_validation_finds_labels_before_their_maturity_and_the_data_gate_blocks(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    assert shown["F7"].stop.outcome is Outcome.BLOCK
    failed = {
        (one.expectation, one.subject)
        for one in failure_world.early.validation.expectations
        if not one.success and one.severity == "critical"
    }
    assert ("expect_no_label_observed_before_maturity", "return_30d") in failed
    assert ("expect_conditional_label_only_where_parent_positive", "return_30d") in failed
    assert {subject for _, subject in failed} == {"return_30d"}
