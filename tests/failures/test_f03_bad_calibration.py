"""F3: balanced classes leave the order as it is and spoil the level, which decides between tasks."""

from collections.abc import Mapping

from benchmarks.failures.failure import Demonstration
from benchmarks.failures.world import FailureWorld
from tasks.evaluation.verdicts import Outcome
from tests.known import known


def test_the_order_of_purchases_is_as_good_as_before(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    heads, failure = failure_world.gate.heads, shown["F3"].failure
    ours, theirs = (
        known(heads.of("purchase_7d", one).headline["auc"])
        for one in (failure.ship(failure_world), failure_world.challenger)
    )
    assert abs(ours - theirs) < 0.01


def test_even_purchases_fall(shown: Mapping[str, Demonstration]) -> None:
    satisfied, purchases, hides, utility = shown["F3"].harms
    assert satisfied.change < -0.15
    assert purchases.change < -0.15
    assert hides.change > 0.15
    assert utility.change < -0.1


def test_the_calibration_gate_blocks_predictions_that_are_many_times_too_high(
    shown: Mapping[str, Demonstration],
) -> None:
    stop = shown["F3"].stop
    assert stop.outcome is Outcome.BLOCK
    assert known(stop.observed).high < 0.1
    assert (stop.threshold.low, stop.threshold.high) == (0.9, 1.1)
