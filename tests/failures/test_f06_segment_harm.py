"""F6: pooled utility and pooled hides hold while new users hide more."""

from collections.abc import Mapping

from benchmarks.failures.failure import Demonstration
from benchmarks.failures.listed import HIDES, POOLED_RISE, UTILITY, cheapest_for_all
from benchmarks.failures.world import FailureWorld
from tasks.evaluation.subjects import Segment, Subject
from tasks.evaluation.verdicts import Outcome
from tests.known import known


def test_pooled_utility_and_hides_stay_within_their_bounds(failure_world: FailureWorld) -> None:
    release = cheapest_for_all(failure_world)
    assert failure_world.compare(UTILITY, release).change > -0.01
    hides, in_force = (failure_world.compare(HIDES, one).naive for one in (release, failure_world.challenger))
    assert hides <= (1 + POOLED_RISE) * in_force


def test_new_users_are_harmed(shown: Mapping[str, Demonstration]) -> None:
    hides, utility = shown["F6"].harms
    assert hides.change > 0.1
    assert utility.change < 0


def test_the_guardrail_blocks_in_the_segment_and_not_on_the_whole(shown: Mapping[str, Demonstration]) -> None:
    stop = shown["F6"].stop
    assert (stop.segment, stop.outcome) == (Segment("user_tenure", "new"), Outcome.BLOCK)
    assert known(stop.observed).value > stop.threshold.high
    hides = Subject("predicted", task="hide_7d")
    blocked = [one.segment for one in shown["F6"].holding if one.subject == hides]
    assert blocked == [Segment("user_tenure", "new")]
