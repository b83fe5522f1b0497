"""F8: a ranker by expected margin shows what few people want."""

from collections.abc import Mapping

from benchmarks.failures.failure import Demonstration
from tasks.evaluation.verdicts import Outcome
from tests.known import known


def test_satisfaction_and_even_purchases_fall(shown: Mapping[str, Demonstration]) -> None:
    satisfied, hides, purchases, utility = shown["F8"].harms
    assert satisfied.change < -0.1
    assert hides.change > 0.2
    assert purchases.change < -0.05
    assert utility.change < -0.08


def test_the_guardrail_of_satisfied_visits_blocks_it(shown: Mapping[str, Demonstration]) -> None:
    stop = shown["F8"].stop
    assert stop.outcome is Outcome.BLOCK
    assert known(stop.observed).high < stop.threshold.low
