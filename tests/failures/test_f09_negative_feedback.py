"""F9: where a hide costs one click, base rates make it worth nothing."""

from collections.abc import Mapping

from benchmarks.failures.failure import Demonstration
from tasks.evaluation.verdicts import Outcome
from tests.known import known


def test_hides_rise_most_among_new_users(shown: Mapping[str, Demonstration]) -> None:
    hides, of_new_users, utility = shown["F9"].harms
    assert of_new_users.change > hides.change > 0.1
    assert utility.change < 0


def test_the_guardrail_of_predicted_hides_blocks_it(shown: Mapping[str, Demonstration]) -> None:
    stop = shown["F9"].stop
    assert stop.outcome is Outcome.BLOCK
    assert known(stop.observed).value > stop.threshold.high == 0.1
